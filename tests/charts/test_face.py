"""One function draws every result, and nothing is imported before it does."""

from __future__ import annotations

import subprocess
import sys

import polars as pl
import pytest

from scaling.charts import UnknownResult, plot
from scaling.design.allocation import allocate
from scaling.fitting import ComputePath, compare, fit, forecast
from scaling.laws import chinchilla, kaplan


def test_plot_names_what_it_can_draw() -> None:
    with pytest.raises(
        UnknownResult, match="asked to draw a dict, but figures are made for Fit, Fit with runs, Comp"
    ):
        plot({"loss": 2.0})
    with pytest.raises(UnknownResult, match="Verdict on audit, decade, index, plateau"):
        plot(3)


def test_plot_names_the_package_that_is_missing() -> None:
    """In an interpreter of its own: altair cannot be taken out of one that has it."""
    code = (
        "import sys; sys.modules['altair'] = None\n"
        "from scaling.fitting import fit; from scaling.laws import power_law; from scaling.charts import plot\n"
        "plot(fit(power_law, {'N': [1e3, 1e4, 1e5, 1e6], 'loss': [4.0, 3.1, 2.4, 1.9]}, bootstrap=0))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MissingPackage: this needs altair" in ran.stderr
    assert "pip install 'scaling[plot]'" in ran.stderr


def test_plot_recovers_a_chart_from_every_result(ladder: pl.DataFrame) -> None:
    found = fit(chinchilla, ladder, bootstrap=20)
    drawn = [
        plot(found, ladder),
        plot(found),
        plot(compare([chinchilla, kaplan], ladder)),
        plot(allocate(found, ladder, [1e12, 1e13])),
        plot(forecast(found, ComputePath(start_year=2025, start_flops=1e13))),
    ]
    assert all("vega-lite" in chart.to_dict()["$schema"] for chart in drawn)


def test_fan_says_where_it_leaves_the_runs(ladder: pl.DataFrame) -> None:
    """A rule at the year of leaving, none where the path stays among the runs; the band is the forecast's own."""
    found = fit(chinchilla, ladder, bootstrap=20)
    leaving = forecast(found, ComputePath(start_year=2025, start_flops=1e12))
    chart = plot(leaving).to_dict()
    band, rule = (chart["datasets"][chart["layer"][i]["data"]["name"]] for i in (0, 3))
    assert [row["low"] for row in band] == pytest.approx(leaving.low)
    assert rule[0]["year"] == pytest.approx(leaving.leaves_support)
    staying = forecast(found, ComputePath(start_year=2025, start_flops=1e12, growth=(1, 1)))
    assert len(plot(staying).to_dict()["layer"]) == 3


def test_import_is_invariant_to_what_is_drawn_later() -> None:
    """altair takes 1 to 3 seconds, matplotlib half of one: a fit does not pay for them."""
    heavy = "[m for m in ('altair', 'matplotlib', 'vl_convert', 'nbconvert', 'torch') if m in sys.modules]"
    code = f"import sys, scaling, scaling.charts, scaling.reports, scaling.design.allocation; print({heavy})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
