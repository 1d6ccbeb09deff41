"""What a caller may ask of a fit, checked before any work."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from scaling.errors import BadOption, BoundsExcludeStarts, NothingToFit, UnknownParameter
from scaling.fit.problem import Array
from scaling.laws.base import Law


def free_parameters(
    law: Law, fixed: Mapping[str, float], bounds: Mapping[str, Any], priors: Mapping[str, Any]
) -> tuple[str, ...]:
    """The free parameters; every option names a parameter of the law and gives it numbers that make sense."""
    known = law.parameter_names
    for option, given in (("fixed", fixed), ("bounds", bounds), ("priors", priors)):
        _check_names(law, option, given, known)
    for name, value in fixed.items():
        if not np.isfinite(value):
            raise BadOption(f"fixed[{name!r}]", value, "a finite number")
    for name, prior in priors.items():
        if not (len(prior) == 2 and np.isfinite(prior).all() and prior[1] > 0):
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
            closest = difflib.get_close_matches(name, known, n=1)
            raise UnknownParameter(law.name, option, name, known, closest[0] if closest else None)


def bounds_within(
    law: Law, free: tuple[str, ...], bounds: Mapping[str, tuple[float | None, float | None]]
) -> tuple[Array, Array]:
    """The user's bounds within the law's own."""
    low, high = [], []
    for p in (p for p in law.parameters if p.name in free):
        allowed = (p.quantity.low, p.quantity.high)
        given = bounds.get(p.name, (None, None))
        if len(given) != 2:
            raise BadOption(f"bounds[{p.name!r}]", given, "(low, high), None for an open end")
        first = -np.inf if given[0] is None else float(given[0])
        last = np.inf if given[1] is None else float(given[1])
        inner = max(first, allowed[0]), min(last, allowed[1])
        if not inner[0] < inner[1]:
            raise BoundsExcludeStarts(law.name, p.name, first, last, allowed)
        low.append(inner[0])
        high.append(inner[1])
    return np.array(low), np.array(high)
