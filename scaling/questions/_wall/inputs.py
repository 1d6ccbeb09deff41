"""What a forecast assumes: named distributions, each with a source and a date."""

from __future__ import annotations

import dataclasses
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from scaling import show
from scaling.errors import ScenarioError, did_you_mean
from scaling.fitting import Fit
from scaling.fitting.words import ENOUGH
from scaling.questions._wall.roles import GROWTH, NEEDED, ROLES, Demand, allowed, as_factor
from scaling.verdict import hash_of


class MissingInput(ScenarioError):
    """A number without which the forecast cannot be made."""

    scenario: str
    missing: list[str]
    meanings: dict[str, str]

    def __str__(self) -> str:
        listed = "; ".join(f"{name}: {self.meanings[name]}" for name in self.missing)
        return (
            f"scenario {self.scenario} was asked for a wall, but it lacks {listed}. Add [inputs.{self.missing[0]}] to "
            "the file."
        )


class UnknownInput(ScenarioError):
    """A name that no input of a forecast has."""

    given: str
    known: tuple[str, ...]
    where: str = "the scenario"

    def __str__(self) -> str:
        return (
            f"{self.where} has {self.given!r}, which is not known. {did_you_mean(self.given, self.known)}Known: "
            f"{', '.join(self.known)}."
        )


class UnknownDistribution(ScenarioError):
    """A distribution that cannot be drawn from."""

    name: str
    given: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.name} was asked to be {self.given!r}, which is not a known distribution. "
            f"{did_you_mean(self.given, self.known)}Known: {', '.join(self.known)}."
        )


class LowAboveHigh(ScenarioError):
    """An interval whose low end is above its high end."""

    name: str
    low: float
    high: float

    def __str__(self) -> str:
        return (
            f"{self.name} was given the interval [{self.low:g}, {self.high:g}], whose low end is above its high end. "
            "Exchange them."
        )


class NegativeGrowth(ScenarioError):
    """A growth that shrinks."""

    name: str
    low: float
    unit: str

    def __str__(self) -> str:
        least = "0" if self.unit.startswith("percent") else "1"
        return (
            f"{self.name} was asked to grow by {self.low:g} {self.unit}, which is negative growth. Give {least} or "
            "more."
        )


class WrongUnit(ScenarioError):
    """A unit in which an input cannot be given."""

    name: str
    given: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} was given in {self.given!r}, but it is counted in {' or '.join(self.known)}. Convert it."


class InputOutOfRange(ScenarioError):
    """A number that its input cannot be."""

    name: str
    given: float
    unit: str
    wanted: str

    def __str__(self) -> str:
        return (
            f"{self.name} was given as {self.given:g} {self.unit}, but it must be {self.wanted}. "
            "Change it in the file."
        )


class BadInput(ScenarioError):
    """A key of a scenario that is missing or cannot be meant."""

    name: str
    key: str
    given: object
    wanted: str

    def __str__(self) -> str:
        said = (
            f"lacks {self.key}, which" if self.given is None else f"has {self.key} = {self.given!r}, but it"
        )
        return f"{self.name} {said} must be {self.wanted}. Change it in the file."


SHAPES: dict[str, tuple[str, ...]] = {
    "lognormal": ("low", "high", "level"),
    "normal": ("low", "high", "level"),
    "loguniform": ("low", "high"),
    "uniform": ("low", "high"),
    "constant": ("value",),
    "draws": ("values",),
    "fit": ("fit", "parameter"),
}
"""Distributions, and what each is given by."""

_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")


