"""Whether the runs can tell a law's parameters apart, and what they leave to be taken on trust."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling.errors import FitError
from scaling.fitting.data import Array, Data, TooFewScales, numbers_of, scales
from scaling.laws.base import Argument, Law


class TooFewRuns(FitError):
    """No more runs than free parameters: the law goes through every one, and nothing says how sure it is."""

    law: str
    free: tuple[str, ...]
    given: int

    def __str__(self) -> str:
        return (
            f"{self.law} has {len(self.free)} free parameters ({', '.join(self.free)}) and needs more runs than that, "
            f"but got {self.given} runs. Train more, or hold parameters still, e.g. fit(..., fixed={{{self.free[0]!r}: "
            "1.69})."
        )


class CollinearPredictors(FitError):
    """Predictors that move together, so that their effects cannot be told apart."""

    law: str
    columns: tuple[str, ...]
    spread: float

    def __str__(self) -> str:
        names = " and ".join(self.columns)
        return (
            f"{self.law} tells {names} apart, but in these runs one follows from the other to within {self.spread:.2g} "
            "% (a power law between them). Add runs off that line, or hold a parameter still, e.g. fit(..., "
            "fixed={...})."
        )


_COLLINEAR = 1.0  # percent that one predictor must stray from a power of the others


def spare_runs(data: Data, free: int) -> int:
    """By how many the runs outnumber the free parameters; a row that is given twice counts once."""
    read = np.stack([*data.columns.values(), data.target], axis=1)
    return len(np.unique(read[data.weights > 0], axis=0)) - free


def require_enough(
    law: Law, data: Data, free: tuple[str, ...], *, fixed: Mapping[str, float], priors: Mapping[str, Any]
) -> None:
    """Refuse runs that cannot tell the law's parameters apart.

    Args:
        law: to be fitted.
        data: what it reads.
        free: parameters that are fitted.
        fixed: parameters held still; each makes up for one scale of the columns that it goes with.
        priors: of free parameters; each counts as a run, and otherwise as if it held its parameter still.

    Raises:
        TooFewRuns, TooFewScales, CollinearPredictors.
    """
    spare = spare_runs(data, len(free))
    if spare + len(priors) <= 0:
        raise TooFewRuns(law.name, free, spare + len(free))
    for gap in _gaps(law, data, fixed, priors):
        if gap.error:
            raise gap.error


@dataclass(frozen=True)
class _Gap:
    """Something that the runs alone cannot tell apart."""

    words: str
    error: FitError | None
    """None where parameters that are held still make up for it."""


def _gaps(law: Law, data: Data, fixed: Mapping[str, float], priors: Mapping[str, Any]) -> Iterator[_Gap]:
    held = law.held | dict(fixed) | {name: mean for name, (mean, _) in priors.items()}
    extent = {name: data.columns[name] for name in scales(law, data)}
    goes_with = _goes_with(law, data, held, tuple(extent))
    every = len({*law.parameter_names, *held})
    needed = min(3, every)
    for name, values in extent.items():
        found = tuple(np.unique(values).tolist())
        helping = [p for p, columns in goes_with.items() if name in columns or not columns]
        least = max(1, needed - len(helping))
        if len(found) < needed:
            words = f"{law.name} needs {needed} scales of {name}, and the runs have {len(found)}: the rest of what it "
            words += f"says along {name} is held ({', '.join(helping)})"
            yield _Gap(words, TooFewScales(law.name, name, found, least) if len(found) < least else None)
    logs = {name: np.log(values) for name, values in extent.items()}
    for name, values in logs.items() if 2 <= len(extent) < every else ():
        others = [np.ones_like(values)] + [v for other, v in logs.items() if other != name]
        design = np.stack(others, axis=1)
        fitted, *_ = np.linalg.lstsq(design, values, rcond=None)
        strays = 100.0 * float(np.std(values - design @ fitted))
        if strays < _COLLINEAR:
            helping = [p for p, columns in goes_with.items() if columns]
            together = (name, *(other for other in logs if other != name))
            words = (
                f"{' and '.join(together)} follow from each other in these runs to within {strays:.2g} %: "
            )
            words += f"{law.name} tells them apart only by what is held ({', '.join(helping)})"
            yield _Gap(words, None if helping else CollinearPredictors(law.name, together, strays))
            return


def _goes_with(
    law: Law, data: Data, held: Mapping[str, float], names: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """The scales that each held parameter's effect depends on: N for A and alpha of A/N^alpha, none for a floor."""
    point = {p.name: _typical(p) for p in law.parameters} | dict(held)
    found = {}
    for parameter, value in held.items():
        moved = point | {parameter: value + 0.01 * max(abs(value), 0.1)}

        def effect(columns: Mapping[str, Array], moved: dict[str, float] = moved) -> Array:
            with np.errstate(all="ignore"):
                return np.asarray(law(*columns.values(), **moved) - law(*columns.values(), **point), float)

        try:
            here = effect(data.columns)
            apart = {
                c: effect(data.columns | {c: np.full(data.rows, np.median(data.columns[c]))}) for c in names
            }
        except (TypeError, ValueError, IndexError, AttributeError, ArithmeticError):
            found[parameter] = names  # the law itself is at fault, and the fit will say so
            continue
        if not np.isfinite(here).all():
            found[parameter] = names
            continue
        size = 1e-6 * float(np.max(np.abs(here)))
        found[parameter] = tuple(c for c in names if np.any(np.abs(apart[c] - here) > size))
    return found


def _typical(parameter: Argument) -> float:
    """A value to look at the law with."""
    if parameter.default is not None:
        return parameter.default
    low, high = parameter.quantity.start or (0.5, 0.5)
    return float(np.sqrt(low * high)) if low > 0 else 0.25 * low + 0.75 * high


def caveats(law: Law, data: Data, fixed: Mapping[str, float], priors: Mapping[str, Any]) -> tuple[str, ...]:
    """What is known of the runs and the law does not see, and what they alone do not tell; printed with the fit."""
    found = [gap.words for gap in _gaps(law, data, fixed, priors)]
    if "D" in data.columns and "unique_tokens" in data.frame.columns and "unique_tokens" not in data.columns:
        repeated = int((data.columns["D"] > 1.01 * numbers_of(data.frame, "unique_tokens")).sum())
        if repeated:
            found.append(
                f"{repeated} of the runs repeat data, which {law.name} takes for new: "
                f'keep "epochs = 1", or fit with_repeats({law.name})'
            )
    if "corpus_hash" in data.frame.columns and (corpora := data.frame["corpus_hash"].n_unique()) > 1:
        found.append(f"the runs come from {corpora} corpora, whose losses differ: keep one corpus_hash")
    return tuple(found)
