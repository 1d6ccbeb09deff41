"""What families of runs that were fitted together come to: each of them, the middle of all, and how far they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from scaling import show
from scaling.arguments import share
from scaling.errors import BadOption, FitError, did_you_mean
from scaling.fitting.data import Array
from scaling.fitting.discrepancy import Discrepancy
from scaling.fitting.distance import distance_of
from scaling.fitting.prediction import Prediction
from scaling.fitting.result import points_of
from scaling.laws.base import describe

FEWEST = 3
"""Families below which nothing is known of another."""
_AT_ZERO = 1.1  # how much longer than the shortest an interval of τ may be to begin at zero


class NoOtherFamily(FitError):
    """A prediction for a new family where too few are known."""

    families: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"a prediction for a new family needs {FEWEST} families to see how they differ, but there are "
            f"{len(self.families)} ({', '.join(self.families)}). Name one of them with family=, or add runs of the new "
            "one to the table: a few are enough."
        )


@dataclass(frozen=True, eq=False, repr=False)
class Pooled(show.Shown):
    """A law fitted to families of runs together."""

    law: Callable[..., Any]
    name: str
    by: str
    """The column that tells families apart."""
    families: tuple[str, ...]
    pooled: tuple[str, ...]
    """Parameters that differ between families by a spread that is fitted too."""
    shared: tuple[str, ...]
    """Parameters with one value in all families."""
    table: pl.DataFrame
    """One row per family and parameter: family, runs, parameter, alone (the family fitted by itself, null where it has
    too few runs), value, low, high, from_others (the share of the pooled value that other families decide; null for
    other parameters)."""
    means: dict[str, show.Interval]
    """Of each pooled parameter the middle of all families: the mean, of scales the geometric one."""
    spread_draws: dict[str, Array]
    """Of each pooled parameter draws of the standard deviation between families, of scales that of the logarithm."""
    draws: dict[str, Array]
    """Of every parameter, shape (draws, families)."""
    new: dict[str, Array]
    """Draws of a family that was not seen, shape (draws,); empty of fewer than three families."""
    noise: Array
    """Scatter of single runs in each family and, last, in a new one, shape (draws, families + 1): of ln y, or of y."""
    freedom: Array
    """Degrees of freedom of its t distribution, shape (draws,)."""
    discrepancy: dict[str, Discrepancy]
    """Of each family the model discrepancy beyond its runs, from backtests with the parameters of the others as priors;
    of no family for a law that reads no scale."""
    ranges: dict[str, dict[str, tuple[float, float]]]
    """Smallest and largest value of each column in each family."""
    log: bool
    """Whether the law was fitted to the logarithm of the target."""
    level: float
    drift: float
    """By how much any mean or spread differs between the halves of the draws in time, in standard deviations."""
    notes: tuple[str, ...]
    seed: int

    def spread(self, parameter: str, level: float | None = None) -> show.Interval:
        """How far families differ in a pooled parameter: the median and the shortest interval, from zero where no
        spread at all would do.

        Raises:
            BadOption: no such pooled parameter, or a level outside (0, 1).
        """
        if parameter not in self.pooled:
            raise BadOption("parameter", parameter, f"one of {', '.join(self.pooled)}")
        level = self.level if level is None else share("level", level, "0.95")
        return _from_zero(self.spread_draws[parameter], level)

    def params(self, family: str) -> dict[str, float]:
        """Medians of the parameters of one family.

        Raises:
            BadOption: no such family.
        """
        at = self._place(family)
        return {p: float(np.median(values[:, at])) for p, values in self.draws.items()}

    def predict(
        self, family: str | None = None, *, level: float = 0.8, new_run: bool = False, discrepancy: bool = True,
        **columns: ArrayLike,
    ) -> Prediction:  # fmt: skip
        """Losses of one family, or of a family that was not seen, at columns of your choice.

        A family that was not seen has its pooled parameters from the distribution of families; its others are drawn
        as the families differ in them, by a t distribution with a degree of freedom less than there are families. How
        far the law itself may miss there is not known, and left out.

        Args:
            family: as the table names it; None for one that was not seen.
            level: share of the two-sided interval.
            new_run: add the scatter of single runs.
            discrepancy: allow for model discrepancy beyond the runs of the family, as `Fit.predict`.
            **columns: what the law reads, e.g. N=70e9, D=1.4e12.

        Raises:
            MissingColumns, BadOption: as `Fit.predict`, or no such family.
            NoOtherFamily: a new family, and fewer than three are known.
        """
        tails = show.tails(share("level", level, "0.8"))
        points, shape = points_of(describe(self.law), columns)
        at = -1 if family is None else self._place(family)
        if family is None and not self.new:
            raise NoOtherFamily(self.families)
        draws = self.new if family is None else {p: values[:, at] for p, values in self.draws.items()}
        count = len(self.freedom)
        with np.errstate(all="ignore"):
            values = self.law(*points.values(), **{p: v[:, None] for p, v in draws.items()})
        values = np.broadcast_to(values, (count, int(np.prod(shape))))
        known = self.discrepancy.get(family) if family is not None else None
        beyond = bool(discrepancy and known and np.any(known.support.distance(points) > 0))
        if known and beyond:
            values = known.move(values, known.draws(count, self.seed), points)
        if new_run:
            rng = np.random.default_rng([self.seed, 1])
            off = self.noise[:, at, None] * rng.standard_t(self.freedom[:, None], values.shape)
            values = values * np.exp(off) if self.log else values + off
        low, median, high = np.quantile(values, tails, axis=0).reshape(3, *shape)
        return Prediction(
            median, low, high, level, "new run" if new_run else "mean", beyond,
            notes=() if beyond else self._beyond(family, points),
            distance=distance_of(known, points, shape) if known else None,
        )  # fmt: skip

    def _place(self, family: str) -> int:
        if family not in self.families:
            wanted = f"one of {', '.join(self.families)}. {did_you_mean(family, self.families)}".strip()
            raise BadOption("family", family, wanted)
        return self.families.index(family)

    def _beyond(self, family: str | None, points: Mapping[str, Array]) -> tuple[str, ...]:
        """That points lie beyond the runs of the family, or of all."""
        known = list(self.ranges.values()) if family is None else [self.ranges[family]]
        outside = [
            c
            for c, values in points.items()
            if values.size
            and (values.min() < min(r[c][0] for r in known) or values.max() > max(r[c][1] for r in known))
        ]
        whose = "all families'" if family is None else f"{family}'s"
        words = (
            f"beyond {whose} runs in {' and '.join(outside)}: the form of {self.name} is taken for true there"
        )
        return (words,) if outside else ()

    def shown(self) -> Iterator[str | show.Table]:
        runs = int(self.table.unique("family")["runs"].sum())
        caption = f"{self.name} fitted to {len(self.families)} families of {self.by} together, {runs} runs"
        level = f"{100 * self.level:.3g} %"
        rows = [
            [p, _number(m.median, m), _ends(m), _number(s.median, s), _ends(s)]
            for p, m, s in ((p, m, self.spread(p)) for p, m in self.means.items())
        ]
        header = ["parameter", "all families", level, "spread between them", level]
        yield show.Table(header, rows, caption)
        header = ["family", "runs", "parameter", "alone", "together", level, "from the others, %"]
        yield show.Table(header, list(self._rows()))
        if self.shared:
            yield f"{', '.join(self.shared)}: one value in all families"
        yield from self.notes

    def _rows(self) -> Iterator[list[str]]:
        last = ""
        for family, runs, p, alone, value, low, high, others in self.table.iter_rows():
            if p not in self.pooled:
                continue
            one = show.Interval(value, low, high, self.level)
            first = ["", ""] if family == last else [family, str(runs)]
            own = "–" if alone is None else _number(alone, one)
            yield [*first, p, own, _number(value, one), _ends(one), f"{100 * others:.0f}"]
            last = family


def _number(value: float, within: show.Interval) -> str:
    return show.rounded(value, (within.high - within.low) / 4.0)


def _ends(within: show.Interval) -> str:
    return show.interval(within.low, within.high, within.level).partition("% ")[2]


def _from_zero(draws: Array, level: float) -> show.Interval:
    """Median and shortest interval; from zero where that is hardly longer."""
    ordered = np.sort(draws)
    inside = int(np.ceil(level * len(ordered)))
    lengths = ordered[inside - 1 :] - ordered[: len(ordered) - inside + 1]
    first = int(np.argmin(lengths))
    if ordered[inside - 1] <= _AT_ZERO * lengths[first]:
        return show.Interval(float(np.median(draws)), 0.0, float(ordered[inside - 1]), level)
    return show.Interval(
        float(np.median(draws)), float(ordered[first]), float(ordered[first + inside - 1]), level
    )
