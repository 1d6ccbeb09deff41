import dataclasses
import errno
import json
import os
import resource

import polars as pl
import pytest

import scaling
from scaling.files import DiskFull
from scaling.records import DomainLoss, Evaluation, MissingRuns, Run, UnreadableTable, append_rows, read_rows
from scaling.store import Store, StudyChanged, open_evaluations, open_runs
from scaling.study import read_study

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
        run_id=trunk.run_id(corpus_hash, budget),
        trunk_id=trunk.trunk_id(corpus_hash),
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
        config_hash=trunk.config_hash,
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
        for budget in trunk.budgets:
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
        found = json.loads(row[name]) if isinstance(value, dict) else row[name]
        assert found == value
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
    """Committed and local rows written before there were passes of each domain."""
    write_rows(store)
    store.commit()
    file = store.study.folder / "runs.parquet"
    pl.read_parquet(file).drop("domain_epochs").write_parquet(file)
    assert open_runs(store.study.folder, origin="committed")["domain_epochs"].to_list() == [None] * 4
    row = make_run(store.study.trunks[0], 65536).to_json()
    del row["domain_epochs"]
    append_rows(store.local / "rows" / "z.jsonl", {"run": row})
    assert open_runs(store.study.folder, origin="local")["domain_epochs"].null_count() == 4


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


def test_commit_that_cannot_write_leaves_the_old_table_whole(store, monkeypatch):
    write_rows(store)
    store.commit()
    before = (store.study.folder / "runs.parquet").read_bytes()

    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(DiskFull, match=r"rows had to be written to .*runs\.parquet.*no space left on device"):
        store.commit()
    assert (store.study.folder / "runs.parquet").read_bytes() == before
    assert not list(store.study.folder.glob(".*"))


def test_a_committed_study_that_was_edited_is_refused(store):
    write_rows(store)
    store.commit()
    file = store.study.folder / "study.toml"
    file.write_text(STUDY.replace("seed = [0, 1]", "seed = [0, 1, 2]"))
    for path in store.local.rglob("*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(StudyChanged, match=r'\+.*"seed": 2'):
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
