"""One function draws every result, and nothing is imported before it does."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import polars as pl
import pytest
from real_vega import UNITS, drawn_titles

from scaling.charts import UnknownResult, plot
from scaling.charts.registry import RESULTS
from scaling.design.allocation import allocate
from scaling.design.blending import blend
from scaling.design.propose import propose
from scaling.fitting import (
    ComputePath,
    agree,
    compare,
    cross_validate,
    envelope,
    fit,
    forecast,
    influence,
    isoflop,
    pool,
    profile,
)
from scaling.laws import BESIROGLU_2024, chinchilla, kaplan, power_law


def test_plot_names_what_it_can_draw() -> None:
    with pytest.raises(
        UnknownResult, match="asked to draw a dict, but figures are made for Fit, Fit with runs, Comp"
    ):
        plot({"loss": 2.0})
    with pytest.raises(UnknownResult, match="Verdict on audit, decade, duplicates, index, law"):
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


def test_a_grammar_that_no_chart_asks_for_is_built_when_somebody_does() -> None:
    """In an interpreter of its own: three quarters of altair's import would go there."""
    code = (
        "import sys, scaling.charts.live, jsonschema\n"
        "assert 'lark' not in sys.modules\n"
        "conforms = jsonschema.FormatChecker().conforms\n"
        "print(*(conforms(text, 'iri') for text in ('https://é.org/ü', 'no address')))\n"
        "from rfc3987_syntax import parse; print(parse('iri', 'https://é.org').data)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "False", "iri"]


def results(runs: pl.DataFrame) -> dict[str, tuple[Any, ...]]:
    fitted = fit(chinchilla, runs, bootstrap=20)
    curves = pl.DataFrame(
        [(C / (6 * D), D, C) for C in (1e17, 1e18, 1e19) for D in np.geomspace(0.1, 10, 9) * (C / 120) ** 0.5 * 20],
        schema=["N", "D", "C"], orient="row",
    )  # fmt: skip
    whole = pl.DataFrame(
        {"N": N, "D": D, "C": 6 * N * D}
        for N in np.geomspace(1e7, 1e10, 7)
        for D in np.geomspace(1e8, 1e12, 30)
    )
    whole = whole.with_columns(loss=BESIROGLU_2024(whole["N"], whole["D"]))
    noise, N = np.random.default_rng(0), np.tile(np.geomspace(1e5, 1e8, 12), 3)
    families = pl.DataFrame(
        {"N": N, "family": np.repeat(["web", "books", "code"], 12), "trunk_id": np.arange(36)}
    )
    families = families.with_columns(
        loss=power_law(N, A=9.0, alpha=0.08) * np.exp(0.01 * noise.normal(size=36))
    )
    code = np.linspace(0, 1, 12)
    on_blends = pl.DataFrame({"w_code": code, "w_prose": 1 - code, "loss_prose": 2 + np.exp(code)})
    return {
        "Fit": (fitted,),
        "Fit with runs": (fitted, runs),
        "Comparison": (compare([chinchilla, kaplan], runs),),
        "CrossValidation": (cross_validate([chinchilla, kaplan], runs, how="expanding", origins=2),),
        "Allocation": (allocate(fitted, runs, [1e12, 1e13]),),
        "Proposal": (propose(runs, question="exponent", flops=1e13, bootstrap=100),),
        "Blend": (blend(on_blends, "prose", law="mixing", bootstrap=20),),
        "Forecast": (forecast(fitted, ComputePath(start_year=2025, start_flops=1e13)),),
        "Prediction": (fitted.predict(N=np.array([1e4, 1e5]), D=1e7),),
        "Profile": (profile(fitted, runs, "alpha"),),
        "Contour": (profile(fitted, runs, ("alpha", "beta")),),
        "Influence": (influence(fitted, runs, by="N"),),
        "Envelope": (envelope(whole, bootstrap=20),),
        "Agreement": (agree(fit(power_law, families, bootstrap=30), {"A": 3.0, "alpha": 0.1}),),
        "Pooled": (pool(power_law, families),),
        "IsoFlop": (isoflop(curves.with_columns(loss=BESIROGLU_2024(curves["N"], curves["D"]))),),
    }


def test_plot_recovers_a_chart_from_every_result(ladder: pl.DataFrame) -> None:
    """Vega draws it, without a network, and its axes say what they count."""
    given = results(ladder)
    assert set(given) == set(RESULTS)
    for name, arguments in given.items():
        titles = drawn_titles(plot(*arguments))
        if name != "Fit":  # small multiples, whose headers are the titles
            assert len(titles) >= 1
            assert all(any(unit in title for unit in UNITS) for title in titles), (name, titles)


def test_fan_says_where_it_leaves_the_runs(ladder: pl.DataFrame) -> None:
    """A rule at the year of leaving, none where the path stays among the runs; the band is the forecast's own."""
    fitted = fit(chinchilla, ladder, bootstrap=20)
    leaving = forecast(fitted, ComputePath(start_year=2025, start_flops=1e12))
    chart = plot(leaving).to_dict()
    band, rule = (chart["datasets"][chart["layer"][i]["data"]["name"]] for i in (0, 3))
    assert [row["low"] for row in band] == pytest.approx(leaving.low)
    assert rule[0]["year"] == pytest.approx(leaving.leaves_support)
    staying = forecast(fitted, ComputePath(start_year=2025, start_flops=1e12, growth=(1, 1)))
    assert len(plot(staying).to_dict()["layer"]) == 3
