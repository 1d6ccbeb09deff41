"""Where to start: every valley worth descending into, reached without a hint from the user.

Parameters that enter the law linearly (E, A and B of most laws) are measured, not declared, and solved for; the
others (the exponents) are spread over a grid or an evenly filling sequence. The starts are the lowest candidates
that are not next to a lower one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scaling.errors import LawError
from scaling.fitting.data import Array
from scaling.fitting.problem import Problem
from scaling.fitting.solve import solve
from scaling.laws.base import Quantity


class LawReturnsNaN(LawError):
    """A law without a usable value for every run at any start."""

    law: str
    starts: int
    parameters: dict[str, float]
    run: dict[str, float]
    value: float
    wanted: str

    def __str__(self) -> str:
        tried, there = (
            ", ".join(f"{k}={v:.3g}" for k, v in named.items()) for named in (self.parameters, self.run)
        )
        return (
            f"{self.law} was tried at {self.starts} starts, and at none is it {self.wanted} for every run: e.g. it "
            f"gave {self.value:.3g} for the run with {there} at {tried}. Keep it away from there, e.g. fit(..., "
            "bounds={name: (low, high)}), or annotate its parameters."
        )


STARTS = 12
_SAMPLE = 512  # rows that candidates are judged on
_GRID = 24  # values of each of two exponents
_CANDIDATES = 2048  # for three or more
_WALKED = 64
_WALK = 12
_CELLS = 1 << 17  # candidates times rows that are looked at side by side


@np.errstate(all="ignore")
def starts(problem: Problem, linear: NDArray[np.bool_], *, seed: int = 0, count: int = STARTS) -> Array:
    """Parameter vectors to solve from.

    Args:
        problem: law, runs and objective.
        linear: which parameters enter linearly, as `linear_parameters` finds.
        seed: of the filling sequence's offset.
        count: how many.

    Returns:
        Shape (count or fewer, free).

    Raises:
        LawReturnsNaN: the law has no finite value at any candidate.
    """
    sample = thinned(problem, _SAMPLE)
    candidates = _candidates(sample, linear, seed)
    if linear.any():
        candidates = _in_parts(sample, partial(_solve_linear, sample, linear=linear), candidates)
    candidates = np.concatenate([_defaults(sample), candidates])
    cost = _in_parts(sample, sample.value, candidates)
    if not np.isfinite(cost).any():
        raise without_value(problem, candidates)
    nonlinear = int((~linear).sum())
    if nonlinear <= 2:
        return candidates[_valleys(candidates[:, ~linear], cost, count)]
    # With three or more, a candidate says little about its valley until it has walked some way down.
    walked = solve(sample, candidates[_valleys(candidates[:, ~linear], cost, _WALKED)], steps=_WALK)
    order = np.argsort(walked.value, kind="stable")
    return walked.parameters[order[np.isfinite(walked.value[order])][:count]]


@np.errstate(all="ignore")
def without_value(problem: Problem, points: Array) -> LawReturnsNaN:
    """What to raise when no start is any good: one that was tried, and a run that it gives no usable value."""
    usable = points[np.isfinite(points).all(1)]
    point = usable[:1] if len(usable) else spread(problem, 1, 0)
    value = problem.call(point)[0]
    row = int(np.argmin(np.isfinite(problem.objective.prepare(value))))
    run = {
        name: float(column[row])
        for name, column in zip(problem.law.column_names, problem.columns, strict=True)
    }
    wanted = "finite and above zero" if problem.objective.log else "finite"
    tried = dict(zip(problem.names, point[0].tolist(), strict=True))
    return LawReturnsNaN(problem.law.name, len(points), tried, run, float(value[row]), wanted)


def thinned(problem: Problem, most: int) -> Problem:
    """The same problem without priors on at most so many rows, evenly picked in order of loss."""
    if problem.rows <= most:
        return problem
    order = np.argsort(problem.target, kind="stable")
    picked = np.sort(order[np.linspace(0, problem.rows - 1, most).round().astype(int)])
    return problem.part(picked)


@np.errstate(all="ignore")
def linear_parameters(problem: Problem, seed: int = 0) -> NDArray[np.bool_]:
    """Which parameters the law is jointly linear in, from second differences at a few random points.

    A product a·b is linear in either; the one that comes first is taken.
    """
    problem = thinned(problem, _SAMPLE)
    free = len(problem.free)
    points = spread(problem, 8, seed)
    step = 0.5 * np.maximum(np.abs(points), 0.1)

    def at(*moved: int) -> Array:
        shifted = points.copy()
        for j in moved:
            shifted[:, j] += step[:, j]
        return problem.call(shifted)

    base, one = at(), [at(j) for j in range(free)]
    linear = np.zeros(free, bool)
    for j in range(free):
        others = [k for k in range(free) if linear[k]]
        pairs = [(at(j, k), one[j], one[k]) for k in others] + [(at(j, j), one[j], one[j])]
        linear[j] = all(_vanishes(both - a - b + base, both, a, b, base) for both, a, b in pairs)
    return linear


def _vanishes(second: Array, *terms: Array) -> bool:
    size = np.max(np.abs(terms), axis=0)
    known = np.isfinite(second) & np.isfinite(size)
    return bool(known.any() and np.all(np.abs(second[known]) <= 1e-9 * size[known]))


def _candidates(problem: Problem, linear: NDArray[np.bool_], seed: int) -> Array:
    nonlinear = int((~linear).sum())
    if nonlinear == 0:
        return spread(problem, STARTS, seed)
    if nonlinear > 2:
        return spread(problem, _CANDIDATES, seed)
    side = np.linspace(0.0, 1.0, _GRID if nonlinear == 2 else 8 * _GRID)
    unit = np.stack([m.ravel() for m in np.meshgrid(*[side] * nonlinear, indexing="ij")], axis=1)
    points = np.tile(spread(problem, 1, seed), (len(unit), 1))
    points[:, ~linear] = _place(problem, unit, np.flatnonzero(~linear))
    return points


def spread(problem: Problem, count: int, seed: int) -> Array:
    """Points that fill the box of starts evenly: Roberts' additive sequence with a random offset."""
    free = len(problem.free)
    ratio = 2.0
    for _ in range(40):
        ratio = (1.0 + ratio) ** (1.0 / (free + 1))
    offset = np.random.default_rng(seed).random(free)
    steps = ratio ** -np.arange(1.0, free + 1)
    unit = (offset + np.arange(1, count + 1)[:, None] * steps) % 1.0
    return _place(problem, unit, np.arange(free))


