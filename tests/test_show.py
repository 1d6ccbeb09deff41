"""How results show themselves: digits that errors support, intervals, tables and results as text and as HTML."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from scaling import show
from scaling.units import print_count
from scaling.verdict import Estimate


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (1.81722, 0.0257, "1.817 ± 0.026"),
        (0.0, 19.0, "0 ± 19"),
        (8.9e12, 1.3e12, "8.9e12 ± 1.3e12"),
        (1.9, 2.3e-16, "1.9"),
        (1.9, 0.0, "1.9"),
        (1.9, np.nan, "1.9"),
        (1e11, 3.1e-5, "1e+11"),
    ],
)
def test_a_value_is_printed_to_the_digits_its_error_supports(value, error, words):
    assert show.with_error(value, error) == words


@given(st.floats(-1e5, 1e5), st.floats(1e-4, 9.0))
def test_rounding_recovers_the_value_within_a_tenth_of_its_error(value, error):
    assert float(show.rounded(value, error)) == approx(value, abs=0.1 * error)


def test_an_interval_carries_its_level():
    assert show.interval(1.769, 1.871, 0.95) == "95 % [1.769, 1.871]"
    assert show.interval(1.9, 1.9 + 4e-16, 0.95) == "95 % [1.9, 1.9]"
    assert show.interval(310.0, 8.6e7, 0.8) == "80 % [310, 8.6e7]"


@given(st.floats(0.05, 0.99), st.integers(1, 4))
def test_interval_over_draws_recovers_its_quantiles(level, points):
    draws = np.random.default_rng(0).random((1000, points))
    between = show.Interval.over(draws, level)
    inside = np.mean((between.low <= draws) & (draws <= between.high), axis=0)
    assert inside == approx(np.full(points, level), abs=0.003)
    assert between.level == level
    np.testing.assert_array_equal(between.median, np.median(draws, axis=0))


def test_an_interval_is_said_with_its_ends_where_it_has_any():
    sizes = show.Interval(np.array([85e3, 1e6]), np.array([61e3, 1e6]), np.array([112e3, 1e6]), 0.8)
    assert sizes.words(print_count, 0) == "85k [61k, 112k]"
    assert sizes.words(print_count, 1) == "1M"
    assert show.Interval(2.0, 1.5, 2.5, 0.8).words("{:.1f}".format) == "2.0 [1.5, 2.5]"


def test_an_estimate_is_an_interval_with_a_unit():
    estimate = Estimate(1.262, 1.239, 1.275, 0.8, "nats/token")
    assert isinstance(estimate, show.Interval)
    assert estimate.value == estimate.median == 1.262
    assert estimate == Estimate(1.262, 1.239, 1.275, 0.8, "nats/token")


def test_a_number_in_a_sentence_has_a_unit_that_agrees_an_interval_and_the_digits_that_this_supports():
    gain = Estimate(0.3571, 0.2817, 0.4311, 0.95, "nats/token")
    assert gain.said() == "0.36 nats/token (95 % interval 0.28 to 0.43)"
    assert gain.said("lower", "{:.1f}".format) == "0.4 lower (95 % interval 0.3 to 0.4)"
    assert Estimate(1.0, 0.1, 1.9, 0.8, "nats/token").said() == "1.0 nat/token (80 % interval 0.1 to 1.9)"
    assert Estimate(-0.001, -0.06, 0.05, 0.8, "").said() == "0.00 (80 % interval -0.06 to 0.05)"
    assert (
        Estimate(366_700, 290_600, 415_000, 0.8, "tokens").said()
        == "367k tokens (80 % interval 291k to 415k)"
    )
    assert Estimate(12.0, np.nan, np.nan, 0.9, "points").said() == "12 points (no interval)"
    assert Estimate(0.5, 0.2, np.inf, 0.8, "times").said() == "0.5 times (80 % interval 0.2 to inf)"
    bound = Estimate(0.3, 0.25, np.inf, 0.95, "tokens", bound=1)
    assert bound.said() == "at least 0.25 tokens (95 % bound)"
    assert (bound * -1).said() == "at most -0.25 tokens (95 % bound)"


def test_the_sign_of_a_number_may_stand_in_its_word():
    fall = Estimate(-4.0, -9.0, 1.0, 0.95, "points")
    assert fall.either("points more", "points fewer") == "4 points fewer (95 % interval -1 to 9)"
    assert (fall * -1).either("points more", "points fewer") == "4 points more (95 % interval -1 to 9)"
    assert fall * 2 == Estimate(-8.0, -18.0, 2.0, 0.95, "points")


def test_a_table_aligns_the_first_column_left_and_the_others_right():
    assert str(show.Table(["law", "free"], [["kaplan", "4"], ["m3", "3"]])) == (
        "law     free\nkaplan     4\nm3         3"
    )
    assert str(show.Table(["law"], [], "nothing yet")) == "nothing yet\nlaw"


def test_a_table_as_html_escapes_what_it_holds():
    html = show.Table(["a & b"], [["<lambda>"]], "1 > 0")._repr_html_()
    assert "<table><caption>1 &gt; 0</caption>" in html
    assert "<th>a &amp; b</th>" in html and "<td>&lt;lambda&gt;</td>" in html


def test_names_are_words_in_html_and_stay_where_they_can_be_typed():
    named = show.Table(
        ["law", "column"], [["power_mean", "loss_stderr"]], "of the draws 54 % by power_mean, alpha_N held"
    )
    html = named._repr_html_()
    assert "<td>power mean</td>" in html and "by power mean, α<sub>N</sub> held</caption>" in html
    assert "<td><code>loss_stderr</code></td>" in html, "somebody's own column"
    assert "power_mean" in str(named)
    assert show.plain("by power_mean, see runs/my_study and table_of.csv, N_c") == (
        "by power mean, see runs/my_study and table_of.csv, N_c"
    )


@dataclass(frozen=True, repr=False)
class Result(show.Shown):
    value: float

    def shown(self):
        yield show.Table(["value"], [[f"{self.value:g}"]], "a result")
        yield "said of < it"


def test_a_result_prints_its_parts_and_has_their_html():
    assert str(Result(2.0)) == repr(Result(2.0)) == "a result\nvalue\n2\nsaid of < it"
    html = Result(2.0)._repr_html_()
    assert "<td>2</td>" in html and html.endswith("<div>said of &lt; it</div>")


def test_large_values_end_in_zeros_where_their_error_says_nothing_of_the_digits():
    assert show.rounded(372815, 2e5) == "370000"
    assert show.rounded(123456, 1234) == "123500"
    assert show.rounded(2143, 420) == "2143"
    assert show.interval(372815, 1.17e6, 0.95) == "95 % [370000, 1.17e6]"
