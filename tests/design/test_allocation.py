"""Budgets that have no answer are refused by the name of what was asked amiss."""

import numpy as np
import polars as pl
import pytest

import scaling
from scaling.design.allocation import allocate
from scaling.errors import BadOption, MissingColumns
from scaling.fitting.data import BadPredictor
from scaling.laws import chinchilla, power_law
from scaling.laws.base import NotALaw

TRUTH = {"E": 1.8, "A": 400.0, "B": 410.0, "alpha": 0.34, "beta": 0.28}


@pytest.fixture(scope="module")
def runs():
    N, D = (a.ravel() for a in np.meshgrid([1e7, 3e7, 1e8, 3e8, 1e9], [2e8, 1e9, 4e9, 2e10, 1e11]))
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(25))
    return pl.DataFrame({"N": N, "D": D, "C": 6 * N * D, "loss": chinchilla(N, D, **TRUTH) * noise})


@pytest.fixture(scope="module")
def fitted(runs):
    return scaling.fit(chinchilla, runs, bootstrap=30)


@pytest.mark.parametrize(
    "C", [0, -1e18, np.nan, np.inf, "1e21", True, None, [], [1e21, 0.0], [1e21, np.nan], ["1e21"], {}]
)
def test_allocate_names_a_budget_without_an_answer(fitted, runs, C):
    with pytest.raises(BadOption, match=r"^C=.*a number of FLOPs"):
        allocate(fitted, runs, C)


def test_allocate_names_a_budget_that_is_counted_in_another_unit(fitted, runs):
    with pytest.raises(
        BadOption, match=r"^C=100.0 .*in FLOPs, where the smallest run took 1.2e\+16; a petaflop-day"
    ):
        allocate(fitted, runs, [1e21, 100.0])


@pytest.mark.parametrize("level", [5, 0, 1, -0.1, np.nan, "0.8", None, [0.8], True])
def test_allocate_names_a_level_outside_its_range(fitted, runs, level):
    with pytest.raises(BadOption, match=r"^level=.*between 0 and 1"):
        allocate(fitted, runs, 1e21, level=level)


@pytest.mark.parametrize("tokens", [-5, 0, np.nan, "1e9", True, [1e9]])
def test_allocate_names_a_number_of_tokens_that_nobody_has(fitted, runs, tokens):
    with pytest.raises(BadOption, match=r"^unique_tokens=.*above zero"):
        allocate(fitted, runs, 1e21, unique_tokens=tokens)


def test_allocate_names_runs_and_fits_that_it_cannot_use(fitted, runs):
    with pytest.raises(MissingColumns, match="column C asked for"):
        allocate(fitted, runs.drop("C"), 1e21)
    with pytest.raises(BadPredictor, match="column C must be finite and above zero, but 1 of the runs"):
        allocate(fitted, runs.with_columns(C=pl.when(pl.col("C") > 5e20).then(np.nan).otherwise("C")), 1e21)
    with pytest.raises(BadOption, match="fitted='dict'"):
        allocate(TRUTH, runs, 1e21)
    one_column = scaling.fit(power_law, runs.filter(pl.col("D") == 2e8), bootstrap=0)
    with pytest.raises(NotALaw, match="split between N and D"):
        allocate(one_column, runs, 1e21)


def test_allocate_is_invariant_to_the_form_of_its_inputs(fitted, runs):
    one = scaling.allocate(fitted, runs, 1e21)
    assert 5e8 < one.N.median[0] < 5e9
    assert one.N.low[0] <= one.N.median[0] <= one.N.high[0]
    columns = {name: runs[name].to_numpy() for name in runs.columns}
    other = scaling.allocate(fitted, columns, np.array([1e21]), unique_tokens=None, level=np.float64(0.8))
    assert np.array_equal(one.N.median, other.N.median)
    assert np.isfinite(scaling.allocate(fitted, runs, 1e21, unique_tokens=np.inf).loss.median[0])
