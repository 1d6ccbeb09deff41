"""Where a law was fitted, and how far from there it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scaling.fitting.data import Array
from scaling.laws.schedule import schedule_place

_FARTHEST = 10.0  # decades; an infinite model is no farther
_RIGID = 0.01  # decades; runs that vary by less along a direction are taken to vary so much
_KEPT = 300  # points of fitted curves that are kept to measure distances from


@dataclass(frozen=True)
class Support:
    """Where a law was fitted."""

    ranges: dict[str, tuple[float, float]]
    """Smallest and largest log10 of each scale that it reads."""
    axis: tuple[str, ...]
    """Columns whose product it is extrapolated along: C, else N and D, else its first scale."""
    along: tuple[float, float]
    """Smallest and largest log10 of that product."""
    center: tuple[float, ...] = ()
    """Mean log10 of each scale over the runs."""
    covariance: tuple[tuple[float, ...], ...] = ()
    """Of the log10 of the scales over the runs."""
    widest: float = float("nan")
    """Largest Mahalanobis distance of a run."""

    @staticmethod
    def restored(saved: dict[str, Any]) -> Support:
        """From the dictionary that `dataclasses.asdict` made and JSON kept."""
        ranges = {name: (low, high) for name, (low, high) in saved["ranges"].items()}
        along = (saved["along"][0], saved["along"][1])
        own = {  # which older fits were saved without
            "center": tuple(saved.get("center", ())),
            "covariance": tuple(map(tuple, saved.get("covariance", ()))),
            "widest": saved.get("widest", float("nan")),
        }
        return Support(ranges, tuple(saved["axis"]), along, **own)

    @staticmethod
    def of(columns: Mapping[str, Array]) -> Support:
        """Of runs with these scales, one array each."""
        axis = axis_of(tuple(columns))
        logs = {c: np.log10(v) for c, v in columns.items()}
        ranges = {c: ends_of(v) for c, v in logs.items()}
        center = tuple(float(v.mean()) for v in logs.values())
        spread = np.atleast_2d(np.cov(np.stack(list(logs.values())), bias=True))
        along = ends_of(product_of(axis, columns))
        support = Support(ranges, axis, along, center, tuple(map(tuple, spread.tolist())))
        return replace(support, widest=float(support.mahalanobis(logs).max()))

    def distance(self, columns: Mapping[str, Array]) -> Array:
        """Decades by which each point lies beyond the runs, in the scale where that is most; zero among them."""
        with np.errstate(divide="ignore"):
            beyond = [_outside(np.log10(columns[c]), ends) for c, ends in self.ranges.items()]
            beyond.append(_outside(product_of(self.axis, columns), self.along))
        return np.minimum(np.maximum.reduce(beyond), _FARTHEST)

    def mahalanobis(self, logs: Mapping[str, Array]) -> Array:
        """Distance of points from the middle of the runs, in standard deviations of their log10 along each direction.

        A direction in which the runs do not vary counts as one of a hundredth of a decade.
        """
        off = np.stack([logs[c] - m for c, m in zip(self.ranges, self.center, strict=True)])
        spread = np.array(self.covariance) + _RIGID**2 * np.eye(len(off))
        return np.sqrt((off * np.linalg.solve(spread, off)).sum(0))


@dataclass(frozen=True)
class Areas:
    """Where a law of areas under the learning rate was fitted."""

    places: tuple[tuple[float, ...], ...]
    """Of points of the fitted curves, as `laws.schedule.schedule_place` has them."""
    units: tuple[float, ...]
    """What counts as one in each of its coordinates."""

    @staticmethod
    def restored(saved: dict[str, Any]) -> Areas:
        """From the dictionary that `dataclasses.asdict` made and JSON kept."""
        return Areas(tuple(tuple(one) for one in saved["places"]), tuple(saved["units"]))

    @staticmethod
    def of(columns: Mapping[str, Array]) -> Areas:
        """Of curves with these areas; a unit is a factor of e in the area, and the most that any rate was let down."""
        places = schedule_place(columns)
        most = np.max(np.abs(places), axis=0)
        few = np.unique(np.linspace(0, len(places) - 1, min(_KEPT, len(places))).astype(int))
        kept = tuple(tuple(map(float, places[i])) for i in few)
        return Areas(kept, (1.0, *(float(m) if m > 0 else 1.0 for m in most[1:])))

    def distance(self, columns: Mapping[str, Array]) -> Array:
        """Root of the distance of each point from the nearest that was fitted, as a walk strays."""
        units, fitted = np.array(self.units), np.array(self.places) / self.units
        nearest = [
            np.sqrt(((one - fitted) ** 2).sum(axis=1)).min() for one in schedule_place(columns) / units
        ]
        return np.sqrt(np.minimum(nearest, _FARTHEST))


def axis_of(scales: tuple[str, ...]) -> tuple[str, ...]:
    """Columns whose product a law of these scales is extrapolated along."""
    return ("C",) if "C" in scales else ("N", "D") if {"N", "D"} <= set(scales) else scales[:1]


def ends_of(values: Array) -> tuple[float, float]:
    """Smallest and largest."""
    return float(values.min()), float(values.max())


def product_of(axis: tuple[str, ...], columns: Mapping[str, Array]) -> Array:
    """log10 of the product of these columns."""
    return np.sum([np.log10(columns[c]) for c in axis], axis=0)


def _outside(values: Array, ends: tuple[float, float]) -> Array:
    return np.maximum(np.maximum(values - ends[1], ends[0] - values), 0.0)
