"""How far outside its runs a law is read, and what it missed there when earlier runs were all it had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling import show
from scaling.fitting.data import Array
from scaling.fitting.discrepancy import Discrepancy
from scaling.fitting.support import Support

_NEAR = 0.25  # decades, or share of the distance, within which a backtest is of that distance


@dataclass(frozen=True, eq=False, repr=False)
class Distance(show.Shown):
    """Where predictions stand outside the runs; arrays in the shape of the prediction."""

    decades: dict[str, Array]
    """Of each scale, and of the product along which the law is extrapolated ("N·D"): decades above the largest run, or
    as a negative number below the smallest; zero between."""
    farthest: Array
    """The largest of them, without its sign."""
    mahalanobis: Array
    """Of the logarithms of all scales, sqrt((x - m)ᵀ S⁻¹ (x - m)) with mean m and covariance S of the runs."""
    widest: float
    """The largest Mahalanobis distance of a run."""
    backtest: Array
    """Root mean square of what fits to smaller runs missed at about `farthest`, in percent (in the unit of the loss
    where the fit was made on differences); beyond all backtests, at the farthest of them; NaN where there is none."""
    reach: Array
    """Mean distance of those backtests, decades."""
    origins: NDArray[np.int64]
    """Earlier fits that they come from."""
    relative: bool
    axis: str

    def shown(self) -> Iterator[str]:
        """Of the point that is farthest away; nothing where all stand among the runs."""
        flat = {name: np.ravel(value) for name, value in self.decades.items()}
        if not np.size(self.farthest):
            return
        at = int(np.argmax(np.ravel(self.farthest)))
        beyond, wide = float(np.ravel(self.farthest)[at]), np.ravel(self.mahalanobis)
        several = "the farthest point: " if np.size(self.farthest) > 1 else ""
        if beyond > 0:
            where = {name: float(v[at]) for name, v in flat.items()}
            yield several + self._beyond(where, float(wide[at])) + self._missed(at, beyond)
        elif wide.max() > self.widest * (1 + 1e-9):
            yield (
                f"{several}within the runs in each column, but {wide.max():.2g} standard deviations from their middle "
                f"(Mahalanobis), where no run is beyond {self.widest:.2g}"
            )

    def _beyond(self, decades: dict[str, float], mahalanobis: float) -> str:
        along = decades.pop(self.axis)
        said = [f"{name} by {size:.2g}" for name, far in decades.items() if (size := abs(far)) > 0]
        total = self.axis in ("C", "N·D")
        axis, side = "compute" if total else self.axis, "below" if along < 0 else "beyond"
        words = f"{abs(along):.2g} decades of {axis} {side} the runs" if along else "outside the runs"
        if total or len(decades) > 1:
            words += f" ({', '.join(said)} decades)" if said else ""
        return f"{words}; Mahalanobis distance {mahalanobis:.2g}, of the runs up to {self.widest:.2g}"

    def _missed(self, at: int, beyond: float) -> str:
        miss, reach = (float(np.ravel(a)[at]) for a in (self.backtest, self.reach))
        origins = int(np.ravel(self.origins)[at])
        if not origins:
            return "; no backtest reaches beyond its runs"
        what = f"{miss:.2g} %" if self.relative else f"{miss:.2g}"
        fits = f"rms, {origins} origin{'s' * (origins > 1)}"
        if abs(reach - beyond) <= _near(beyond):
            return f"; backtests at that distance missed by {what} ({fits})"
        return f"; backtests reach {reach:.2g} decades and missed by {what} there ({fits})"


def distance_of(miss: Discrepancy, points: Mapping[str, Array], shape: tuple[int, ...]) -> Distance | None:
    """Where points stand outside the runs of a fit; None for a law of areas under the rate, and of older saved fits.

    Args:
        miss: of the fit.
        points: flat arrays of the columns that the law reads.
        shape: in which they were asked for.
    """
    support = miss.support
    if not isinstance(support, Support) or not support.center:
        return None
    axis = "·".join(support.axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = {c: np.log10(points[c]) for c in support.ranges}
        along = np.sum([logs[c] for c in support.axis], axis=0)
        decades = {c: _outside(v, support.ranges[c]) for c, v in logs.items()}
        decades[axis] = _outside(along, support.along)
        mahalanobis = support.mahalanobis(logs)
    farthest = support.distance(points)
    backtest, reach, origins = np.full(len(farthest), np.nan), np.full(len(farthest), np.nan), []
    for i, far in enumerate(farthest):
        near = _backtests(miss.missed, float(far))
        origins.append(len({origin for origin, _, _ in near}))
        if near:
            sizes = np.array([size for _, _, size in near])
            backtest[i] = np.sqrt(np.mean((100 * np.expm1(sizes) if miss.relative else sizes) ** 2))
            reach[i] = np.mean([reached for _, reached, _ in near])
    return Distance(
        decades={c: v.reshape(shape) for c, v in decades.items()},
        farthest=farthest.reshape(shape),
        mahalanobis=mahalanobis.reshape(shape),
        widest=support.widest,
        backtest=backtest.reshape(shape),
        reach=reach.reshape(shape),
        origins=np.array(origins, np.int64).reshape(shape),
        relative=miss.relative,
        axis=axis,
    )


def _backtests(missed: tuple[tuple[int, float, float], ...], far: float) -> list[tuple[int, float, float]]:
    """Those at about a distance; beyond all of them, those at about the farthest; none for a point among the runs."""
    if far <= 0 or not missed:
        return []
    far = min(far, max(reached for _, reached, _ in missed))
    return [one for one in missed if abs(one[1] - far) <= _near(far)]


def _near(far: float) -> float:
    return max(_NEAR, _NEAR * far)


def _outside(values: Array, ends: tuple[float, float]) -> Array:
    """Above the upper end, or as a negative number below the lower one."""
    return np.maximum(values - ends[1], 0.0) - np.maximum(ends[0] - values, 0.0)
