"""A page of a study that is being trained: how far it is and its curves, written again whenever rows arrive."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from scaling.errors import check_installed
from scaling.flops import count_parameters
from scaling.reports.render import TEMPLATES, align_numbers, report, write_files
from scaling.reports.suite import notebooks
from scaling.show import Table
from scaling.store import Store
from scaling.study import Study, read_study
from scaling.study.identity import trunk_id
from scaling.units import print_count

EVERY = 10.0
"""Seconds between two looks, of the command at the rows and of an open page at the command."""


def watch(
    study: str | Path,
    *,
    out: str | Path = "reports",
    every: float = EVERY,
    wait: Callable[[float], None] = time.sleep,
) -> Path:
    """Path of the page of a study under way, written whenever its rows have changed, until all of them are there.

    An open page loads itself again when there is a newer one, which NAME-watch.js beside it says. When the last row has
    come, the study's own report is made, where it has a notebook.

    Args:
        study: its file or folder.
        out: folder for the page, NAME-watch.html.
        every: seconds between two looks.
        wait: what passes them.

    Raises:
        MissingRuns, NotToml, UnknownStudyKey, BadStudyValue: there is no such study, or it cannot be read.
        MissingPackage: the extra "notebooks" or "plot" is not installed.
        DiskFull, NotWritten: the page cannot be written there.
        FailedCell: the report could not be made.
    """
    check_installed("notebooks", "jinja2")
    check_installed("plot", "altair", "vl_convert")
    asked = read_study(study)
    path = Path(out) / f"{asked.name}-watch.html"
    seen, under_way = None, True
    while under_way:
        stamp = _stamp(asked)
        if stamp != seen:
            seen, progress = stamp, _progress(asked)
            under_way = any(row["missing"] for row in progress.iter_rows(named=True))
            now = datetime.datetime.now().astimezone().isoformat(timespec="microseconds")
            page = _page(asked, progress, now, every if under_way else None)
            write_files({path: page.encode(), path.with_suffix(".js"): f"scalingStamp({now!r})\n".encode()})
            print(_line(asked, progress, path), flush=True)
        if under_way:
            wait(every)
    name = asked.notebook or asked.name
    if name in notebooks():
        report(name, out=out)
    return path


def _stamp(study: Study) -> tuple[tuple[str, int, int], ...]:
    """Which files hold rows, and how they were when they were last written."""
    files = [*sorted(Store(study).local.glob("rows/*.jsonl")), *sorted(study.folder.glob("*.parquet"))]
    return tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)


def _rows(study: Study, kind: str) -> pl.DataFrame:
    store, key = Store(study), {"run": ["run_id"], "evaluation": ["run_id", "step", "domain"]}[kind]
    both = pl.concat([store.rows(kind, "committed"), store.rows(kind, "local")])
    return both.unique(key, keep="last", maintain_order=True)


def _progress(study: Study) -> pl.DataFrame:
    """For each size: runs asked for, done, diverged, and missing."""
    asked = [(count_parameters(t.model).matrices, len(t.schedule.budgets)) for t in study.trunks]
    wanted = pl.DataFrame(asked, schema={"N": pl.Int64, "asked": pl.Int64}, orient="row").group_by("N").sum()
    runs = _rows(study, "run").filter(pl.col("kind") == "annealed")
    counts = runs.group_by("N").agg(
        done=(pl.col("status") == "done").sum().cast(pl.Int64),
        diverged=(pl.col("status") == "diverged").sum().cast(pl.Int64),
        best=pl.col("loss").filter(pl.col("status") == "done").min(),
    )
    both = wanted.join(counts.with_columns(pl.col("N").cast(pl.Int64)), on="N", how="left").sort("N")
    both = both.with_columns(pl.col("done", "diverged").fill_null(0))
    return both.with_columns(missing=(pl.col("asked") - pl.col("done") - pl.col("diverged")).clip(0))


def curves_so_far(study: Study) -> pl.DataFrame:
    """Every point of every curve, the mean over domains: `curve`, `N`, `tokens`, `loss` and `ended`."""
    runs, points = _rows(study, "run"), _rows(study, "evaluation")
    sizes = dict(runs.select("run_id", "N").iter_rows()) | dict(runs.select("trunk_id", "N").iter_rows())
    for corpus in runs["corpus_hash"].unique():
        sizes |= {trunk_id(trunk, corpus): count_parameters(trunk.model).matrices for trunk in study.trunks}
    ends = runs.filter(pl.col("kind") == "annealed").select("run_id", "steps")
    means = points.group_by("run_id", "step", maintain_order=True).agg(
        pl.col("tokens").first(), pl.col("loss").mean()
    )
    known = means.filter(pl.col("loss").is_finite(), pl.col("tokens") > 0).join(ends, on="run_id", how="left")
    N = pl.Series("N", [sizes.get(name) for name in known["run_id"]], dtype=pl.Int64)
    ended = (pl.col("step") == pl.col("steps")).fill_null(False)
    return known.select(N, "tokens", "loss", curve="run_id", ended=ended)


def _line(study: Study, progress: pl.DataFrame, path: Path) -> str:
    ended, asked = (progress["asked"] - progress["missing"]).sum(), progress["asked"].sum()
    return f"{study.name}: {ended} of {asked} runs, {path.resolve().as_uri()}"


def _page(study: Study, progress: pl.DataFrame, now: str, every: float | None) -> str:
    from jinja2 import Environment, FileSystemLoader

    from scaling.charts.curves import learning
    from scaling.charts.live import Bundle, embed

    curves = curves_so_far(study)
    chart = Bundle()._repr_html_() + embed(learning(curves).to_dict()) if curves.height else ""
    environment = Environment(
        loader=FileSystemLoader([TEMPLATES / "site", TEMPLATES / "report"]),
        autoescape=lambda name: name != "style.css",
    )
    asked, missing = int(progress["asked"].sum()), int(progress["missing"].sum())
    return environment.get_template("watch.html.j2").render(
        study=study, table=align_numbers(_table(progress)._repr_html_()), chart=chart, every=every,
        ended=asked - missing, asked=asked, stamp=now, now=now[11:19],
    )  # fmt: skip


def _table(progress: pl.DataFrame) -> Table:
    columns = ("parameters N", "asked", "done", "diverged", "missing", "lowest loss, nats/token")
    rows = [
        [print_count(N), *map(str, (asked, done, diverged, missing)), "" if best is None else f"{best:.3f}"]
        for N, asked, done, diverged, best, missing in progress.iter_rows()
    ]
    return Table(columns, rows)
