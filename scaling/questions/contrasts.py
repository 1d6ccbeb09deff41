"""Differences between two arms over paired seeds, their errors, and what is beyond chance over many of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
_DRAWS = 2_000
_EQUAL = 1e6
"""Degrees of freedom from which all variances of a group are taken to be one."""
_ENOUGH = 4
"""Arms of a group from which the scatter of variances is estimated."""


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


def moderated(values: Array, groups: Sequence[float] | NDArray[Any], prior: float | None = None) -> Means:
    """Means over the last axis, `[rows, seeds]`; NaN is a seed that is missing.

    Five seeds leave a variance open by a factor of four either way. So each is drawn towards the typical one of its
    group, the more the less variances scatter beyond chance.

    Args:
        values: of each row by seed.
        groups: of each row.
        prior: degrees of freedom of the typical variance; None is by the scatter of the rows' own.

    Source:
        Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3(1):3, section 6.2.
    """
    seeds, group = np.isfinite(values).sum(1), _numbered(groups)
    mean, variance = np.nanmean(values, 1), np.nanvar(values, 1, ddof=1)
    typical = _typical(variance, seeds, group)
    if prior is None:
        prior = _degrees(_scatter(variance, seeds, group))
    return Means(mean, _stderr(variance, typical, seeds, prior), seeds, typical, prior)


def contrast(
    arms: Array, pairs: Sequence[tuple[int, int]], groups: Sequence[float], *, seed: int = 0
) -> Contrasts:
    """First arm less second, over the seeds that have both.

    What is beyond chance is judged by drawing every arm anew, normal, with variances that scatter as those of the arms
    do, and taking the same steps: contrasts that share an arm move together there as they do in the runs (single-step
    max-T), also where that arm happens to scatter more than others.

    Args:
        arms: values `[arms, seeds]`, NaN where a seed is missing; also of arms in no pair, for their scatter.
        pairs: which arm less which, of one group; each with two seeds in common at least.
        groups: of each arm, what variances are pooled over, such as its size and target.
        seed: of the draws.

    Source:
        Westfall and Young 1993, Resampling-Based Multiple Testing, section 2.3.
    """
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    of_arm = _numbered(groups)
    group, scatter = of_arm[first], _scatter_of_arms(arms, of_arm)
    means = moderated(
        arms[first] - arms[second], group, _degrees(scatter / 2)
    )  # of a sum of two, half as much
    scale = np.ones(len(arms))
    scale[first] = scale[second] = np.sqrt(means.typical / 2)
    rng, prior = np.random.default_rng(seed), _degrees(scatter)
    drawn = np.where(np.isfinite(arms), rng.normal(size=(_DRAWS, *arms.shape)), np.nan) * scale[:, None]
    if 0 < prior < _EQUAL:
        drawn *= np.sqrt(prior / rng.chisquare(prior, (_DRAWS, len(arms), 1)))
    drawn = drawn[:, first] - drawn[:, second]
    variance = np.nanvar(drawn, 2, ddof=1)
    errors = _stderr(variance, _typical(variance, means.seeds, group), means.seeds, means.prior)
    return Contrasts(**vars(means), null=np.nanmean(drawn, 2) / errors)


def _numbered(groups: Sequence[float] | NDArray[Any]) -> Indices:
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


def _scatter_of_arms(arms: Array, group: Indices) -> float:
    """How much the logarithms of the arms' variances scatter beyond chance, what a seed has in common taken out."""
    variances, counts, groups = [], [], []
    for g in np.unique(group):
        block = arms[group == g]
        block = block[:, np.isfinite(block).all(0)]
        several, seeds = block.shape
        if several < _ENOUGH or seeds < 2:
            continue
        left = block - block.mean(0) - block.mean(1, keepdims=True) + block.mean()
        variances += list((left**2).sum(1) / ((seeds - 1) * (1 - 1 / several)))
        counts += [seeds] * several
        groups += [g] * several
    return _scatter(np.array(variances), np.array(counts, dtype=np.int64), np.array(groups, dtype=np.int64))


def _scatter(variance: Array, seeds: Indices, group: Indices) -> float:
    """Variance of the logarithms of variances about those of their groups, less what so few seeds make of equal ones.

    Infinite, so that nothing is pooled, with fewer than three to spare.
    """
    from scipy.special import polygamma

    spare = len(variance) - len(np.unique(group))
    if spare < _ENOUGH - 1:
        return math.inf
    log = np.log(np.exp(_log_unbiased(variance, seeds)) / _typical(variance, seeds, group))
    return max(0.0, float((log**2).sum() / spare - polygamma(1, (seeds - 1) / 2).mean()))


def _degrees(scatter: float) -> float:
    """Degrees of freedom of the scaled inverse χ² whose logarithm has this variance."""
    from scipy.special import polygamma

    if not math.isfinite(scatter):
        return 0.0
    if scatter <= 2 / _EQUAL:
        return _EQUAL
    half = 0.5 + 1 / scatter  # Newton's steps on 1 / trigamma, which is nearly a line
    for _ in range(20):
        half += polygamma(1, half) * (1 - polygamma(1, half) / scatter) / polygamma(2, half)
    return float(2 * half)
