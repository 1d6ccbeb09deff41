"""Discrepancy of a law of areas under the learning rate, where it is asked about a schedule that was not fitted.

Resampled points of the fitted curves know nothing of another schedule. So each fitted curve is left out in turn, the
law is refitted to the others, and what it misses is held against how far the curve lies from them, in the area under
the rate and in how far the rate was let down (`support.Areas`). A law may be off either way on a curve, so that only
the size of its miss counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scaling import show
from scaling.fitting.data import Array, Data
from scaling.fitting.discrepancy import GRID, Discrepancy
from scaling.fitting.minimum import descend
from scaling.fitting.problem import Problem
from scaling.fitting.resample import Clusters
from scaling.fitting.support import Areas
from scaling.laws.schedule import AREA

_COLUMN = "schedule"  # says which curve a point is of, where runs are clustered by nothing
_EACH = 3  # points that a curve has at least
_SPREAD = 1.0  # of the prior's logarithm; its median is the scatter of the points


@np.errstate(all="ignore")
def unseen_schedules(problem: Problem, data: Data, best: Array, groups: Clusters) -> Discrepancy | None:
    """What to allow for on other schedules; None for a law that reads anything but areas, or curves not told apart.

    Args:
        problem, data, best: what was minimised, its runs and its solution.
        groups: clusters of the points; the column `schedule` tells curves apart where every point is its own.
    """
    law = problem.law
    if "S1" not in law.column_names or any(c.quantity != AREA for c in law.columns):
        return None
    labels = _curves(data, groups)
    curves = np.unique(labels)
    if not 2 <= len(curves) <= data.rows / _EACH:
        return None
    left = labels == curves[:, None]
    refits = descend(problem, np.tile(best, (len(curves), 1)), np.where(left, 0.0, problem.weights))
    predicted = problem.objective.prepare(problem.call(refits.parameters))
    fitted = problem.objective.prepare(problem.call(best[None]))[0]
    noise = max(show.weighted_rms(problem.prepared - fitted, problem.weights), 1e-12)
    sizes = [
        _size(data, out, problem.prepared - each, noise) for out, each in zip(left, predicted, strict=True)
    ]
    sizes = np.array([one for one in sizes if np.isfinite(one)])
    log_p = -0.5 * (np.log(GRID) / _SPREAD) ** 2 - len(sizes) * np.log(GRID)
    log_p -= 0.5 * (sizes @ sizes) / (noise * GRID) ** 2
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    center = float(p @ np.log(GRID))
    spread = float(np.sqrt(p @ (np.log(GRID) - center) ** 2))
    scale = noise * float(np.exp(center))
    return Discrepancy(Areas.of(data.columns), 0.0, scale, spread, len(sizes), problem.objective.log)


def _curves(data: Data, groups: Clusters) -> NDArray[np.int64]:
    """Which curve each point is of."""
    if groups.count == data.rows and _COLUMN in data.table.columns:
        return data.frame(_COLUMN)[_COLUMN].rank("dense").fill_null(0).cast(int).to_numpy()
    return groups.labels


def _size(data: Data, out: NDArray[np.bool_], miss: Array, noise: float) -> float:
    """Root mean square miss of a curve left out, beyond its scatter, at a distance of one."""
    others, own = ({c: v[rows] for c, v in data.columns.items()} for rows in (~out, out))
    distance = Areas.of(others).distance(own)
    beyond = max(float(np.mean(miss[out] ** 2)) - noise**2, 0.0)
    return float(np.sqrt(beyond / np.mean(distance**2)))
