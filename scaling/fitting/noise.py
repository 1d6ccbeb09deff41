"""Scatter of single runs around a law, as it changes with scale.

Losses of small runs often scatter several times as much as those of large ones. Pooled residuals then give a new run at
the top an interval that is too wide, and one at the bottom an interval that is too narrow. So the standard deviation is
log-linear in the scale x that the law is extrapolated along (the logarithm of compute, of N D, or of its first scale):

    ln sd(x) = ln sd(x̄) + b (x - x̄)

b solves Σ (x - x̄)(|r| / sd(x) - 1) = 0 over the residuals r, the likelihood equation of a Laplace law, which a few
far-off runs do not move far. Its standard error v^½ counts a cluster of runs once, and b is multiplied by
max(0, 1 - 2 v / b²): within 1.4 standard errors of zero the residuals are pooled, and few runs have no steep slope.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling import show
from scaling.fitting.data import Array, Data, scales
from scaling.fitting.problem import Problem
from scaling.fitting.resample import Clusters
from scaling.fitting.support import Support, product_of

_SHRUNK = 2.0  # of v / b²; see the formula
_STEEPEST = 2.0  # of b
_LEAST = 0.571  # variance of |r| / E|r| of a normal law: so much every b is uncertain at least
_FARTHER = 1.0  # decades beyond the runs over which a growing scatter is taken to grow on
_SURE = 2.0  # standard errors at which b is worth a word
_TIMES = 1.5  # change from end to end that is worth a word


@dataclass(frozen=True, eq=False)
class Noise:
    """How scatter changes along a scale."""

    axis: tuple[str, ...]
    """Columns whose product is that scale."""
    along: tuple[float, float]
    """Smallest and largest log10 of it among the runs."""
    middle: float
    """x̄, their mean."""
    slope: float
    """b, after shrinking: change of ln sd a decade."""
    stderr: float
    """Of b, before."""
    standard: Array
    """Residuals in the order of the runs, as they would be at x̄."""

    @staticmethod
    def restored(saved: dict[str, Any] | None) -> Noise | None:
        """From the dictionary that `dataclasses.asdict` made and JSON kept; None stays None."""
        if saved is None:
            return None
        named: dict[str, Any] = saved | {
            "axis": tuple(saved["axis"]),
            "along": (saved["along"][0], saved["along"][1]),
            "standard": np.array(saved["standard"], float),
        }
        return Noise(**named)

    def size(self, columns: Mapping[str, Array]) -> Array:
        """sd over its value at x̄, at points of shape (points,).

        Beyond the runs it falls no further, and grows on for a decade at most.
        """
        low, high = self.along
        below, above = (_FARTHER, 0.0) if self.slope < 0 else (0.0, _FARTHER)
        x = np.clip(product_of(self.axis, columns), low - below, high + above)
        return np.exp(self.slope * (x - self.middle))

    def words(self, spread: float, relative: bool) -> str:
        """ "scatter 1.5 % at 1e18 FLOPs, 0.3 % at 1e21"; nothing where it is the same to all we know.

        Args:
            spread: root mean square of `standard`, in log loss or in the unit of the loss.
            relative: whether it is the former.
        """
        low, high = self.along
        changes = abs(self.slope) > _SURE * self.stderr and abs(self.slope) * (high - low) > np.log(_TIMES)
        if not changes:
            return ""
        unit, percent = (100.0 * spread, " %") if relative else (spread, "")
        first, last = (f"{unit * np.exp(self.slope * (x - self.middle)):.2g}{percent}" for x in self.along)
        flops = self.axis in (("C",), ("N", "D"))
        of = " FLOPs" if flops else f" {self.axis[0]}"
        at, end = (show.two_digits(10**x * (6.0 if self.axis == ("N", "D") else 1.0)) for x in self.along)
        return f"scatter changes with scale: {first} at {at}{of}, {last} at {end}"


@np.errstate(all="ignore")
def scatter(problem: Problem, data: Data, residuals: Array, groups: Clusters) -> Noise | None:
    """How the residuals of a fit change along its scale; None for a law that reads no scale, or runs at one alone.

    Args:
        problem: what was fitted.
        data: what the law read, in the order of `residuals`.
        residuals: observed minus fitted, in the terms of `Fit.residuals`.
        groups: runs that are not independent.
    """
    names = scales(problem.law, data)
    if not names:
        return None
    columns = {c: data.columns[c] for c in names}
    support = Support.of(columns)
    x, size, weight = product_of(support.axis, columns), np.abs(residuals), data.weights / data.weights.sum()
    middle = float(weight @ x)
    x = x - middle
    if not (np.isfinite(x).all() and weight @ x**2 > 0 and weight @ size > 0):
        return None
    slope, relative = _slope(x, size, weight)
    per_cluster = np.bincount(groups.labels, weight * x * (relative - 1.0), groups.count)
    curvature = float(weight @ x**2)
    variance = max(float(per_cluster @ per_cluster), _LEAST * float(weight**2 @ x**2)) / curvature**2
    slope *= max(0.0, 1.0 - _SHRUNK * variance / max(slope**2, 1e-12))
    standard = np.empty_like(residuals)
    standard[data.order] = residuals / np.exp(slope * x)
    return Noise(support.axis, support.along, middle, slope, float(np.sqrt(variance)), standard)


def _slope(x: Array, size: Array, weight: Array) -> tuple[float, Array]:
    """b by bisection, as the equation falls with it, and |r| over its expectation."""
    low, high = -_STEEPEST, _STEEPEST
    slope, relative = 0.0, size / (weight @ size)
    for _ in range(40):
        off = float(weight @ (x * relative))
        low, high = (slope, high) if off > 0 else (low, slope)
        slope = 0.5 * (low + high)
        flat = size * np.exp(-slope * x)
        relative = flat / (weight @ flat)
    return slope, relative
