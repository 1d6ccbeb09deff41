"""What a study asks for by a kind and its parameters: checked against the function of that kind, then called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar, get_type_hints

from scaling.errors import BadValue, UnknownKey

Made = TypeVar("Made")
Value = int | float | str
Parameters = tuple[tuple[str, Value], ...]
"""Those that are given, by name; the function has the defaults of the others."""

_FITS: dict[type, tuple[tuple[type, ...], str]] = {
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "text"),
}
"""By the annotation of a parameter: what is given for it, and what that is called."""


def make(kinds: Mapping[str, Callable[..., Made]], what: str, kind: str, parameters: Parameters) -> Made:
    """What the function of a kind makes of the given parameters.

    Args:
        kinds: functions of keyword-only parameters, each a number or text, by name.
        what: they make, for the errors.
        kind: one of them.
        parameters: those that are given.

    Raises:
        BadValue: there is no such kind, a parameter is of the wrong type, or the function refuses its value.
        UnknownKey: the kind has no such parameter.
    """
    if kind not in kinds:
        raise BadValue(what, "kind", kind, " or ".join(map(repr, kinds)))
    known = {key: hint for key, hint in get_type_hints(kinds[kind]).items() if key != "return"}
    for key, value in parameters:
        if key not in known:
            raise UnknownKey(f"{what} {kind!r}", key, sorted(known))
        types, wanted = _FITS[known[key]]
        if not isinstance(value, types) or isinstance(value, bool):
            raise BadValue(what, key, value, wanted)
        if key == "seed" and isinstance(value, int) and value < 0:
            raise BadValue(what, key, value, "at least 0")
    return kinds[kind](**dict(parameters))