@dataclass(frozen=True, kw_only=True)
class Input:
    """A number as a distribution, and where it is from.

    Args:
        distribution: "lognormal", "normal", "loguniform", "uniform", "constant", or "draws" of a posterior.
        unit: of low, high, value and values; `ROLES` says which an input may have.
        source, date: where the number is from, and of when: "2024", "2024-06" or "2024-06-01".
        low, high: ends of the interval; of the whole range for "uniform" and "loguniform".
        level: share of the draws within the interval of a "lognormal" or "normal".
        value: of a "constant".
        values: of "draws".
        subtracted_from: where given, the number is this less what the distribution says.
    """

    distribution: str
    unit: str
    source: str
    date: str
    low: float = math.nan
    high: float = math.nan
    level: float = math.nan
    value: float = math.nan
    values: tuple[float, ...] = ()
    subtracted_from: float | None = None
    stream: str = ""
    """Inputs with the same stream are drawn together; empty for one of its own. Set for parameters of one fit."""

    @staticmethod
    def of_fit(fit: Fit, parameter: str, *, unit: str, date: str, source: str = "") -> Input:
        """The bootstrap draws of a fitted parameter; parameters of one fit are drawn together.

        Raises:
            BadInput: the fit has no such parameter, or fewer than 20 bootstrap draws.
        """
        values = fit.draws.get(parameter)
        if values is None:
            raise BadInput(parameter, "parameter", parameter, f"one of {', '.join(fit.draws)}")
        if not fit.drawn:
            wanted = f"{ENOUGH} or more: fit with a bootstrap, e.g. bootstrap=1000"
            raise BadInput(parameter, "draws", len(values), wanted)
        return Input(
            distribution="draws",
            unit=unit,
            source=source or f"{fit.name} fitted to {fit.rows} runs",
            date=date,
            values=tuple(map(float, values)),
            stream=fit.data_hash,
        )

    @property
    def drawn(self) -> tuple[float, ...]:
        """All numbers that it may be, where it is "constant" or of "draws"; in their order, which fits share."""
        return {"constant": (self.value,), "draws": self.values}.get(self.distribution, ())

    @property
    def ends(self) -> tuple[float, float]:
        """Low and high end in the unit of the file, after subtraction."""
        low, high = (min(self.drawn), max(self.drawn)) if self.drawn else (self.low, self.high)
        less = self.subtracted_from
        return (low, high) if less is None else (less - high, less - low)

    def __str__(self) -> str:
        level = "" if math.isnan(self.level) else f"{100 * self.level:g} % "
        words = f"{self.distribution}, {level}[{self.low:g}, {self.high:g}]"
        if self.drawn:
            several = f"{len(self.drawn)} draws, median {float(np.median(self.drawn)):.3g}"
            words = several if self.distribution == "draws" else f"{self.value:g}"
        return words if self.subtracted_from is None else f"{self.subtracted_from:g} less {words}"

    def quantiles(self, share: NDArray) -> NDArray:
        """The number below which these shares of it lie; shares in (0, 1), of any shape."""
        from scipy.special import ndtri

        if self.drawn:
            drawn = np.array(self.drawn)
            values = drawn[np.minimum((share * len(drawn)).astype(int), len(drawn) - 1)]
        else:
            logs = self.distribution.startswith("log")
            low, high = np.log([self.low, self.high]) if logs else (self.low, self.high)
            if self.distribution.endswith("uniform"):
                values = low + (high - low) * share
            else:
                half = (high - low) / 2 / ndtri(0.5 + self.level / 2)
                values = (low + high) / 2 + half * ndtri(share)
            values = np.exp(values) if logs else values
        return values if self.subtracted_from is None else self.subtracted_from - values


@dataclass(frozen=True)
class Intervention:
    """What would move the wall: one input replaced by another."""

    input: str
    instead: Input


