"""Which rows a report rests on, and what it says of the others."""

from pathlib import Path

import polars as pl
import pytest

import scaling
from scaling.questions.provenance import one_corpus

QUICKSTART = Path(__file__).parents[2] / "runs" / "quickstart"


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
