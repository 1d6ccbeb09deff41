"""The fan of losses under a path of compute: right on average, as wide as its parts, honest about where data end."""

import dataclasses
import functools
import math

import numpy as np
import pytest
from worlds import CHINCHILLA, grid, square

from scaling.errors import BadOption
from scaling.fitting import ComputePath, fit, forecast
from scaling.fitting.forecasting import BadPath, NoDraws, PathBeforeRuns
from scaling.laws import chinchilla, compute_only, power_law_floor, with_repeats
from scaling.laws.base import NotALaw
from scaling.laws.optimal import optimum

PATH = ComputePath(start_year=2025, start_flops=1e19, growth=(4, 5))
CERTAIN = ComputePath(start_year=2025, start_flops=1e19, growth=(4, 4))


@functools.cache
def fitted(noise=0.003):
    return fit(chinchilla, square(chinchilla, noise=noise, sizes=7, budgets=8, **CHINCHILLA), bootstrap=300)


def test_forecast_recovers_the_law_along_the_path():
    """Ten years at four times a year: the median is the true loss at the best split. A noise of .3 % on 56 runs leaves
    1 % at the end, five decades beyond most of them, and the interval knows it."""
    fan = forecast(fitted(), CERTAIN, level=0.95)
    truth = optimum(chinchilla, 1e19 * 4.0 ** np.arange(11), **CHINCHILLA)
    assert fan.years.tolist() == list(range(2025, 2036))
    assert fan.median == pytest.approx(truth.loss, rel=0.012)
    assert fan.compute == pytest.approx(truth.C) and (fan.compute_low == fan.compute_high).all()
    assert ((fan.low < truth.loss) & (truth.loss < fan.high)).all()


def test_forecast_of_a_certain_path_is_the_prediction():
    """Without growth to be unsure of, the interval is that of `predict(new_run=True)`, as far as 4,000 draws tell."""
    fan = forecast(fitted(), CERTAIN, years=[2027, 2030], level=0.6)
    best = optimum(chinchilla, fan.compute, **fitted().params)
    direct = fitted().predict(N=best.N, D=best.D, level=0.6, new_run=True)
    assert fan.low == pytest.approx(direct.low, rel=2e-3) and fan.high == pytest.approx(direct.high, rel=2e-3)
    assert fan.law_share == pytest.approx(1.0, abs=1e-3)


def test_forecast_recovers_the_spread_of_growth():
    """Growth is log-normal with 90 % between its ends, so 80 % of C lie within 1.2816/1.6449 of that, t times over."""
    fan = forecast(fitted(), PATH, years=[2025, 2035])
    share = 1.2816 / 1.6449
    assert math.log(fan.compute_high[1] / fan.compute_low[1]) == pytest.approx(
        10 * share * math.log(5 / 4), rel=0.05
    )
    assert fan.compute[0] == pytest.approx(1e19) and fan.law_share[0] == pytest.approx(1.0)
    assert fan.law_share[1] < 1.0
    wide = forecast(fitted(), dataclasses.replace(PATH, growth=(2, 10)), years=[2035])
    assert wide.high[0] - wide.low[0] > fan.high[1] - fan.low[1]


def test_forecast_efficiency_counts_as_compute():
    """Three times the growth, or three times the efficiency: the same losses, not the same bill."""
    bought = forecast(fitted(), ComputePath(start_year=2025, start_flops=1e19, growth=(12, 12)))
    learned = forecast(
        fitted(), ComputePath(start_year=2025, start_flops=1e19, growth=(4, 4), efficiency=(3, 3))
    )
    assert learned.median == pytest.approx(bought.median) and learned.effective == pytest.approx(
        bought.compute
    )
    assert learned.compute[-1] == pytest.approx(bought.compute[-1] / 3.0**10)


def test_forecast_says_where_it_leaves_the_runs():
    """The largest best split within N ≤ 1e9 and D ≤ 3e10 is the edge; at four times a year it is passed then."""
    fan = forecast(fitted(), CERTAIN, years=[2025, 2026, 2035])
    best = optimum(chinchilla, fan.edge, **fitted().params)
    assert max(float(best.N) / 1e9, float(best.D) / 3e10) == pytest.approx(1.0, rel=0.02)
    assert fan.leaves_support == pytest.approx(2025 + math.log(fan.edge / 1e19, 4))
    assert fan.decades[0] == 0 and fan.decades[2] == pytest.approx(math.log10(1e19 * 4.0**10 / fan.edge))
    assert f"from {fan.leaves_support:.1f} on beyond the runs" in str(fan)
    beyond = forecast(fitted(), dataclasses.replace(CERTAIN, start_flops=1e25))
    assert beyond.leaves_support == 2025 and "the whole path lies beyond the runs" in str(beyond)
    falling = forecast(fitted(), dataclasses.replace(CERTAIN, growth=(0.9, 1.0)))
    assert falling.leaves_support is None and "stays among the runs" in str(falling)