@dataclass(frozen=True, repr=False, kw_only=True)
class Inputs(show.Shown):
    """All that a forecast assumes.

    Raises:
        MissingInput: a number that the demand needs is not there.
        UnknownInput: a name that no input has.
        UnknownDistribution, BadInput, LowAboveHigh, InputOutOfRange, NegativeGrowth, WrongUnit: a number that cannot
            be meant.
    """

    name: str
    start: float
    """Year to which the stock, the largest training set and the largest run belong."""
    horizon: float = 2100.0
    """Year beyond which a wall counts as none."""
    demand: Demand = "historical"
    inputs: Mapping[str, Input]
    interventions: Mapping[str, Intervention] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.demand not in get_args(Demand):
            raise BadInput("the scenario", "demand", self.demand, " or ".join(map(repr, get_args(Demand))))
        if not (math.isfinite(self.start) and self.start < self.horizon < math.inf):
            raise BadInput("the scenario", "horizon", self.horizon, f"a year after the start, {self.start:g}")
        for name, given in self.inputs.items():
            check(name, given)
        for name, one in self.interventions.items():
            check(one.input, one.instead, where=f"intervention {name!r}: ")
        stock = ("stock",) if "stock" in self.inputs else ("pages", "bytes_per_page", "bytes_per_token")
        every = [*self.inputs.values(), *(one.instead for one in self.interventions.values())]
        words = ("tokens_per_word",) if any(given.unit == "words" for given in every) else ()
        asked = (*stock, "quality", *sorted(NEEDED[self.demand]), "compute", "compute_growth", *words)
        if missing := [name for name in asked if name not in self.inputs]:
            raise MissingInput(self.name, missing, {name: ROLES[name].meaning for name in missing})

    def but(self, demand: Demand | None = None, /, **inputs: Input) -> Inputs:
        """The same with the demand or some inputs replaced: `given.but("law", repeats=Input.of_fit(…))`."""
        return dataclasses.replace(self, demand=demand or self.demand, inputs={**self.inputs, **inputs})

    def plus(self, interventions: Mapping[str, Intervention]) -> Inputs:
        """The same with more interventions: `given.plus(synthetic(runs, measured).interventions("2026-11"))`."""
        return dataclasses.replace(self, interventions={**self.interventions, **interventions})

    def shown(self) -> tuple[show.Table]:
        """Every input and intervention with its source."""
        header = ["input", "distribution", "unit", "source", "date"]
        named = [*self.inputs.items(), *((name, one.instead) for name, one in self.interventions.items())]
        rows = [[name, str(i), i.unit, i.source, i.date] for name, i in named]
        return (show.Table(header, rows, f"{self.name}, demand {self.demand}, from {self.start:g}"),)

    @property
    def hash(self) -> str:
        """The same for the same assumptions."""
        return hash_of(dataclasses.asdict(self))

    def draw(self, name: str, draws: int, seed: int, instead: Input | None = None) -> tuple[NDArray, int]:
        """Draws of an input as its role counts it: tokens, factors, factors per year; and how many were replaced.

        A draw that the role does not allow, such as a token of no bytes, is replaced by another and counted. An input
        has a stream of random numbers of its own, so that changing one leaves the others as they were; the words of
        what is given in words are converted with `tokens_per_word`.

        Args:
            name: of `ROLES`; one that the file leaves out has its default, one number in place of draws.
            draws: how many.
            seed: of all streams.
            instead: what to draw from in place of what the file says, by the same random numbers.

        Returns:
            Array of shape (draws,), or () for a default; how many draws were replaced.
        """
        given, role = instead or self.inputs.get(name), ROLES[name]
        if given is None:
            return np.array(math.nan if role.default is None else role.default), 0
        generator = np.random.default_rng([seed, zlib.crc32((given.stream or name).encode())])
        values, replaced = given.quantiles(generator.random(draws)), 0
        while len(wrong := np.flatnonzero(~allowed(as_factor(given.unit, values), role))):
            replaced += len(wrong)
            values[wrong] = given.quantiles(generator.random(len(wrong)))
        values = as_factor(given.unit, values)
        if given.unit == "words":
            per_word, more = self.draw("tokens_per_word", draws, seed)
            return values * per_word, replaced + more
        return values, replaced


def check(name: str, given: Input, where: str = "") -> None:
    """Whether an input can be meant; `where` goes before its name in the words of an error.

    Raises:
        UnknownInput, UnknownDistribution, BadInput, LowAboveHigh, InputOutOfRange, NegativeGrowth, WrongUnit.
    """
    if name not in ROLES:
        raise UnknownInput(name, tuple(ROLES))
    role, said = ROLES[name], where + name
    if given.distribution not in SHAPES:
        raise UnknownDistribution(said, given.distribution, tuple(SHAPES))
    if given.unit not in role.units:
        raise WrongUnit(said, given.unit, role.units)
    if not given.source.strip():
        raise BadInput(said, "source", given.source, "where the number is from")
    if not _DATE.fullmatch(given.date):
        raise BadInput(said, "date", given.date, 'of when the number is, e.g. "2024-06"')
    if given.distribution == "draws" and not given.values:
        raise BadInput(said, "values", [], "one number or more")
    low, high = given.ends
    if not (math.isfinite(low) and math.isfinite(high)) and role.default != low:
        raise BadInput(said, "its interval", [low, high], "finite")
    if low > high:
        raise LowAboveHigh(said, given.low, given.high)
    if given.distribution in ("lognormal", "normal") and not 0 < given.level < 1:
        raise BadInput(said, "level", given.level, "the share of the draws in the interval, e.g. 0.9")
    if given.distribution.startswith("log") and not given.low > 0:
        raise InputOutOfRange(said, given.low, given.unit, "above 0, as any interval of a logarithm")
    if role.units == GROWTH and not float(as_factor(given.unit, low)) >= 1:
        raise NegativeGrowth(said, low, given.unit)
    for end in (low, high):
        if not allowed(as_factor(given.unit, end), role):
            lowest = f"{'at least' if role.closed else 'above'} {role.low:g}"
            wanted = lowest if role.high == math.inf else f"{lowest} and at most {role.high:g}"
            raise InputOutOfRange(said, end, given.unit, wanted)