def _place(problem: Problem, unit: Array, which: NDArray[np.int64]) -> Array:
    """Points of the unit cube, to where each parameter's starts are sought, within its bounds."""
    out = np.empty_like(unit)
    for column, j in enumerate(which):
        parameter, u = problem.free[j], unit[:, column]
        low, high = float(problem.low[j]), float(problem.high[j])
        out[:, column] = _within(parameter.quantity, u, low, high)
        if not parameter.annotated and not (np.isfinite(low) and np.isfinite(high)):
            values = _anything(u)
            out[:, column] = np.where((values > low) & (values < high), values, out[:, column])
    return out


def _anything(u: Array) -> Array:
    """Starts for a parameter that nothing is known about: mostly of order one, some large, some negative."""
    middle = 10.0 ** (-2.0 + 2.5 * (u / 0.6))
    large = 10.0 ** (0.5 + 11.5 * (u - 0.6) / 0.2)
    negative = -(10.0 ** (-2.0 + 3.0 * (u - 0.8) / 0.2))
    return np.where(u < 0.6, middle, np.where(u < 0.8, large, negative))


def _within(quantity: Quantity, u: Array, low: float, high: float) -> Array:
    first, last = quantity.start or (low, high)
    first, last = max(first, low), min(last, high)
    if not first < last:  # the user's bounds lie outside the usual range
        first, last = low, high
    if not np.isfinite(first):
        first = min(-10.0, last - 10.0) if np.isfinite(last) else -10.0
    if not np.isfinite(last):
        last = max(10.0, first + 10.0, 100.0 * first)
    if first > 0.0:
        return np.exp(np.log(first) + u * (np.log(last) - np.log(first)))
    return first + u * (last - first)


