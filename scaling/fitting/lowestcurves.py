"""The best size at each compute, read off the lower envelope of learning curves, and how it grows: approach 1.

Of all models that were trained past a compute, the one with the lowest loss there has the best size and data. With many
sizes close together the luckiest curve is the lowest, not the best size: simulated curves that differ by .3 % from seed
to seed had a .013 too low.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling import show
from scaling.arguments import checked, share, whole
from scaling.errors import FitError, require_columns, require_kind
from scaling.fitting.data import Array, Table, TooFewScales, as_frame, counts_of
from scaling.fitting.isoflops import line_through
from scaling.fitting.words import ENOUGH
from scaling.units import print_count

_GRID = 1500  # budgets at which the lowest curve is sought, as in the paper
_POINTS = 5  # of a curve, below which it is none
_STEPS = 3  # sizes that are the best somewhere and neither the smallest nor the largest: the least that make a slope
_FAILED = 0.1  # share of draws without a slope beyond which there is no interval


class NoCurves(FitError):
    """Rows that are no learning curves."""

    rows: int
    curves: int
    longest: int

    def __str__(self) -> str:
        return (
            f"approach 1 reads two learning curves or more, of {_POINTS} points each, but the {self.rows} rows make "
            f"{self.curves} curves of {self.longest} points at most. Give the evaluations of each run, or use isoflop "
            "on final losses."
        )


@dataclass(frozen=True, eq=False, repr=False)
class Envelope(show.Shown):
    """How the best size and the best data grow with compute: N = G C^a and D = H C^b."""

    table: pl.DataFrame
    """One row per size that is the best somewhere: N, C_from and C_to, and D and loss midway."""
    exponent: show.Interval
    """a; its low and high are NaN without 20 draws, or where one in ten has no slope."""
    tokens_exponent: show.Interval
    """b."""
    coefficient: float
    """G."""
    tokens_coefficient: float
    """H."""
    curves: int
    draws: Array
    """Of a, shape (draws,): the curves drawn with replacement; NaN where too few sizes are left for a slope."""

    def shown(self) -> Iterator[show.Table | str]:
        rows = [
            [print_count(N, 3), f"{_flops(low)} to {_flops(high)}", f"{D / N:.3g}", f"{loss:.3f}"]
            for N, low, high, D, loss in self.table.iter_rows()
        ]
        a, b = (f"{one.median:.3f}" for one in (self.exponent, self.tokens_exponent))
        caption = (
            f"N = G C^a with a = {a}, D = H C^b with b = {b}: the envelope of {self.curves} learning curves"
        )
        yield show.Table(["best N", "between C, FLOPs", "tokens per parameter", "loss"], rows, caption)
        if not math.isnan(self.exponent.low):
            a, b = (show.interval(x.low, x.high, x.level) for x in (self.exponent, self.tokens_exponent))
            yield f"a {a}, b {b}, from {len(self.draws)} bootstrap draws over curves"
        else:
            yield "no interval: too few bootstrap draws, or too few sizes left in them"


def _flops(C: float) -> str:
    return f"{C:.1e}".replace("e+", "e")


@checked
def envelope(
    curves: Table, *, curve: str = "auto", bootstrap: int = 1000, seed: int = 0, level: float = 0.95
) -> Envelope:
    """How the best size and data grow with compute, from learning curves.

        N*(C) = N of the curve that is lowest at C,    ln N* = a ln C + ln G,    ln D* = b ln C + ln H

    at 1,500 budgets, evenly spaced in ln C, by least squares. Curves are interpolated in ln C and ln loss. Budgets at
    which the smallest or the largest model is the lowest count nothing: the best size may lie beyond. A loss in the
    middle of a schedule is higher than one annealed there; all curves should be at a constant rate, or decay to
    budgets alike.

    Args:
        curves: one row per evaluation: columns N, D, C and loss.
        curve: column that says which rows are one curve; "auto": run_id, else trunk_id, else N.
        bootstrap: draws of curves with replacement; fewer than 20 make no interval.
        seed: of the draws.
        level: of the intervals.

    Raises:
        MissingColumns: a column is not there.
        BadPredictor: N, D, C or a loss that is not finite and above zero.
        NoCurves: fewer than two curves of five points.
        TooFewScales: fewer than three sizes are the best somewhere, the smallest and the largest aside.
        BadOption: a level outside (0, 1), or no number of draws.

    Source:
        Hoffmann et al. 2022, arXiv:2203.15556, section 3.1.
    """
    level = share("level", level, "0.95")
    bootstrap = whole("bootstrap", bootstrap, "a whole number, 0 to skip it")
    lines = _Lines.of(as_frame(curves, "curves"), curve)
    every = np.arange(len(lines.N))
    best = lines.lowest(every)
    sizes = tuple(np.unique(lines.N[best[best >= 0]]).tolist())
    if len(sizes) < _STEPS:
        hint = ", or longer curves; the smallest and the largest size count nothing"
        raise TooFewScales("approach 1", "N that are the best somewhere", sizes, _STEPS, hint)
    a, G, b, H = lines.powers(best)
    rng = np.random.default_rng(seed)
    drawn = [lines.powers(lines.lowest(rng.choice(every, len(every)))) for _ in range(bootstrap)]
    draws = np.array(drawn).reshape(-1, 4)
    return Envelope(
        table=lines.steps(best), exponent=_interval(a, draws[:, 0], level),
        tokens_exponent=_interval(b, draws[:, 2], level), coefficient=math.exp(G), tokens_coefficient=math.exp(H),
        curves=len(every), draws=draws[:, 0],
    )  # fmt: skip


def _interval(value: float, draws: Array, level: float) -> show.Interval:
    known = draws[np.isfinite(draws)]
    if len(known) < max(ENOUGH, (1.0 - _FAILED) * len(draws)):
        return show.Interval(value, math.nan, math.nan, level)
    _, low, high = (value, *np.quantile(known, show.tails(level)[::2]))
    return show.Interval(value, float(low), float(high), level)


@dataclass(frozen=True, eq=False)
class _Lines:
    """Learning curves on one grid of compute."""

    ln_C: Array
    N: Array
    """Of each curve."""
    ln_loss: Array
    """Shape (curves, grid); infinite where a curve does not reach."""
    ln_D: Array

    @staticmethod
    def of(frame: pl.DataFrame, curve: str) -> _Lines:
        require_kind("curve", curve, str, "'auto' or the name of a column")
        columns = ["N", "D", "C", "loss"] + ([] if curve == "auto" else [curve])
        require_columns(columns, frame.columns, "Learning curves need N, D, C and loss.")
        N, D, C, loss = (counts_of(frame, name) for name in ("N", "D", "C", "loss"))
        names = ["run_id", "trunk_id", "N"] if curve == "auto" else [curve]
        label = frame[next(name for name in names if name in frame.columns)].rank("dense").to_numpy()
        members = [np.flatnonzero(label == one) for one in np.unique(label)]
        members = [m[np.argsort(C[m], kind="stable")] for m in members]
        long = [m for m in members if len(np.unique(C[m])) >= _POINTS]
        if len(long) < 2:
            raise NoCurves(len(frame), len(members), max(len(np.unique(C[m])) for m in members))
        ends = np.log([min(C[m].min() for m in long), max(C[m].max() for m in long)])
        grid = np.linspace(ends[0], ends[1], _GRID)
        return _Lines(
            grid,
            np.array([np.median(N[m]) for m in long]),
            np.array([_between(grid, C[m], loss[m], np.inf) for m in long]),
            np.array([_between(grid, C[m], D[m], np.nan) for m in long]),
        )

    def lowest(self, drawn: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which of these curves is the lowest at each budget; -1 where it is the smallest or the largest, or none."""
        drawn = np.unique(drawn)
        best = drawn[np.argmin(self.ln_loss[drawn], axis=0)]
        inner = np.isfinite(self.ln_loss[best, np.arange(_GRID)])
        inner &= (self.N[best] > self.N[drawn].min()) & (self.N[best] < self.N[drawn].max())
        return np.where(inner, best, -1)

    def powers(self, best: NDArray[np.int64]) -> tuple[float, float, float, float]:
        """a, ln G, b and ln H; NaN of a single size."""
        at = np.flatnonzero(best >= 0)
        if len(np.unique(self.N[best[at]])) < 2:
            return math.nan, math.nan, math.nan, math.nan
        a, G, _ = line_through(self.ln_C[at], np.log(self.N[best[at]]))
        b, H, _ = line_through(self.ln_C[at], self.ln_D[best[at], at])
        return float(a), float(G), float(b), float(H)

    def steps(self, best: NDArray[np.int64]) -> pl.DataFrame:
        rows = []
        for N in np.unique(self.N[best[best >= 0]]):
            at = np.flatnonzero((best >= 0) & (self.N[best] == N))
            middle = at[len(at) // 2]
            ends = np.exp(self.ln_C[at[[0, -1]]])
            there = np.exp([self.ln_D[best[middle], middle], self.ln_loss[best[middle], middle]])
            rows.append((N, *ends, *there))
        return pl.DataFrame(rows, schema=["N", "C_from", "C_to", "D", "loss"], orient="row")


def _between(ln_C: Array, C: Array, values: Array, outside: float) -> Array:
    """ln of a curve at budgets, straight between its points."""
    return np.interp(ln_C, np.log(C), np.log(values), left=outside, right=outside)
