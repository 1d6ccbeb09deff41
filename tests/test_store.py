import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import resource
import shutil
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

import scaling
from scaling.__main__ import cli
from scaling.errors import BadOption
from scaling.files import DiskFull
from scaling.intake import read_table
from scaling.records import (
    DomainLoss,
    Evaluation,
    Measurement,
    MissingRuns,
    Run,
    UnreadableTable,
    append_rows,
    read_rows,
)
from scaling.store import (
    BadCondition,
    ChangedTable,
    Store,
    StudyChanged,
    open_evaluations,
    open_measurements,
    open_runs,
    select_rows,
)
from scaling.study import identity, read_study

RUNS = Path(__file__).parents[1] / "runs"
STUDY = """
[defaults]
budgets = ["64Ki", "128Ki"]
[[grid]]
width = 16
seed = [0, 1]
"""


def make_run(trunk, budget, *, corpus_hash="c0", loss=2.5, status="done", device="here"):
    domains = [
        DomainLoss(domain=d, loss=loss + x, loss_stderr=0.01, loss_bits_per_byte=(loss + x) / 0.7)
        for d, x in (("code", -0.1), ("prose", 0.1))
    ]
    return Run(
        run_id=identity.run_id(trunk, corpus_hash, budget),
        trunk_id=identity.trunk_id(trunk, corpus_hash),
        study="made",
        name=trunk.name,
        kind="annealed",
        status=status,
        N=6144,
        params_embedding=4096,
        params_head=4096,
        params_total=14336,
        D=budget,
        unique_tokens=budget,
        unique_budget=10**6,
        epochs=1.0,
        C=6e4 * budget,
        flops_matrix=4e4 * budget,
        flops_attention=1e4 * budget,
        flops_head=1e4 * budget,
        loss=loss,
        loss_stderr=0.01,
        loss_bits_per_byte=loss / 0.7,
        domains=domains,
        seed=trunk.seed,
        width=16,
        depth=2,
        head_dim=16,
        context=128,
        vocabulary=256,
        tokens_per_step=512,
        steps=budget // 512,
        schedule="constant",
        peak_lr=0.004,
        weight_decay=0.0,
        beta2=0.98,
        blend={"code": 0.5, "prose": 0.5},
        config_hash=identity.config_hash(trunk),
        corpus_hash=corpus_hash,
        corpus_bytes={"code": 10, "prose": 20},
        corpus_versions={"python": "3"},
        versions={"torch": "2"},
        device=device,
        seconds=1.0,
    )


def write_rows(store, corpus_hash="c0", **changes):
    store.remember_study()
    for trunk in store.study.trunks:
        for budget in trunk.schedule.budgets:
            run = make_run(trunk, budget, corpus_hash=corpus_hash, **changes)
            point = Evaluation(
                run_id=run.run_id,
                step=run.steps,
                tokens=run.D,
                domain="code",
                loss=2,
                loss_stderr=0.1,
                loss_bits_per_byte=3,
            )
            path = store.local / "rows" / f"{run.trunk_id}.jsonl"
            append_rows(path, {"evaluation": dataclasses.asdict(point)}, {"run": run.to_json()})


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "runs" / "made"
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(STUDY)
    return Store(read_study(folder))


def test_store_recovers_every_field_of_a_run(store):
    write_rows(store)
    trunk = store.study.trunks[0]
    run = make_run(trunk, 65536)
    row = open_runs(store.study.folder).filter(pl.col("run_id") == run.run_id).row(0, named=True)
    for name, value in run.to_json().items():
        assert (json.loads(row[name]) if isinstance(value, dict) else row[name]) == value
    assert row["loss_code"] == pytest.approx(2.4)
    assert row["loss_stderr_prose"] == 0.01
    assert row["origin"] == "local"


def test_commit_compacts_local_rows_and_they_open_without_the_store(store):
    write_rows(store)
    before = open_runs(store.study.folder).drop("origin").sort("run_id")
    assert store.commit() == (4, 4)
    for file in store.local.glob("rows/*"):
        file.unlink()
    after = open_runs(store.study.folder)
    assert after["origin"].unique().to_list() == ["committed"]
    assert after.drop("origin").sort("run_id").equals(before)
    assert open_evaluations(store.study.folder).height == 4
    assert store.finished() == set(before["run_id"])
    assert store.finished(here=True) == set()


