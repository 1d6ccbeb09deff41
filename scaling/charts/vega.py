"""A law written in numpy, as the expressions that Vega evaluates in the browser: one formula, never two.

A law's body is operators and ufuncs. Called on `Expression` instead of arrays, each of them notes what it was
applied to, so the result of the call is the formula itself:

    >>> trace(lambda N, *, A, alpha: A / N**alpha, "loss", N="datum.N", A=400, alpha="slope")
    [{'calculate': '(400.0/pow(datum.N,slope))', 'as': 'loss'}]

What a law uses more than once is pasted in at every use while it is short, for a browser works out equal parts of a
text once, and a field costs it about as much as ten of them. A long one becomes a field of its own, computed once a
row: pasted in, a law that iterates would double its text at every turn.

Vega's expression language is a safe subset of JavaScript. It has no log1p, expm1 or logaddexp; the texts
below compute them to a few units in the last place, where the naive text would lose half of the digits.
"""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from scaling.laws.dual import NotTraceable, Traced

_EXPM1 = "(abs({0})>0.5?exp({0})-1:exp({0})==1?{0}:(exp({0})-1)*{0}/log(exp({0})))"
_LOG1P = "(abs({0})>0.5?log(1+{0}):(1+{0})==1?{0}:log(1+{0})*{0}/((1+{0})-1))"

VEGA_TEXT: dict[str, str] = {
    "add": "({0}+{1})",
    "subtract": "({0}-{1})",
    "multiply": "({0}*{1})",
    "divide": "({0}/{1})",
    "power": "pow({0},{1})",
    "float_power": "pow({0},{1})",
    "negative": "(-{0})",
    "positive": "{0}",
    "reciprocal": "(1/{0})",
    "square": "pow({0},2)",
    "sqrt": "sqrt({0})",
    "cbrt": "(({0}<0?-1:1)*pow(abs({0}),1/3))",
    "exp": "exp({0})",
    "exp2": "pow(2,{0})",
    "expm1": _EXPM1,
    "log": "log({0})",
    "log2": "(log({0})*LOG2E)",
    "log10": "(log({0})*LOG10E)",
    "log1p": _LOG1P,
    "logaddexp": "(max({0},{1})+" + _LOG1P.format("exp(-abs({0}-{1}))") + ")",
    "minimum": "min({0},{1})",
    "maximum": "max({0},{1})",
    "absolute": "abs({0})",
    "fabs": "abs({0})",
    "hypot": "hypot({0},{1})",
    "floor": "floor({0})",
    "ceil": "ceil({0})",
    "sin": "sin({0})",
    "cos": "cos({0})",
    "arctan": "atan({0})",
    "less": "({0}<{1}?1:0)",
    "less_equal": "({0}<={1}?1:0)",
    "greater": "({0}>{1}?1:0)",
    "greater_equal": "({0}>={1}?1:0)",
}
"""The Vega text of each ufunc that a traced law may use."""


REPEATED = 400
"""Letters that pasting one part in at each of its uses may add."""


class Expression(Traced):
    """A number that the browser will compute: a Vega text with holes for the expressions it is made of."""

    __slots__ = ("parts", "text")

    def __init__(self, text: str, *parts: Expression):
        self.text, self.parts = text, parts

    def __repr__(self) -> str:
        return f"Expression({self.text!r}{f' of {len(self.parts)}' if self.parts else ''})"

    @staticmethod
    def applied(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Expression | None:
        text = VEGA_TEXT.get(ufunc.__name__)
        return None if text is None else Expression(text, *map(_expression, inputs))


def _expression(value: Any) -> Expression:
    """An operand; a negative number in parentheses, for `1--2` is no expression."""
    if isinstance(value, Expression):
        return value
    if np.ndim(value):
        raise NotTraceable(f"an array of shape {np.shape(value)}")
    number = float(value)
    if not math.isfinite(number):
        return Expression("NaN" if math.isnan(number) else f"({'-' if number < 0 else ''}1/0)")
    return Expression(f"({number!r})" if math.copysign(1, number) < 0 else repr(number))


def trace(law: Callable[..., Any], field: str, /, **arguments: str | float) -> list[dict[str, str]]:
    """Vega-Lite transforms that add `law(**arguments)` to each row.

    Args:
        law: a function of operators and ufuncs; `functools.partial` of one will do.
        field: what the result is called; what is used more than once goes into `field_1`, `field_2`, ….
        arguments: each column and parameter, as Vega text ("datum.N", the name of a slider) or as a number.

    Raises:
        NotTraceable: the body asks for a value (`if`, `float`) or calls what Vega cannot compute.
    """
    given = {name: Expression(v) if isinstance(v, str) else v for name, v in arguments.items()}
    bound = inspect.signature(law).bind(**given)
    result = _expression(law(*bound.args, **bound.kwargs))
    ordered = _parts_first(result)
    uses: Counter[int] = Counter()
    for node in ordered:
        for hole, part in enumerate(node.parts):
            uses[id(part)] += node.text.count(f"{{{hole}}}")
    steps: list[dict[str, str]] = []
    texts: dict[int, str] = {}
    for node in ordered:
        text = node.text.format(*(texts[id(part)] for part in node.parts)) if node.parts else node.text
        if len(text) * (uses[id(node)] - 1) > REPEATED and node.parts and node is not result:
            name = f"{field}_{len(steps) + 1}"
            steps.append({"calculate": text, "as": name})
            text = f"datum.{name}"
        texts[id(node)] = text
    return [*steps, {"calculate": texts[id(result)], "as": field}]


def _parts_first(result: Expression) -> list[Expression]:
    """Every expression that the result is made of, once each, parts before what they are part of."""
    ordered: dict[int, Expression] = {}
    waiting = [(result, False)]
    while waiting:
        node, ready = waiting.pop()
        if id(node) in ordered:
            continue
        if ready:
            ordered[id(node)] = node
        else:
            waiting.append((node, True))
            waiting += [(part, False) for part in node.parts]
    return list(ordered.values())
