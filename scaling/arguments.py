"""What a public function was given: numbers, words and yes or no, checked by its signature before any work."""

from __future__ import annotations

import datetime
import functools
import inspect
import math
import numbers
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from scaling.errors import BadOption

_P = ParamSpec("_P")
_T = TypeVar("_T")

_PLAIN: dict[str, tuple[type, ...]] = {
    "None": (type(None),),
    "str": (str,),
    "Path": (os.PathLike,),
    "bool": (bool, np.bool_),
    "Mapping": (Mapping,),
    "datetime.date": (datetime.date,),
}
_WORDS = {
    "str": "a word",
    "Path": "a path",
    "bool": "True or False",
    "Mapping": "a dictionary",
    "Sequence": "a list",
    "Words": "a list of words",
    "datetime.date": "a date, e.g. datetime.date(2024, 1, 31)",
    "int": "a whole number from zero on",
    "float": "a number",
    "None": "None",
}


def number(option: str, given: Any, wanted: str = "a number") -> float:
    """A number as Python's own, so that it can be saved; NaN, text and true or false are none.

    Raises:
        BadOption: anything else.
    """
    if isinstance(given, np.ndarray) and given.ndim == 0:
        given = given.item()
    try:
        value = float(given) if isinstance(given, numbers.Real) and not isinstance(given, bool) else math.nan
    except OverflowError:
        value = math.nan
    if math.isnan(value):
        raise BadOption(option, given, wanted)
    return value


def whole(option: str, given: Any, wanted: str, *, least: int = 0) -> int:
    """A whole number from `least` on as Python's own; true and false are none.

    Raises:
        BadOption: anything else.
    """
    if (
        not isinstance(given, numbers.Integral)
        or isinstance(given, bool)
        or not least <= int(given) < 1 << 63
    ):
        raise BadOption(option, given, wanted)
    return int(given)


def share(option: str, given: Any, example: str) -> float:
    """A number between 0 and 1, both left out.

    Raises:
        BadOption: anything else.
    """
    wanted = f"between 0 and 1, e.g. {example}"
    if not 0.0 < number(option, given, wanted) < 1.0:
        raise BadOption(option, given, wanted)
    return float(given)


def positive(option: str, given: Any, wanted: str, *, zero: bool = False) -> NDArray[np.float64]:
    """Finite numbers above zero (or from it on), shape (numbers,).

    Raises:
        BadOption: anything else.
    """
    try:
        array = np.asarray(given)
        values = np.atleast_1d(array.astype(float)).ravel() if array.dtype.kind in "iufO" else np.empty(0)
    except (TypeError, ValueError, OverflowError):
        raise BadOption(option, given, wanted) from None
    right = np.isfinite(values) & ((values >= 0) if zero else (values >= np.finfo(float).tiny))
    if not len(values) or not right.all():
        raise BadOption(option, given, wanted)
    return values


def checked(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """A function whose plain arguments are looked at before it is called: each must be of a kind that its annotation
    names. A level lies between 0 and 1, an `int` is not negative, a `float` no NaN. What an annotation calls by another
    name (a law, a table, an array) the function looks at itself.

    Raises:
        BadOption: when it is called with anything else.
    """
    signature = inspect.signature(function)
    rules = {name: kinds for name, kinds in map(_rule, signature.parameters.values()) if kinds}

    @functools.wraps(function)
    def called(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            if name in rules:
                _check(name, value, rules[name])
        return function(*args, **kwargs)

    return called


def _rule(parameter: inspect.Parameter) -> tuple[str, list[str]]:
    """Its name, and the kinds that it may have; none, where one of them is not plain."""
    bare, annotation = "", str(parameter.annotation).replace("Sequence[str]", "Words")
    while bare != annotation:  # what stands in brackets is left to the function
        bare, annotation = annotation, re.sub(r"\[[^\[\]]*\]", "", annotation)
    kinds = [kind.strip() for kind in bare.split("|")]
    known = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.name, kinds if known and all(kind in _WORDS for kind in kinds) else []


def _is_list(given: Any) -> bool:
    """Several things in a row, whatever holds them: no text, no dictionary, no table, no array of another shape."""
    other = isinstance(given, str | bytes | Mapping) or hasattr(given, "columns")
    return isinstance(given, Collection) and not other and getattr(given, "ndim", 1) == 1


def _check(option: str, given: Any, kinds: Iterable[str]) -> None:
    if isinstance(given, tuple(one for kind in kinds for one in _PLAIN.get(kind, ()))):
        return
    if "Sequence" in kinds and _is_list(given):
        return
    if "Words" in kinds and _is_list(given) and all(isinstance(word, str) for word in given):
        return
    wanted = " or ".join(_WORDS[kind] for kind in kinds if kind != "None")
    wanted += ", or None" * ("None" in kinds)
    if option == "level":
        share(option, given, "0.8")
    elif "float" in kinds:
        number(option, given, wanted)
    elif "int" in kinds:
        whole(option, given, wanted)
    else:
        raise BadOption(option, given, wanted)
