"""How to spend a budget or reach a loss; what has no answer is refused by the name of what was asked amiss."""

import numpy as np
import polars as pl
import pytest

import scaling
from scaling.design.allocation import allocate
from scaling.errors import BadOption, MissingColumns
from scaling.fitting.data import BadPredictor
from scaling.laws import cheapest, chinchilla, optimum, power_law
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
    with pytest.raises(BadOption, match="a table without rows"):
        allocate(fitted, runs[:0], 1e21)
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


@pytest.mark.parametrize("served", [0.0, 1e11, 1e13])
def test_allocate_matches_the_cheapest_model_that_reaches_a_loss(runs, served):
    """Sardana et al. 2024: 6 N D + 2 N D_inference at L(N, D) = 2.2, by nested searches; the cost is flat around it."""
    point = scaling.fit(chinchilla, runs, bootstrap=0)
    best = scaling.allocate(point, runs, loss=2.2, inference_tokens=served)
    other = cheapest(chinchilla, 2.2, inference_tokens=served, **point.params)
    assert best.C[0] == pytest.approx(other.total_flops, rel=1e-6)
    assert best.N.median[0] == pytest.approx(other.N, rel=1e-3)
    assert best.D.median[0] == pytest.approx(other.D, rel=1e-3)
    assert best.serving.median[0] == pytest.approx(other.inference_flops, rel=1e-3)


def test_allocate_recovers_a_budget_from_the_loss_that_it_buys(fitted, runs):
    """Draw by draw the two are inverse, so the medians are, for all that lies between."""
    spent = scaling.allocate(fitted, runs, [1e22, 1e23], inference_tokens=1e12, discrepancy=False)
    back = scaling.allocate(fitted, runs, loss=spent.loss.median, inference_tokens=1e12, discrepancy=False)
    assert pytest.approx([1e22, 1e23], rel=0.02) == back.C
    assert spent.total.low == pytest.approx([1e22, 1e23]) and back.total.low[0] < 1e22 < back.total.high[0]


def test_allocate_gives_a_served_model_fewer_parameters_and_more_tokens(fitted, runs):
    best = scaling.allocate(fitted, runs, 1e23, inference_tokens=[0, 1e11, 1e12, 1e13])
    assert np.all(np.diff(best.N.median) < 0) and np.all(np.diff(best.D.median) > 0)
    assert np.all(np.diff(best.loss.median) > 0)
    assert "training and serving, FLOPs" in str(best) and "of it serving" in best._repr_html_()
    assert "serving" not in str(scaling.allocate(fitted, runs, 1e23))


def test_allocate_counts_model_discrepancy_beyond_the_runs(fitted, runs):
    """Among the runs it changes nothing; beyond, the loss is what `predict` says of the median point."""
    C = [1e19, 6e22]
    with_it, without = (scaling.allocate(fitted, runs, C, discrepancy=d) for d in (True, False))
    wide, narrow = (one.loss.high - one.loss.low for one in (with_it, without))
    assert wide[0] == pytest.approx(narrow[0]) and wide[1] > 1.05 * narrow[1]
    assert np.array_equal(with_it.N.low, without.N.low)
    there = fitted.predict(N=with_it.N.median[1], D=with_it.D.median[1])
    assert with_it.loss.median[1] == pytest.approx(there.median, rel=2e-3)
    assert wide[1] == pytest.approx(there.high - there.low, rel=0.2)
    assert "model discrepancy is in the losses" in str(with_it) and "discrepancy" not in str(without)


@pytest.mark.parametrize("draws", [0, 10])
def test_allocate_names_a_fit_without_draws_enough(runs, draws):
    few = scaling.fit(chinchilla, runs, bootstrap=draws)
    best = scaling.allocate(few, runs, 1e22)
    assert best.N.median[0] == pytest.approx(optimum(chinchilla, 1e22, **few.params).N, rel=1e-6)
    assert np.isnan([best.N.low, best.loss.high]).all()
    assert "without intervals as it has fewer than 20 bootstrap draws" in str(best) and "[" not in str(best)


def test_allocate_names_losses_that_have_no_answer(fitted, runs):
    for loss in (0, -2.0, np.nan, "2.2", [], True):
        with pytest.raises(BadOption, match=r"^loss=.*a loss in nats/token"):
            scaling.allocate(fitted, runs, loss=loss)
    with pytest.raises(BadOption, match=r"^loss=1\.5 .*must be higher: the law never comes down to it"):
        scaling.allocate(fitted, runs, loss=[2.2, 1.5])
    with pytest.raises(BadOption, match=r"^loss=50.0 .*must be lower, in nats/token"):
        scaling.allocate(fitted, runs, loss=50)
    with pytest.raises(BadOption, match=r"^C=1e\+22 .*left out where loss= says"):
        scaling.allocate(fitted, runs, 1e22, loss=2.2)
    with pytest.raises(BadOption, match=r"^C=None .*left out where loss= says"):
        scaling.allocate(fitted, runs)
    near = scaling.allocate(fitted, runs, loss=1.86)
    assert 0 < near.short[0] < 0.5 and "of the draws do not come down to 1.86" in str(near)
    assert np.isinf(near.N.high[0]) and np.isfinite(near.N.median[0])
    assert np.isinf(scaling.allocate(fitted, runs, loss=1.79).C[0])


@pytest.mark.parametrize("served", [-1, np.nan, np.inf, "1e12", True, [], [1e12, -1e12]])
def test_allocate_names_tokens_that_nobody_serves(fitted, runs, served):
    with pytest.raises(BadOption, match=r"^inference_tokens=.*from zero on"):
        scaling.allocate(fitted, runs, 1e22, inference_tokens=served)


def test_allocate_names_more_tokens_than_a_budget_serves(fitted, runs):
    with pytest.raises(BadOption, match="fewer: serving them takes all of C"):
        scaling.allocate(fitted, runs, 1e20, inference_tokens=1e21)
    with pytest.raises(BadOption, match="one for each budget"):
        scaling.allocate(fitted, runs, [1e22, 1e23], inference_tokens=[1e12, 1e12, 1e12])
