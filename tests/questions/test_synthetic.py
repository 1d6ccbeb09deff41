"""What becomes of models that read what models wrote: the verdict on studies whose answer is known."""

import polars as pl
import pytest
from studies.synthetic import BASE, world

from scaling.errors import BadOption, MissingColumns
from scaling.questions import read_inputs, synthetic, wall
from scaling.questions._synthetic.cells import NoGenerations
from scaling.questions._synthetic.words import CANNOT, COLLAPSES, IMPROVES, STAYS

WORTH = {"replace": 0.5, "accumulate": 0.0, "verified": 0.25}


@pytest.fixture(scope="module")
def said():
    return synthetic(world(WORTH, seed=3))


def test_synthetic_recovers_what_each_arm_becomes(said):
    runs = world(WORTH, seed=3)
    answers = {arm: synthetic(runs, arm=arm).answer for arm in WORTH}
    assert answers == {"replace": COLLAPSES, "accumulate": STAYS, "verified": IMPROVES}
    assert said.answer == IMPROVES  # of the last arm
    assert said.identifiable


def test_synthetic_recovers_what_a_written_token_is_worth(said):
    for arm, worth in WORTH.items():
        measured = said.numbers[f"real tokens that a written one is worth, {arm}"]
        assert measured.low < worth < measured.high
        assert measured.high - measured.low < 0.5
    factor = said.numbers["text with it over real text, verified"]
    assert factor.low < 1 + 4 * WORTH["verified"] < factor.high
    cells = said.evidence["worth"].filter(pl.col("N").is_finite())
    assert len(cells) == 9  # three arms at three sizes


def test_synthetic_is_invariant_to_the_order_of_rows(said):
    assert str(synthetic(world(WORTH, seed=3).sample(fraction=1, shuffle=True, seed=1))) == str(said)


def test_few_seeds_cannot_tell():
    one = synthetic(world(WORTH, seeds=1))
    assert (one.answer, one.identifiable) == (CANNOT, False)
    assert "fewer than two seeds" in one.sentence
    wide = synthetic(world({"verified": 0.0}, seeds=2, spread=1.0))
    assert wide.answer == CANNOT
    assert all("of every arm" in said.would_tell for said in (one, wide))


def test_the_worth_of_written_text_moves_the_wall(said):
    """By the input "synthetic": a factor above 1 puts the wall off, one below brings it nearer."""
    moved = said.interventions("2026-11")
    assert {one.input for one in moved.values()} == {"synthetic"}
    table = wall(read_inputs("published-2024").plus(moved), draws=300).interventions
    months = dict(table.select("intervention", "months").iter_rows())
    assert months["text by models, verified"] > 3 > months["text by models, accumulate"]
    assert months["text by models, replace"] < -3


def test_synthetic_names_what_is_missing():
    runs = world(WORTH)
    with pytest.raises(BadOption, match=r"arm='shuffled' was asked for, but it must be 'replace' or"):
        synthetic(runs, arm="shuffled")
    with pytest.raises(
        NoGenerations, match=r"none reads pages of models\. Train generations as in runs/synthetic"
    ):
        synthetic(runs.filter(pl.col("generation").is_null()))
    with pytest.raises(NoGenerations, match="is not there, from which another goes on"):
        synthetic(runs.filter(pl.col("unique_tokens") != BASE))
    with pytest.raises(MissingColumns, match=r"generation asked for.*runs/synthetic"):
        synthetic(runs.drop("generation"))
