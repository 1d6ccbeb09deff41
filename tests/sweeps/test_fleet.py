"""What a study takes on a fleet that fails: every failure drawn, beside the closed form."""

from dataclasses import replace

import numpy as np
import pytest

from scaling.errors import BadOption, BadValue
from scaling.sweeps.fleet import Failures, fleet_words, fleets
from scaling.sweeps.plan import SpeedUnknown

OFTEN = Failures(mtbf_hours=200.0, save_seconds=60.0, restart_minutes=20.0)


@pytest.mark.parametrize("devices", [1, 8, 64])
def test_simulated_hours_match_the_closed_form(devices):
    """2,000 pieces of work of 50 intervals each: the mean lies within four standard errors, which are 1 % and less."""
    work = np.full(2000, 50 * OFTEN.interval(devices))
    hours, failures = OFTEN.drawn(work, devices, np.random.default_rng(0))
    stderr = hours.std() / np.sqrt(len(hours))
    last = OFTEN.save_seconds / 3600  # the end is saved beside the intervals
    assert abs(hours.mean() - last - OFTEN.expected(float(work[0]), devices)) < 4 * stderr + 0.02 * last
    assert failures.mean() == pytest.approx(hours.mean() * devices / OFTEN.mtbf_hours, rel=0.1)


@pytest.mark.parametrize(("mtbf", "minutes"), [(24.0, 117), (6.0, 57), (0.25, 9.1)])
def test_the_checkpoint_interval_matches_daly(mtbf, minutes):
    """Daly 2006, figures 3 to 5: saving takes 5 minutes; the figures give two digits or three."""
    assert 60 * Failures(mtbf_hours=mtbf, save_seconds=300).interval(1) == pytest.approx(minutes, rel=0.01)


def test_no_other_interval_takes_less(monkeypatch):
    """By the closed form, within what Daly's series leaves out."""
    expected, best = OFTEN.expected(1000.0, 8), OFTEN.interval(8)

    for factor in (0.5, 0.8, 1.25, 2.0):
        with monkeypatch.context() as patch:
            patch.setattr(Failures, "interval", lambda self, devices: factor * best)  # noqa: B023
            assert OFTEN.expected(1000.0, 8) > expected


def test_larger_fleets_take_less_time_until_stacks_cannot_be_shared():
    hours = [40.0] * 16 + [5.0] * 48
    made = fleets(hours, 16, (8, 64, 1024), replace(OFTEN, mtbf_hours=50_000.0))
    took = [one.hours.median for one in made]
    assert took[0] > 2 * took[1] > 10 * took[2]
    assert [one.each for one in made] == [1, 1, 16]
    assert made[0].device_hours == pytest.approx(sum(hours), rel=0.05)
    assert made[2].device_hours > sum(hours)  # what sharing and failures take
    again = fleets(hours, 16, (8, 64, 1024), replace(OFTEN, mtbf_hours=50_000.0))
    assert [one.hours.median for one in again] == took
    text = "\n".join(fleet_words(made, OFTEN, "1e14 FLOP/s a device, as given", 2.0))
    assert "1,024" in text
    assert "a device fails every 200 hours" in text


def test_fleets_names_what_it_cannot_simulate():
    with pytest.raises(BadOption, match=r"devices=.*1 or more"):
        fleets([1.0], 4, (0,), OFTEN)
    with pytest.raises(BadValue, match=r"mtbf_hours = 0.*above 0"):
        Failures(mtbf_hours=0.0)
    assert "--gpu-flops" in str(SpeedUnknown("runs/mine"))
