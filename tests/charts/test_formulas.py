"""A law as a picture: typeset by its own body, drawn by the browser with the numbers that Python has."""

from __future__ import annotations

import json

import numpy as np
import pytest
import vl_convert
from latex2mathml.converter import convert
from real_vega import marks

from scaling.charts.formulas import explore
from scaling.charts.typeset import symbol, typeset
from scaling.laws import LAWS, chinchilla, kaplan, m4, sigmoid
from scaling.laws.dual import NotTraceable


def test_a_law_is_typeset_as_it_is_written() -> None:
    assert typeset(chinchilla) == r"E + \frac{A}{{N}^{\alpha}} + \frac{B}{{D}^{\beta}}"
    assert typeset(kaplan) == (
        r"{\left({\left(\frac{N_{c}}{N}\right)}^{\frac{\alpha_{N}}{\alpha_{D}}} + \frac{D_{c}}{D}\right)}^{\alpha_{D}}"
    )
    assert typeset(sigmoid) == r"E + \frac{L_{0} - E}{1 + {\left(\frac{C}{C_{\mathrm{mid}}}\right)}^{k}}"


def test_signs_and_brackets_of_a_formula_mean_what_the_body_means() -> None:
    def law(N, *, a, b):
        return a - (b - N) * -a + np.exp(-a * N) / (a + b)

    assert typeset(law) == r"a - \left(b - N\right)\,\left(-a\right) + \frac{\exp\left(-a\,N\right)}{a + b}"


def test_names_become_symbols() -> None:
    wanted = {
        "alpha_N": r"\alpha_{N}",
        "c1": "c_{1}",
        "C_stop": r"C_{\mathrm{stop}}",
        "loss": r"\mathrm{loss}",
    }
    assert {name: symbol(name) for name in wanted} == wanted


def test_a_law_that_iterates_has_no_formula_and_one_that_branches_is_refused() -> None:
    assert typeset(m4) is None
    with pytest.raises(NotTraceable, match=r"np\.where"):
        typeset(lambda N, *, A: np.where(N, A, N))


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_every_formula_is_one_that_browsers_draw(law) -> None:
    text = typeset(law)
    assert text is None or convert(text).startswith("<math")


def test_the_chart_of_a_law_ends_at_what_python_computes() -> None:
    at = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    chart = explore(chinchilla, across=("D", 1e8, 1e12), lines=("N", [1e7, 1e9]), at=at).to_dict()
    chart["width"] = 400
    scene = vl_convert.vega_to_scenegraph(vl_convert.vegalite_to_vega(json.dumps(chart)))
    shown = {str(item.get("text")) for items in marks(scene, "text") for item in items}
    assert {f"{chinchilla(N, 1e12, **at):.4g}" for N in (1e7, 1e9)} <= shown
    sliders = {p["bind"]["name"]: p["value"] for p in chart["params"] if "bind" in p}
    assert sliders == {
        **at,
        "A": pytest.approx(np.log10(406.4), abs=1e-6),
        "B": pytest.approx(np.log10(410.7), abs=1e-6),
    }
