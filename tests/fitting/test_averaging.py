"""Averages over laws: a mixture of what each predicts, wide where they disagree."""

import numpy as np
import polars as pl
import pytest
from pytest import approx
from worlds import CHINCHILLA, square

from scaling import laws
from scaling.errors import BadOption, MissingColumns
from scaling.fitting import average
from scaling.fitting.averaging import _QUANTILES, _mixed

FORMS = [laws.chinchilla, laws.kaplan, laws.power_mean]


@pytest.fixture(scope="module")
def averaged():
    runs = square(laws.power_mean, noise=0.003, sizes=6, budgets=7, q=3.0, **CHINCHILLA)
    return average(FORMS, runs, bootstrap=100)


def test_average_recovers_the_law_that_made_the_runs(averaged):
    assert sum(averaged.weights.values()) == approx(1.0)
    assert averaged.weights["power_mean"] > 0.6
    assert max(w for law, w in averaged.weights.items() if law != "power_mean") < 0.01
    predicted = averaged.predict(N=1e10, D=3e11)
    truth = laws.power_mean(1e10, 3e11, q=3.0, **CHINCHILLA)
    assert predicted.median == approx(truth, rel=0.01)
    assert predicted.low < truth < predicted.high


def test_average_is_wide_where_laws_disagree():
    runs = square(laws.chinchilla, noise=0.02, sizes=4, budgets=4, **CHINCHILLA)
    noisy = average(FORMS, runs, bootstrap=100)
    near, far = (noisy.predict(level=0.95, N=N, D=30 * N) for N in (1e8, 1e12))
    apart = [one.median for name, one in far.by_law.items() if noisy.weights[name] > 0.1]
    assert len(apart) == 2
    assert far.low < min(apart) < max(apart) < far.high
    assert (far.high - far.low) / far.median > 5 * (near.high - near.low) / near.median


def test_average_prints_each_law_with_its_weight(averaged):
    assert "3 laws averaged; weights by" in str(averaged)
    assert str(averaged).splitlines()[2].split()[0] == "power_mean"
    first, header, *rows = str(averaged.predict(N=1e9, D=1e10, new_run=True)).splitlines()
    assert "for a new run" in first and header.split()[:2] == ["law", "weight"]
    assert [row.split()[0] for row in rows] == ["chinchilla", "kaplan", "power_mean"]
    assert "at the first point" in averaged.predict(N=[1e9, 2e9], D=1e10)._repr_html_()


def test_average_keeps_the_shape_of_the_columns(averaged):
    grid = averaged.predict(N=np.array([1e8, 1e9])[:, None], D=np.array([1e9, 1e10, 1e11]))
    assert np.shape(grid.median) == np.shape(grid.low) == (2, 3)
    assert grid.median[1, 2] == approx(averaged.predict(N=1e9, D=1e11).median)
    assert averaged.predict(N=np.array([]), D=1e10).median.shape == (0,)


def test_average_of_one_law_is_that_law(averaged):
    """The same quantiles, read off a grid of them."""
    runs = square(laws.chinchilla, noise=0.01, **CHINCHILLA)
    alone = average(laws.chinchilla, runs, bootstrap=100)
    for level in (0.5, 0.8, 0.95):
        mixed = alone.predict(level=level, N=1e9, D=1e11, new_run=True)
        single = alone.fits["chinchilla"].predict(level=level, N=1e9, D=1e11, new_run=True)
        for end in ("low", "median", "high"):
            assert getattr(mixed, end) == approx(getattr(single, end), rel=1e-3)


def test_a_mixture_has_the_quantiles_of_its_parts():
    """Half of the weight on uniform numbers in [0, 1], half on [2, 3]: quartiles in the middle of either."""
    parts = [_QUANTILES[:, None], 2.0 + _QUANTILES[:, None]]
    low, high = _mixed(parts, [0.5, 0.5], (0.25, 0.75))
    assert (low[0], high[0]) == approx((0.5, 2.5))


def test_average_has_equal_weights_where_no_part_determines_every_law():
    runs = square(laws.chinchilla, noise=0.003, sizes=3, budgets=3, **CHINCHILLA).head(8)
    small = average(FORMS, runs, bootstrap=20)
    assert set(small.weights.values()) == {1 / 3}
    assert "equal weights" in str(small)


def test_average_names_what_it_cannot_do(averaged):
    with pytest.raises(BadOption, match=r"between 0 and 0\.998"):
        averaged.predict(level=0.9999, N=1e9, D=1e10)
    with pytest.raises(BadOption, match="the laws read N, D"):
        averaged.predict(N=1e9, D=1e10, C=1e20)
    with pytest.raises(MissingColumns, match=r"(kaplan|chinchilla) reads"):
        averaged.predict(N=1e9)
    with pytest.raises(BadOption, match="one law or more"):
        average([], pl.DataFrame({"N": [1.0], "D": [1.0], "loss": [1.0]}))
