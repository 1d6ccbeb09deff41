"""The folder runs/published: it loads, says where it came from, and can be made again."""

import hashlib
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from scaling.fitting import Fit
from scaling.published import SOURCES
from scaling.published.access import MissingPublished
from scaling.reproduce.derive import FITS, TABLES, derive, provenance

FOLDER = Path(__file__).parents[2] / "runs" / "published"
RECORD = json.loads((FOLDER / "sources.json").read_text())
SLOW = ("mixtures", "chinchilla-likelihood")
QUICK = [name for name in FITS if name not in SLOW and not name.startswith("schedules")]


@pytest.mark.parametrize("name", FITS)
def test_committed_fit_loads_and_predicts(name):
    fitted = Fit.load(FOLDER / f"{name}.json")
    assert fitted.data_hash == RECORD[name]["data_hash"]
    middle = {column: (low * high) ** 0.5 for column, (low, high) in fitted.ranges.items()}
    assert np.isfinite(fitted.predict(**middle).median)
    assert fitted.name in str(fitted)


def test_the_folder_holds_what_is_derived_and_its_readme_names_it():
    files = {f"{name}.json" for name in FITS} | {f"{name}.csv" for name in TABLES}
    assert {p.name for p in FOLDER.iterdir()} == files | {"README.md", "sources.json"}
    readme = (FOLDER / "README.md").read_text()
    assert "scaling published fetch" in readme
    for name in files - {"schedules-100M.json", "schedules-400M.json"}:
        assert f"`{name}`" in readme


def test_every_derived_file_names_licence_url_and_hash():
    assert set(RECORD) == set(FITS) | set(TABLES)
    for name, (source, _) in (FITS | TABLES).items():
        known = RECORD[name]
        assert known["source"] == source
        assert known["licence"] == SOURCES[source].licence
        assert known["paper"] == SOURCES[source].paper
        for file in known["made_from"]:
            assert file["url"].startswith("https://")
            assert len(file["sha256"]) == 64


def test_recorded_tables_are_those_at_hand(published):
    for known in RECORD.values():
        table = (published / known["table"]["file"]).read_bytes()
        assert hashlib.sha256(table).hexdigest() == known["table"]["sha256"]


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_refitting_matches_the_committed_fit(name, published, monkeypatch, tmp_path):
    """Parameters to six digits where the runs determine them; those of a flat valley to three. Those of schedules are
    refitted in test_schedules, which asks for more of them."""
    monkeypatch.setenv("SCALING_PUBLISHED", str(published))
    derive(tmp_path, only=(name,))
    again, committed = Fit.load(tmp_path / f"{name}.json"), Fit.load(FOLDER / f"{name}.json")
    assert again.data_hash == committed.data_hash
    assert again.objective == pytest.approx(committed.objective, rel=1e-8)
    assert again.params == pytest.approx(committed.params, rel=1e-3 if committed.undetermined else 1e-5)
    assert json.loads((tmp_path / "sources.json").read_text())[name] == RECORD[name]


def test_derived_exponents_match_the_committed_table(published, monkeypatch, tmp_path):
    monkeypatch.setenv("SCALING_PUBLISHED", str(published))
    derive(tmp_path, only=("isoflop-exponents",))
    again, committed = (pl.read_csv(f / "isoflop-exponents.csv") for f in (tmp_path, FOLDER))
    fitted = ["a", "a_stderr", "a_parabola", "a_cubic"]
    assert again.drop(fitted).equals(committed.drop(fitted))
    np.testing.assert_allclose(
        again.select(fitted).to_numpy(), committed.select(fitted).to_numpy(), atol=2e-6
    )


def test_provenance_names_a_source_that_is_not_here(monkeypatch, tmp_path):
    monkeypatch.delenv("SCALING_PUBLISHED", raising=False)
    with pytest.raises(MissingPublished, match="Name a folder that has it"):
        provenance("isoflop")
    monkeypatch.setenv("SCALING_PUBLISHED", str(tmp_path))
    with pytest.raises(MissingPublished, match="isoflop"):
        derive(tmp_path / "out", only=("isoflop-exponents",))
