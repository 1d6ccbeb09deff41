"""The worth of a repeated token: the published estimate, and what lies beyond the authors' search."""

import numpy as np
import pytest

from scaling.fitting import profile
from scaling.reproduce import repetition_fit, repetition_r2, repetition_runs


@pytest.fixture(autouse=True)
def local(published, monkeypatch):
    monkeypatch.setenv("SCALING_PUBLISHED", str(published))


def test_repetition_fit_matches_muennighoff_2023():
    """15.39 and 5.31 are where a single-precision optimiser stopped; the minimum itself is at 15.37, 5.32."""
    fitted = repetition_fit()
    assert fitted.rows == 182
    assert fitted.params["R_D"] == pytest.approx(15.387756, rel=2e-3)
    assert fitted.params["R_N"] == pytest.approx(5.309743, rel=2e-3)
    assert fitted.objective == pytest.approx(0.0158259366, rel=1e-6)
    assert fitted.objective <= 0.0158259366


def test_repetition_r2_matches_muennighoff_2023():
    assert repetition_r2(15.387756, 5.309743) == pytest.approx(0.77220, abs=1e-5)
    assert repetition_r2(**{p: repetition_fit().params[p] for p in ("R_D", "R_N")}) == pytest.approx(
        0.7722, abs=1e-4
    )


def test_repetition_fit_recovers_a_lower_minimum_beyond_the_starts():
    """The objective falls by 0.13 %, R_D grows sixfold, and the profile has no upper end."""
    within, beyond = repetition_fit(), repetition_fit(beyond=True)
    assert 1 - beyond.objective / within.objective == pytest.approx(0.00134, rel=0.05)
    assert beyond.params["R_D"] > 5 * within.params["R_D"]
    assert profile(beyond, repetition_runs(), "R_D").flat == ("above",)


def test_repetition_runs_leave_out_deduplicated_twins():
    runs = repetition_runs()
    assert not runs["dedup_subset"].any()
    assert np.isfinite(runs["loss"].to_numpy()).all()