def _defaults(problem: Problem) -> Array:
    """A start from the defaults in the signature, if it has any."""
    if all(p.default is None for p in problem.free):
        return np.empty((0, len(problem.free)))
    point = spread(problem, 1, 0)[0]
    point = [x if p.default is None else p.default for p, x in zip(problem.free, point, strict=True)]
    return np.clip(np.array([point]), problem.low, problem.high)


def _solve_linear(problem: Problem, candidates: Array, linear: NDArray[np.bool_]) -> Array:
    """Each candidate with its linear parameters at weighted least squares, made robust by two reweightings."""
    index = np.flatnonzero(linear)
    base = candidates.copy()
    base[:, index] = np.clip(1.0, problem.low[index], problem.high[index])
    value, parts = problem.derivatives(base, by=index)
    shape = (len(base), problem.rows)
    features = np.stack([np.broadcast_to(parts.get(int(j), 0.0), shape) for j in index], axis=1)
    offset = np.broadcast_to(value, shape) - np.einsum("bkn,bk->bn", features, base[:, index])
    wanted = problem.target - offset
    known = np.isfinite(features).all((1, 2)) & np.isfinite(wanted).all(1)
    base[~known] = np.nan
    features, wanted = features[known], wanted[known]
    plain = problem.weights * problem.objective.linear_weight(problem.target, problem.stderr)
    weight = np.broadcast_to(plain, wanted.shape)
    solved = np.empty((len(wanted), len(index)))
    # A log-scaled term must stay positive: one that would not is set to a thousandth of the loss.
    size = np.abs(features).mean(2)
    least = np.where(
        problem.log[index], 1e-3 * np.median(np.abs(problem.target)) / np.maximum(size, 1e-300), -np.inf
    )
    for _ in range(3):
        solved = np.clip(_weighted(features, wanted, weight), problem.low[index], problem.high[index])
        solved = np.maximum(solved, np.minimum(least, problem.high[index]))
        missed = np.einsum("bkn,bk->bn", features, solved) - wanted
        majorant = problem.objective.majorant(missed / problem.target if problem.objective.log else missed)
        weight = plain if majorant is None else plain * majorant
        weight = np.broadcast_to(weight, wanted.shape)
    base[np.ix_(known, index)] = solved
    return base


def _weighted(features: Array, wanted: Array, weight: Array) -> Array:
    """Least squares for a batch: features (batch, k, rows), wanted and weight (batch, rows)."""
    scaled = features * np.sqrt(weight)[:, None, :]
    size = np.sqrt((scaled**2).sum(2)) + 1e-300
    scaled = scaled / size[:, :, None]
    normal = scaled @ scaled.transpose(0, 2, 1) + 1e-12 * np.eye(features.shape[1])
    right = (scaled * (wanted * np.sqrt(weight))[:, None, :]).sum(2)
    return np.linalg.solve(normal, right[:, :, None])[:, :, 0] / size


def _in_parts(problem: Problem, of: Callable[[Array], Array], candidates: Array) -> Array:
    """What a function says of each candidate, as many at a time as a core's cache likes."""
    width = max(1, _CELLS // problem.rows)
    return np.concatenate([of(candidates[i : i + width]) for i in range(0, len(candidates), width)])


def _valleys(points: Array, cost: Array, count: int) -> NDArray[np.int64]:
    """Candidates that are the lowest among their nearest neighbours first, then the lowest of the rest."""
    order = np.argsort(cost, kind="stable")
    order = order[np.isfinite(cost[order])]
    if points.shape[1] == 0 or len(order) <= count:
        return order[:count]
    rank = np.argsort(np.argsort(points, axis=0, kind="stable"), axis=0) / len(points)
    taken: list[int] = []
    rest: list[int] = []
    apart = 0.3 * count ** (-1.0 / points.shape[1])
    for i in order:
        near = taken and np.min(np.abs(rank[taken] - rank[i]).max(1)) < apart
        (rest if near else taken).append(int(i))
        if len(taken) >= count * 3 // 4:
            break
    return np.array((taken + rest)[:count] if len(taken) < count else taken[:count])
