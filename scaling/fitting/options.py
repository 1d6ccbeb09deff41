"""How a fit is made: what a caller may ask, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scaling.arguments import number, whole
from scaling.errors import BadOption, FitError, require_kind
from scaling.fitting.data import Array
from scaling.fitting.objective import Objective, objective
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


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a fit is made; `fit` says what each field means. Numbers become Python's own, so that they can be saved.

    Raises:
        BadOption: a value that a fit cannot be made with, whatever the law.
    """

    objective: str = "huber_log"
    delta: float = 1e-3
    quantile: float = 0.5
    ratio: float = 1.0
    seed: int = 0
    resample: str = "pairs"
    fixed: Mapping[str, Any] = field(default_factory=dict)
    bounds: Mapping[str, Any] = field(default_factory=dict)
    priors: Mapping[str, Any] = field(default_factory=dict)
    target: str = "loss"
    stderr: str = "loss_stderr"

    def __post_init__(self) -> None:
        for option, column in (("target", self.target), ("stderr", self.stderr)):
            require_kind(option, column, str, "the name of a column")
        require_kind("resample", self.resample, str, "'pairs' or 'wild'")
        if self.resample not in ("pairs", "wild"):
            raise BadOption("resample", self.resample, "'pairs' or 'wild'")
        plain = {
            "seed": whole("seed", self.seed, "a whole number from zero"),
            "delta": number("delta", self.delta),
            "quantile": number("quantile", self.quantile),
            "ratio": number("ratio", self.ratio),
            "fixed": {
                p: number(f"fixed[{p!r}]", value, "a finite number")
                for p, value in _by_parameter("fixed", self.fixed).items()
            },
            "bounds": _pairs("bounds", self.bounds, "(low, high), None for an open end", open_ends=True),
            "priors": _pairs("priors", self.priors, "(mean, standard deviation above zero)"),
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    @property
    def goal(self) -> Objective:
        """What is minimised.

        Raises:
            BadOption: no such objective, or a number out of range.
        """
        return objective(self.objective, self.delta, self.quantile, self.ratio)

    def free(self, law: Law) -> tuple[str, ...]:
        """The parameters of a law that are fitted.

        Raises:
            UnknownParameter: an option names a parameter that the law does not have.
            BadOption: a value that this parameter cannot have, or two options that exclude each other.
            NothingToFit: all are held still.
        """
        allowed = {p.name: (p.quantity.low, p.quantity.high) for p in law.parameters}
        for option, given in (("fixed", self.fixed), ("bounds", self.bounds), ("priors", self.priors)):
            for name in given:
                if name not in allowed:
                    raise UnknownParameter(law.name, option, name, law.parameter_names)
                if option != "fixed" and name in self.fixed:
                    raise BadOption(f"{option}[{name!r}]", given[name], f"left out, as {name} is fixed")
        for name, value in self.fixed.items():
            low, high = allowed[name]
            if not np.isfinite(value):
                raise BadOption(f"fixed[{name!r}]", value, "a finite number")
            if not low <= value <= high:
                raise BadOption(
                    f"fixed[{name!r}]", value, f"in [{low:g}, {high:g}], where {law.name} allows it"
                )
        for name, prior in self.priors.items():
            if not (np.isfinite(prior).all() and prior[1] > 0):
                raise BadOption(f"priors[{name!r}]", prior, "(mean, standard deviation above zero)")
        free = tuple(p for p in law.parameter_names if p not in self.fixed)
        if not free:
            raise NothingToFit(law.name, (*law.held, *self.fixed))
        return free

    def limits(self, law: Law) -> tuple[Array, Array]:
        """The bounds asked for within the law's own: lowest and highest value of each free parameter.

        Raises:
            BoundsExcludeStarts: no value lies within both.
        """
        limits = []
        for p in (p for p in law.parameters if p.name not in self.fixed):
            low, high = self.bounds.get(p.name, (None, None))
            low, high = -np.inf if low is None else low, np.inf if high is None else high
            limits.append((max(low, p.quantity.low), min(high, p.quantity.high)))
            if not limits[-1][0] < limits[-1][1]:
                raise BoundsExcludeStarts(law.name, p.name, low, high, (p.quantity.low, p.quantity.high))
        low, high = np.array(limits, float).T
        return low, high


def _by_parameter(option: str, given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise BadOption(option, given, "a dictionary with the names of parameters")
    return given


def _pairs(option: str, given: Any, wanted: str, *, open_ends: bool = False) -> dict[str, list[float | None]]:
    pairs = {}
    for parameter, pair in _by_parameter(option, given).items():
        named = f"{option}[{parameter!r}]"
        if isinstance(pair, str) or not hasattr(pair, "__len__") or len(pair) != 2:
            raise BadOption(named, pair, wanted)
        pairs[parameter] = [None if open_ends and end is None else number(named, end, wanted) for end in pair]
    return pairs
