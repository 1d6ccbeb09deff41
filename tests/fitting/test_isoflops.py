"""Approach 2: the power law through the vertices of curves of equal compute."""

import math

import numpy as np
import polars as pl
import pytest
from worlds import CHINCHILLA

from scaling.errors import BadOption, MissingColumns
from scaling.fitting.data import TooFewScales
from scaling.fitting.isoflops import budgets, isoflop
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


@pytest.mark.parametrize("form", ["parabola", "cubic"])
def test_isoflop_recovers_the_exponent_of_the_law(form):
    """a = beta / (alpha + beta); symmetric curves leave the parabola a bias below .002."""
    curve = isoflop(curves(), form=form)
    a = CHINCHILLA["beta"] / (CHINCHILLA["alpha"] + CHINCHILLA["beta"])
    assert curve.exponent == pytest.approx(a, abs=2e-3)
    best = optimum(chinchilla, curve.table["C"].to_numpy(), **CHINCHILLA)
    assert curve.table["N"].to_numpy() == pytest.approx(best.N, rel=0.05)
    assert curve.table["D"].to_numpy() == pytest.approx(best.D, rel=0.05)
    assert f"the {form} of 7 budgets" in str(curve)
    assert f"the {form} of 7 budgets" in curve._repr_html_()
    assert "<th>best N</th>" in curve._repr_html_()


def test_isoflop_is_invariant_to_row_order():
    runs = curves(noise=0.002)
    one, other = isoflop(runs), isoflop(runs.sample(fraction=1, shuffle=True, seed=1))
    assert one.exponent == pytest.approx(other.exponent, rel=1e-12)


def test_isoflop_leaves_out_budgets_without_a_minimum():
    runs = curves()
    low = optimum(chinchilla, 1e18, **CHINCHILLA).N
    runs = runs.filter((pl.col("C") > 2e18) | (pl.col("N") >= 0.99 * low))
    curve = isoflop(runs)
    assert curve.skipped == 1 and len(curve.table) == 6 and "1 budgets left out" in str(curve)


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
    with pytest.raises(MissingColumns, match="C asked for"):
        isoflop(curves().drop("C"))
    with pytest.raises(BadOption, match=r"form='quartic'.*'parabola' or 'cubic'"):
        isoflop(curves(), form="quartic")
    with pytest.raises(BadOption, match="within=1"):
        isoflop(curves(), within=1)
