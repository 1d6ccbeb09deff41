"""Priors: each draw has them about another mean, so that intervals know of their doubt."""

import emcee
import numpy as np
import polars as pl
import pytest
from pytest import approx
from worlds import CHINCHILLA, grid, square

from scaling.fitting import fit
from scaling.laws import chinchilla, power_law_floor

OBJECTIVES = ["huber_log", "huber_likelihood", "squares_log", "gaussian"]
RESAMPLED = [("pairs", "rows"), ("wild", "rows"), ("pairs", "trunk_id")]
HELD = {"A": 60.0, "alpha": 0.25}


def _floor(E, *, rows=40, noise=0.1, seed=0):
    """Runs that tell E to about ± 0.035, four rows a size."""
    columns = {"N": np.geomspace(1e6, 1e9, rows // 4), "again": np.arange(4.0)}
    runs = grid(
        lambda N, _, **p: power_law_floor(N, **p), noise=noise, seed=seed, columns=columns, E=E, **HELD
    )
    trunk = np.arange(rows) % 4
    return runs.with_columns(trunk_id=trunk, loss_stderr=noise * pl.col("loss"))


def half_width(draws):
    """Of the 68 % interval: a standard deviation where draws are normal, and finite where few clusters make them t."""
    return float(np.diff(np.quantile(draws, [0.16, 0.84]))[0]) / 2


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("resample", "cluster"), RESAMPLED)
def test_draws_under_a_prior_that_outweighs_the_runs_match_the_prior(objective, resample, cluster):
    """The runs know E ten times less well: centre and spread of 400 draws are the prior's to 4 standard errors."""
    how = {"objective": objective, "resample": resample, "cluster": cluster, "fixed": HELD, "bootstrap": 400}
    draws = fit(power_law_floor, _floor(1.7), priors={"E": (1.72, 0.0035)}, **how).draws["E"]
    assert np.median(draws) == approx(1.72, abs=0.0012)
    assert half_width(draws) == approx(0.0035, rel=0.2)


@pytest.mark.parametrize(("resample", "cluster"), RESAMPLED)
def test_draws_are_centred_on_the_fit_and_as_sure_as_runs_and_prior_together(resample, cluster):
    """A prior as sure as the runs and two of its widths away: the draws lie around the fit, half way between both."""
    how = {
        "objective": "squares_log",
        "resample": resample,
        "cluster": cluster,
        "fixed": HELD,
        "bootstrap": 600,
    }
    runs = _floor(1.7)
    alone = fit(power_law_floor, runs, **how)
    sd = half_width(alone.draws["E"])
    both = fit(power_law_floor, runs, priors={"E": (alone.params["E"] + 2 * sd, sd)}, **how)
    assert both.params["E"] == approx(alone.params["E"] + sd, abs=0.4 * sd)
    assert np.median(both.draws["E"]) == approx(both.params["E"], abs=0.2 * sd)
    assert half_width(both.draws["E"]) == approx(sd / np.sqrt(2), rel=0.25)


def test_draws_match_the_posterior_that_emcee_samples():
    """Gaussian errors that are known, one prior, flat in all else; what 100 runs scatter differs from their errors by
    7 %, and the draws of either know their spread to 4 %."""
    law, noise, prior = power_law_floor, 0.02, (1.68, 0.01)
    N = np.geomspace(1e6, 1e10, 100)
    loss = law(N, E=1.7, A=60.0, alpha=0.25) + noise * np.random.default_rng(0).normal(size=len(N))
    runs = {"N": N, "loss": loss, "loss_stderr": np.full(len(N), noise)}
    fitted = fit(law, runs, objective="gaussian", priors={"E": prior}, bootstrap=2000, cluster="rows")

    def log_posterior(theta):
        E, ln_A, alpha = theta.T[:, :, None]
        miss = (loss - law(N, E=E, A=np.exp(ln_A), alpha=alpha)) / noise
        off = (theta[:, 0] - prior[0]) / prior[1]
        return -0.5 * (miss**2).sum(1) - 0.5 * off**2 + theta[:, 1]  # flat in A, not in its logarithm

    sampler = emcee.EnsembleSampler(24, 3, log_posterior, vectorize=True)
    rng = np.random.default_rng(0)
    sampler.random_state = np.random.RandomState(0).get_state()
    best = [fitted.params["E"], np.log(fitted.params["A"]), fitted.params["alpha"]]
    sampler.run_mcmc(best + rng.normal(size=(24, 3)) * [0.003, 0.03, 0.001], 3000)
    chain = sampler.get_chain(discard=500, thin=10, flat=True)
    posterior = {"E": chain[:, 0], "A": np.exp(chain[:, 1]), "alpha": chain[:, 2]}
    for name, sampled in posterior.items():
        sd = np.std(sampled)
        assert np.std(fitted.draws[name]) == approx(sd, rel=0.2)
        for share in (0.1, 0.5, 0.9):
            drawn = np.quantile(fitted.draws[name], share)
            assert drawn == approx(np.quantile(sampled, share), abs=0.3 * sd), name


def test_intervals_hold_truths_drawn_from_the_prior():
    """80 % intervals under a prior three times as sure as the runs: of 60 worlds 48 ± 3 hold the truth."""
    held = 0
    for seed in range(60):
        E = 1.8 + 0.012 * np.random.default_rng([seed, 1]).normal()
        how = {"objective": "squares_log", "fixed": HELD, "bootstrap": 100, "cluster": "rows"}
        fitted = fit(power_law_floor, _floor(E, seed=seed), priors={"E": (1.8, 0.012)}, **how)
        low, high = fitted.intervals(0.8)["E"]
        held += low <= E <= high
    assert 40 <= held <= 56


@pytest.mark.parametrize("bounds", [{}, {"alpha": (0.05, 0.12)}])
def test_draws_of_a_prior_beyond_the_bounds_keep_within_them(bounds):
    """Nothing is known of alpha but its prior: draws are the normal distribution between the bounds, no heap there."""
    runs = {
        "N": np.geomspace(1e6, 1e9, 30),
        "loss": 1.7 * np.exp(0.05 * np.random.default_rng(0).normal(size=30)),
    }
    how = {
        "fixed": {"E": 1.7, "A": 1e-9},
        "priors": {"alpha": (0.1, 0.1)},
        "bounds": bounds,
        "bootstrap": 400,
    }
    fitted = fit(power_law_floor, runs, objective="squares_log", cluster="rows", **how)
    low, high = bounds.get("alpha", (0.0, np.inf))
    normal = 0.1 + 0.1 * np.random.default_rng(1).normal(size=100_000)
    wanted = normal[(normal > low) & (normal < high)]
    draws = fitted.draws["alpha"]
    assert low < draws.min() and draws.max() < high
    for share in (0.1, 0.5, 0.9):
        assert np.quantile(draws, share) == approx(np.quantile(wanted, share), abs=0.02)
    assert f"of the prior of alpha lie outside [{low:g}, " in str(fitted)


def test_fit_without_a_prior_beyond_its_bounds_says_nothing_of_it():
    fitted = fit(
        chinchilla, square(chinchilla, noise=0.01, **CHINCHILLA), priors={"E": (1.7, 0.1)}, bootstrap=0
    )
    assert "prior of" not in str(fitted)
