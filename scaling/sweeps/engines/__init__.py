"""Where the workers of a sweep run: one file an engine."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Mapping
from typing import Any

from scaling.errors import BadOption, TrainError, check_installed, did_you_mean

_ENGINES = {
    "local": ("LocalEngine", None),
    "ray": ("RayEngine", "ray"),
    "slurm": ("SlurmEngine", "submitit"),
}
"""The class of each engine, in the file of its name, and the package that it needs; an extra has the engine's name."""


class UnknownEngineOption(TrainError):
    """An option that an engine does not have."""

    engine: str
    option: str
    known: list[str]

    def __str__(self) -> str:
        has = f"it has {', '.join(self.known)}" if self.known else "it has none"
        guess = did_you_mean(self.option, self.known)
        return (
            f"the option {self.option!r} was given to the engine {self.engine!r}, but {has}. {guess}".rstrip()
        )


def make_engine(name: str, options: Mapping[str, Any] | None = None) -> Any:
    """The engine of a name; its options may be texts, as the command line has them.

    Raises:
        BadOption: there is no such engine, or an option's value is of the wrong kind.
        MissingPackage: its extra is not installed.
        UnknownEngineOption: it has no such option.
    """
    if name not in _ENGINES:
        raise BadOption("engine", name, "one of " + ", ".join(map(repr, _ENGINES)))
    kind, package = _ENGINES[name]
    if package:
        check_installed(name, package)
    engine = getattr(importlib.import_module(f"{__name__}.{name}"), kind)
    kinds = typing.get_type_hints(engine.__init__)
    known = [option for option in inspect.signature(engine).parameters if option in kinds]
    given = {}
    for option, value in (options or {}).items():
        if option not in known:
            raise UnknownEngineOption(name, option, known)
        given[option] = _as(kinds[option], option, value)
    return engine(**given)


def _as(kind: Any, option: str, value: Any) -> Any:
    """A text as the number that an option wants; whatever else is given as it is."""
    wanted = next((number for number in (int, float) if number in (kind, *typing.get_args(kind))), None)
    if wanted is None or not isinstance(value, str):
        return value
    try:
        return wanted(value)
    except ValueError:
        raise BadOption(option, value, f"a number, as {wanted.__name__} reads it") from None
