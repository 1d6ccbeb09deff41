"""Published results: the same rows from fetched files as from tidy tables, and only the right bytes are kept."""

import dataclasses
import hashlib
import http.server
import resource
import sys
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from scaling.errors import MissingPackage
from scaling.files import DiskFull, DownloadFailed, download, sha256_of
from scaling.published import SOURCES, catalogue, fetch_published, open_published
from scaling.published import access as room
from scaling.published.access import MissingPublished, UnknownPublished
from scaling.published.sources import RemoteFile
from scaling.records import UnreadableTable

RAW_FOLDERS = {
    "chinchilla": "",
    "mixtures": "regmix",
    "schedules": "multipower",
    "schedule-curves": "multipower",
    "scores": "obsscaling",
    "benchmarks": "epoch_benchmarks",
    "horizons": "epoch_benchmarks",
}
KEYS = [
    "split",
    "size",
    "index",
    "size_M",
    "schedule",
    "step",
    "N",
    "C",
    "loss",
    "name",
    "benchmark",
    "model",
]
KEYS += ["performance"]
FETCHABLE = list(RAW_FOLDERS)


class Mischief(http.server.SimpleHTTPRequestHandler):
    """Serves the raw files; a path that starts with the name of a mischief is answered with that."""

    def do_GET(self) -> None:
        kind, _, rest = self.path.lstrip("/").partition("/")
        if kind == "elsewhere":
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/{rest}")
            self.end_headers()
        elif kind == "moved":
            self.send_response(302)
            self.send_header("Location", f"/{rest}")
            self.end_headers()
        elif kind == "cut":
            whole = (Path(self.directory) / rest).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole[: len(whole) // 2])
        elif kind == "changed":
            whole = (Path(self.directory) / rest).read_bytes()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(whole[:-2] + b"9" + whole[-1:])
        elif kind == "longer":
            self.send_response(200)
            self.end_headers()
            self.wfile.write((Path(self.directory) / rest).read_bytes() * 3)
        else:
            super().do_GET()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server(published):
    def handler(*args, **kwargs):
        return Mischief(*args, directory=str(published / "raw"), **kwargs)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


@pytest.fixture
def from_server(server, published, monkeypatch, tmp_path):
    """The sources with their files at the loopback server, and an empty cache."""
    monkeypatch.setenv("SCALING_CACHE", str(tmp_path))
    monkeypatch.delenv("SCALING_PUBLISHED", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    sources = {}
    for name, folder in RAW_FOLDERS.items():
        moved = []
        for file in SOURCES[name].raw:
            served = next(
                p for p in (published / "raw" / folder).rglob(Path(file.path).name) if _same_end(p, file.path)
            )
            path = served.relative_to(published / "raw").as_posix()
            moved.append(RemoteFile(f"{server}/{path}", file.path, file.bytes, file.sha256))
        sources[name] = dataclasses.replace(SOURCES[name], raw=tuple(moved))
    monkeypatch.setattr(room, "SOURCES", SOURCES | sources)
    return tmp_path


def _same_end(served: Path, path: str) -> bool:
    return not path.startswith("loss_curve_repo") or served.parent.name == Path(path).parent.name


@pytest.fixture
def tidy(published, monkeypatch):
    monkeypatch.setenv("SCALING_PUBLISHED", str(published))
    return published


@pytest.mark.parametrize("name", SOURCES)
def test_open_published_reads_every_source(tidy, name):
    frame = open_published(name)
    assert len(frame) >= 9
    if "loss" in frame.columns and name != "learning-curves":
        assert np.isfinite(frame["loss"].to_numpy()).all()
    if {"N", "D", "C"} <= set(frame.columns) and name != "scores":
        assert frame["n_convention"].null_count() == 0
        assert (frame["epochs"] >= 1 - 1e-9).all()


@pytest.mark.parametrize("name", FETCHABLE)
def test_fetched_files_match_the_tidy_table(from_server, tidy_frames, name):
    assert fetch_published(name, progress=False).is_dir()
    fetched, known = open_published(name), tidy_frames[name]
    order = [c for c in KEYS if c in fetched.columns and not fetched[c].dtype.is_nested()]
    left, right = fetched.sort(order), known.sort(order)
    assert len(left) == len(right)
    assert set(left.columns) >= set(right.columns) - {"point_id", "hex_color"}
    for column in set(left.columns) & set(right.columns):
        one, other = left[column], right[column]
        while one.dtype.is_nested():
            one, other = one.explode(), other.explode()
        if one.dtype.is_numeric():
            np.testing.assert_allclose(one.to_numpy(), other.to_numpy(), rtol=1e-12, err_msg=column)
        elif column != "source":
            assert one.to_list() == other.to_list(), column


def test_fetched_scores_name_a_source_that_the_tidy_table_lost(from_server, tidy_frames):
    """27 rows of one benchmark have none there; all others agree."""
    fetch_published("benchmarks", progress=False)
    key = ["benchmark", "model", "performance"]
    both = open_published("benchmarks").unique(key).join(tidy_frames["benchmarks"].unique(key), on=key)
    lost = both.filter(pl.col("source_right").fill_null("") == "")
    assert set(lost["benchmark"]) == {"Balrog"}
    assert set(lost["source"]) == {"Balrog Leaderboard"}


def test_fetch_needs_rich_for_its_bar_only(from_server, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(MissingPackage, match=r"needs rich, .* 'scaling\[cli\]'"):
        fetch_published("benchmarks")
    assert fetch_published("benchmarks", progress=False).is_dir()


@pytest.fixture(scope="module")
def tidy_frames(published):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALING_PUBLISHED", str(published))
        return {name: open_published(name) for name in FETCHABLE}


def test_schedule_curves_are_lists_of_one_length(tidy):
    curves, points = open_published("schedule-curves"), open_published("schedules")
    assert len(curves) == points.select("size_M", "schedule").n_unique() == 27
    lengths = curves.select(pl.col("step", "lr_curve", "loss_curve").list.len())
    assert (lengths["step"] == lengths["lr_curve"]).all()
    assert (lengths["step"] == lengths["loss_curve"]).all()
    assert lengths["step"].sum() == len(points)
    assert curves.select(pl.col("step").list.diff(null_behavior="drop").list.min()).min().item() > 0
    assert (curves["loss"] == curves["loss_curve"].list.last()).all()


def test_every_source_says_its_units_and_its_licence():
    listed = catalogue()
    assert set(listed["name"]) == set(SOURCES)
    for column in ("title", "paper", "licence", "units"):
        assert (listed[column].str.len_chars() > 2).all()


def test_fetched_once_is_not_fetched_again(from_server, monkeypatch):
    folder = fetch_published("scores", progress=False)
    monkeypatch.setattr("requests.get", lambda *a, **k: pytest.fail("asked the network again"))
    assert fetch_published("scores", progress=False) == folder
    where = dict(catalogue().select("name", "where").iter_rows())
    assert where["scores"] == "cached"
    assert where["mixtures"] == "can be fetched"
    assert where["isoflop"] == "missing"


@pytest.mark.parametrize(
    ("mischief", "words"),
    [
        ("nothing/here", "the server answered 404"),
        ("cut", "bytes or more came, of 23,224|IncompleteRead"),
        ("changed", "its SHA-256 is"),
        ("longer", "bytes or more came, of 23,224"),
        ("elsewhere", "it redirects to another host, localhost"),
    ],
)
def test_download_names_what_went_wrong_and_keeps_nothing(server, tmp_path, mischief, words, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    file = SOURCES["chinchilla"].raw[0]
    with pytest.raises(DownloadFailed, match=words):
        download(
            f"{server}/{mischief}/svg_extracted_data.csv",
            tmp_path / "f.csv",
            sha256=file.sha256,
            size=file.bytes,
        )
    assert list(tmp_path.iterdir()) == []


def test_download_follows_a_redirect_within_the_host(server, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    file = SOURCES["chinchilla"].raw[0]
    shown = []
    path = tmp_path / "new" / "f.csv"
    download(
        f"{server}/moved/svg_extracted_data.csv",
        path,
        sha256=file.sha256,
        size=file.bytes,
        show=shown.append,
    )
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256 == sha256_of(path)
    assert shown[-1] == file.bytes and shown == sorted(shown)


def test_download_mends_a_file_that_has_changed(server, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    file, path = SOURCES["chinchilla"].raw[0], tmp_path / "f.csv"
    path.write_text("half of it")
    download(f"{server}/svg_extracted_data.csv", path, sha256=file.sha256, size=file.bytes)
    assert sha256_of(path) == file.sha256


def test_download_names_a_server_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    with pytest.raises(DownloadFailed, match="refused"):
        download("http://127.0.0.1:9/f.csv", tmp_path / "f.csv", sha256="0" * 64, size=1, timeout=5)


def test_download_names_a_full_disk_and_keeps_nothing(server, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    file = SOURCES["chinchilla"].raw[0]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(DiskFull, match=r"a download had to be written to .* no room \(file too large"):
            download(
                f"{server}/svg_extracted_data.csv",
                tmp_path / "f.csv",
                sha256=file.sha256,
                size=file.bytes,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_open_published_names_what_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("SCALING_CACHE", str(tmp_path))
    monkeypatch.delenv("SCALING_PUBLISHED", raising=False)
    with pytest.raises(UnknownPublished, match="Did you mean 'chinchilla'"):
        open_published("chinchila")
    with pytest.raises(MissingPublished, match="scaling published fetch chinchilla"):
        open_published("chinchilla")
    with pytest.raises(MissingPublished, match="Name a folder that has it"):
        fetch_published("isoflop")


def test_open_published_names_a_file_that_is_no_table(monkeypatch, tmp_path):
    monkeypatch.setenv("SCALING_PUBLISHED", str(tmp_path))
    path = tmp_path / SOURCES["chinchilla"].tidy
    path.parent.mkdir()
    path.write_text("")
    with pytest.raises(UnreadableTable, match="chinchilla_points"):
        open_published("chinchilla")
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UnreadableTable, match="params_N"):
        open_published("chinchilla")


def test_published_runs_are_fitted_as_they_are(tidy):
    from scaling.fitting import fit
    from scaling.laws import chinchilla

    runs = open_published("chinchilla").filter(pl.col("loss") < 4.0)
    assert fit(chinchilla, runs, bootstrap=0).rms_percent < 3.0


def test_shares_of_code_are_read_as_blends(published, monkeypatch):
    """Nine and 22 blends of the paper, with the first values of its tables."""
    monkeypatch.setenv("SCALING_PUBLISHED", str(published))
    loss, tasks = open_published("code-shares"), open_published("code-tasks")
    assert (loss.height, tasks.height) == (9, 22)
    assert loss.sort("w_python")["loss_c4"].to_list()[:2] == [2.46206, 2.479359]
    for frame in (loss, tasks):
        assert frame.select(pl.sum_horizontal("^w_.*$")).to_series().to_list() == pytest.approx(
            [1.0] * frame.height
        )
    assert len([c for c in tasks.columns if c.startswith("loss_") and "Average" not in c]) == 19
    first = tasks.filter(w_oscar=0.0, w_python=0.0).sort("N").row(0, named=True)
    assert first["loss_COPA"] == pytest.approx(1 - 0.497)