def test_rows_from_before_a_column_open_with_nothing_in_it(store):
    """Committed and local rows from before there were epochs of each domain, stages, parents and check sums."""
    later = ["domain_epochs", "domain_unique", "stage", "parent_run"]
    write_rows(store)
    store.commit()
    file = store.study.folder / "runs.parquet"
    pl.read_parquet(file).drop(later).write_parquet(file)
    (store.study.folder / "SHA256SUMS").unlink()
    row = make_run(store.study.trunks[0], 65536).to_json()
    for column in later:
        del row[column]
    append_rows(store.local / "rows" / "z.jsonl", {"run": row})
    for origin in ("committed", "local"):
        frame = open_runs(store.study.folder, origin=origin)
        assert frame["domain_epochs"].to_list() == frame["parent_run"].to_list() == [None] * 4
        assert frame["stage"].to_list() == ["pretrain"] * 4


def test_rows_of_another_corpus_stand_beside_the_committed_ones(store, capsys):
    write_rows(store)
    store.commit()
    write_rows(store, corpus_hash="c1", device="elsewhere")
    frame = open_runs(store.study.folder)
    assert frame.group_by("origin", "corpus_hash").len().sort("corpus_hash").rows() == [
        ("local", "c0", 4),
        ("local", "c1", 4),
    ]
    assert "left out: 4 committed rows that this machine has made again" in capsys.readouterr().out
    assert open_runs(store.study.folder, origin="committed").height == 4
    assert store.commit() == (8, 8)


def test_open_runs_counts_what_it_leaves_out(store, capsys):
    write_rows(store)
    trunk = store.study.trunks[0]
    append_rows(
        store.local / "rows" / "x.jsonl", {"run": make_run(trunk, 65536, status="diverged").to_json()}
    )
    assert open_runs(store.study.folder).height == 3
    assert "left out: 1 diverged" in capsys.readouterr().out
    assert open_runs(store.study.folder, status="all").height == 4


def test_open_runs_counts_rows_without_a_status_or_a_kind(store, capsys):
    write_rows(store)
    first, second = (make_run(t, 65536).to_json() for t in store.study.trunks)
    append_rows(
        store.local / "rows" / "x.jsonl", {"run": first | {"status": None}}, {"run": second | {"kind": None}}
    )
    assert open_runs(store.study.folder).height == 2
    assert "left out: 1 without a kind, 1 without a status" in capsys.readouterr().out


@pytest.mark.parametrize("opened", [open_runs, open_evaluations, open_measurements])
def test_an_unknown_origin_is_named(store, opened):
    with pytest.raises(BadOption, match=r"origin='commited' .* 'committed', 'local'"):
        opened(store.study.folder, origin="commited")


def test_a_diverged_run_that_is_committed_and_local_counts_once(store):
    write_rows(store, status="diverged")
    store.commit()
    listed = CliRunner().invoke(cli, ["runs", "--root", str(store.study.folder.parent)]).output.splitlines()
    at = listed[0].split().index("diverged")
    assert listed[1].split()[at] == "4"


def test_store_recovers_measurements_once_each_and_commit_keeps_them(store):
    """A row that was written twice, by a job that was killed and went on, is one row."""
    write_rows(store)
    with pytest.raises(MissingRuns, match="probes = "):
        open_measurements(store.study.folder)
    assert store.commit() == (4, 4)
    assert not (store.study.folder / "measurements.parquet").exists()
    trunk = store.study.trunks[0]
    rows = [
        Measurement(
            run_id=identity.run_id(trunk, "c0", 65536), step=128, probe="position", group=group,
            value=2.0, stderr=0.1, n=512, unit="nats/token",
        )
        for group in ("1-2", "3-4")
    ]  # fmt: skip
    lines = [{"measurement": dataclasses.asdict(row)} for row in (*rows, rows[0])]
    append_rows(store.local / "rows" / f"{identity.trunk_id(trunk, 'c0')}.jsonl", *lines)
    before = scaling.open_measurements(store.study.folder).sort("group")
    assert before.to_dicts() == [dataclasses.asdict(row) for row in rows]
    store.commit()
    for file in store.local.glob("rows/*"):
        file.unlink()
    assert open_measurements(store.study.folder, origin="committed").equals(before)
    assert open_measurements(store.study.folder).equals(before)


