"""A law written in numpy, typeset: called on `Typeset` instead of arrays, its body writes its own formula in LaTeX."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from scaling.laws.base import describe
from scaling.laws.dual import NotTraceable, Traced

_SUM, _MINUS, _PRODUCT, _POWER, _ATOM = range(5)
"""How tightly the outermost operation of a text binds."""

_GREEK = (
    *(
        "alpha",
        "beta",
        "gamma",
        "delta",
        "eta",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "rho",
        "sigma",
        "tau",
        "theta",
    ),
    *("omega", "phi", "psi", "xi", "zeta"),
)
_LONGEST = 350
"""Characters of a formula; that of a law which iterates doubles at every turn."""
_FUNCTIONS = {
    "log": r"\ln", "log10": r"\log_{10}", "log2": r"\log_2", "minimum": r"\min", "maximum": r"\max",
    "sin": r"\sin", "cos": r"\cos", "arctan": r"\arctan", "tanh": r"\tanh",
}  # fmt: skip


class _TooLong(Exception):
    """A formula that nobody would read."""


class Typeset(Traced):
    """A number that a reader will see: LaTeX, and what has to be put in brackets around it."""

    __slots__ = ("binds", "text")

    def __init__(self, text: str, binds: int = _ATOM):
        if len(text) > _LONGEST:
            raise _TooLong
        self.text, self.binds = text, binds

    def within(self, binds: int) -> str:
        """The text inside an operation that binds as tightly as this."""
        return self.text if self.binds >= binds else rf"\left({self.text}\right)"

    @staticmethod
    def applied(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Typeset | None:
        return _applied(ufunc.__name__, [_operand(value) for value in inputs])


def typeset(law: Callable[..., Any]) -> str | None:
    """The formula of a law's body in LaTeX, each argument under its own symbol; None where it would fill a page.

    Args:
        law: a function of operators and ufuncs.

    Raises:
        NotTraceable: the body asks for a value.
    """
    read = describe(law)
    columns = [Typeset(symbol(name)) for name in read.column_names]
    try:
        result = law(*columns, **{name: Typeset(symbol(name)) for name in read.parameter_names})
    except _TooLong:
        return None
    return _operand(result).text


def symbol(name: str) -> str:
    """LaTeX of an argument's name: alpha_N, C_stop, c1, unique_tokens.

    >>> symbol("alpha_N"), symbol("c1"), symbol("C_stop")
    ('\\\\alpha_{N}', 'c_{1}', 'C_{\\\\mathrm{stop}}')
    """
    letter, digits = re.fullmatch(r"(.*?)(\d*)", name).groups()  # type: ignore[union-attr]
    if digits and len(letter) == 1:
        return rf"{letter}_{{{digits}}}"
    head, _, below = name.partition("_")
    if len(head) > 1 and head not in _GREEK:
        return rf"\mathrm{{{name.replace('_', '~')}}}"
    head = f"\\{head}" if head in _GREEK else head
    return f"{head}_{{{_subscript(below)}}}" if below else head


def _subscript(text: str) -> str:
    words = text.replace("_", "~")
    return words if len(words) == 1 else rf"\mathrm{{{words}}}"


def _operand(value: Any) -> Typeset:
    if isinstance(value, Typeset):
        return value
    if np.ndim(value):
        raise NotTraceable(f"an array of shape {np.shape(value)}")
    number = float(value)
    if not math.isfinite(number):
        return Typeset(r"\infty")
    return Typeset(f"{number:g}", _ATOM if number >= 0 else _MINUS)


def _applied(name: str, x: list[Typeset]) -> Typeset | None:
    if name in _INFIX:
        return _INFIX[name](*x)
    if name in _FUNCTIONS:
        inside = ", ".join(one.text for one in x)
        return Typeset(rf"{_FUNCTIONS[name]}\left({inside}\right)", _POWER)
    return None


def _add(a: Typeset, b: Typeset) -> Typeset:
    if a.text == "0":
        return b
    return Typeset(f"{a.text} - {b.text[1:]}" if b.text.startswith("-") else f"{a.text} + {b.text}", _SUM)


def _multiply(a: Typeset, b: Typeset) -> Typeset:
    if a.text == "1":
        return b
    if a.binds == _MINUS:
        return Typeset(f"-{_multiply(Typeset(a.text[1:], _PRODUCT), b).text}", _MINUS)
    apart = r" \cdot " if b.text[:1].isdigit() else r"\,"
    return Typeset(f"{a.within(_PRODUCT)}{apart}{b.within(_PRODUCT)}", _PRODUCT)


def _power(a: Typeset, b: Typeset) -> Typeset:
    return Typeset(f"{{{a.within(_ATOM)}}}^{{{b.text}}}", _POWER)


def _minus(a: Typeset) -> Typeset:
    return Typeset(f"-{a.within(_PRODUCT)}", _MINUS)


def _exp(a: Typeset) -> Typeset:
    return Typeset("1") if a.text == "0" else Typeset(rf"\exp\left({a.text}\right)", _POWER)


_INFIX: dict[str, Callable[..., Typeset]] = {
    "add": _add,
    "subtract": lambda a, b: Typeset(f"{a.text} - {b.within(_PRODUCT)}", _SUM),
    "multiply": _multiply,
    "divide": lambda a, b: Typeset(rf"\frac{{{a.text}}}{{{b.text}}}", _PRODUCT),
    "power": _power,
    "float_power": _power,
    "square": lambda a: _power(a, Typeset("2")),
    "negative": _minus,
    "positive": lambda a: a,
    "reciprocal": lambda a: Typeset(rf"\frac{{1}}{{{a.text}}}", _PRODUCT),
    "sqrt": lambda a: Typeset(rf"\sqrt{{{a.text}}}"),
    "absolute": lambda a: Typeset(rf"\left|{a.text}\right|"),
    "exp": _exp,
    "expm1": lambda a: Typeset(f"{_exp(a).text} - 1", _SUM),
    "log1p": lambda a: Typeset(rf"\ln\left(1 + {a.text}\right)", _POWER),
    "logaddexp": lambda a, b: Typeset(rf"\ln\left({_exp(a).text} + {_exp(b).text}\right)", _POWER),
}
