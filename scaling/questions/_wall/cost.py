"""What nearing the end of the text costs: loss against year, and the compute that repeats waste."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.design.allocation import with_unique_tokens
from scaling.laws.base import describe, name_of
from scaling.laws.optimal import optimum
from scaling.show import Interval

UNLIMITED = 1e60
"""Distinct tokens that no training set asks for."""

_KNOTS = 65
_BELOW = 1e-10
"""How far below the smallest budget an equal loss is looked for."""


@dataclass(frozen=True, eq=False)
class Text:
    """Text on offer in each draw: arrays of shape (draws,)."""

    distinct: NDArray[np.float64]
    """Natural logarithm of the distinct tokens at the start, before repeats."""
    growth: NDArray[np.float64]
    """Growth of that logarithm, per year."""
    repeats: NDArray[np.float64]
    """What unlimited repeats are worth, over a single epoch."""

    def of(self, draws: NDArray[np.int64]) -> Text:
        """In these draws."""
        return Text(self.distinct[draws], self.growth[draws], self.repeats[draws])

    def same(self, other: Text) -> bool:
        """Whether every draw has the same text."""
        mine, theirs = ((t.distinct, t.growth, t.repeats) for t in (self, other))
        return all(map(np.array_equal, mine, theirs))


@dataclass(frozen=True, eq=False)
class Cost:
    """Loss and wasted compute of the best model of each year: arrays of shape (years,)."""

    law: str
    years: NDArray[np.float64]
    compute: Interval
    """FLOPs of the largest run."""
    unlimited: Interval
    """Loss if there were always new text, nats/token."""
    loss: dict[str, Interval]
    """Loss with the text there is, nats/token: as things are, under "", and with each intervention."""
    wasted: dict[str, Interval]
    """1 - C'/C, where C' with unlimited text has the same loss as C with the text there is."""

    @property
    def table(self) -> pl.DataFrame:
        """A row per year and intervention, "" for none: median, low and high of the loss and of the wasted share."""
        every = pl.DataFrame({"year": self.years, "loss_unlimited": self.unlimited.median})
        ends = ("", "median"), ("_low", "low"), ("_high", "high")
        return pl.concat(
            every.select(
                pl.lit(name).alias("intervention"), "year",
                *(pl.Series(f"loss{end}", getattr(loss, of)) for end, of in ends), "loss_unlimited",
                *(pl.Series(f"wasted{end}", getattr(self.wasted[name], of)) for end, of in ends),
            )
            for name, loss in self.loss.items()
        )  # fmt: skip

    def at(self, year: float) -> int:
        """Index of the year that is nearest."""
        return int(np.argmin(np.abs(self.years - year)))


def cost(
    law: Callable[..., Any],
    parameters: Mapping[str, NDArray],
    years: NDArray,
    compute: NDArray,
    texts: Mapping[str, Text],
    *,
    level: float = 0.8,
) -> Cost:
    """What the best model of each year loses because text repeats.

        L(t) = min over N of L(N, C/6N, U(t)),   L'(t) the same with U = ∞
        wasted(t) = 1 - C'/C,   where C' is the compute at which L' equals L(t)

    Every model is as large as is best for its compute and the text there is: over-training costs more. In a law with
    R_D, what a draw says of repeats takes its place: R_D = worth of unlimited repeats - 1.

    Args:
        law: of N and D, or of N, D and unique_tokens; of the former, repeats fade as in `with_repeats`.
        parameters: of the law where it has not set them, each of shape (draws,).
        years: from the start on, shape (years,).
        compute: FLOPs of the largest run, shape (draws, years).
        texts: as things are, under "", and under the name of each intervention that changes the text.
        level: of the intervals over draws.
    """
    from scipy.interpolate import CubicSpline

    held = {name: values[:, None] for name, values in parameters.items()}
    repeating = partial(with_unique_tokens(law), **held)
    C = np.geomspace(compute.min() * _BELOW, compute.max(), _KNOTS)
    unlimited = _best(partial(law, **held), np.tile(C, (len(compute) if held else 1, 1)), UNLIMITED)
    inverse = [
        CubicSpline(-losses, np.log(C)) for losses in unlimited
    ]  # ln C as a function of minus the loss
    every = [inverse[i % len(inverse)] for i in range(len(compute))]
    has_R_D = "R_D" in {**describe(repeating).held, **dict.fromkeys(describe(repeating).parameter_names)}
    loss, wasted = {}, {}
    for name, text in texts.items():
        distinct = np.exp(text.distinct[:, None] + text.growth[:, None] * (years - years[0]))
        faded = {"R_D": np.maximum(text.repeats - 1, 1e-3)[:, None]} if has_R_D else {}
        reached = _best(partial(repeating, **faded), compute, distinct)
        equal = np.array(
            [curve(np.maximum(row, curve.x[0])) for curve, row in zip(every, -reached, strict=True)]
        )
        loss[name] = Interval.over(reached, level)
        wasted[name] = Interval.over(np.maximum(1 - np.exp(equal) / compute, 0), level)
    ideal = _best(partial(law, **held), compute, UNLIMITED)
    return Cost(
        law=name_of(law),
        years=years,
        compute=Interval.over(compute, level),
        unlimited=Interval.over(ideal, level),
        loss=loss,
        wasted=wasted,
    )


def _best(law: Callable[..., Any], C: NDArray, distinct: Any) -> NDArray:
    reads = "unique_tokens" in describe(law).column_names
    return optimum(law, C, **({"unique_tokens": distinct} if reads else {})).loss
