"""Differences between two arms over paired seeds, their errors, and what is beyond chance over many of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
_DRAWS = 2_000
_EQUAL = 1e6
"""Degrees of freedom from which all variances of a group are taken to be one."""
_ENOUGH = 3
"""Rows, beyond one of each group, from which the scatter of variances is estimated."""


@dataclass(frozen=True, eq=False)
class Means:
    """Means over seeds, with variances that are drawn towards the typical one of their group."""

    mean: Array
    stderr: Array
    seeds: Indices
    typical: Array
    prior: float
    """Degrees of freedom that the variances of all means add to those of each."""

    def half_width(self, level: float) -> Array:
        """Of an interval for each mean alone."""
        from scipy.special import stdtrit

        return self.stderr * stdtrit(self.prior + self.seeds - 1, 0.5 + level / 2)


@dataclass(frozen=True, eq=False)
class Contrasts(Means):
    """Means of one arm less another, and their chance where nothing differs."""

    null: Array
    """Mean / standard error of each in draws of the whole matrix without a difference, `[draws, contrasts]`."""

    def critical(self, chosen: Sequence[int], level: float) -> float:
        """What the largest |mean / stderr| of these exceeds in a share 1 - level of the draws."""
        return float(np.quantile(np.abs(self.null[:, chosen]).max(1), level)) if chosen else math.inf


def moderated(values: Array, groups: Sequence[float] | Array) -> Means:
    """Means over the last axis, `[rows, seeds]`; NaN is a seed that is missing.

    Five seeds leave a variance open by a factor of four either way. So each is drawn towards the typical one of its
    group, the more the less the variances of all rows scatter beyond chance.

    Source:
        Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3(1):3, section 6.2.
    """
    seeds, group = np.isfinite(values).sum(1), _numbered(groups)
    mean, variance = np.nanmean(values, 1), np.nanvar(values, 1, ddof=1)
    typical = _typical(variance, seeds, group)
    prior = _prior(variance / typical, seeds, group)
    return Means(mean, _stderr(variance, typical, seeds, prior), seeds, typical, prior)


def contrast(
    arms: Array, pairs: Sequence[tuple[int, int]], groups: Sequence[float], *, seed: int = 0
) -> Contrasts:
    """First arm less second, over the seeds that have both.

    What is beyond chance is judged by drawing every arm anew, normal, with variances that scatter as estimated, and
    taking the same steps: contrasts that share an arm move together there as they do in the runs (single-step max-T).

    Args:
        arms: values `[arms, seeds]`, NaN where a seed is missing.
        pairs: which arm less which; each with two seeds in common at least.
        groups: of each pair, what its variance is pooled over, such as its size.
        seed: of the draws.

    Source:
        Westfall and Young 1993, Resampling-Based Multiple Testing, section 2.3.
    """
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    means, group = moderated(arms[first] - arms[second], groups), _numbered(groups)
    scale = np.ones(len(arms))
    scale[first] = scale[second] = np.sqrt(means.typical / 2)
    rng = np.random.default_rng(seed)
    drawn = np.where(np.isfinite(arms), rng.normal(size=(_DRAWS, *arms.shape)), np.nan) * scale[:, None]
    if 0 < means.prior < _EQUAL:
        drawn *= np.sqrt(means.prior / rng.chisquare(means.prior, (_DRAWS, len(arms), 1)))
    drawn = drawn[:, first] - drawn[:, second]
    variance = np.nanvar(drawn, 2, ddof=1)
    errors = _stderr(variance, _typical(variance, means.seeds, group), means.seeds, means.prior)
    return Contrasts(**vars(means), null=np.nanmean(drawn, 2) / errors)


def _numbered(groups: Sequence[float] | Array) -> Indices:
    return np.unique(np.asarray(groups, float), return_inverse=True)[1]


def _stderr(variance: Array, typical: Array, seeds: Indices, prior: float) -> Array:
    own = seeds - 1
    return np.sqrt((prior * typical + own * variance) / (prior + own) / seeds)


def _typical(variance: Array, seeds: Indices, group: Indices) -> Array:
    """What the variances of a group scatter about: the geometric mean, corrected for its bias; along the last axis."""
    log = _log_unbiased(variance, seeds)
    typical = np.empty_like(log)
    for g in np.unique(group):
        typical[..., group == g] = log[..., group == g].mean(-1, keepdims=True)
    return np.exp(typical)


def _log_unbiased(variance: Array, seeds: Indices) -> Array:
    from scipy.special import digamma

    free = (seeds - 1) / 2
    return np.log(np.maximum(variance, 1e-300)) - digamma(free) + np.log(free)


def _prior(ratio: Array, seeds: Indices, group: Indices) -> float:
    """Degrees of freedom of the scaled inverse χ² that variances come from, by the variance of their logarithms."""
    from scipy.special import polygamma

    spare = len(ratio) - len(np.unique(group))
    if spare < _ENOUGH:
        return 0.0
    log = _log_unbiased(ratio, seeds)
    excess = float((log**2).sum() / spare - polygamma(1, (seeds - 1) / 2).mean())
    if excess <= polygamma(1, _EQUAL / 2):
        return _EQUAL
    half = 0.5 + 1 / excess  # Newton's steps on 1 / trigamma, which is nearly a line
    for _ in range(20):
        half += polygamma(1, half) * (1 - polygamma(1, half) / excess) / polygamma(2, half)
    return float(2 * half)
