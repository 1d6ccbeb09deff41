"""One law fitted to the same runs under many weightings and several objectives, all weightings of one in a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.fitting.data import Array, Data, Table
from scaling.fitting.minimum import minimise, pose
from scaling.fitting.options import Options
from scaling.fitting.problem import Problem
from scaling.fitting.solve import Solution, solve
from scaling.laws.base import Law, describe

_AGREE = 1e-6
_NOTHING = 1e-24  # of the objective for each row: below it, differences are rounding
_MINIMA = 3


@dataclass(frozen=True, eq=False)
class Batch:
    """A fit for each weighting: arrays of shape (weightings,)."""

    params: dict[str, Array]
    """Of the parameters that are free."""
    rms_percent: Array
    """Weighted root mean square of y/L - 1."""
    median_percent: Array
    """Median of its absolute value over the runs that count."""
    converged: NDArray[np.bool_]
    """Whether the lowest start converged and another ended at the same minimum."""


def fit_batch(
    law: Callable[..., Any] | Law, runs: Table, weights: Array, options: Sequence[Options]
) -> Iterator[Batch]:
    """Fits under every weighting, by one objective after another.

    Each starts from where the objective before it ended, and from the minima of all runs under the first objective; so
    a fit costs about a millisecond for a few hundred runs. Go from the bluntest penalty to the sharpest.

    Args:
        law: as for `fit`.
        runs: as for `fit`.
        weights: what each run counts in each fit, zero where it is left out, shape (weightings, runs).
        options: of the objectives, with the same free parameters.

    Raises:
        LawError, FitError, RecordError: as `fit`, for all runs.
    """
    minima, ended, by_factor_first = np.empty((0, 0)), None, None
    for one in options:
        problem, data = pose(describe(law), runs, one)
        if ended is None:
            first = minimise(problem, one)
            minima, by_factor_first = _distinct(first.solution), first.problem.by_factor_first
            ended = np.tile(minima[0], (len(weights), 1))
        problem = replace(problem, by_factor_first=by_factor_first)
        own = weights[:, data.order]
        ended, converged = _lowest(problem, ended, minima, own)
        yield _batch(problem, data, ended, own, converged)


def _lowest(
    problem: Problem, before: Array, minima: Array, weights: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """The lowest solution under each weighting from its own start and the shared ones, and whether two agree on it."""
    count, free = before.shape
    starts = np.concatenate([before[:, None], np.broadcast_to(minima, (count, *minima.shape))], axis=1)
    each = starts.shape[1]
    solution = solve(problem, starts.reshape(-1, free), np.repeat(weights, each, axis=0))
    value, converged = solution.value.reshape(count, each), solution.converged.reshape(count, each)
    rows, best = np.arange(count), np.argmin(value, axis=1)
    agree = (value <= value[rows, best, None] * (1.0 + _AGREE) + problem.rows * _NOTHING).sum(1)
    return solution.parameters.reshape(count, each, free)[rows, best], converged[rows, best] & (agree > 1)


def _distinct(solution: Solution) -> Array:
    """The lowest minima that differ, and the second-best start where all ended at the same: shape (up to 3, free)."""
    order = np.argsort(solution.value, kind="stable")
    order = order[np.isfinite(solution.value[order])]
    value = solution.value[order]
    new = np.concatenate([[True], np.diff(value) > _AGREE * value[1:]])
    picked = order[new][:_MINIMA]
    return solution.parameters[picked if len(picked) > 1 else order[:2]]


@np.errstate(all="ignore")
def _batch(
    problem: Problem, data: Data, parameters: Array, weights: Array, converged: NDArray[np.bool_]
) -> Batch:
    relative = 100.0 * (data.target / problem.call(parameters) - 1.0)
    return Batch(
        params=dict(zip(problem.names, parameters.T, strict=True)),
        rms_percent=np.sqrt((weights * relative**2).sum(1) / weights.sum(1)),
        median_percent=np.nanmedian(np.where(weights > 0, np.abs(relative), np.nan), axis=1),
        converged=converged,
    )
