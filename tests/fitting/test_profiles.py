"""Profiles and the bridge to lmfit: two ways to the same interval."""

import numpy as np
import pytest
from pytest import approx
from worlds import CHINCHILLA, grid, square

from scaling import laws
from scaling.errors import BadOption
from scaling.fitting import as_lmfit, fit, profile
from scaling.laws import chinchilla
from scaling.laws.base import UnknownParameter


@pytest.fixture(scope="module")
def noisy():
    return square(chinchilla, noise=0.01, **CHINCHILLA)


@pytest.fixture(scope="module")
def squares(noisy):
    return fit(chinchilla, noisy, objective="squares", bootstrap=0)


@pytest.mark.parametrize("parameter", ["E", "A", "alpha"])
def test_profile_matches_the_interval_that_lmfit_finds(noisy, squares, parameter):
    """lmfit tests with an F distribution on 25 degrees of freedom, ours with its limit: 4 to 8 % narrower at 95 %."""
    ours = profile(squares, noisy, parameter)
    model = as_lmfit(chinchilla)
    loss, columns = noisy["loss"].to_numpy(), {c: noisy[c].to_numpy() for c in "ND"}
    result = model.fit(loss, model.guess(loss, **columns), **columns)
    (_, low), _, (_, high) = result.conf_interval(p_names=[parameter], sigmas=[0.95])[parameter]
    assert ours.low == approx(low, rel=0.02, abs=0.09 * (high - low))
    assert ours.high == approx(high, rel=0.02, abs=0.09 * (high - low))
    assert ours.flat == ()
    assert f"{parameter} = " in str(ours)
    assert "95 % [" in str(ours)
    assert ours._repr_html_() == f"<div>{ours}</div>"


def test_profile_passes_its_limit_at_both_ends(noisy, squares):
    along = profile(squares, noisy, "beta", level=0.8)
    assert along.excess[0] == approx(0.5 * 1.2816**2, rel=1e-3)
    assert along.excess[-1] == approx(0.5 * 1.2816**2, rel=1e-3)
    assert np.min(along.excess) < 0.02
    assert along.low < along.best < along.high


def test_profile_names_a_parameter_without_a_limit():
    """No run repeats a token: every R_D explains them equally well."""
    columns = {"N": np.geomspace(1e6, 1e9, 5), "D": np.geomspace(1e8, 3e10, 6), "unique_tokens": [1e12]}
    runs = grid(laws.repeated_data, noise=0.005, columns=columns, R_D=15.0, **CHINCHILLA)
    fitted = fit(laws.repeated_data, runs, bootstrap=0)
    assert profile(fitted, runs, "R_D").flat == ("below", "above")
    assert profile(fitted, runs, "E").flat == ()


def test_profile_names_what_it_cannot_use(noisy, squares):
    with pytest.raises(UnknownParameter, match="profile names the parameter 'R_D'"):
        profile(squares, noisy, "R_D")
    with pytest.raises(BadOption, match="those that the fit was made from"):
        profile(squares, noisy.head(20), "E")
    with pytest.raises(BadOption, match="between 0 and 1"):
        profile(squares, noisy, "E", level=95)


def test_lmfit_model_carries_names_and_bounds(noisy):
    model = as_lmfit(laws.kaplan)
    assert model.independent_vars == ["N", "D"]
    assert model.param_names == ["N_c", "D_c", "alpha_N", "alpha_D"]
    assert model.param_hints["alpha_N"]["min"] == 0.0
    N, D = noisy["N"].to_numpy(), noisy["D"].to_numpy()
    loss = laws.kaplan(N, D, N_c=6e13, D_c=2e13, alpha_N=0.076, alpha_D=0.103)
    guess = model.guess(loss, N=N, D=D)
    assert guess["alpha_D"].value == approx(0.103, rel=1e-6)
    np.testing.assert_allclose(model.eval(guess, N=N, D=D), loss, rtol=1e-8)


OBJECTIVES = ["huber_log", "quantile_log", "squares_log", "squares", "gaussian"]


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("other", [{}, {"beta": (0.4, 0.02)}])
def test_profile_is_lowest_at_a_fit_with_priors(noisy, objective, other):
    """Priors that pull: the profile's lowest point is the fit, and nowhere is it below."""
    runs = noisy.with_columns(loss_stderr=0.02)
    fitted = fit(chinchilla, runs, objective=objective, priors={"E": (1.85, 0.02)} | other, bootstrap=0)
    along = profile(fitted, runs, "E")
    assert along.excess.min() == approx(0.0, abs=0.02)
    assert along.excess.min() > -1e-6
    assert along.low < along.best < along.high < 1.9


def test_emcee_matches_the_errors_of_least_squares():
    """Near a well-determined minimum the posterior is the normal one; 400 steps of 12 walkers know its spread to some
    15 %."""
    law, N = laws.power_law_floor, np.geomspace(1e6, 1e10, 24)
    loss = law(N, E=1.7, A=60.0, alpha=0.25) + 0.004 * np.random.default_rng(0).normal(size=24)
    model, weights = as_lmfit(law), np.full(24, 1 / 0.004)
    best = model.fit(loss, model.guess(loss, N=N), weights=weights, scale_covar=False, N=N)
    how = {"steps": 500, "burn": 100, "thin": 2, "nwalkers": 12, "seed": 0, "progress": False}
    chain = model.fit(loss, best.params, method="emcee", fit_kws=how, weights=weights, N=N)
    draws = chain.chain.reshape(-1, 3)
    for j, name in enumerate(chain.var_names):
        assert np.std(draws[:, j]) == approx(best.params[name].stderr, rel=0.3)
        assert np.mean(draws[:, j]) == approx(best.params[name].value, abs=best.params[name].stderr)
