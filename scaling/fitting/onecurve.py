"""Whether a table holds one curve that falls or stands still, which is what `extrapolate` is for."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl

from scaling.errors import FitError
from scaling.fitting.data import Array, numbers_of

_STRAYS = 7.0  # standard errors that the end of a curve lies above its lowest part before it is said to have turned up
_LEAST_RISE = 1e-3  # of the loss; less is nothing to warn of
_LONGEST_END = 0.25  # share of the curve that may be its end
_GAP, _WIDE_GAP = (
    100.0,
    1e5,
)  # between neighbouring values of a predictor: suspect, and never met within one unit
_OTHERS = {"N": ("D",), "C": ("N", "D")}  # what may vary along a curve of this predictor; along the rest N


class SeveralCurves(FitError):
    """A table with several curves where one was to be carried on."""

    predictor: str
    column: str
    values: tuple[float, ...]

    def __str__(self) -> str:
        first = ", ".join(f"{value:g}" for value in self.values[:5])
        return (
            f"an extrapolation carries on one curve along {self.predictor}, but the runs have {len(self.values)} "
            f"values of {self.column} ({first}{', …' if len(self.values) > 5 else ''}), each with its own. Keep one, "
            f"e.g. runs.filter(pl.col({self.column!r}) == {max(self.values):g}), or fit a law of both with scaling.fit."
        )


class TwoUnits(FitError):
    """A predictor that seems to be in one unit in some rows and in another in the rest."""

    column: str
    small: float
    large: float

    def __str__(self) -> str:
        return (
            f"an extrapolation needs one unit of {self.column}, but it jumps from {self.small:g} to {self.large:g}, "
            "with nothing between: this looks like two units. Bring the rows to one, or leave some out."
        )


def one_curve(frame: pl.DataFrame, name: str, x: Array, y: Array) -> None:
    """Refuse several curves in one table, and a predictor in two units.

    Two sizes whose ranges of the predictor overlap, with two points or more each, are two curves; a ladder on which
    size rises with the predictor is one.

    Args:
        frame: the table.
        name: of the predictor.
        x, y: predictor and loss by rising x.

    Raises:
        SeveralCurves, TwoUnits: as they say.
    """
    for other in _OTHERS.get(name, ("N",)):
        if other not in frame.columns:
            continue
        key, at = numbers_of(frame, other), numbers_of(frame, name)
        values, label = np.unique(key[np.isfinite(key)], return_inverse=True)
        ranges = [np.unique(at[np.isfinite(key)][label == k]) for k in range(len(values))]
        ends = sorted((r[0], r[-1]) for r in ranges if len(r) > 1)
        if any(low < high for (_, high), (low, _) in itertools.pairwise(ends)):
            raise SeveralCurves(name, other, tuple(values.tolist()))
    values, mean = _means(x, np.log(y))
    noise = _noise(np.log(values), mean)
    for i in np.flatnonzero(values[1:] > _GAP * values[:-1]):
        back = mean[i + 1 :].max() - mean[: i + 1].min() > max(_STRAYS * noise, _LEAST_RISE)
        if back or values[i + 1] > _WIDE_GAP * values[i]:
            raise TwoUnits(name, float(values[i]), float(values[i + 1]))


def turned_up(x: Array, y: Array, name: str) -> tuple[str, ...]:
    """A word about a curve whose last losses lie above its lowest by more than the noise; none where they do not.

    Means of the last k losses are held against the lowest mean of k neighbours, for every k up to a quarter of the
    curve. The noise is what single losses stray from a line through their two neighbours, which a turn at the end moves
    little. On curves that fall or stand still such a word comes in less than 2 of 100.

    Args:
        x, y: predictor and loss, by rising x.
        name: of the predictor.
    """
    values, log_loss = _means(x, np.log(y))
    noise = _noise(np.log(values), log_loss)
    for k in range(1, max(1, int(_LONGEST_END * len(values))) + 1):
        means = np.convolve(log_loss, np.full(k, 1.0 / k), "valid")
        if means[-1] - means.min() > max(_STRAYS * noise / np.sqrt(k), _LEAST_RISE):
            lowest = int(np.argmin(log_loss))
            return (
                f"the curve turned up: its last loss, {np.exp(log_loss[-1]):.4g}, lies above the lowest, "
                f"{np.exp(log_loss[lowest]):.4g} at {name} = {values[lowest]:.3g}, by more than the noise; a forecast "
                "beyond it takes no account of what made it rise",
            )
    return ()


def _means(x: Array, log_loss: Array) -> tuple[Array, Array]:
    """Different values of the predictor, and the mean log loss at each."""
    values, label, counts = np.unique(x, return_inverse=True, return_counts=True)
    return values, np.bincount(label, log_loss) / counts


def _noise(z: Array, log_loss: Array) -> float:
    """Standard deviation of single log losses, from how far each lies off the line through its two neighbours."""
    share = (z[1:-1] - z[:-2]) / (z[2:] - z[:-2])
    off = log_loss[1:-1] - (1 - share) * log_loss[:-2] - share * log_loss[2:]
    return float(np.median(np.abs(off) / np.sqrt(1 + share**2 + (1 - share) ** 2)) / 0.6745)
