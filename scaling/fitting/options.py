"""What a caller may ask of a fit, checked before any work."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from scaling.errors import BadOption, FitError
from scaling.fitting.problem import Array
from scaling.laws.base import Law, UnknownParameter


class NothingToFit(FitError):
    """Every parameter of the law is held still."""

    law: str
    held: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.law} was to be fitted, but all its parameters are held still ({', '.join(self.held)}). "
            "Free one, or call the law itself."
        )


class BoundsExcludeStarts(FitError):
    """Bounds between which there is no value to start from."""

    law: str
    parameter: str
    low: float
    high: float
    allowed: tuple[float, float]

    def __str__(self) -> str:
        return (
            f"{self.parameter} of {self.law} was bounded to [{self.low:g}, {self.high:g}], but the law allows it in "
            f"[{self.allowed[0]:g}, {self.allowed[1]:g}], which leaves nothing to start from. Give bounds=(low, high) "
            "with low < high that overlap it."
        )


def number(option: str, given: Any, wanted: str = "a number") -> float:
    """A number as Python's own, so that it can be saved; NaN, text and true or false are none.

    Raises:
        BadOption: anything else.
    """
    if isinstance(given, np.ndarray) and given.ndim == 0:
        given = given.item()
    if not isinstance(given, numbers.Real) or isinstance(given, bool) or math.isnan(given):
        raise BadOption(option, given, wanted)
    return float(given)


def whole(option: str, given: Any, wanted: str, *, least: int = 0) -> int:
    """A whole number from `least` on as Python's own; true and false are none.

    Raises:
        BadOption: anything else.
    """
    if not isinstance(given, numbers.Integral) or isinstance(given, bool) or given < least:
        raise BadOption(option, given, wanted)
    return int(given)


def parameter_options(fixed: Any, bounds: Any, priors: Any) -> dict[str, dict[str, Any]]:
    """What is asked of single parameters, with numbers of Python's own.

    Raises:
        BadOption: no dictionary, or a value that is not the number or the pair of numbers it should be.
    """
    given = {"fixed": fixed, "bounds": bounds, "priors": priors}
    for option, named in given.items():
        if not isinstance(named, Mapping | None):
            raise BadOption(option, named, "a dictionary with the names of parameters")
    wanted = "(low, high), None for an open end"
    return {
        "fixed": {p: number(f"fixed[{p!r}]", v, "a finite number") for p, v in (fixed or {}).items()},
        "bounds": {p: _pair("bounds", p, v, wanted, open_ends=True) for p, v in (bounds or {}).items()},
        "priors": {
            p: _pair("priors", p, v, "(mean, standard deviation above zero)")
            for p, v in (priors or {}).items()
        },
    }


def _pair(
    option: str, parameter: str, given: Any, wanted: str, *, open_ends: bool = False
) -> list[float | None]:
    option = f"{option}[{parameter!r}]"
    if isinstance(given, str) or not hasattr(given, "__len__") or len(given) != 2:
        raise BadOption(option, given, wanted)
    return [None if open_ends and end is None else number(option, end, wanted) for end in given]


def free_parameters(
    law: Law, fixed: Mapping[str, float], bounds: Mapping[str, Any], priors: Mapping[str, Any]
) -> tuple[str, ...]:
    """The free parameters; every option names a parameter of the law and gives it numbers that make sense."""
    known = law.parameter_names
    for option, given in (("fixed", fixed), ("bounds", bounds), ("priors", priors)):
        _check_names(law, option, given, known)
    allowed = {p.name: (p.quantity.low, p.quantity.high) for p in law.parameters}
    for name, value in fixed.items():
        if not np.isfinite(value):
            raise BadOption(f"fixed[{name!r}]", value, "a finite number")
        low, high = allowed[name]
        if not low <= value <= high:
            raise BadOption(f"fixed[{name!r}]", value, f"in [{low:g}, {high:g}], where {law.name} allows it")
    for name, prior in priors.items():
        if not (np.isfinite(prior).all() and prior[1] > 0):
            raise BadOption(f"priors[{name!r}]", prior, "(mean, standard deviation above zero)")
    for name in fixed:
        for option, given in (("bounds", bounds), ("priors", priors)):
            if name in given:
                raise BadOption(f"{option}[{name!r}]", given[name], f"left out, as {name} is fixed")
    free = tuple(p for p in known if p not in fixed)
    if not free:
        raise NothingToFit(law.name, (*law.held, *fixed))
    return free


def _check_names(law: Law, option: str, given: Iterable[str], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise UnknownParameter(law.name, option, name, known)


def bounds_within(
    law: Law, free: tuple[str, ...], bounds: Mapping[str, tuple[float | None, float | None]]
) -> tuple[Array, Array]:
    """The user's bounds within the law's own."""
    low, high = [], []
    for p in (p for p in law.parameters if p.name in free):
        allowed = (p.quantity.low, p.quantity.high)
        given = bounds.get(p.name, (None, None))
        first = -np.inf if given[0] is None else given[0]
        last = np.inf if given[1] is None else given[1]
        inner = max(first, allowed[0]), min(last, allowed[1])
        if not inner[0] < inner[1]:
            raise BoundsExcludeStarts(law.name, p.name, first, last, allowed)
        low.append(inner[0])
        high.append(inner[1])
    return np.array(low), np.array(high)
