"""Approach 2: the vertex of each curve of equal compute, and the power law through the vertices."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import CHINCHILLA

from scaling.errors import BadOption, MissingColumns
from scaling.fitting.data import TooFewScales
from scaling.fitting.isoflops import budgets, curve_vertex, isoflop
from scaling.laws import chinchilla
from scaling.laws.optimal import optimum
from scaling.published import open_published


def curves(noise=0.0, seed=0, sizes=9, spread=1.0):
    """Budgets from 1e18 to 1e21, sizes around the best of each; the best is in the middle where spread is 1."""
    rows = []
    generator = np.random.default_rng(seed)
    for C in np.geomspace(1e18, 1e21, 7):
        best = float(optimum(chinchilla, C, **CHINCHILLA).N)
        for N in best * np.geomspace(1 / 6, 6 * spread, sizes):
            D = C / (6 * N)
            loss = chinchilla(N, D, **CHINCHILLA) * math.exp(noise * generator.normal())
            rows.append({"N": N, "D": D, "C": C, "loss": loss})
    return pl.DataFrame(rows)


@given(st.floats(-1, 1), st.floats(0.02, 0.3), st.floats(-0.02, 0.02), st.floats(5, 25))
def test_curve_vertex_recovers_the_minimum_of_a_cubic(centre, bend, skew, unit):
    u = np.linspace(-2, 2, 9)
    loss = np.exp(1 + bend * (u - centre) ** 2 + skew * (u - centre) ** 3)
    found = curve_vertex(np.exp(u + unit), loss, form="cubic", within=math.inf)
    assert found.interior and found.points == 9
    assert math.log(found.x) - unit == pytest.approx(centre, abs=1e-6)
    assert found.stderr < 1e-6


@pytest.mark.parametrize("form", ["parabola", "cubic"])
def test_curve_vertex_recovers_its_own_standard_error(form):
    """The spread of 400 vertices is the mean standard error, within the 10 % that 400 draws and curvature leave."""
    u, generator = np.linspace(-1.5, 1.5, 12), np.random.default_rng(0)
    made = [
        curve_vertex(np.exp(u), np.exp(0.1 * u**2 + 0.005 * generator.normal(size=12)), form=form)
        for _ in range(400)
    ]
    spread = np.std([math.log(v.x) for v in made])
    assert spread == pytest.approx(np.mean([v.stderr for v in made]), rel=0.1)


def test_curve_vertex_says_when_the_minimum_is_at_the_edge():
    found = curve_vertex([1, 2, 4, 8], [1, 2, 3, 4])
    assert not found.interior and found.x == 1 and math.isnan(found.stderr)


@pytest.mark.parametrize("form", ["parabola", "cubic"])
def test_isoflop_recovers_the_exponent_of_the_law(form):
    """a = beta / (alpha + beta); symmetric curves leave the parabola a bias below .002."""
    found = isoflop(curves(), form=form)
    a = CHINCHILLA["beta"] / (CHINCHILLA["alpha"] + CHINCHILLA["beta"])
    assert found.exponent == pytest.approx(a, abs=2e-3)
    best = optimum(chinchilla, found.table["C"].to_numpy(), **CHINCHILLA)
    assert found.table["N"].to_numpy() == pytest.approx(best.N, rel=0.05)
    assert found.table["D"].to_numpy() == pytest.approx(best.D, rel=0.05)
    assert f"the {form} of 7 budgets" in str(found)
    assert f"the {form} of 7 budgets" in found._repr_html_()
    assert "<th>best N</th>" in found._repr_html_()


def test_curve_vertex_cubic_recovers_what_a_parabola_misses():
    """Size falls off faster than data: the parabola is 8 % off in the middle of its points, the cubic below .2 %."""
    truth = CHINCHILLA | {"alpha": 0.45, "beta": 0.25}
    best = float(optimum(chinchilla, 1e19, **truth).N)
    N = best * np.geomspace(1 / 6, 6, 9)
    loss = chinchilla(N, 1e19 / (6 * N), **truth)
    assert math.log(curve_vertex(N, loss).x / best) == pytest.approx(0.076, abs=0.002)
    assert math.log(curve_vertex(N, loss, form="cubic").x / best) == pytest.approx(0, abs=2e-3)


def test_isoflop_is_invariant_to_row_order():
    runs = curves(noise=0.002)
    one, other = isoflop(runs), isoflop(runs.sample(fraction=1, shuffle=True, seed=1))
    assert one.exponent == pytest.approx(other.exponent, rel=1e-12)


def test_isoflop_leaves_out_budgets_without_a_minimum():
    runs = curves()
    low = optimum(chinchilla, 1e18, **CHINCHILLA).N
    runs = runs.filter((pl.col("C") > 2e18) | (pl.col("N") >= 0.99 * low))
    found = isoflop(runs)
    assert found.skipped == 1 and len(found.table) == 6 and "1 budgets left out" in str(found)


def test_budgets_keep_neighbours_together():
    groups = budgets([1e18, 1e20, 1.01e18, 1.03e20, 5e19])
    assert [sorted(group.tolist()) for group in groups] == [[0, 2], [4], [1, 3]]
    assert budgets(np.geomspace(1e18, 1e20, 200)) == []


def test_isoflop_matches_published_vertices(published, monkeypatch):
    """Porian et al.'s tuned sweep: theirs is an Akima curve with a weighted line, so .02 rather than the last digit."""
    monkeypatch.setenv("SCALING_PUBLISHED", str(published))
    runs = open_published("isoflop").filter(pl.col("file") == "main", pl.col("hparams") == "tuned")
    for form in ("parabola", "cubic"):
        assert isoflop(runs, form=form).exponent == pytest.approx(0.497, abs=0.02)


def test_isoflop_names_what_it_cannot_use():
    with pytest.raises(TooFewScales, match=r"approach 2 \(cubic\) needs 3 scales of C"):
        isoflop(curves().filter(pl.col("C") < 5e18), form="cubic")
    with pytest.raises(TooFewScales, match="a cubic needs 4 scales of x"):
        curve_vertex([1, 2, 3], [1, 2, 3], form="cubic")
    with pytest.raises(MissingColumns, match="C asked for"):
        isoflop(curves().drop("C"))
    with pytest.raises(BadOption, match=r"form='quartic'.*'parabola' or 'cubic'"):
        isoflop(curves(), form="quartic")
    with pytest.raises(BadOption, match="within=1"):
        isoflop(curves(), within=1)
