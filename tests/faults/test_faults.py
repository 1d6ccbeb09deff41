"""Faults done to the store: a few of each kind, of which benchmarks/faults.py does hundreds."""

import errno
import os
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pretending
import pytest
from disturb import (
    Tally,
    file_of,
    harm,
    kill_forked,
    kill_spawned,
    make_study,
    no_file_beyond,
    rows_of,
    runs_on_disk,
    write_missing,
)

from scaling.files import DiskFull, NotWritten
from scaling.records import MissingRuns, UnreadableTable, append_rows, read_rows
from scaling.store import Store, open_runs
from scaling.study import read_study


@pytest.fixture
def store(tmp_path):
    store = Store(read_study(make_study(tmp_path)))
    store.remember_study()
    for trunk in store.study.trunks:
        write_missing(file_of(store.local, rows_of(trunk)), rows_of(trunk))
    return store


def test_rows_are_invariant_to_writers_that_are_killed(tmp_path):
    trunks = read_study(make_study(tmp_path)).trunks
    groups = [group for trunk in trunks for group in rows_of(trunk)]
    path, tally, rng = tmp_path / "rows.jsonl", Tally("writers"), np.random.default_rng(0)
    while kill_forked(partial(write_missing, path, groups), rng.uniform(0, 0.005)) and tally.faults < 10:
        tally.faults += 1
    write_missing(path, groups)
    tally.compare(read_rows(path, "run"), [rows[-1]["run"] for rows in groups])
    assert tally.is_clean, tally


def test_rows_are_invariant_to_a_launcher_that_is_killed(tmp_path, monkeypatch):
    """Its workers write their rows instead of training; beside it an undisturbed sweep."""
    monkeypatch.setenv("PRETENDED_SECONDS", "0")
    calm, killed = make_study(tmp_path, "calm"), make_study(tmp_path, "killed")
    pretending.launch(calm)
    monkeypatch.setenv("PRETENDED_SECONDS", "0.05")
    kill_spawned(1.5, "-P", pretending.__file__, str(killed))
    monkeypatch.setenv("PRETENDED_SECONDS", "0")
    pretending.launch(killed)
    tally = Tally("launcher")
    tally.compare([row | {"study": "calm"} for row in runs_on_disk(killed)], runs_on_disk(calm))
    assert tally.is_clean, tally
    assert len(runs_on_disk(killed)) == 8


def test_a_disk_that_is_full_at_any_byte_of_a_commit_leaves_what_was_committed(store):
    store.commit()
    before, sizes = open_runs(store.study.folder, origin="committed"), np.linspace(0, 11_000, 12)
    for size in map(int, sizes):
        with no_file_beyond(size), pytest.raises((DiskFull, NotWritten), match=r"rows|check sums"):
            store.commit()
        assert open_runs(store.study.folder, origin="committed").equals(before)


@pytest.mark.parametrize("name", ["runs.parquet", "evaluations.parquet"])
def test_half_a_table_is_named_wherever_it_is_cut(store, name):
    store.commit()
    tally = Tally(name)
    for _ in harm(store.study.folder / name, np.random.default_rng(0), 10, cut=True):
        tally.attempt(partial(store.rows, {"r": "run", "e": "evaluation"}[name[0]], "committed"))
    assert (tally.named, tally.unnamed) == (10, [])


def test_a_store_that_does_not_answer_is_named(store, monkeypatch):
    """Whatever is read or written, at whatever call of the system; the rows are as they were."""
    store.commit()
    lease, sound = store.claim("held"), runs_on_disk(store.study.folder)
    acts = [
        (partial(append_rows, store.local / "rows" / "z.jsonl", {"run": {}}), NotWritten),
        (store.remember_study, NotWritten),
        (store.commit, UnreadableTable),
        (partial(store.claim, "work"), NotWritten),
        (lease.refresh, NotWritten),
        (partial(open_runs, store.study.folder), (UnreadableTable, MissingRuns)),
        (store.check_unchanged, UnreadableTable),
    ]

    def times_out(*_, **__):
        raise OSError(errno.ETIMEDOUT, "Connection timed out")

    for act, problem in acts:
        with monkeypatch.context() as patched:
            for owner, name in ((Path, "open"), (Path, "read_text"), (Path, "read_bytes"), (os, "fsync")):
                patched.setattr(owner, name, times_out)
            with pytest.raises(problem, match="timed out"):
                act()
    assert runs_on_disk(store.study.folder) == sound


def test_a_table_that_polars_cannot_write_is_named(store, monkeypatch):
    store.commit()

    def full(*_, **__):
        raise pl.exceptions.ComputeError("parquet: File out of specification: transport error")

    monkeypatch.setattr(pl.LazyFrame, "sink_parquet", full)
    with pytest.raises(NotWritten, match="transport error"):
        store.commit()
