"""Rows in other units than their neighbours."""

import numpy as np
import polars as pl
import pytest

from scaling.intake.doubts import doubts
from scaling.laws import HOFFMANN_2022


def world(seed, rows=60, noise=0.005):
    generator = np.random.default_rng(seed)
    N = 10 ** generator.uniform(6, 9, rows)
    D = N * 10 ** generator.uniform(0, 2.5, rows)
    loss = HOFFMANN_2022(N, D) * np.exp(noise * generator.normal(size=rows))
    return pl.DataFrame({"N": N, "D": D, "loss": loss})


@pytest.mark.parametrize("column", ["N", "D"])
@pytest.mark.parametrize("factor", [1e-3, 1e-6, 1e3])
def test_rows_in_another_unit_are_doubted(column, factor):
    bad = [3, 17, 30, 41, 55]
    moved = (
        world(1)
        .with_row_index()
        .with_columns(
            pl.when(pl.col("index").is_in(bad))
            .then(pl.col(column) * factor)
            .otherwise(pl.col(column))
            .alias(column)
        )
    )
    doubted = [row for doubt in doubts(moved) for row in doubt.rows]
    assert set(doubted) <= set(bad)
    assert len(doubted) >= 4
    assert doubts(moved)[0].column == column


@pytest.mark.parametrize("seed", range(10))
def test_sound_tables_are_not_doubted(seed):
    """Ten worlds of 15 to 60 runs and noise of .1 to 2 %."""
    assert doubts(world(seed, rows=15 + 5 * seed, noise=[0.001, 0.005, 0.02][seed % 3])) == ()


def test_compute_that_does_not_go_with_N_and_D_is_doubted():
    frame = world(2, rows=8).with_columns(C=6.0 * pl.col("N") * pl.col("D"))
    frame[5, "C"] = frame["C"][5] / 1e18
    assert [(d.column, d.rows) for d in doubts(frame)] == [("C", (5,))]


def test_without_losses_a_gap_of_a_thousand_is_doubted():
    assert [
        (d.column, d.rows) for d in doubts(pl.DataFrame({"D": [1e9, 2e9, 3e9, 4e9, 5e9, 6e9, 7e9, 9.0]}))
    ] == [("D", (7,))]


def test_columns_that_are_not_what_they_are_called_are_doubted():
    frame = world(0)
    said = [doubt.words for doubt in doubts(frame.with_columns(loss=10 * pl.col("loss").exp()))]
    assert any("if it is a perplexity say units={'loss': 'perplexity'}" in words for words in said)
    swapped = frame.rename({"N": "D", "D": "N"})
    assert any("D is below N in every run" in doubt.words for doubt in doubts(swapped))
    thousandfold = doubts(frame.with_columns(pl.col("D") * 1e9))
    assert any("was its unit said twice?" in doubt.words for doubt in thousandfold if doubt.column == "D")
