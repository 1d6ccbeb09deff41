"""Whether runs reject a law of one scale: whether its misses bend along the scale by more than chance."""

from __future__ import annotations

import numpy as np

from scaling.fitting.data import Array
from scaling.fitting.fewclusters import tangent
from scaling.fitting.problem import Problem
from scaling.fitting.resample import Clusters

_BENDS = 3  # polynomials beyond as many as the law has parameters
_SPARE = 3  # clusters beyond one for each direction
_RANK = 1e-8  # share of the largest direction below which one is another by a different name


@np.errstate(all="ignore")
def chance_of_bends(problem: Problem, best: Array, groups: Clusters) -> float:
    """The chance of misses that bend as much where the law is true; 1 where clusters are too few to say.

        F = [ (S₀ - S₁) / q ] / [ S₁ / (n - p - q) ]

    with S₀ what is left of the misses beside the slopes of the law's p parameters, S₁ what is left when q smooth
    directions are added, Legendre polynomials of ln x, over n clusters of runs, each by its mean.

    Args:
        problem, best: what was fitted, of one column, and its solution of shape (free,).
        groups: runs that are not independent; a cluster counts once.
    """
    from scipy.special import fdtrc  # in the function, as scipy takes long to import

    slope, weight = tangent(problem, best)
    log_x = np.log(problem.columns[0])
    along = 2.0 * (log_x - log_x.min()) / max(float(np.ptp(log_x)), 1e-300) - 1.0
    smooth = (weight * np.polynomial.legendre.legval(along, row) for row in np.eye(len(best) + _BENDS))
    counted = np.bincount(groups.labels, weight**2, groups.count)
    columns = [np.sqrt(problem.weights) * problem.misses(best[None])[0], *slope.T, *smooth]
    sums = np.stack([np.bincount(groups.labels, weight * one, groups.count) for one in columns], 1)
    means = sums[counted > 0] / np.sqrt(counted[counted > 0])[:, None]
    if not np.isfinite(means).all():
        return 1.0
    before, known = _left(means[:, 0], means[:, 1 : 1 + len(best)])
    after, all_ = _left(means[:, 0], means[:, 1:])
    bends, spare = all_ - known, len(means) - all_
    if spare < _SPARE or not bends or not before:
        return 1.0
    return float(fdtrc(bends, spare, (before - after) / bends / max(after / spare, 1e-300)))


def _left(miss: Array, directions: Array) -> tuple[float, int]:
    """Sum of squares beside these directions, and how many there are."""
    length = np.linalg.norm(directions, axis=0)
    left, size, _ = np.linalg.svd(directions / np.where(length > 0, length, 1.0), full_matrices=False)
    plane = left[:, size > _RANK * size[0]]
    rest = miss - plane @ (plane.T @ miss)
    return float(rest @ rest), plane.shape[1]
