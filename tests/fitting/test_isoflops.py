"""Approach 2: the power law through the vertices of curves of equal compute."""

import math

import numpy as np
import polars as pl
import pytest
from worlds import CHINCHILLA

from scaling.errors import BadOption, MissingColumns
from scaling.fitting.data import BadPredictor, TooFewScales
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


@pytest.mark.parametrize(("sizes", "miss"), [(4, 0.05), (9, 0.03), (9, -0.03)])
def test_isoflop_recovers_the_exponent_beside_one_bad_run(sizes, miss):
    """A run at an end of its curve, trained badly or entered wrongly, is left out by its name."""
    runs = curves(noise=0.001, sizes=sizes).filter(pl.col("C") < 1.1e21)
    bad = sizes - 2
    worse = runs.with_columns(
        loss=pl.when(pl.int_range(pl.len()) == bad).then(pl.col("loss") * (1 + miss)).otherwise("loss")
    )
    sound, mended = isoflop(runs), isoflop(worse)
    plain = isoflop(worse, robust=False)
    assert sound.astray.is_empty() and mended.astray["row"].to_list() == [bad]
    assert abs(mended.exponent - sound.exponent) < 0.3 * abs(plain.exponent - sound.exponent)
    assert mended.astray["miss_percent"][0] == pytest.approx(100 * miss, rel=0.3)
    assert mended.astray["exponent_with"][0] == pytest.approx(plain.exponent)
    assert "left out, as it fits no curve of the others: N = " in str(mended)
    assert "left out" not in str(sound) and "without any one run a changes by" in str(sound)


def test_isoflop_recovers_how_sure_it_is():
    """Of 30 tables with .3 % noise 95 % intervals hold a 27 times or more; benchmarks have more tables."""
    a = CHINCHILLA["beta"] / (CHINCHILLA["alpha"] + CHINCHILLA["beta"])
    read = [isoflop(curves(noise=0.003, seed=seed), bootstrap=200) for seed in range(30)]
    assert sum(one.interval.low <= a <= one.interval.high for one in read) >= 27
    assert np.median([one.interval.high - one.interval.low for one in read]) < 0.08
    assert sum(len(one.astray) for one in read) <= 2
    bare = isoflop(curves(noise=0.003), bootstrap=19)
    assert np.isnan(bare.interval.low) and "bootstrap draws" not in str(bare)


def test_isoflop_names_minima_that_lie_off_center():
    best = optimum(chinchilla, curves()["C"].to_numpy(), **CHINCHILLA).N
    off = isoflop(curves(noise=0.001).filter(pl.col("N") > 0.5 * pl.Series(best)))
    assert off.off_center > 3 and "minima lie in the outer quarter of their sizes" in str(off)
    assert "the cubic says a = 0." in str(off) and isoflop(curves()).off_center == 0


@pytest.mark.parametrize("column", ["N", "D", "C", "loss"])
@pytest.mark.parametrize("value", [-1.0, 0.0, np.nan, np.inf, None])
def test_isoflop_names_numbers_that_are_none(column, value):
    row = pl.int_range(pl.len()) == 3
    runs = curves().with_columns(pl.when(row).then(pl.lit(value, pl.Float64)).otherwise(column).alias(column))
    with pytest.raises(
        BadPredictor, match=f"column {column} must be finite and above zero, but 1 of the runs.*row 3"
    ):
        isoflop(runs)


def test_isoflop_names_too_few_budgets_and_sizes():
    with pytest.raises(TooFewScales, match="but the runs have 1 "):
        isoflop(curves().filter(pl.col("C") < 2e18))
    with pytest.raises(TooFewScales, match="4 sizes N share its C"):
        isoflop(curves(sizes=3))
    with pytest.raises(BadOption, match="level=95"):
        isoflop(curves(), level=95)
    few = curves().filter((pl.col("C") > 2e18) | (pl.col("N") < pl.col("N").quantile(0.03)))
    assert "1 left out, of too few sizes" in str(isoflop(few))
