"""Every law gives the same number in the browser's Vega as in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from real_vega import evaluate

from scaling.charts.vega import REPEATED, VEGA_TEXT, trace
from scaling.laws import LAWS, MUENNIGHOFF_2023, bnsl, describe, get
from scaling.laws.dual import NotTraceable

ROWS = 40


def draw(law: Callable[..., Any], seed: int) -> dict[str, np.ndarray]:
    """Columns and parameters over the ranges that the law's own annotations give."""
    generator = np.random.default_rng(seed)
    drawn = {}
    for argument in (*describe(law).columns, *describe(law).parameters):
        low, high = argument.quantity.start or (0.5, 2.0)
        low, high = max(low, 0.05), 1e12 if argument.quantity.count else max(high, 0.1)
        drawn[argument.name] = np.exp(generator.uniform(math.log(low), math.log(high), ROWS))
    return drawn


def test_every_law_matches_numpy_in_vega() -> None:
    """Within 1e-12: both sides round each operation, and pow differs in the last digit."""
    every = {**LAWS, "bnsl": bnsl(breaks=2), "published": MUENNIGHOFF_2023}
    of_blends = ("mixing(code, prose)", "additive_mixing(code, prose)", "exchange(code, prose)")
    every |= {name.partition("(")[0]: get(name) for name in of_blends}
    every |= {"scaled": get("mixing(code, prose) with scale N, D"), "transfer": get("kaplan with transfer")}
    values = {name: draw(law, seed) for seed, (name, law) in enumerate(every.items())}
    traced = {
        name: trace(law, name, **{key: f"datum[{f'{name}.{key}'!r}]" for key in values[name]})
        for name, law in every.items()
    }
    rows = [
        {f"{name}.{k}": float(v[i]) for name in every for k, v in values[name].items()} for i in range(ROWS)
    ]
    computed = evaluate(traced, rows)
    for name, law in every.items():
        columns = [values[name].pop(column) for column in describe(law).column_names]
        np.testing.assert_allclose(
            computed[name].astype(float), law(*columns, **values[name]), rtol=1e-12, err_msg=name
        )


def test_trace_matches_the_published_check_value() -> None:
    """Muennighoff et al. 2023, authors' code: L(6.34e9, 242e9, 25e9)."""
    traced = trace(MUENNIGHOFF_2023, "L", N="datum.N", D="datum.D", unique_tokens=25e9)
    value = float(evaluate({"L": traced}, [{"N": 6.34e9, "D": 242e9}])["L"][0])
    assert value == pytest.approx(2.2256440889984477, rel=1e-14)


def test_every_ufunc_matches_numpy_in_vega() -> None:
    """Also where the naive text of log1p and expm1 would lose half of the digits."""
    points = np.array([-0.9, -0.3, -1e-9, 1e-12, 1e-5, 0.2, 0.7, 3.0, 40.0])
    traced, wanted = {}, {}
    for name in VEGA_TEXT:
        ufunc = getattr(np, name)
        others = (1.7,) * (ufunc.nin - 1)
        with np.errstate(invalid="ignore"):
            wanted[name] = ufunc(points, *others)
        traced[name] = trace(lambda x, ufunc=ufunc, others=others: ufunc(x, *others), name, x="datum.x")
    computed = evaluate(traced, [{"x": x} for x in points])
    for name in VEGA_TEXT:
        np.testing.assert_allclose(computed[name].astype(float), wanted[name], rtol=1e-14, err_msg=name)


def test_trace_is_invariant_to_how_a_constant_is_typed() -> None:
    typed = [trace(lambda N, c=c: N - c, "y", N="n") for c in (-2, -2.0, np.float32(-2), np.array(-2.0))]
    assert all(chain == [{"calculate": "(n-(-2.0))", "as": "y"}] for chain in typed)
    assert trace(lambda N: N * math.inf, "y", N="n")[0]["calculate"] == "(n*(1/0))"
    assert trace(lambda N: 3.0, "y", N="n")[0]["calculate"] == "3.0"


def test_trace_is_invariant_to_how_often_a_part_is_used() -> None:
    """Shared parts that are long become fields: the text grows with the work, and not with two to its power."""

    def doubling(N: Any, turns: int) -> Any:
        for _ in range(turns):
            N = N * N
        return N

    lengths = [
        sum(len(step["calculate"]) for step in trace(doubling, "y", N="n", turns=t)) for t in (20, 40, 60)
    ]
    assert lengths[2] - lengths[1] == pytest.approx(lengths[1] - lengths[0], abs=2 * REPEATED)
    assert [step["as"] for step in trace(doubling, "y", N="n", turns=3)] == ["y"]


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
        trace(law, "y", N="n")
    assert used in caught.value.used
    assert "operators and ufuncs" in str(caught.value)
