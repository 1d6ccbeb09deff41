"""Damped Newton steps for many fits at once: all starts, or all bootstrap draws.

Each row of the batch is a fit of its own, with its own weights, damping and acceptance; what is shared is the
arithmetic. Three choices make it dependable:

- Stopping is relative to the objective of the row itself, and only an undamped step may stop.
- The curvature is that of the active set: with a Huber penalty only rows within delta bend the objective. (The usual
  reweighted least squares bounds it from above instead, and takes six times the steps.)
- A parameter that spans orders of magnitude (`Quantity.log`) moves by a factor, so that A and alpha of A/N^alpha do not
  run along a curved valley. A parameter that carries no annotation but was found to enter linearly moves so at first,
  and freely afterwards. Bounds are kept by projection: a parameter at a bound that is pushed outwards stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling.fitting.data import Array
from scaling.fitting.problem import Problem, Slice

TOLERANCE = 1e-13
"""Relative decrease of the objective below which an undamped step is the last."""
STEPS = 200
_ROUGH = 1e-7
_CELLS = 1 << 16  # batch rows × data rows side by side, so that arrays stay in cache and memory stays flat
_BLOCK = 1 << 22
_FACTOR = 4.0  # most that one step may change the logarithm of a parameter


@dataclass(frozen=True)
class Solution:
    """Where each fit of a batch ended."""

    parameters: Array
    """shape (batch, free)."""
    value: Array
    """Objective, shape (batch,); infinite where the law had no value at the start."""
    converged: NDArray[np.bool_]
    steps: NDArray[np.int64]

    @property
    def best(self) -> Array:
        """The parameters with the lowest objective, shape (free,)."""
        return self.parameters[np.argmin(self.value)]

    def updated(self, rows: NDArray[np.int64], other: Solution) -> Solution:
        """The same with these fits replaced by those of another batch."""
        values = {name: getattr(self, name).copy() for name in ("parameters", "value", "converged", "steps")}
        for name, value in values.items():
            value[rows] = getattr(other, name)
        return Solution(**values)


@dataclass(frozen=True)
class _Own:
    """What belongs to each fit of a batch alone, or None where it shares the problem's."""

    weights: Array | None
    prepared: Array | None
    prior_mean: Array | None

    def rows(self, index: slice | NDArray[np.int64]) -> _Own:
        each = (self.weights, self.prepared, self.prior_mean)
        return _Own(*(None if own is None else own[index] for own in each))


