"""Frames as a reader wants them: words, units, few digits, and the whole of it as CSV."""

import base64
import io
import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.charts.tables import MOST_ROWS, few_digits, worded

FRAME = pl.DataFrame(
    {
        "param": ["alpha_N", "gain_of_text", None],
        "value": [0.35612, 1.0, math.nan],
        "low": [0.33, 0.9, math.nan],
        "high": [0.39123, 1.1, math.nan],
        "held_out_percent": [1.23456, 0.0, 12345.6],
        "C": [2.5e15, 1e18, 3.14159e20],
        "N": [85_000, 1_300_000, 124_000_000],
        "seeds": [3, 5, 8],
        "right": [True, False, None],
        "sizes": [[16, 32], [], None],
    }
)


def test_a_frame_is_shown_in_words_with_units_and_few_digits():
    table = worded(FRAME)
    assert table.header == [
        "parameter", "value", "held out, %", "FLOPs", "weights N", "seeds", "right", "sizes",
    ]  # fmt: skip
    assert table.rows[0] == (
        "alpha_N", "0.356 [0.330, 0.391]", "1.23", "2.5 × 10¹⁵", "85k", "3", "yes", "16, 32",
    )  # fmt: skip
    assert table.rows[1][0] == "gain of text"
    assert table.rows[2][:3] == ("", "", "12300")
    assert table.rows[2][6:] == ("", "")


def test_the_csv_has_every_number_in_full():
    html = worded(FRAME)._repr_html_()
    data = html.partition("base64,")[2].partition('"')[0]
    whole = pl.read_csv(io.BytesIO(base64.b64decode(data)))
    assert whole["high"][0] == 0.39123
    assert whole.columns == FRAME.columns
    assert "<td>α<sub>N</sub></td>" in html


def test_a_long_frame_shows_its_head_and_says_so():
    table = worded(pl.DataFrame({"step": range(500)}), "Steps.")
    assert len(table.rows) == MOST_ROWS
    assert table.caption == f"Steps. The first {MOST_ROWS} of 500 rows; all are in the CSV."
    assert table.csv.count("\n") == 501


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30))
def test_few_digits_are_within_half_a_unit_of_the_third(value):
    text = few_digits(value).replace("−", "-").replace(" × 10", "e")
    text = text.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    assert float(text) == pytest.approx(value, rel=0.0051, abs=1e-300)


@pytest.mark.parametrize(
    ("value", "said"), [(math.inf, "∞"), (-math.inf, "−∞"), (0.0, "0"), (0.1, "0.100"), (99.96, "100")]
)
def test_numbers_at_the_edges(value, said):
    assert few_digits(value) == said


def test_a_wide_table_scrolls_by_keyboard_and_an_empty_header_is_no_header():
    html = worded(pl.DataFrame({"": ["a"], "x": [1]}))._repr_html_()
    assert html.startswith('<div class="scrolls" role="group" tabindex="0"')
    assert "<th></th>" not in html
