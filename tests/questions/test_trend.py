"""The trend of the record, in worlds where its slope is known."""

import datetime

import numpy as np
import polars as pl
import pytest
from pytest import approx

from scaling.errors import BadOption, MissingColumns
from scaling.questions import trend
from scaling.questions._trend.answer import TooFewRecords
from scaling.questions._trend.words import BREAK

FIRST = datetime.date(2023, 1, 1)


def records(rise, *, count=16, noise=0.03, seed=0):
    years = np.linspace(0, 3, count)
    dates = [FIRST + datetime.timedelta(days=round(365.25 * y)) for y in years]
    capability = rise(years) + noise * np.random.default_rng(seed).normal(size=count)
    return pl.DataFrame({"release_date": dates, "capability": capability})


def test_trend_recovers_a_straight_rise_and_wants_no_break():
    gains, inside = [], 0
    for seed in range(30):
        risen = trend(records(lambda y: 1 + 0.5 * y, seed=seed), draws=100, seed=seed)
        straight = risen.table.row(0, named=True)
        inside += straight["low"] < 0.5 < straight["high"]
        gains.append(risen.bic_gain)
    assert 18 <= inside <= 29  # of 30 intervals of 80 %
    assert np.mean(np.array(gains) > 6) < 0.15


def test_trend_recovers_a_break_its_date_and_both_slopes():
    risen = trend(records(lambda y: 1 + 0.2 * y + 0.6 * np.maximum(0, y - 1.5), count=24))
    broken = risen.table.row(1, named=True)
    assert risen.bic_gain > 6 and risen.answer == BREAK
    assert broken["slope"] == approx(0.2, abs=0.05) and broken["after"] == approx(0.8, abs=0.05)
    assert abs((broken["broken_at"] - datetime.date(2024, 7, 2)).days) < 60
    assert "24 records" in str(risen) and "the BIC falls by" in str(risen)


def test_trend_is_invariant_to_row_order():
    frame = records(lambda y: y)
    assert trend(frame).table.equals(trend(frame.reverse()).table)


def test_trend_reads_dates_that_are_text():
    frame = records(lambda y: y)
    assert trend(frame.with_columns(pl.col("release_date").cast(pl.String))).table.equals(trend(frame).table)


def test_trend_names_what_it_cannot_use():
    with pytest.raises(TooFewRecords, match="5 records"):
        trend(records(lambda y: y, count=5))
    with pytest.raises(MissingColumns, match="capability"):
        trend(records(lambda y: y).drop("capability"))
    with pytest.raises(BadOption, match="1 without a release date"):
        trend(
            pl.concat(
                [records(lambda y: y), pl.DataFrame({"release_date": [None], "capability": [9.0]})],
                how="vertical_relaxed",
            )
        )
    with pytest.raises(BadOption, match="level"):
        trend(records(lambda y: y), level=80)
