"""Approach 1: the power laws of the envelope of learning curves."""

import numpy as np
import polars as pl
import pytest
from worlds import CHINCHILLA

import scaling
from scaling.errors import BadOption, MissingColumns
from scaling.fitting.data import BadPredictor, TooFewScales
from scaling.fitting.lowestcurves import NoCurves
from scaling.laws import chinchilla

A = CHINCHILLA["beta"] / (CHINCHILLA["alpha"] + CHINCHILLA["beta"])


def curves(sizes=12, noise=0.0, seed=0, points=40):
    """Models from a million to a billion parameters, from .3 to 300 tokens a parameter."""
    generator, rows = np.random.default_rng(seed), []
    for N in np.geomspace(1e6, 1e9, sizes):
        D = np.geomspace(0.3 * N, 300 * N, points)
        loss = chinchilla(N, D, **CHINCHILLA) * np.exp(noise * generator.normal(size=points))
        rows.append(pl.DataFrame({"N": np.full(points, N), "D": D, "C": 6 * N * D, "loss": loss}))
    return pl.concat(rows)


def test_envelope_recovers_the_exponents_of_the_law():
    """Sizes come in steps of 1.9, so that a is known to .02; with b it makes one, as C = 6 N D."""
    best = scaling.envelope(curves(noise=0.0005))
    assert best.exponent.median == pytest.approx(A, abs=0.02)
    assert best.tokens_exponent.median == pytest.approx(1 - best.exponent.median, abs=1e-6)
    assert best.exponent.low < A < best.exponent.high
    assert len(best.table) == 10 and (best.table["C_from"][1:] >= best.table["C_to"][:-1]).all()
    assert (
        "the envelope of 12 learning curves" in str(best)
        and "bootstrap draws over curves" in best._repr_html_()
    )


def test_envelope_is_invariant_to_row_order_and_units_of_loss():
    rows = curves(noise=0.001)
    one, other = (
        scaling.envelope(table, bootstrap=50)
        for table in (
            rows,
            rows.sample(fraction=1, shuffle=True, seed=1).with_columns(loss=pl.col("loss") / np.log(2)),
        )
    )
    assert other.exponent.median == pytest.approx(one.exponent.median, rel=1e-9)
    assert other.draws == pytest.approx(one.draws, rel=1e-9, nan_ok=True)


def test_envelope_reads_each_run_as_a_curve():
    """Two seeds of each size are two curves, told apart by run_id; without it they would be one that jumps."""
    both = pl.concat(
        [curves(noise=0.002, seed=s).with_columns(run_id=pl.format("{}-{}", "N", pl.lit(s))) for s in (0, 1)]
    )
    assert scaling.envelope(both, bootstrap=0).curves == 24
    assert np.isnan(scaling.envelope(both, bootstrap=0).exponent.low)
    assert "no interval" in str(scaling.envelope(both, bootstrap=10))


def test_envelope_names_what_it_cannot_use():
    with pytest.raises(MissingColumns, match="column C asked for"):
        scaling.envelope(curves().drop("C"))
    with pytest.raises(MissingColumns, match="column model asked for"):
        scaling.envelope(curves(), curve="model")
    with pytest.raises(BadPredictor, match="column loss must be finite and above zero, but 480 of the runs"):
        scaling.envelope(curves().with_columns(loss=pl.lit(-1.0)))
    with pytest.raises(NoCurves, match="48 rows make 12 curves of 4 points at most"):
        scaling.envelope(curves(points=4))
    with pytest.raises(TooFewScales, match="the smallest and the largest size count nothing"):
        scaling.envelope(curves(sizes=4))
    with pytest.raises(BadOption, match="level=2"):
        scaling.envelope(curves(), level=2)
