import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.units import UnknownUnit, bits_per_byte, nats_per_token, parse_count, print_count


@pytest.mark.parametrize(
    ("text", "value"),
    [("85M", 85e6), ("1.5e9", 1.5e9), ("128Ki", 131072), ("1_000", 1000), (7, 7), ("2T", 2e12)],
)
def test_parse_count_reads_what_people_write(text, value):
    assert parse_count(text) == value


@pytest.mark.parametrize("text", ["85m", "ten", "1.2.3M", "", "-5"])
def test_parse_count_names_what_it_cannot_read(text):
    with pytest.raises(UnknownUnit, match="known are plain numbers"):
        parse_count(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (85.3e6, "85.3M"),
        (1.2e18, "1.2e18"),
        (999.96e3, "1M"),
        (512, "512"),
        (0, "0"),
        (-3e4, "-30k"),
        (0.02, "2e-2"),
    ],
)
def test_print_count_is_short(value, text):
    assert print_count(value) == text


@given(st.floats(1, 1e14))
def test_print_count_keeps_three_digits(value):
    assert parse_count(print_count(value)) == pytest.approx(value, rel=6e-3)


@given(st.floats(0.1, 20), st.floats(0.5, 8))
def test_bits_per_byte_recovers_nats(loss, bytes_per_token):
    assert nats_per_token(bits_per_byte(loss, bytes_per_token), bytes_per_token) == pytest.approx(loss)
    assert bits_per_byte(math.log(256)) == pytest.approx(8)
