"""Cells as people write them."""

import datetime
import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.intake.cells import UnstatedDates, as_dates, as_numbers
from scaling.units import COUNT_UNITS, UnknownUnit, parse_count


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,000,000", 1e6),
        ("1 000 000", 1e6),
        ("1'000.5k", 1000500.0),
        ("2.1 × 10^20", 2.1e20),
        ("10**20", 1e20),
        ("1.4 billion", 1.4e9),
        (".5", 0.5),
        ("64K", 64e3),
    ],
)
def test_parse_count_reads_thousands_powers_and_words(text, value):
    assert parse_count(text) == value


@pytest.mark.parametrize(("text", "meant"), [("85m", "85M"), ("7b", "7B"), ("128ki", "128Ki")])
def test_parse_count_names_the_suffix_that_was_meant(text, meant):
    with pytest.raises(UnknownUnit, match=f"Did you mean '{meant}'"):
        parse_count(text)


@given(st.integers(1, 10**15), st.sampled_from([",", " ", "'", "_"]))
def test_whole_numbers_come_back_whatever_sets_thousands_apart(value, mark):
    text = f"{value:,}".replace(",", mark)
    assert parse_count(text) == value
    assert as_numbers(pl.Series([text]))[0].to_list() == [value]


@given(st.floats(0.01, 999, allow_nan=False), st.sampled_from(sorted(COUNT_UNITS)))
def test_a_suffix_multiplies_once(value, suffix):
    assert parse_count(f"{value!r}{suffix}") == pytest.approx(value * COUNT_UNITS[suffix])


@given(st.lists(st.floats(-1e9, 1e9).map(lambda x: round(x, 3)), min_size=1, max_size=20))
def test_numbers_come_back_from_decimal_commas(values):
    text = [f"{x:_.3f}".replace(".", ",").replace("_", ".") for x in values]
    numbers, bad = as_numbers(pl.Series(text), ",")
    assert numbers.to_list() == values
    assert not bad.any()


def test_what_is_missing_is_empty_and_what_is_no_number_is_told_apart():
    numbers, bad = as_numbers(pl.Series(["3.5", "-", "N/A", "#DIV/0!", "", "nan", "-inf", "oops", "−2"]))
    assert numbers.to_list()[:5] == [3.5, None, None, None, None]
    assert math.isnan(numbers[5])
    assert (numbers[6], numbers[8]) == (-math.inf, -2.0)
    assert bad.to_list() == [False] * 7 + [True, False]


def test_dates_as_text_are_read_in_a_stated_form_alone():
    text = pl.Series("day", ["03/02/2024", "11/05/2022"])
    assert as_dates(text, "%m/%d/%Y").to_list() == [datetime.date(2024, 3, 2), datetime.date(2022, 11, 5)]
    assert (
        as_dates(pl.Series("day", ["2024-3-2", "2022/11/05 10:00"])).to_list()
        == as_dates(text, "%m/%d/%Y").to_list()
    )
    with pytest.raises(
        UnstatedDates, match="column day must hold dates as year-month-day, but row 0 has '03/02/2024'"
    ):
        as_dates(text)


@pytest.mark.parametrize(("text", "form"), [("22-11-05", None), ("05.11.22", "%d.%m.%Y")])
def test_a_year_of_two_digits_is_asked_about(text, form):
    with pytest.raises(UnstatedDates, match=text):
        as_dates(pl.Series("release_date", [text]), form)
    assert as_dates(pl.Series("release_date", ["05.11.22"]), "%d.%m.%y").to_list() == [
        datetime.date(2022, 11, 5)
    ]
