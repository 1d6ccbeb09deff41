"""A fit says in print what it cannot know: floors out of reach, few draws, parameters that the runs leave open."""

import numpy as np
import polars as pl
import pytest
from pytest import approx

from scaling import fit, laws
from scaling.errors import BadOption
from scaling.fitting import Fit
from scaling.laws import chinchilla, repeated_data

TRUTH = {"E": 1.8, "A": 400.0, "B": 410.0, "alpha": 0.34, "beta": 0.28}


def table(sizes, tokens, noise, seed=0):
    N, D = (a.ravel() for a in np.meshgrid(sizes, tokens, indexing="ij"))
    loss = chinchilla(N, D, **TRUTH) * np.exp(noise * np.random.default_rng(seed).standard_normal(len(N)))
    return pl.DataFrame({"N": N, "D": D, "loss": loss, "loss_stderr": noise * loss})


@pytest.fixture(scope="module")
def runs():
    return table([1e7, 3e7, 1e8, 3e8, 1e9], [2e8, 1e9, 4e9, 2e10, 1e11], 0.003)


@pytest.fixture(scope="module")
def fitted(runs):
    return fit(chinchilla, runs, bootstrap=60, cluster="rows")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"fixed": {"E": 2.6}}, "E is held at 2.6, above the lowest loss, 2.4"),
        ({"bounds": {"E": (2.7, None)}}, "E is bounded to 2.7 or more, above the lowest loss, 2.4"),
        ({"priors": {"E": (2.9, 0.01)}}, "E has a prior of 2.9 ± 0.01, above the lowest loss, 2.4"),
    ],
)
def test_fit_names_a_floor_above_the_lowest_loss(runs, how, words):
    assert words in str(fit(chinchilla, runs, bootstrap=0, **how))


def test_fit_is_silent_about_floors_within_reach(runs):
    for fixed in ({"E": 1.8}, {"alpha": 5.0}, {"A": 400.0}):
        assert "above the lowest loss" not in str(fit(chinchilla, runs, bootstrap=0, fixed=fixed))


@pytest.mark.parametrize("name", ["power_law_floor", "m4", "bnsl(breaks=1)", "sigmoid"])
def test_fit_names_the_floor_of_any_law(name):
    law, x = laws.get(name), np.geomspace(1e6, 1e10, 15)
    curve = {laws.describe(law).column_names[0]: x, "loss": 2 + 100 / x**0.3}
    assert "E is held at 2.4, above the lowest loss, 2.1" in str(
        fit(law, curve, bootstrap=0, fixed={"E": 2.4})
    )


@pytest.mark.parametrize("draws", [1, 2, 19])
def test_few_draws_make_no_interval(runs, draws):
    few = fit(chinchilla, runs, bootstrap=draws, cluster="rows")
    assert np.isnan(few.intervals()["E"]).all()
    assert np.isnan(few.stderr["E"])
    assert np.isnan(few.covariance).all()
    assert np.isnan(few.predict(N=1e9, D=1e11).low)
    assert f"{draws} bootstrap draws over rows, too few for an interval: at least 20 draws make one" in str(
        few
    )
    assert "%" not in next(line for line in str(few).splitlines() if "E = " in line)


def test_fit_prints_no_error_of_what_the_runs_leave_open():
    narrow = fit(chinchilla, table([1e8, 1.2e8, 1.5e8], [2e9, 3e9, 4e9, 6e9], 0.01), bootstrap=100)
    A = next(line for line in str(narrow).splitlines() if line.strip().startswith("A = "))
    assert "±" not in A
    assert "no upper end" in A
    repeats = table([1e7, 3e7, 1e8, 3e8], [2e8, 4e8, 8e8, 1e9, 1.1e9, 1.3e9], 0.003, seed=1)
    once = fit(
        repeated_data, repeats.with_columns(unique_tokens=pl.col("D").clip(upper_bound=1e9)), bootstrap=100
    )
    R_D = next(line for line in str(once).splitlines() if "R_D = " in line)
    assert "95 % ≥" in R_D
    assert "±" not in R_D
    assert R_D.split("=")[1].split()[0] in once._repr_html_()


