"""Numbers read the same in the browser and in Python."""

from __future__ import annotations

import numpy as np
import pytest
from real_vega import evaluate

from scaling.charts import words
from scaling.units import power_of_ten, print_count


def test_numbers_match_between_vega_and_python() -> None:
    values = [float(v) for v in 10 ** np.random.default_rng(0).uniform(1, 14.9, 60)] + [
        9.96e14,
        1e12,
        999.6,
        1e15,
    ]
    rows = [{"v": v, "log": float(np.log10(v)), "power": i} for i, v in enumerate(values)]
    computed = evaluate(
        {
            "count": [{"calculate": words.vega_count("datum.v"), "as": "count"}],
            "power": [{"calculate": words.vega_power_of_ten("datum.log"), "as": "power"}],
        },
        rows,
    )
    assert list(computed["power"]) == [power_of_ten(v) for v in values]
    small = [i for i, v in enumerate(values) if v < 9e14]
    assert [computed["count"][i] for i in small] == [print_count(values[i]) for i in small]


def test_exponents_match_their_digits() -> None:
    computed = evaluate(
        {"e": [{"calculate": words.vega_exponent("datum.p"), "as": "e"}]}, [{"p": p} for p in (3, 9, 10, 25)]
    )
    assert list(computed["e"]) == ["10³", "10⁹", "10¹⁰", "10²⁵"]


@pytest.mark.parametrize(
    ("low", "high"), [(1.3, 4.0), (1.9, 3.4), (2.2, 2.6), (0.5, 20.0), (1e4, 3e9), (1.0, 1e12)]
)
def test_log_ticks_are_invariant_to_scale(low: float, high: float) -> None:
    """Few, round, inside, and the same a thousand times further on."""
    ticks = words.log_ticks(low, high)
    assert 2 <= len(ticks) <= 10
    assert all(low <= tick <= high for tick in ticks)
    assert words.log_ticks(low * 1e3, high * 1e3) == pytest.approx([tick * 1e3 for tick in ticks])


def test_power_of_ten_names_small_numbers_too() -> None:
    assert power_of_ten(2.51e-3) == "2.5 × 10⁻³"
