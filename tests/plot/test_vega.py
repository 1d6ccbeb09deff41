"""Every law gives the same number in the browser's Vega as in numpy."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import vl_convert

from scaling.errors import NotTraceable
from scaling.laws import LAWS, MUENNIGHOFF_2023, describe
from scaling.plot.vega import VEGA_TEXT, trace

ROWS = 40


def in_vega(expressions: dict[str, str], rows: list[dict[str, float]]) -> dict[str, np.ndarray]:
    """Each expression's value for each row, computed by Vega itself; one run for all, for a start takes a second."""
    marks = [
        {"type": "text", "from": {"data": "rows"}, "encode": {"enter": {"text": {"signal": f"''+({text})"}}}}
        for text in expressions.values()
    ]
    spec = {"data": [{"name": "rows", "values": rows}], "marks": marks}
    scene = vl_convert.vega_to_scenegraph(json.dumps(spec))
    groups: list[list[float]] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if node.get("marktype") == "text":
                groups.append([float(item["text"]) for item in node["items"]])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(scene)
    assert len(groups) == len(expressions), "Vega drew another number of marks than it was given"
    return dict(zip(expressions, map(np.array, groups), strict=True))


def draw(law: Callable[..., Any], seed: int) -> list[dict[str, float]]:
    """Rows of columns and parameters over the ranges that the law's own annotations give."""
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(ROWS):
        row = {column.name: 10 ** generator.uniform(4, 12) for column in describe(law).columns}
        for parameter in describe(law).parameters:
            low, high = parameter.quantity.start or (0.5, 2.0)
            row[parameter.name] = math.exp(generator.uniform(math.log(max(low, 0.05)), math.log(high)))
        rows.append(row)
    return rows


def test_every_law_matches_numpy_in_vega() -> None:
    """Within 1e-12: both sides round each operation, and pow differs in the last digit."""
    rows = {name: draw(law, seed) for seed, (name, law) in enumerate(LAWS.items())}
    texts = {
        name: trace(law, **{key: f"datum[{f'{name}.{key}'!r}]" for key in rows[name][0]})
        for name, law in LAWS.items()
    }
    merged = [{f"{name}.{k}": v for name in rows for k, v in rows[name][i].items()} for i in range(ROWS)]
    found = in_vega(texts, merged)
    for name, law in LAWS.items():
        columns = {key: np.array([row[key] for row in rows[name]]) for key in rows[name][0]}
        np.testing.assert_allclose(found[name], law(**columns), rtol=1e-12, err_msg=name)


def test_trace_matches_the_published_check_value() -> None:
    """Muennighoff et al. 2023, authors' code: L(6.34e9, 242e9, 25e9)."""
    text = trace(MUENNIGHOFF_2023, N="datum.N", D="datum.D", unique_tokens=25e9)
    value = in_vega({"L": text}, [{"N": 6.34e9, "D": 242e9}])["L"][0]
    assert value == pytest.approx(2.2256440889984477, rel=1e-14)


def test_every_ufunc_matches_numpy_in_vega() -> None:
    """Also where the naive text of log1p and expm1 would lose half of the digits."""
    points = [-0.9, -0.3, -1e-9, 1e-12, 1e-5, 0.2, 0.7, 3.0, 40.0]
    texts, wanted = {}, {}
    for name in VEGA_TEXT:
        ufunc = getattr(np, name)
        others = (1.7,) * (ufunc.nin - 1)
        with np.errstate(invalid="ignore"):
            wanted[name] = ufunc(np.array(points), *others)
        texts[name] = trace(ufunc_as_law(ufunc, others), x="datum.x")
    found = in_vega(texts, [{"x": x} for x in points])
    for name in VEGA_TEXT:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-14, err_msg=name)


def ufunc_as_law(ufunc: np.ufunc, others: tuple[float, ...]) -> Callable[..., Any]:
    return lambda x: ufunc(x, *others)


def test_trace_is_invariant_to_how_a_constant_is_typed() -> None:
    texts = {trace(lambda N, c=c: N - c, N="n") for c in (-2, -2.0, np.float32(-2), np.array(-2.0))}
    assert texts == {"(n-(-2.0))"}
    assert trace(lambda N: N * math.inf, N="n") == "(n*(1/0))"
    assert trace(lambda N: 3.0, N="n") == "3.0"


@pytest.mark.parametrize(
    ("law", "used"),
    [
        (lambda N: N if N > 1 else 1, "truth"),
        (lambda N: math.log(N), "value"),
        (lambda N: np.where(N > 1, N, 1), "np.where"),
        (lambda N: np.asarray(N), "array made"),
        (lambda N: sum(N), "items"),
        (lambda N: np.add.reduce(N), "reduce"),
        (lambda N: np.gcd(N, 2), "np.gcd"),
        (lambda N: N * np.arange(3.0), "array of shape (3,)"),
    ],
)
def test_trace_names_what_has_no_formula(law: Callable[..., Any], used: str) -> None:
    with pytest.raises(NotTraceable) as caught:
        trace(law, N="n")
    assert used in caught.value.used
    assert "operators and ufuncs" in str(caught.value)