def test_fit_prints_half_of_the_68_percent_interval(fitted):
    low, high = fitted.intervals(0.68)["alpha"]
    line = next(line for line in str(fitted).splitlines() if "alpha = " in line)
    assert float(line.split("±")[1].split()[0]) == approx((high - low) / 2, rel=0.06)
    assert "×/÷" in next(line for line in str(fitted).splitlines() if " B = " in line)


def test_fit_names_priors_and_weights_in_its_first_line(runs):
    weights = np.r_[np.zeros(5), np.ones(19), 3.0]
    first, *_ = str(
        fit(chinchilla, runs, bootstrap=0, weights=weights, priors={"E": (1.8, 0.1)})
    ).splitlines()
    assert first == (
        "chinchilla fitted to 20 runs (5 more weigh nothing), Huber on log loss (delta 0.001); weights from 1 to 3; "
        "prior E = 1.8 ± 0.1"
    )


def test_gaussian_fit_prints_chi_squared_for_each_degree_of_freedom(runs, tmp_path):
    right = fit(chinchilla, runs, objective="gaussian", bootstrap=0)
    miss = (runs["loss"] - chinchilla(runs["N"].to_numpy(), runs["D"].to_numpy(), **right.params)) / runs[
        "loss_stderr"
    ]
    assert right.chi_squared == approx((miss**2).sum(), rel=1e-6)
    assert f"chi² {right.chi_squared:.4g} for 20 degrees of freedom" in str(right)
    assert "as their standard errors say" not in str(right)
    sure = fit(chinchilla, runs.with_columns(pl.col("loss_stderr") / 3), objective="gaussian", bootstrap=0)
    assert "times as much as their standard errors say" in str(sure)
    sure.save(tmp_path / "a folder" / "not yet there" / "fit.json")
    assert str(Fit.load(tmp_path / "a folder" / "not yet there" / "fit.json")) == str(sure)


def test_derived_and_covariance_match_the_draws(fitted):
    draws = fitted.draws
    share = fitted.derived(lambda alpha, beta: beta / (alpha + beta))
    assert share.median == approx(np.median(draws["beta"] / (draws["alpha"] + draws["beta"])))
    assert share.low < share.median < share.high
    assert share.level == 0.95
    one = fitted.derived(lambda **parameters: parameters["alpha"], level=0.8)
    assert (one.low, one.high) == approx(fitted.intervals(0.8)["alpha"])
    several = fitted.derived(lambda A, alpha: A[:, None] / np.array([1e7, 1e9]) ** alpha[:, None])
    assert several.median.shape == (2,)
    assert np.sqrt(np.diag(fitted.covariance)) == approx(list(fitted.stderr.values()))


def test_derived_without_a_bootstrap_has_no_interval(runs):
    plain = fit(chinchilla, runs, bootstrap=0)
    share = plain.derived(lambda alpha, beta: beta / (alpha + beta))
    assert share.median == approx(plain.params["beta"] / (plain.params["alpha"] + plain.params["beta"]))
    assert np.isnan(share.low)


def test_derived_names_a_function_that_it_cannot_use(fitted):
    with pytest.raises(BadOption, match="parameters alone: E, A, B, alpha, beta"):
        fitted.derived(lambda gamma: gamma)
    with pytest.raises(BadOption, match="NaN at 60 of 60 draws"):
        fitted.derived(lambda alpha: np.log(-alpha))
    with pytest.raises(BadOption, match="one of arrays"):
        fitted.derived(lambda alpha: float(alpha))
    with pytest.raises(BadOption, match="draws as first axis, 60 long"):
        fitted.derived(lambda alpha: alpha[:3])
    with pytest.raises(BadOption, match="level="):
        fitted.derived(lambda alpha: alpha, level="0.8")
