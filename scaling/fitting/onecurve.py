"""Whether a table holds one curve that falls or stands still, which is what `extrapolate` is for."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl

from scaling.errors import FitError
from scaling.fitting.data import Array, numbers_of

_STRAYS = 7.0  # standard errors that the end of a curve lies above its lowest part before it is said to have turned up
_LEAST_RISE = 1e-3  # of the loss; less is nothing to warn of
_STEEPER = 3.0  # times as steep as its neighbours, from which on a fall is a step
_WARM = 3  # steps at the start that may be a warm-up
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


def broken(x: Array, y: Array, name: str) -> tuple[str, ...]:
    """Words about a curve that is no single smooth one: a step or a spike within it, or several losses at one place.

    A rise between two neighbours before the end, and a fall three times as steep as the two before and the two after
    it, are told from noise as `turned_up` does, and so are losses at one place that lie farther apart than that.

    Args:
        x, y: predictor and loss, by rising x.
        name: of the predictor.
    """
    values, log_loss = _means(x, np.log(y))
    z = np.log(values)
    strays = max(_STRAYS * np.sqrt(2.0) * _noise(z, log_loss), _LEAST_RISE)
    steps = np.diff(log_loss)
    words = []
    low, high = (reduce.reduceat(y, np.searchsorted(x, values)) for reduce in (np.minimum, np.maximum))
    apart = int(np.argmax(high / low))
    if np.log(high[apart] / low[apart]) > strays:
        words.append(
            f"the curve has several losses at one {name}, {low[apart]:.4g} to {high[apart]:.4g} at "
            f"{values[apart]:.3g}: if it is several runs, or one that was started again, keep one"
        )
    rises = steps[:-1] > strays
    if rises.any():
        at = int(np.argmax(np.where(rises, steps[:-1], 0.0)))
        words.append(
            _step(name, "rises", values, log_loss, at) + ": a spike, or a run that was started again"
        )
    slope = np.maximum(-steps / np.diff(z), strays / np.diff(z).max() / _STEEPER)
    beside = np.stack([np.roll(slope, k) for k in (-2, -1, 1, 2)])[:, 2:-2].max(axis=0, initial=0.0)
    steep = np.flatnonzero((slope[2:-2] > _STEEPER * beside) & (-steps[2:-2] > strays)) + 2
    if len(steep) and not rises.any():
        drop = _step(name, "drops", values, log_loss, int(steep[0]))
        words.append(f"{drop}: a lower rate, or other data, from there on")
    start = slope[:_WARM]
    late = np.flatnonzero(start[1:] > _STEEPER * start[0]) + 1 if len(slope) > _WARM else []
    if len(late) and -steps[late[0]] > strays and not rises.any():
        words.append(_step(name, "falls faster", values, log_loss, int(late[0])) + ": leave the warm-up out")
    return tuple(f"{one}; a forecast takes it as one smooth curve" for one in words)


def _step(name: str, does: str, values: Array, log_loss: Array, i: int) -> str:
    low, high = np.exp(log_loss[i : i + 2])
    return f"the loss {does} from {low:.4g} to {high:.4g} between {name} = {values[i]:.3g} and {values[i + 1]:.3g}"


def _means(x: Array, log_loss: Array) -> tuple[Array, Array]:
    """Different values of the predictor, and the mean log loss at each."""
    values, label, counts = np.unique(x, return_inverse=True, return_counts=True)
    return values, np.bincount(label, log_loss) / counts


def _noise(z: Array, log_loss: Array) -> float:
    """Standard deviation of single log losses, from how far each lies off the line through its two neighbours."""
    share = (z[1:-1] - z[:-2]) / (z[2:] - z[:-2])
    off = log_loss[1:-1] - (1 - share) * log_loss[:-2] - share * log_loss[2:]
    return float(np.median(np.abs(off) / np.sqrt(1 + share**2 + (1 - share) ** 2)) / 0.6745)
