"""Curves under schedules that were not fitted: the published law does as published, the waning one better."""

import numpy as np
import pytest

from scaling.laws import multi_power
from scaling.reproduce import PUBLISHED_R2, schedule_fit, schedule_points

SIZES = [25, pytest.param(100, marks=pytest.mark.slow), pytest.param(400, marks=pytest.mark.slow)]


@pytest.fixture(autouse=True)
def local(published, monkeypatch):
    monkeypatch.setenv("SCALING_PUBLISHED", str(published))


@pytest.mark.parametrize("size_M", SIZES)
def test_schedule_fit_matches_luo_2025(size_M):
    """Within 0.0008: the authors sum over every step and count the warm-up, here a curve has 16 falls."""
    one = schedule_fit(multi_power(), schedule_points(size_M))
    assert one.r2_mean == pytest.approx(PUBLISHED_R2[size_M], abs=8e-4)
    assert len(one.r2) == 6


@pytest.mark.parametrize("size_M", SIZES)
def test_waning_gain_predicts_the_unseen_schedules(size_M):
    points = schedule_points(size_M)
    waning = schedule_fit(multi_power(waning=True), points)
    assert waning.r2_pooled >= 0.998
    assert waning.r2_mean >= 0.998
    assert waning.fitted.rows == len(points.filter(split="train"))


def test_schedule_points_are_the_nine_curves_of_one_size():
    points = schedule_points(100)
    assert points["schedule"].n_unique() == 9
    assert set(points.filter(split="train")["schedule"]) == {"constant_24000", "cosine_24000", "wsdcon_9"}
    constant = points.filter(schedule="constant_24000")
    assert not constant["fall_1"].to_numpy().any()
    expected = 3e-4 * (constant["step"].to_numpy() - 2160 / 2)
    np.testing.assert_allclose(constant["S1"].to_numpy(), expected, rtol=1e-12)
