import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.fitting.data import TooFewScales
from scaling.fitting.vertex import vertex


@given(st.floats(-1, 1), st.floats(0.05, 2), st.floats(-5, 5))
def test_vertex_recovers_the_minimum_of_a_parabola(centre, curvature, unit):
    x = np.exp(np.linspace(-2, 2, 9) + unit)
    found = vertex(x, 2 + curvature * (np.log(x) - unit - centre) ** 2)
    assert found.interior
    assert np.log(found.x) - unit == pytest.approx(centre, abs=1e-9)
    assert found.loss == pytest.approx(2, abs=1e-9)


def test_vertex_is_invariant_to_row_order_and_averages_repeats():
    x, loss = np.array([1, 2, 4, 8, 1, 2, 4, 8.0]), np.array([3, 2, 2.2, 3, 3.2, 2.1, 2.3, 3.2])
    order = np.random.default_rng(0).permutation(8)
    assert vertex(x, loss) == vertex(x[order], loss[order])
    assert vertex(x, loss) == vertex(x[:4], (loss[:4] + loss[4:]) / 2)


def test_vertex_says_when_the_minimum_is_at_the_edge():
    assert not vertex([1, 2, 4], [1, 2, 3]).interior
    assert vertex([1, 2, 4], [3, 2, 1]).x == 4


def test_vertex_names_too_few_points():
    with pytest.raises(TooFewScales, match="needs 3 scales of x"):
        vertex([1, 2, 2], [1, 2, 3])
