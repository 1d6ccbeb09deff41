"""What was read first and how soon a skill is learned: the verdict on studies whose answer is known."""

import polars as pl
import pytest
from studies.reasoning import PLACEBO, SOURCE, TARGET, decayed, world

from scaling.errors import BadOption, MissingColumns
from scaling.questions import reasoning
from scaling.questions._reasoning.cells import NoSuchReading, to_criterion
from scaling.questions._reasoning.words import CANNOT, HELPS, HURTS, NONE, WORDS

ASKED = {"placebos": {PLACEBO: SOURCE}, "measure": "loss"}


@pytest.mark.parametrize(
    "sooner, answer",
    [
        ({"source": 2.0}, HELPS),
        ({"source": 0.5}, HURTS),
        ({"source": 2.0, "placebo": 2.0}, WORDS),
        ({}, NONE),
    ],
)
def test_reasoning_recovers_what_reading_first_does(sooner, answer):
    said = reasoning(world(sooner, seed=1, onset_spread=0.15), **ASKED)
    assert said.answer == answer
    ratio = said.numbers["tokens to criterion, over those after prose"]
    assert ratio.value == pytest.approx(1 / sooner.get("source", 1.0), rel=0.25)
    assert said.evidence["curves"]["read"].n_unique() == 4  # nothing among them, to be looked at


def test_a_share_of_answers_is_judged_as_one_and_drawn_as_it_was_measured():
    runs = world({"source": 2.0, "placebo": 1.0}, onset_spread=0.15)
    right = runs.select(
        "run_id", step=pl.lit(0), probe=pl.lit("answer_exact"), group=pl.lit("english"), unit=pl.lit("1"),
        value=(-pl.col("loss_english")).exp(),
    )  # fmt: skip
    said = reasoning(runs, right, **ASKED | {"measure": "answer_exact"})
    assert said.answer == HELPS and "points more right answers" in said.sentence
    assert said.evidence["curves"]["value"].is_between(0, 1).all()


def test_reasoning_asks_which_comes_first_in_the_same_words():
    """Models that read code alone first, against models that read nothing: code first, then the target."""
    runs = world({"source": 2.0, "placebo": 1.0}, onset_spread=0.15)
    alone = runs.with_columns(
        blend=pl.col("blend").str.replace('"prose": 0.5, ', "").str.replace("0.5", "1.0")
    )
    said = reasoning(alone.filter(pl.col("blend") != '{"prose": 1.0}'), **ASKED)
    assert said.answer == HELPS
    assert set(said.evidence["gains"]["over"]) == {"nothing", "shuffled code"}


@pytest.mark.parametrize(
    "costs, answer",
    [
        ({"source": -0.05}, HELPS),
        ({"source": 0.05, "placebo": 0.05}, HURTS),
        ({"source": -0.05, "placebo": -0.05}, WORDS),
        ({}, NONE),
    ],
)
def test_reasoning_recovers_what_is_read_in_the_decay(costs, answer):
    """At as many tokens of the target; twice as many, which is as many in all, stand beside and decide nothing."""
    said = reasoning(decayed(costs, spread=0.005, seed=1), target=TARGET, when="decay", **ASKED)
    assert (said.answer, said.question) == (answer, "Does code in the decay help to learn English?")
    gain = {name.removeprefix("gain over "): n.value for name, n in said.numbers.items()}
    assert gain["nothing"] == pytest.approx(-costs.get("source", 0), abs=0.01)
    assert gain["more English"] == pytest.approx(
        gain["nothing"] - 0.06, abs=0.01
    )  # what twice the tokens gain
    assert set(said.evidence["gains"]["over"]) == {"nothing", "shuffled code", "more english"}


def test_tokens_to_criterion_lie_between_budgets_or_are_censored():
    rows = [(1, 0, "a", 100, 2.0), (1, 0, "a", 400, 1.0), (1, 1, "a", 100, 2.0), (1, 1, "a", 400, 1.9)]
    table = to_criterion(pl.DataFrame(rows, ["N", "seed", "read", "D", "value"], orient="row"), 1.5)
    assert table["tokens"].to_list() == pytest.approx([200, 400])
    assert table["reached"].to_list() == [True, False]


def test_reasoning_cannot_tell_from_one_seed_or_from_scatter():
    assert reasoning(world({}, seeds=1), **ASKED).answer == CANNOT
    scattered = reasoning(world({}, seeds=2, onset_spread=2.0), **ASKED)
    assert scattered.answer == CANNOT
    assert "seeds 2 to 9 of every arm" in scattered.would_tell


def test_reasoning_names_what_is_missing():
    runs = world({})
    with pytest.raises(NoSuchReading, match=r"what 'tables' read first does for 'english'.*'code and prose'"):
        reasoning(runs, source="tables", measure="loss")
    with pytest.raises(MissingColumns, match="parent_run asked for"):
        reasoning(runs.drop("parent_run"), measure="loss")
    with pytest.raises(BadOption, match="level=2 was asked for"):
        reasoning(runs, level=2, measure="loss")
    with pytest.raises(BadOption, match="when='last' was asked for"):
        reasoning(runs, when="last", measure="loss")
