"""Schedules that were not fitted: what a law of areas misses there, by leaving each curve out."""

import numpy as np
import polars as pl
import pytest
from pytest import approx

from scaling.fitting import Fit, fit
from scaling.fitting.support import Areas
from scaling.laws import annealing, annealing_areas
from scaling.laws.schedule import schedule_place

STEP = np.arange(100, 4001, 50.0)
RATES = {
    "constant": np.full_like(STEP, 1e-3),
    "cosine": 1e-3 * (0.55 + 0.45 * np.cos(np.pi * STEP / STEP[-1])),
    "one fall": np.where(STEP < 2000, 1e-3, 3e-4),
    "line": 1e-3 * (1 - 0.9 * STEP / STEP[-1]),
    "late fall": np.where(STEP < 3500, 1e-3, 1e-4),
}


def curve(name):
    """A curve whose falls are felt for ten times as long as the areas say that the law reads."""
    S1, longer = annealing_areas(STEP, RATES[name], decay=0.999)
    S2 = annealing_areas(STEP, RATES[name], decay=0.99)[1]
    loss = annealing(S1, longer, E=2.5, A=0.5, alpha=0.5, C=0.3)
    noise = 0.0005 * np.random.default_rng(list(RATES).index(name)).normal(size=len(STEP))
    return pl.DataFrame({"S1": S1, "S2": S2, "loss": loss * np.exp(noise), "schedule": name})


@pytest.fixture(scope="module")
def fitted():
    return fit(annealing, pl.concat([curve(name) for name in list(RATES)[:3]]), bootstrap=100)


def test_intervals_recover_schedules_that_the_law_leaves(fitted):
    new = pl.concat([curve("line"), curve("late fall")])
    asked = {c: new[c].to_numpy() for c in ("S1", "S2")}
    loss = new["loss"].to_numpy()
    share = {}
    for on in (False, True):
        band = fitted.predict(level=0.8, new_run=True, discrepancy=on, **asked)
        share[on] = np.mean((band.low <= loss) & (loss <= band.high))
    assert share[True] >= 0.75
    assert share[True] > share[False]


def test_fitted_curves_are_at_no_distance(fitted):
    seen = curve("cosine")
    places = fitted.discrepancy.support.distance({c: seen[c].to_numpy() for c in ("S1", "S2")})
    assert np.all(places < 0.1)
    far = fitted.discrepancy.support.distance({"S1": np.array([12.0]), "S2": np.array([0.0])})
    assert far == approx([np.sqrt(np.log(12 / 4.0))], rel=0.02)


def test_fit_prints_what_other_schedules_are_allowed(fitted):
    (line,) = (line for line in str(fitted).splitlines() if "schedule" in line)
    assert line.startswith("model discrepancy of a schedule unlike those fitted: ± 1")
    assert line.endswith(" %, from 3 left out in turn")


def test_curves_not_told_apart_have_no_discrepancy():
    table = pl.concat([curve(name) for name in list(RATES)[:3]])
    assert fit(annealing, table.drop("schedule"), bootstrap=20).discrepancy is None
    named = table.rename({"schedule": "curve"})
    assert fit(annealing, named, bootstrap=20, cluster="curve").discrepancy.origins == 3


def test_saved_fit_keeps_what_other_schedules_are_allowed(fitted, tmp_path):
    fitted.save(tmp_path / "fit.json")
    assert Fit.load(tmp_path / "fit.json").discrepancy == fitted.discrepancy


def test_place_counts_falls_and_how_long_they_were_felt():
    columns = {"S1": [1.0, 2.0], "fall_1": [0.0, 1e-3], "rate_1": [1.0, 1e-4], "area_1": [0.0, 0.5]}
    np.testing.assert_allclose(schedule_place(columns), [[0, 0, 0], [np.log(2), 1e-3, 2.5e-4]])
    areas = Areas.of({name: np.array(values) for name, values in columns.items()})
    assert areas.units == approx((1.0, 1e-3, 2.5e-4))
