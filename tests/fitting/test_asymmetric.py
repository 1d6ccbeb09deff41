"""An objective for those to whom one side costs more than the other."""

import numpy as np
import pytest
from pytest import approx
from scipy.optimize import minimize
from scipy.stats import expectile
from worlds import CHINCHILLA, square

from scaling.errors import BadOption
from scaling.fitting import fit
from scaling.laws import chinchilla


def level(x, *, E):
    return E + 0.0 * x


@pytest.mark.parametrize("ratio", [0.1, 1.0, 10.0])
def test_asymmetric_fit_matches_the_expectile_of_scipy(ratio):
    """Of log losses, at 1 / (1 + ratio)."""
    loss = 2.0 * np.exp(0.1 * np.random.default_rng(0).standard_t(3, size=200))
    runs = {"x": np.arange(200.0), "loss": loss}
    fitted = fit(level, runs, objective="asymmetric_log", ratio=ratio, bootstrap=0)
    assert np.log(fitted.params["E"]) == approx(expectile(np.log(loss), 1 / (1 + ratio)), abs=1e-7)


def test_asymmetric_fit_recovers_a_curve_below_most_runs():
    runs = square(chinchilla, noise=0.02, sizes=8, budgets=8, **CHINCHILLA)
    fits = {
        r: fit(chinchilla, runs, objective="asymmetric_log", ratio=r, bootstrap=0) for r in (0.05, 1.0, 20.0)
    }
    above = [np.mean(f.residuals < 0) for f in fits.values()]
    assert above[0] > 0.75 > above[1] > 0.25 > above[2]
    even = fit(chinchilla, runs, objective="squares_log", bootstrap=0)
    assert fits[1.0].params == approx(even.params, rel=1e-6)
    assert "overestimates 20 times as costly" in str(fits[20.0])

    def cost(theta):
        E, lnA, lnB, alpha, beta = theta
        r = np.log(E + np.exp(lnA) / N**alpha + np.exp(lnB) / D**beta) - np.log(loss)
        return float(np.sum(np.where(r > 0, 20.0, 1.0) * r**2))

    N, D, loss = (runs[c].to_numpy() for c in ("N", "D", "loss"))
    p = fits[20.0].params
    own = [p["E"], np.log(p["A"]), np.log(p["B"]), p["alpha"], p["beta"]]
    rival = minimize(
        cost, [1.7, 6.0, 7.1, 0.34, 0.33], method="Nelder-Mead", options={"maxiter": 20_000, "maxfev": 20_000}
    )
    assert cost(own) <= rival.fun * (1 + 1e-9)


def test_backtests_leave_a_curve_on_its_side():
    """Of a true law they expect, on average over worlds, no return by the distance that it keeps from its runs."""
    shifts, usual = [], []
    for seed in range(6):
        runs = square(chinchilla, noise=0.03, seed=seed, sizes=8, budgets=10, **CHINCHILLA)
        fitted = fit(chinchilla, runs, objective="asymmetric_log", ratio=20.0, bootstrap=40)
        shifts.append(fitted.discrepancy.shift)
        usual.append(np.mean(fitted.residuals))
    assert np.mean(usual) > 0.02
    assert abs(np.mean(shifts)) < 0.5 * np.mean(usual)


def test_asymmetric_objective_names_a_bad_ratio():
    runs = square(chinchilla, noise=0.02, **CHINCHILLA)
    with pytest.raises(BadOption, match="above zero"):
        fit(chinchilla, runs, objective="asymmetric_log", ratio=0.0)
    with pytest.raises(BadOption, match="left out, except with objective='asymmetric_log'"):
        fit(chinchilla, runs, ratio=3.0)
