"""Ids of committed rows stay, whatever a later version can ask for."""

import dataclasses
import json
from pathlib import Path

import pytest

from scaling.corpora.source import CorpusSource
from scaling.store import Store
from scaling.study import Trunk, read_study
from scaling.study.identity import FROZEN, config_hash, difference, identifying, run_id, spell_out, trunk_id
from scaling.study.spec import keys_of

RUNS = Path(__file__).parents[1] / "runs"


@pytest.mark.parametrize("name", sorted(table.parent.name for table in RUNS.glob("*/runs.parquet")))
def test_committed_rows_keep_their_ids(name):
    """Every row's configuration, trunk and run hash are those that its trunk has today."""
    study = read_study(RUNS / name)
    rows = Store(study).rows("run", "committed")
    columns = ["config_hash", "trunk_id", "run_id"]
    ids = {
        (config_hash(t), trunk_id(t, corpus_hash), run_id(t, corpus_hash, budget, kind, members))
        for t in study.trunks
        for corpus_hash in rows["corpus_hash"].unique()
        for budget in t.schedule.budgets
        for kind, members in [("annealed", 1), ("average", 1), *(("ensemble", k) for k in (2, 4, 8))]
    }
    assert len(rows) and set(rows.select(columns).rows()) <= ids


def test_run_id_is_invariant_to_other_budgets_and_changes_with_everything_else():
    trunk = Trunk.of(width=32, budgets=(1024, 4096))
    assert run_id(trunk, "c", 4096) == run_id(trunk.but(budgets=(4096,)), "c", 4096)
    changes = {"width": 16, "seed": 1, "peak_lr": 0.02, "cooldown": 0.3, "unique_budget": 4096}
    others = {run_id(trunk.but(**{key: value}), "c", 4096) for key, value in changes.items()}
    own = {run_id(trunk, "c", 4096), run_id(trunk, "d", 4096), run_id(trunk, "c", 1024)}
    assert len(own | others) == 8


def test_keys_at_their_defaults_leave_no_trace_in_ids():
    assert identifying(CorpusSource(packages=("numpy",))) == {
        "source": "installed",
        "packages": ("numpy",),
        "path": None,
    }
    assert "vocabulary" not in identifying(Trunk.of(width=16, budgets=(1024,)))
    small = Trunk.of(width=16, budgets=(1024,), vocabulary=64)
    assert config_hash(small) != config_hash(Trunk.of(width=16, budgets=(1024,)))


@pytest.mark.parametrize("part", ["model", "data", "optim", "schedule", None])
def test_a_new_key_at_its_default_changes_no_hash_and_another_value_does(part):
    """Of every spec, and of a trunk itself, as a later stage's parent run would be."""
    trunk = Trunk.of(width=16, budgets=(1024,), seed=1, member=2)
    kind = type(getattr(trunk, part) if part else trunk)
    wider = dataclasses.make_dataclass(
        "Wider", [("parent_run", str | None, None)], bases=(kind,), frozen=True, kw_only=True
    )
    own = {f.name: getattr(getattr(trunk, part) if part else trunk, f.name) for f in dataclasses.fields(kind)}
    same, other = (wider(**own, **given) for given in ({}, {"parent_run": "0123"}))
    if part:
        same, other = (dataclasses.replace(trunk, **{part: spec}) for spec in (same, other))
    for hashed in (config_hash, lambda t: trunk_id(t, "c"), lambda t: run_id(t, "c", 1024, "ensemble", 2)):
        assert hashed(same) == hashed(trunk) != hashed(other)


def test_a_new_key_of_a_corpus_at_its_default_leaves_no_trace():
    wider = dataclasses.make_dataclass(
        "Wider", [("licence", str, "any")], bases=(CorpusSource,), frozen=True, kw_only=True
    )
    source = CorpusSource(packages=("numpy",))
    assert identifying(wider(packages=("numpy",))) == identifying(source)


def test_difference_shows_only_the_lines_that_differ():
    asked = read_study(RUNS / "quickstart")
    fewer = dataclasses.replace(asked, trunks=tuple(t for t in asked.trunks if t.seed != 2))
    lines = difference(spell_out(asked), spell_out(fewer)).splitlines()
    assert len(lines) == 4
    assert all(line.startswith("-") and '"seed": 2' in line for line in lines)


def test_difference_is_invariant_to_the_order_of_lines_and_keys():
    asked = spell_out(read_study(RUNS / "quickstart"))
    sorted_keys = [json.dumps(json.loads(line), sort_keys=True) for line in reversed(asked.splitlines())]
    assert difference("\n".join(sorted_keys), asked) == ""


def test_frozen_keys_are_keys_that_there_are():
    for kind, frozen in FROZEN.items():
        assert frozen <= keys_of(kind).keys()
