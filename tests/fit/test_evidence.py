"""Comparisons: the law that made the runs wins where it was not fitted."""

import numpy as np
import polars as pl
import pytest
from pytest import approx
from worlds import CHINCHILLA, square

from scaling import laws
from scaling.fit import compare


@pytest.fixture(scope="module")
def found():
    runs = square(laws.power_mean, noise=0.003, sizes=7, budgets=8, q=3.0, **CHINCHILLA)
    return compare([laws.chinchilla, laws.power_mean, laws.kaplan], runs)


def test_compare_recovers_the_law_that_made_the_runs(found):
    assert found.best.name == "power_mean"
    assert found.table["held_out_percent"].is_sorted()
    assert found.table.filter(law="power_mean")["held_out_percent"][0] < 1.0
    assert found.table.filter(law="kaplan")["held_out_percent"][0] > 2.0


def test_compare_holds_out_the_largest_half_decade(found):
    assert found.fitted_rows + found.held_rows == 56
    assert found.held_rows == 2
    assert 0.49 < found.decades < 1.0
    assert found.held_out_fits["chinchilla"].rows == found.fitted_rows


def test_compare_prints_one_table(found):
    caption, header, *rows = str(found).splitlines()
    assert "2 held out: the largest half decade of 6ND" in caption
    assert "decades of compute beyond the fit" in caption
    assert header.split()[0] == "law"
    assert len(rows) == 3
    assert "<table>" in found._repr_html_()


def test_compare_takes_a_column_or_an_array():
    runs = square(laws.chinchilla, noise=0.003, **CHINCHILLA)
    held = runs["D"].to_numpy() > 2e10
    by_array = compare([laws.chinchilla], runs, holdout=held)
    by_column = compare([laws.chinchilla], runs.with_columns(big=pl.Series(held)), holdout="big")
    assert by_array.table["held_out_percent"][0] == approx(by_column.table["held_out_percent"][0])
    assert by_column.holdout == "rows where big"


def test_compare_tells_two_of_a_kind_apart():
    from functools import partial

    runs = square(laws.chinchilla, noise=0.003, **CHINCHILLA)
    both = compare([laws.chinchilla, partial(laws.chinchilla, E=1.0)], runs)
    assert set(both.table["law"]) == {"chinchilla", "chinchilla (2)"}
    assert both.fits["chinchilla (2)"].rms_percent > both.fits["chinchilla"].rms_percent
    assert np.isfinite(both.decades)
