"""Where a curve that was measured at a few points has its minimum: a best learning rate, a best size at one budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scaling.fitting.data import TooFewScales


@dataclass(frozen=True)
class Vertex:
    """The minimum of a measured curve."""

    x: float
    loss: float
    interior: bool
    """Whether points on both sides are higher; if not, the minimum may lie outside what was measured."""


def vertex(x: ArrayLike, loss: ArrayLike) -> Vertex:
    """The minimum of a parabola in ln x through the lowest point and its neighbours.

        loss ≈ a + b (ln x − ln x*)²

    Three points rather than all: far from the minimum such curves are not parabolas, and a parabola through all of
    them is pulled to the flatter side. Where the lowest point is the first or the last, it is returned as it is, and
    `interior` is false.

    Args:
        x: positive, at least three different values; several losses at one x are averaged.
        loss: as many as x.

    Raises:
        TooFewScales: fewer than three different x.
    """
    x, loss = np.asarray(x, float), np.asarray(loss, float)
    points = np.unique(x)
    if len(points) < 3:
        raise TooFewScales("a parabola", "x", tuple(points.tolist()), 3)
    means = np.array([loss[x == p].mean() for p in points])
    lowest = int(np.argmin(means))
    if lowest in (0, len(points) - 1):
        return Vertex(float(points[lowest]), float(means[lowest]), False)
    near = slice(lowest - 1, lowest + 2)
    centre = np.log(points[lowest])
    curve = np.polynomial.Polynomial.fit(np.log(points[near]) - centre, means[near], 2).convert()
    at = -curve.coef[1] / (2 * curve.coef[2])
    return Vertex(float(np.exp(centre + at)), float(curve(at)), True)