def test_forecast_follows_a_law_of_compute_alone():
    runs = grid(
        compute_only, columns={"C": np.geomspace(1e18, 1e21, 20)}, noise=0.002, E=1.7, A=300.0, alpha=0.11
    )
    fan = forecast(fit(compute_only, runs, bootstrap=200), CERTAIN)
    assert fan.edge == pytest.approx(1e21) and (np.diff(fan.median) < 0).all()


def test_forecast_takes_what_else_the_law_reads():
    law = functools.partial(with_repeats(chinchilla), R_D=15.0)
    runs = square(chinchilla, noise=0.003, **CHINCHILLA)
    repeating = fit(law, runs.with_columns(unique_tokens=runs["D"] * 0.5), bootstrap=100)
    with pytest.raises(NotALaw, match="no value was given for unique_tokens"):
        forecast(repeating, CERTAIN)
    few, many = (forecast(repeating, CERTAIN, unique_tokens=U) for U in (1e10, 1e14))
    assert few.median[-1] > many.median[-1]


def test_forecast_is_invariant_to_its_years_and_repeats_its_seed():
    one, other = forecast(fitted(), PATH), forecast(fitted(), PATH, years=[2030, 2035])
    assert other.median == pytest.approx(one.median[[5, 10]], rel=1e-3)
    assert np.array_equal(forecast(fitted(), PATH).low, one.low)
    assert not np.array_equal(forecast(fitted(), PATH, seed=1).low, one.low)


def test_forecast_prints_as_text_and_as_a_table():
    fan = forecast(fitted(), PATH)
    assert fan.table.columns[:4] == ["year", "loss", "loss_low", "loss_high"] and len(fan.table) == 11
    assert "2035" in str(fan) and "80 % intervals" in str(fan)
    assert "<table>" in fan._repr_html_() and "decades beyond the runs" in fan._repr_html_()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"growth": (0, 5)}, r"growth=\(0, 5\).*above zero"),
        ({"growth": 4.5}, r"growth=4\.5.*two ascending numbers"),
        ({"growth": (5, 4)}, r"growth=\(5, 4\).*two ascending"),
        ({"efficiency": (-1, 2)}, r"efficiency=\(-1, 2\)"),
        ({"start_flops": 0}, "start_flops=0"),
        ({"start_year": math.nan}, "start_year=nan"),
        ({"level": 1.0}, r"level=1\.0.*between 0 and 1"),
    ],
)
def test_compute_path_names_what_no_compute_can_take(wrong, words):
    with pytest.raises(BadPath, match=words):
        ComputePath(**({"start_year": 2025, "start_flops": 1e19} | wrong))


def test_forecast_names_what_it_cannot_use():
    undrawn = fit(chinchilla, square(chinchilla, **CHINCHILLA), bootstrap=0)
    with pytest.raises(NoDraws, match=r"chinchilla.*no bootstrap draws.*bootstrap=1000"):
        forecast(undrawn, PATH)
    with pytest.raises(PathBeforeRuns, match=r"from 1e\+12 FLOPs, but the runs begin at"):
        forecast(fitted(), dataclasses.replace(PATH, start_flops=1e12))
    with pytest.raises(BadOption, match=r"years=2024\.0.*2025 or later"):
        forecast(fitted(), PATH, years=[2024, 2026])
    with pytest.raises(BadOption, match="years that ascend"):
        forecast(fitted(), PATH, years=[2027, 2026])
    with pytest.raises(BadOption, match=r"level=0\.99"):
        forecast(fitted(), PATH, level=0.99)
    sizes = grid(
        power_law_floor, columns={"N": np.geomspace(1e6, 1e9, 9)}, noise=0.001, E=1.7, A=30.0, alpha=0.2
    )
    with pytest.raises(NotALaw, match="it reads N, and compute becomes N and D, or C"):
        forecast(fit(power_law_floor, sizes, bootstrap=20), PATH)