def chunk_size(rows: int) -> int:
    """How many fits of so many rows are solved side by side."""
    return max(1, _CELLS // rows)


def block_size(rows: int) -> int:
    """How many fits of so many rows are handed over at once: more than a chunk, within 32 MB of weights."""
    return max(1, _BLOCK // rows)


def solve(
    problem: Problem,
    starts: Array,
    weights: Array | None = None,
    prepared: Array | None = None,
    *,
    steps: int = STEPS,
    metric: Array | None = None,
    prior_mean: Array | None = None,
) -> Solution:
    """Every fit of a batch, from its start to the minimum next to it.

    Args:
        problem: law, runs and objective.
        starts: shape (batch, free).
        weights: shape (batch, rows); None for the problem's own weights in each.
        prepared: targets of each fit as the objective compares them, shape (batch, rows); None for the problem's own.
        steps: most steps of one fit.
        metric: scale of each parameter, shape (free,), where all fits are near one another; None to find it anew at
            every step, as is needed from afar.
        prior_mean: of each fit's own priors, shape (batch, free); None for the problem's in each.
    """
    x = np.clip(starts, problem.low, problem.high)
    own = _Own(weights, prepared, prior_mean)
    if not problem.by_factor_first.any():
        return _descend(problem, x, own, problem.log, steps, TOLERANCE, metric)
    # Whatever sign a parameter ends this first descent with, it may change it in the second.
    first = _descend(problem, x, own, problem.log | problem.by_factor_first, steps, _ROUGH)
    return _descend(problem, first.parameters, own, problem.log, steps, TOLERANCE, metric)


def _descend(
    problem: Problem,
    x: Array,
    whole: _Own,
    log: NDArray[np.bool_],
    steps: int,
    tolerance: float,
    metric: Array | None = None,
) -> Solution:
    """All fits of a batch, as many side by side as a chunk holds; where some have ended, the next take their place."""
    batch, free = x.shape
    width = chunk_size(problem.rows)
    final, value = x.copy(), np.full(batch, np.inf)
    converged, taken = np.zeros(batch, bool), np.zeros(batch, np.int64)
    rows, next_row = np.zeros(0, np.int64), 0
    here = Slice(np.zeros(0), np.zeros((0, free)), np.zeros((0, free, free)), np.zeros((0, free)))
    damping, floor = np.zeros(0), np.zeros(0)
    while len(rows) or next_row < batch:
        if next_row < batch and len(rows) <= width // 2:
            more = np.arange(next_row, min(next_row + width - len(rows), batch))
            next_row = int(more[-1]) + 1
            # A newcomer has no slice yet: with an infinite objective its first step is to stay, and always better.
            rows = np.concatenate([rows, more])
            here = _extend(here, len(more))
            damping = np.concatenate([damping, np.full(len(more), 1e-3)])
            floor = np.concatenate([floor, _rounding(problem, whole.rows(more).weights, len(more))])
        new = np.isinf(here.value)
        at, own = final[rows], whole.rows(rows)
        trial, expected = _step(problem, at, here, damping, log)
        there = problem.slice(trial, own.weights, own.prepared, metric, own.prior_mean)
        taken[rows] += ~new
        with np.errstate(invalid="ignore"):
            gained = here.value - there.value
            better = gained > 0
            small = tolerance * here.value
            ratio = np.divide(
                gained, expected, out=np.zeros_like(gained), where=better & (expected > 1e-3 * gained)
            )
        ended = (better & (gained <= small) & (damping <= 1.0)) | (~better & (np.abs(expected) <= small))
        ended |= (damping >= 1e12) | (np.where(better, there.value, here.value) <= floor)
        ended &= ~new
        final[rows] = np.where(better[:, None], trial, at)
        here = _choose(better, there, here)
        value[rows] = here.value
        converged[rows[ended]] = True
        rescaled = np.where(ratio > 0.75, damping * 0.1, np.where(ratio < 0.25, damping * 3.0, damping))
        damping = np.where(new, damping, np.clip(np.where(better, rescaled, damping * 8.0), 1e-12, 1e12))
        keep = np.flatnonzero(~ended & ~(new & ~better) & (taken[rows] < steps))
        if len(keep) < len(rows):
            rows, here, damping, floor = rows[keep], _rows(here, keep), damping[keep], floor[keep]
    return Solution(final, value, converged, taken)


def _step(
    problem: Problem, x: Array, here: Slice, damping: Array, log: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """The damped Newton step within the bounds, and how much the local model expects it to gain."""
    factor = np.where(log, x, 1.0)  # dx/du for u = ln x
    G, D = here.gradient * factor, here.scale * factor * factor
    H = here.curvature * factor[:, :, None] * factor[:, None, :]
    held = ((x <= problem.low) & (G * np.sign(factor) > 0)) | (
        (x >= problem.high) & (G * np.sign(factor) < 0)
    )
    size = 1.0 / np.sqrt(np.maximum(D, 1e-300))
    G = np.where(held, 0.0, G * size)
    H = H * size[:, :, None] * size[:, None, :]
    H = np.where(held[:, :, None] | held[:, None, :], 0.0, H)
    diagonal = np.arange(x.shape[1])
    damped = H.copy()
    damped[:, diagonal, diagonal] += damping[:, None] + 1e-11
    with np.errstate(over="ignore"):
        u = -np.linalg.solve(damped, G[:, :, None])[:, :, 0] * size
        moved = np.where(log, x * np.exp(np.clip(u, -_FACTOR, _FACTOR)), x + u)
    trial = np.clip(moved, problem.low, problem.high)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = (
            np.where(
                log, np.where(trial == moved, np.clip(u, -_FACTOR, _FACTOR), np.log(trial / x)), trial - x
            )
            / size
        )
    u = np.where(np.isfinite(u), u, 0.0)
    expected = -((G * u).sum(1) + 0.5 * np.einsum("bi,bij,bj->b", u, H, u))
    return trial, expected


def _rounding(problem: Problem, weights: Array | None, batch: int) -> Array:
    """An objective so small that it is rounding error: every miss below a few units in the last place."""
    unit = 1.0 if problem.objective.log else np.abs(problem.target)
    if problem.stderr is not None and problem.objective.stderr:
        unit = unit / problem.stderr
    square = 0.5 * np.broadcast_to((4e-16 * unit) ** 2, problem.target.shape)
    return np.full(batch, square @ problem.weights) if weights is None else weights @ square


def _rows(s: Slice, index: NDArray[np.int64]) -> Slice:
    return Slice(*(part[index] for part in s))


def _extend(s: Slice, count: int) -> Slice:
    """Places for so many newcomers."""
    value, *others = (np.zeros((count, *part.shape[1:])) for part in s)
    newcomers = (value + np.inf, *others)
    return Slice(*(np.concatenate([part, more]) for part, more in zip(s, newcomers, strict=True)))


def _choose(first: NDArray[np.bool_], a: Slice, b: Slice) -> Slice:
    """Of each fit the one slice or the other."""
    fits = (first.reshape(-1, *(1,) * (part.ndim - 1)) for part in a)
    return Slice(*(np.where(which, x, y) for which, x, y in zip(fits, a, b, strict=True)))