def test_open_evaluations_recovers_the_rows_of_a_condition(store):
    """Committed and local ones: a committed row that was made again here is not there with what it was."""
    write_rows(store)
    store.commit()
    write_rows(store, corpus_hash="c1")
    trunk = store.study.trunks[0]
    run = make_run(trunk, 65536)
    again = Evaluation(
        run_id=run.run_id, step=128, tokens=65536, domain="code", loss=9, loss_stderr=0.1, loss_bits_per_byte=3
    )  # fmt: skip
    append_rows(store.local / "rows" / "z.jsonl", {"evaluation": dataclasses.asdict(again)})
    whole = open_evaluations(store.study.folder)
    assert whole.height == 8
    for condition in ("loss < 3", "step = 128 AND domain = 'code'", "loss > 8"):
        picked = open_evaluations(store.study.folder, only=condition)
        assert picked.equals(select_rows(whole, condition))
        assert not picked.is_empty()
    for condition, words in (("stepp = 1", "step, tokens"), ("step =", "loss"), ("loss + step", "loss")):
        with pytest.raises(BadCondition, match=words):
            open_evaluations(store.study.folder, only=condition)
    with pytest.raises(MissingRuns, match=r"those where loss > 100"):
        open_evaluations(store.study.folder, only="loss > 100")


def test_a_table_committed_while_another_process_reads_is_not_damage(store, monkeypatch):
    """The sums are read, then the table: in between another process commits."""
    write_rows(store)
    store.commit()
    before = open_runs(store.study.folder, origin="committed")
    write_rows(store, corpus_hash="c1")
    sha256_of, moments = scaling.store.tables.sha256_of, []

    def and_commit(path):
        monkeypatch.setattr(scaling.store.tables, "sha256_of", sha256_of)
        moments.append(path)
        store.commit()
        return sha256_of(path)

    monkeypatch.setattr(scaling.store.tables, "sha256_of", and_commit)
    after = open_runs(store.study.folder, origin="committed")
    assert len(moments) == 1
    assert (before.height, after.height) == (4, 8)


def test_a_table_committed_in_the_middle_of_its_reading_is_read_again(store):
    """Pages of the new file at the places of the old one are damage, or other numbers."""
    write_rows(store)
    store.commit()
    moments = []

    def and_commit(rows):
        moments.append(rows.collect_schema())
        if len(moments) == 1:
            write_rows(store, corpus_hash="c1")
            store.commit()
        return rows

    table = scaling.store.tables.read_parquet(store.study.folder / "runs.parquet", and_commit)
    assert (table.height, len(moments)) == (8, 2)


def test_check_sums_are_what_sha256sum_reads(store):
    write_rows(store)
    store.commit()
    store.commit()
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=store.study.folder, check=True)
    names = [line.split()[1] for line in (store.study.folder / "SHA256SUMS").read_text().splitlines()]
    assert names == ["evaluations.parquet", "runs.parquet"]


@pytest.mark.parametrize("folder", sorted(RUNS.glob("*/runs.parquet")), ids=lambda path: path.parent.name)
def test_every_committed_table_has_its_check_sum(folder):
    sums = (folder.parent / "SHA256SUMS").read_text()
    for path in folder.parent.glob("*.parquet"):
        assert f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" in sums


@pytest.mark.parametrize(("table", "runs"), [("evaluations.parquet", 4), ("runs.parquet", 8)])
def test_a_commit_killed_between_a_table_and_its_check_sum_leaves_what_opens(store, monkeypatch, table, runs):
    """It dies as soon as a new table has taken the place of the old one; a run that is there has its evaluations."""
    write_rows(store)
    store.commit()
    write_rows(store, corpus_hash="c1")

    def dying(move):
        def and_die(self, target):
            move(self, target)
            if target.name == table:
                raise KeyboardInterrupt

        return and_die

    monkeypatch.setattr(Path, "rename", dying(Path.rename))
    monkeypatch.setattr(Path, "replace", dying(Path.replace))
    with pytest.raises(KeyboardInterrupt):
        store.commit()
    monkeypatch.undo()
    assert open_runs(store.study.folder, origin="committed").height == runs
    assert open_evaluations(store.study.folder, origin="committed").height == 8
    store.commit()
    assert open_runs(store.study.folder, origin="committed").height == 8


