"""The minimum of a measured curve: near the truth, with its own standard error, or said to be at the edge."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import CHINCHILLA

from scaling.fitting.data import TooFewScales
from scaling.fitting.vertex import vertex
from scaling.laws import chinchilla
from scaling.laws.optimal import optimum


@given(st.floats(-1, 1), st.floats(0.05, 2), st.floats(-5, 5))
def test_vertex_recovers_the_minimum_of_a_parabola(centre, curvature, unit):
    """To 1e-9 whether all points are used, or the lowest and its neighbours alone, half a unit of ln x apart."""
    u = np.linspace(-2, 2, 9)
    for within in (math.inf, 1.7):
        best = vertex(np.exp(u + unit), np.exp(1 + curvature * (u - centre) ** 2), within=within)
        assert best.interior and best.points == (9 if within == math.inf else 3)
        assert math.log(best.x) - unit == pytest.approx(centre, abs=1e-9)
        assert math.log(best.loss) == pytest.approx(1, abs=1e-9)


@given(st.floats(-1, 1), st.floats(0.02, 0.3), st.floats(-0.02, 0.02), st.floats(5, 25))
def test_vertex_recovers_the_minimum_of_a_cubic(centre, bend, skew, unit):
    u = np.linspace(-2, 2, 9)
    loss = np.exp(1 + bend * (u - centre) ** 2 + skew * (u - centre) ** 3)
    best = vertex(np.exp(u + unit), loss, form="cubic", within=math.inf)
    assert best.interior and best.points == 9
    assert math.log(best.x) - unit == pytest.approx(centre, abs=1e-6)
    assert best.stderr < 1e-6


@pytest.mark.parametrize("form", ["parabola", "cubic"])
def test_vertex_recovers_its_own_standard_error(form):
    """The spread of 400 vertices is the mean standard error, within the 10 % that 400 draws and curvature leave."""
    u, generator = np.linspace(-1.5, 1.5, 12), np.random.default_rng(0)
    made = [
        vertex(np.exp(u), np.exp(0.1 * u**2 + 0.005 * generator.normal(size=12)), form=form)
        for _ in range(400)
    ]
    spread = np.std([math.log(v.x) for v in made])
    assert spread == pytest.approx(np.mean([v.stderr for v in made]), rel=0.1)


def test_vertex_says_when_the_minimum_is_at_the_edge():
    best = vertex([1, 2, 4, 8], [1, 2, 3, 4])
    assert not best.interior and best.x == 1 and math.isnan(best.stderr)


def test_vertex_cubic_recovers_what_a_parabola_misses():
    """Size falls off faster than data: the parabola is 8 % off in the middle of its points, the cubic below .2 %."""
    truth = CHINCHILLA | {"alpha": 0.45, "beta": 0.25}
    best = float(optimum(chinchilla, 1e19, **truth).N)
    N = best * np.geomspace(1 / 6, 6, 9)
    loss = chinchilla(N, 1e19 / (6 * N), **truth)
    assert math.log(vertex(N, loss).x / best) == pytest.approx(0.076, abs=0.002)
    assert math.log(vertex(N, loss, form="cubic").x / best) == pytest.approx(0, abs=2e-3)


def test_vertex_is_invariant_to_row_order_and_averages_repeats():
    x, loss = np.array([1, 2, 4, 8, 1, 2, 4, 8.0]), np.array([3, 2, 2.2, 3, 3.2, 2.1, 2.3, 3.2])
    order = np.random.default_rng(0).permutation(8)
    best, shuffled = vertex(x, loss), vertex(x[order], loss[order])
    means = vertex(x[:4], np.sqrt(loss[:4] * loss[4:]))
    for other in (shuffled, means):
        assert (other.x, other.loss) == pytest.approx((best.x, best.loss), rel=1e-12)


def test_vertex_says_on_which_side_the_edge_is():
    assert vertex([1, 2, 4], [3, 2, 1]).x == 4 and not vertex([1, 2, 4], [3, 2, 1]).interior


def test_vertex_names_too_few_points():
    with pytest.raises(TooFewScales, match="needs 3 scales of x"):
        vertex([1, 2, 2], [1, 2, 3])
    with pytest.raises(TooFewScales, match="a cubic needs 4 scales of x"):
        vertex([1, 2, 3], [1, 2, 3], form="cubic")
