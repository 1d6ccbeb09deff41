"""Which rows a report rests on, what was trained for them, and what it says of the others."""

import json
from pathlib import Path

import polars as pl
import pytest

import scaling
from scaling.published import SOURCES, open_published
from scaling.questions.provenance import one_corpus, what_was_trained

STUDIES = Path(__file__).parents[2] / "runs"
QUICKSTART = STUDIES / "quickstart"


@pytest.fixture(scope="module")
def committed():
    return scaling.open_runs(QUICKSTART, origin="committed")


def elsewhere(runs):
    return runs.with_columns(
        run_id=pl.col("run_id") + "x",
        corpus_hash=pl.lit("other text"),
        origin=pl.lit("local"),
        loss=pl.col("loss") + 0.1,
    )


def test_one_corpus_keeps_this_machines_rows_where_it_has_finished(committed, capsys):
    both = pl.concat([committed, elsewhere(committed)])
    assert one_corpus(both).equals(elsewhere(committed))
    assert f"left out: {len(committed)} runs on another corpus" in capsys.readouterr().out


def test_one_corpus_keeps_the_committed_rows_beside_an_unfinished_sweep(committed, capsys):
    both = pl.concat([committed, elsewhere(committed).head(7)])
    assert one_corpus(both).equals(committed)
    assert "left out: 7 runs on another corpus" in capsys.readouterr().out


def test_one_corpus_is_silent_where_there_is_one(committed, capsys):
    assert one_corpus(committed).equals(committed)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("study", sorted(path.parent.name for path in STUDIES.glob("*/runs.parquet")))
def test_what_was_trained_names_the_sizes_and_the_text_of_every_study(study):
    runs = scaling.open_runs(STUDIES / study, origin="committed")
    said = what_was_trained(runs)
    assert said.startswith(f"**{len(runs)} runs**, cooled from {runs['trunk_id'].n_unique()} trunks")
    assert f"{runs['N'].n_unique()} sizes from" in said
    for domain, size in json.loads(runs["corpus_bytes"][0]).items():
        assert (f" of {domain}" in said) == (size > 0)
    spoken = "entropy is known" in said
    assert spoken == (runs["entropy"].null_count() == 0)
    made = spoken or "synthetic documents" in said
    read = "A token is a byte" in said or "byte-pair pieces" in said
    assert ("Python" in said) == read == (not made)
    assert ("epochs" in said) == (runs["epochs"].max() > 1.005)


def test_what_was_trained_names_pieces_and_no_library_that_was_not_read(committed):
    table = committed.with_columns(
        vocabulary=pl.lit(4096),
        corpus_bytes=pl.lit('{"de": 812345, "en": 45000000, "fr": 1000000}'),
        corpus_versions=pl.lit('{"python": "3.11.7", "tokenizers": "0.22.1"}'),
    )
    said = what_was_trained(table)
    assert "one of 4,096 byte-pair pieces; the text is 812 kB of de, 45 MB of en and 1 MB of fr." in said
    assert "Python" not in said and "library" not in said
    assert "They were trained on 2 corpora." in what_was_trained(pl.concat([table, elsewhere(table)]))


def test_what_was_trained_takes_a_table_of_others_and_says_only_what_it_knows(
    published, monkeypatch, tmp_path
):
    path = tmp_path / "theirs.csv"
    path.write_text("params,loss\n1e6,3.0\n1e7,2.5\n")
    theirs = scaling.read_runs(path, columns={"params": "N"})
    assert what_was_trained(theirs).startswith("**2 runs**: 2 sizes from 1M to 10M parameters.")
    assert one_corpus(theirs).equals(theirs)
    monkeypatch.setenv("SCALING_PUBLISHED", str(published))
    for name in SOURCES:
        said = what_was_trained(open_published(name))
        assert "trunk" not in said and "held-out" not in said
    assert "Compute is counted as 6ND." in what_was_trained(open_published("chinchilla"))