def test_no_bit_that_turns_over_changes_what_opens(tmp_path):
    """Of 300 single bits anywhere in the tables or their check sums, each is refused by name or changes nothing."""
    for name in ("study.toml", "runs.parquet", "evaluations.parquet", "SHA256SUMS"):
        shutil.copy(RUNS / "quickstart" / name, tmp_path / name)
    readers = {"runs.parquet": open_runs, "evaluations.parquet": open_evaluations}
    sound = {name: read(tmp_path, origin="committed") for name, read in readers.items()}
    generator, refused = np.random.default_rng(0), 0
    for name in generator.choice(
        ["runs.parquet", "evaluations.parquet", "SHA256SUMS"], 300, p=[0.5, 0.4, 0.1]
    ):
        whole = (tmp_path / name).read_bytes()
        harmed = bytearray(whole)
        harmed[generator.integers(len(whole))] ^= 1 << generator.integers(8)
        (tmp_path / name).write_bytes(harmed)
        for table, read in readers.items():
            try:
                assert read(tmp_path, origin="committed").equals(sound[table])
            except ChangedTable as problem:
                refused += 1
                for part in (table, problem.expected, problem.got, "git checkout -- "):
                    assert part in str(problem)
        (tmp_path / name).write_bytes(whole)
    assert refused >= 270


def test_tables_without_check_sums_open_or_are_named(tmp_path):
    """A damaged table of somebody else: the reader may panic, and that is no Exception."""
    whole = (RUNS / "quickstart" / "runs.parquet").read_bytes()
    generator, path = np.random.default_rng(1), tmp_path / "runs.parquet"
    for _ in range(100):
        harmed = bytearray(whole)
        harmed[generator.integers(len(whole))] ^= 1 << generator.integers(8)
        path.write_bytes(harmed)
        with contextlib.suppress(UnreadableTable):
            read_table(path)


def test_a_panic_of_the_reader_names_the_table(tmp_path, monkeypatch):
    def panics(*_, **__):
        raise pl.exceptions.PanicException("index out of bounds")

    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setattr(pl, "read_parquet", panics)
    with pytest.raises(UnreadableTable, match=r"t\.parquet cannot be read .*index out of bounds"):
        read_table(path)


def test_open_runs_names_a_table_that_is_in_memory_already():
    with pytest.raises(BadOption, match=r"where='DataFrame' .*goes to fit as it is"):
        open_runs(pl.DataFrame({"N": [1]}))  # type: ignore[arg-type]


def test_open_runs_names_a_folder_without_runs_and_a_missing_one(store, tmp_path):
    with pytest.raises(MissingRuns, match="scaling sweep"):
        open_runs(store.study.folder)
    with pytest.raises(MissingRuns, match="Name a study file"):
        open_runs(tmp_path / "gone")


