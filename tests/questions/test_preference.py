"""Preferences that carry over or do not: worlds whose answer is known, their curves, studies that lack an arm."""

import math

import numpy as np
import polars as pl
import pytest
from studies.preference import ALPHA, BETA, STEM, world

from scaling.questions import preference
from scaling.questions._preference.cells import NoPreferences, best_n, distance_of, tables, without
from scaling.questions._preference.transfer import fits, ratios
from scaling.questions._preference.words import answer


def decided(**given):
    """The answer of a world, by the part of the question that decides it."""
    choices, _, _ = tables(*world(sizes=(100_000,), **given))
    at = choices.filter((pl.col("n") == 16) & (pl.col("way") == "gold"))
    (row,) = ratios(at, without(STEM), STEM, 0.8).rows(named=True)
    return answer(row["low"], row["high"], row["p"]) if math.isfinite(row["ratio"]) else "not identifiable"


@pytest.fixture(scope="module")
def half():
    return preference(*world(0.5, sizes=(25_000, 100_000), spread=0.01), bootstrap=0)


def test_preference_recovers_how_much_carries_over(half):
    assert (
        half.answer == "partly"
        and "carry over in part:** without any about arithmetic and tools" in half.sentence
    )
    assert half.numbers["ratio of gains, best of n"].value == pytest.approx(0.5, abs=0.1)
    assert half.numbers["ratio of gains, direct preference optimisation"].value == pytest.approx(
        0.5, abs=0.15
    )
    assert set(half.evidence["one_left_out"]["domain"]) == {*STEM, "recipes", "small talk", "travel"}


def test_preference_recovers_the_law_of_each_domain(half):
    """Noise of 0.01 in each gain and of 0.01 over seeds moves a coefficient by about a hundredth."""
    laws = half.evidence["overoptimised"].filter(arm="all domains")
    np.testing.assert_allclose(laws["alpha"], ALPHA, atol=0.03)
    np.testing.assert_allclose(laws["beta"], BETA, atol=0.03)
    assert (laws["miss"] < laws["miss_of_other_law"]).all()
    sizes = half.evidence["by_size"]
    assert sizes.filter(arm="all domains")["best_n"].to_numpy() == pytest.approx(
        best_n(ALPHA / (2 * BETA)), rel=0.4
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [({"carried": 0.95, "spread": 0.01}, "carries over"), ({"carried": 0.0, "spread": 0.01}, "not at these sizes"),
     ({"carried": 0.5, "with_own": 0.0}, "not identifiable"), ({"carried": math.nan}, "not at these sizes")],
)  # fmt: skip
def test_preference_recovers_the_answer_of_a_world(given, said):
    assert decided(**given) == said


def test_labels_at_random_rarely_carry_over():
    """20 worlds of heavy tails whose arm without has random labels; at a rate of 5 % four would be bad luck."""
    heavy = {"carried": math.nan, "shuffled": 0.0, "degrees": 3.0}
    answers = [decided(**heavy, seed=1000 + i) for i in range(20)]
    assert sum(said in ("carries over", "partly") for said in answers) <= 3


def test_distances_and_n_are_inverse():
    assert distance_of(1) == 0 and best_n(0.0) == 1
    assert distance_of(16) ** 2 == pytest.approx(math.log(16) - 15 / 16)
    assert best_n(distance_of(40)) == pytest.approx(40, rel=1e-3)
    assert best_n(9.0) == math.inf


def test_a_curve_that_goes_on_rising_is_never_over_optimised():
    rows = [
        ("a", 1, s, 1, "x", float(n), distance_of(n), 0.1 * distance_of(n) ** 2)
        for n in (1, 2, 4, 8)
        for s in (0, 1)
    ]
    names = ["arm", "N", "seed", "comparisons", "domain", "n", "distance", "gain"]
    (row,) = fits(pl.DataFrame(rows, names, orient="row"), level=0.8, bootstrap=0, seed=0).rows(named=True)
    assert row["beta"] == pytest.approx(-0.1) and row["best_n"] == math.inf


def test_preference_names_the_reward_models_that_are_missing():
    runs, measured = world(0.5, seeds=2, sizes=(1000,))
    only = runs.filter(~pl.col("run_id").str.contains("none reward"))
    with pytest.raises(NoPreferences, match=r"arm 'without arithmetic and tools'; there are 'all domains'"):
        preference(only, measured)
