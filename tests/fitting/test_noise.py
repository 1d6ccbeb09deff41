"""Scatter that changes with scale: recovered, pooled where it does not, kept with the fit."""

import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from pytest import approx

from scaling.fitting import Fit, fit
from scaling.laws import compute_only, mixing

TRUTH = {"E": 1.7, "A": 40.0, "alpha": 0.1}


def runs(sd, count=60, seed=0, ends=(1e18, 1e21)):
    """Runs whose scatter is `sd` at the share of the way through log compute."""
    C = np.geomspace(*ends, count)
    x = np.linspace(0, 1, count)
    z = np.random.default_rng(seed).normal(size=count)
    return pl.DataFrame({"C": C, "loss": compute_only(C, **TRUTH) * np.exp(sd(x) * z)})


def falling(x):
    return 0.015 * 5.0**-x


def widths(fitted, C, level=0.8):
    band = fitted.predict(C=np.array(C), level=level, new_run=True, discrepancy=False)
    return (band.high - band.low) / band.median


@pytest.fixture(scope="module")
def changing():
    return fit(compute_only, runs(falling, seed=3), bootstrap=200, cluster="rows")


def test_new_run_recovers_scatter_at_either_end(changing):
    """80 % intervals of normal scatter are 2.56 standard deviations wide; 60 runs know a slope to a fifth, and it is
    shrunk by as much."""
    fits = [fit(compute_only, runs(falling, seed=i), bootstrap=100, cluster="rows") for i in range(6)]
    bottom, top = np.mean([widths(one, [1e18, 1e21]) for one in fits], axis=0)
    assert bottom == approx(2.56 * 0.015, rel=0.25)
    assert top == approx(2.56 * 0.003, rel=0.35)
    assert widths(replace(changing, noise=None), [1e21]) > 1.5 * widths(changing, [1e21])


def test_new_run_recovers_one_scatter_where_there_is_one():
    ratios = []
    for seed in range(8):
        fitted = fit(compute_only, runs(lambda x: 0.008 + 0 * x, seed=seed), bootstrap=40, cluster="rows")
        ratios.append(fitted.noise.size({"C": np.array([1e18])})[0])
    assert np.median(ratios) == approx(1.0, abs=0.01)
    assert np.all(np.abs(np.log(ratios)) < 0.5)


def test_few_runs_are_pooled():
    """Eight runs do not tell a slope of half from none."""
    fitted = fit(compute_only, runs(lambda x: 0.01 * 2.0**-x, count=8), bootstrap=40, cluster="rows")
    assert fitted.noise.slope == 0
    np.testing.assert_array_equal(fitted.noise.standard, fitted.residuals)


def test_scatter_beyond_the_runs_falls_no_further_and_grows_a_decade(changing):
    size = changing.noise.size({"C": np.array([1e21, 1e23, 1e18, 1e17, 1e15])})
    assert size[1] == size[0]
    assert size[3] == size[4]
    assert size[3] / size[2] == approx(np.exp(-changing.noise.slope))


def test_fit_prints_scatter_that_changes_and_no_other(changing):
    (line,) = (line for line in str(changing).splitlines() if line.startswith("scatter"))
    assert re.fullmatch(r"scatter changes with scale: 1\.\d % at 1\.0e18 FLOPs, 0\.\d+ % at 1\.0e21", line)
    same = fit(compute_only, runs(lambda x: 0.008 + 0 * x), bootstrap=40, cluster="rows")
    assert "scatter changes" not in str(same)


def test_scatter_of_a_heavy_tail_is_not_a_slope():
    """Two runs at the top ten times as far off as all others."""
    table = runs(lambda x: 0.004 + 0 * x)
    spoiled = table.with_columns(
        loss=pl.col("loss") * pl.when(pl.int_range(pl.len()).is_in([50, 57])).then(1.04).otherwise(1.0)
    )
    top, bottom = fit(compute_only, spoiled, bootstrap=40, cluster="rows").noise.size(
        {"C": np.array([1e21, 1e18])}
    )
    assert top / bottom < 3


def test_noise_is_invariant_to_row_order_and_to_runs_without_weight(changing):
    table = runs(falling, seed=3)
    shuffled = fit(
        compute_only, table.sample(fraction=1.0, shuffle=True, seed=1), bootstrap=40, cluster="rows"
    )
    assert shuffled.noise.slope == approx(changing.noise.slope, rel=1e-6)
    spoiled = table.head(5).with_columns(loss=3 * pl.col("loss"), counts=pl.lit(0.0))
    both = pl.concat([table.with_columns(counts=pl.lit(1.0)), spoiled])
    weighed = fit(compute_only, both, bootstrap=40, cluster="rows", weights="counts")
    assert weighed.noise.slope == approx(changing.noise.slope, rel=1e-6)


def test_noise_of_differences_is_in_the_unit_of_the_loss():
    fitted = fit(compute_only, runs(falling, seed=3), objective="squares", bootstrap=40, cluster="rows")
    (line,) = (line for line in str(fitted).splitlines() if line.startswith("scatter"))
    assert "%" not in line
    band = fitted.predict(C=[1e18, 1e21], new_run=True, discrepancy=False)
    assert band.high[0] - band.low[0] > 2 * (band.high[1] - band.low[1])


def test_saved_fit_keeps_its_noise(changing, tmp_path):
    changing.save(tmp_path / "fit.json")
    back = Fit.load(tmp_path / "fit.json")
    np.testing.assert_array_equal(
        back.predict(C=1e19, new_run=True).low, changing.predict(C=1e19, new_run=True).low
    )
    assert str(back) == str(changing)


def test_law_without_a_scale_has_pooled_scatter():
    code = np.linspace(0, 0.9, 12)
    shares = {"code": code, "loss": 1.5 + np.exp(0.3 - code) + 0.001 * np.cos(9 * code)}
    assert fit(mixing("code"), shares, bootstrap=20).noise is None