def test_a_truncated_parquet_file_is_named_and_nothing_is_lost(store):
    write_rows(store)
    store.commit()
    file = store.study.folder / "runs.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    for attempt in (lambda: open_runs(store.study.folder), store.check_unchanged, store.commit):
        with pytest.raises(UnreadableTable, match=r"runs\.parquet cannot be read .* Restore it"):
            attempt()
    assert file.read_bytes() == whole[: len(whole) // 2]
    file.write_bytes(whole)
    assert open_runs(store.study.folder).height == 4


@pytest.mark.parametrize("descending", [False, True], ids=["as committed", "in another order"])
def test_new_evaluations_are_put_among_those_that_are_committed(store, descending):
    write_rows(store)
    store.commit()
    path = store.study.folder / "evaluations.parquet"
    whole = pl.read_parquet(path)
    gone = whole["run_id"][whole.height // 2]
    kept = whole.filter(pl.col("run_id") != gone).sort("run_id", descending=descending, maintain_order=True)
    (store.study.folder / "SHA256SUMS").unlink()
    kept.write_parquet(path, metadata=pl.read_parquet_metadata(path))
    assert (
        scaling.store.tables.merged(path, whole.filter(pl.col("run_id") == gone), "run_id", lambda rows: rows)
        .collect()
        .equals(whole)
    )


def test_commit_that_cannot_write_leaves_the_old_table_whole(store, monkeypatch):
    write_rows(store)
    store.commit()
    before = (store.study.folder / "runs.parquet").read_bytes()

    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.LazyFrame, "sink_parquet", full)
    with pytest.raises(
        DiskFull, match=r"rows had to be written to .*evaluations\.parquet.*no space left on device"
    ):
        store.commit()
    assert (store.study.folder / "runs.parquet").read_bytes() == before
    assert not list(store.study.folder.glob(".*"))


def test_runs_are_committed_after_what_was_measured_of_them(store, monkeypatch):
    write_rows(store)
    store.commit()
    before = (store.study.folder / "runs.parquet").read_bytes()
    sink = pl.LazyFrame.sink_parquet

    def full(self, path, **kwargs):
        if "evaluations" in str(path):
            raise OSError(28, "No space left on device")
        sink(self, path, **kwargs)

    write_rows(store, loss=9.0)
    monkeypatch.setattr(pl.LazyFrame, "sink_parquet", full)
    with pytest.raises(DiskFull, match=r"evaluations\.parquet"):
        store.commit()
    assert (store.study.folder / "runs.parquet").read_bytes() == before


def test_a_committed_study_that_was_edited_is_refused(store):
    write_rows(store)
    store.commit()
    file = store.study.folder / "study.toml"
    for path in store.local.rglob("*"):
        if path.is_file():
            path.unlink()
    file.write_text(STUDY.replace("seed = [0, 1]", "seed = [0, 2]"))
    with pytest.raises(StudyChanged, match=r'-.*"seed": 1(.|\n)*\+.*"seed": 2(.|\n)*seeds may be added'):
        Store(read_study(file)).check_unchanged()
    file.write_text(STUDY.replace("seed = [0, 1]", "seed = [0, 1, 2]"))
    Store(read_study(file)).check_unchanged()


def test_opening_a_parquet_file_is_invariant_to_how_it_is_named(store):
    write_rows(store)
    store.commit()
    by_file = scaling.open_runs(store.study.folder / "runs.parquet")
    by_folder = scaling.open_runs(store.study.folder, origin="committed")
    assert by_file["loss"].to_list() == by_folder["loss"].to_list()


@pytest.mark.parametrize("fails", ["write", "fsync"])
def test_rows_that_a_full_disk_has_no_room_for_leave_the_file_as_it_was(tmp_path, monkeypatch, fails):
    """A size limit refuses half of a write; a disk that allocates late refuses at fsync."""
    path = tmp_path / "rows.jsonl"
    append_rows(path, {"run": {"run_id": "a"}})
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        if fails == "write":
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
        else:
            monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(DiskFull, match=r"rows had to be written to .*rows\.jsonl.* GB free") as problem:
            append_rows(path, {"run": {"run_id": "b"}}, {"run": {"run_id": "c"}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert problem.value.free > 0
    assert path.read_bytes() == before
    monkeypatch.undo()
    append_rows(path, {"run": {"run_id": "b"}})
    assert [row["run_id"] for row in read_rows(path, "run")] == ["a", "b"]


def test_a_study_that_was_edited_throughout_is_told_in_a_few_lines():
    """A default is a line of every trunk: a few that are gone, a few that are new, and how many more."""
    lines = [f'{sign}{{"seed": {seed}}}' for sign in "-+" for seed in range(50)]
    said = str(StudyChanged("mine", "\n".join(lines))).splitlines()
    assert said[1:-1] == [*lines[:3], *lines[50:53], "… and 94 more lines"]
    assert str(StudyChanged("mine", lines[0])).splitlines()[1:-1] == lines[:1]
