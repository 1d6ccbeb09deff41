"""Curves under schedules that were not fitted: the published law does as published, the waning one better."""

import json
from pathlib import Path

import numpy as np
import pytest

from scaling.fitting import Fit
from scaling.laws import annealing, multi_power
from scaling.reproduce import PUBLISHED_R2, schedule_fit, schedule_points
from scaling.reproduce.derive import FITS, provenance

FOLDER = Path(__file__).parents[2] / "runs" / "published"
REACHED = {25: (0.998, 0.998), 100: (0.9975, 0.9975), 400: (0.9965, 0.9962)}
"""R² over the points of all unseen schedules, of the annealing and of the multi-power law: what the engine reaches,
rounded down."""
SIZES = [25, pytest.param(100, marks=pytest.mark.slow), pytest.param(400, marks=pytest.mark.slow)]


@pytest.fixture(autouse=True)
def local(published, monkeypatch):
    monkeypatch.setenv("SCALING_PUBLISHED", str(published))


@pytest.mark.parametrize("size_M", SIZES)
def test_schedule_fit_matches_luo_2025(size_M):
    """Within 0.0008: the authors sum over every step and count the warm-up, here a curve has 16 falls."""
    points = schedule_points(size_M)
    plain, one = (schedule_fit(law, points) for law in (annealing, multi_power()))
    assert one.r2_mean == pytest.approx(PUBLISHED_R2[size_M], abs=8e-4)
    assert len(one.r2) == 6
    assert all(fitted.r2_pooled > least for fitted, least in zip((plain, one), REACHED[size_M], strict=True))


@pytest.mark.parametrize("size_M", SIZES)
def test_waning_gain_predicts_the_unseen_schedules_and_its_fit_matches_the_committed_one(size_M):
    points = schedule_points(size_M)
    waning = schedule_fit(multi_power(waning=True), points)
    assert waning.r2_pooled >= 0.998
    assert waning.r2_mean >= 0.998
    assert waning.fitted.rows == len(points.filter(split="train"))
    name = f"schedules-{size_M}M"
    again, committed = waning.fitted, Fit.load(FOLDER / f"{name}.json")
    assert FITS[name][0] == "schedule-curves" and again.data_hash == committed.data_hash
    assert again.objective == pytest.approx(committed.objective, rel=1e-8)
    assert again.params == pytest.approx(committed.params, rel=1e-3 if committed.undetermined else 1e-5)
    recorded = json.loads((FOLDER / "sources.json").read_text())[name]
    assert recorded == provenance("schedule-curves") | {"data_hash": again.data_hash}


def test_schedule_points_are_the_nine_curves_of_one_size():
    points = schedule_points(100)
    assert points["schedule"].n_unique() == 9
    assert set(points.filter(split="train")["schedule"]) == {"constant_24000", "cosine_24000", "wsdcon_9"}
    constant = points.filter(schedule="constant_24000")
    assert not constant["fall_1"].to_numpy().any()
    expected = 3e-4 * (constant["step"].to_numpy() - 2160 / 2)
    np.testing.assert_allclose(constant["S1"].to_numpy(), expected, rtol=1e-12)
