"""Model discrepancy: how far a law misses beyond its runs, from backtests, and what predictions allow for it.

A bootstrap knows how well the runs determine the parameters, not whether the law goes on to hold. So the same law is
refitted to the runs up to several origins, each time predicts the rest, and its misses are held against the distance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling import show
from scaling.fitting.data import Array, Data, scales
from scaling.fitting.minimum import descend
from scaling.fitting.parallel import in_parts, processes_for
from scaling.fitting.problem import Problem
from scaling.fitting.progress import progress
from scaling.fitting.resample import Clusters, bootstrap_weights

# Prior of the miss a decade beyond the runs: median and spread of its standard deviation, in units of the scatter of
# the fitted runs, and the correlation of misses from one origin to the next. Chosen by log score and coverage on the
# simulated worlds 0 to 199 of benchmarks/coverage.py, which reports on others; coverage over all of them moves by
# 3 points at most over medians of 0.4 to 1 and correlations of 0.9 to 0.99.
_MEDIAN, _SPREAD, _ALIKE = 0.8, 0.7, 0.97
_GRID = np.exp(np.linspace(-4.6, 4.6, 81))

_RIGID = 0.01  # decades; runs that vary by less along a direction are taken to vary so much
_FARTHEST = 10.0  # decades; an infinite model is no farther
_ORIGINS = 6
_DRAWS = 16  # refits to resampled runs from each origin, enough for a standard error
_BINS_PER_DECADE = 4
_SPARE = 3  # runs that an origin needs beyond one for each free parameter
_STEPS = 80  # of a refit: four in ten of the time would go to the last few


def axis_of(scales: tuple[str, ...]) -> tuple[str, ...]:
    """Columns whose product a law of these scales is extrapolated along."""
    return ("C",) if "C" in scales else ("N", "D") if {"N", "D"} <= set(scales) else scales[:1]


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
    def of(columns: Mapping[str, Array]) -> Support:
        """Of runs with these scales, one array each."""
        names = tuple(columns)
        axis = axis_of(names)
        logs = {c: np.log10(v) for c, v in columns.items()}
        center = tuple(float(v.mean()) for v in logs.values())
        covariance = tuple(
            map(tuple, np.atleast_2d(np.cov(np.stack(list(logs.values())), bias=True)).tolist())
        )
        ranges = {c: _ends(v) for c, v in logs.items()}
        support = Support(ranges, axis, _ends(_product(axis, columns)), center, covariance)
        return replace(support, widest=float(support.mahalanobis(logs).max()))

    def distance(self, columns: Mapping[str, Array]) -> Array:
        """Decades by which each point lies beyond the runs, in the scale where that is most; zero among them."""
        with np.errstate(divide="ignore"):
            beyond = [_outside(np.log10(columns[c]), ends) for c, ends in self.ranges.items()]
            beyond.append(_outside(_product(self.axis, columns), self.along))
        return np.minimum(np.maximum.reduce(beyond), _FARTHEST)

    def mahalanobis(self, logs: Mapping[str, Array]) -> Array:
        """Distance of points from the middle of the runs, in standard deviations of their log10 along each direction.

        A direction in which the runs do not vary counts as one of a hundredth of a decade.
        """
        off = np.stack([logs[c] - m for c, m in zip(self.ranges, self.center, strict=True)])
        spread = np.array(self.covariance) + _RIGID**2 * np.eye(len(off))
        return np.sqrt((off * np.linalg.solve(spread, off)).sum(0))


@dataclass(frozen=True)
class Discrepancy:
    """What a law misses beyond its runs: a number t for a whole extrapolation, growing with its distance d in decades.

        ln y = ln L + t √d,   t ~ Normal(shift, s),   ln s ~ Normal(ln scale, spread)

    (y = L + t √d for an objective on differences.) All points of a prediction share t, as a law that runs off at one
    decade is farther off at two.
    """

    support: Support
    shift: float
    """Where earlier fits went wrong the same way, what to expect of this one."""
    scale: float
    """Median standard deviation around it, a decade beyond the runs."""
    spread: float
    """Standard deviation of its logarithm: origins are few, so tails are long."""
    origins: int
    """Backtests that this rests on; 0: the runs are too few for any, and it is the prior of simulated worlds."""
    relative: bool = True
    """In log loss; False: in the unit of the loss."""
    missed: tuple[tuple[int, float, float], ...] = ()
    """What the backtests missed: origin, decades beyond its runs, and the mean miss there."""

    @staticmethod
    def restored(saved: dict[str, Any] | None) -> Discrepancy | None:
        """From the dictionary that `dataclasses.asdict` made and JSON kept; None stays None."""
        if saved is None:
            return None
        kept = saved["support"]
        ranges = {name: (low, high) for name, (low, high) in kept["ranges"].items()}
        own = {
            "center": tuple(kept.get("center", ())),
            "covariance": tuple(map(tuple, kept.get("covariance", ()))),
            "widest": kept.get("widest", float("nan")),
        }
        support = Support(ranges, tuple(kept["axis"]), (kept["along"][0], kept["along"][1]), **own)
        missed = tuple((origin, far, miss) for origin, far, miss in saved.get("missed", ()))
        named: dict[str, Any] = saved | {"support": support, "missed": missed}
        return Discrepancy(**named)

    def draws(self, count: int, seed: int) -> Array:
        """Draws of t, shape (count,), as many on either side of the shift."""
        rng = np.random.default_rng([seed, 2])
        half = (count + 1) // 2
        size = self.scale * np.exp(self.spread * rng.normal(size=half)) * rng.normal(size=half)
        return self.shift + rng.permutation(np.concatenate([size, -size])[:count])

    def move(self, values: Array, t: Array, columns: Mapping[str, Array]) -> Array:
        """Losses of shape (draws, points) moved by t of shape (draws,) at points of shape (points,)."""
        miss = t[:, None] * np.sqrt(self.support.distance(columns))
        return values * np.exp(miss) if self.relative else values + miss

    def __str__(self) -> str:
        unit, percent = (100.0, " %") if self.relative else (1.0, "")
        shift, scale = unit * self.shift, unit * self.scale
        size = f"± {show.rounded_error(shift, scale)}{percent}"
        if not self.origins:
            return (
                f"model discrepancy one decade out: {size}, by its prior, as the runs are too few to backtest"
            )
        size = f"{show.rounded(shift, scale)} {size}"
        return f"model discrepancy one decade out: {size}, from {self.origins} backtests"


@dataclass(frozen=True, eq=False)
class Misses:
    """What refits from earlier origins missed, one entry for each origin and quarter decade of distance."""

    origin: NDArray[np.int64]
    distance: Array
    """Decades beyond the runs that were fitted."""
    miss: Array
    """Mean over the runs there, observed minus predicted, in the terms of `Fit.residuals`."""
    stderr: Array
    """Of that mean: the scatter of clusters of runs, and the doubt about the parameters."""


@np.errstate(all="ignore")
def backtest(problem: Problem, data: Data, best: Array, groups: Clusters, seed: int) -> Discrepancy | None:
    """What to allow for beyond the runs; None for a law that reads no scale.

    Args:
        problem: what was minimised, with the rows in the order of `data`.
        data: what the law read.
        best: its solution, shape (free,), from which the refits start.
        groups: runs that are not independent; a cluster counts once in the standard error of a miss.
        seed: of the refits to resampled runs.
    """
    names = scales(problem.law, data)
    if not names:
        return None
    columns = {c: data.columns[c] for c in names}
    predicted = problem.objective.prepare(problem.call(best[None]))[0]
    spare = max(1, problem.rows - len(best))
    noise = show.weighted_rms(problem.prepared - predicted, problem.weights) * np.sqrt(problem.rows / spare)
    noise = max(noise, 1e-12)
    missed = _missed(problem, columns, best, groups, noise, seed)
    shift, scale, spread = expected(missed, noise)
    origins = len(np.unique(missed.origin))
    entries = zip(missed.origin.tolist(), missed.distance.tolist(), missed.miss.tolist(), strict=True)
    return Discrepancy(
        Support.of(columns), shift, scale, spread, origins, problem.objective.log, missed=tuple(entries)
    )


def expected(missed: Misses, noise: float) -> tuple[float, float, float]:
    """Shift, scale and spread of a `Discrepancy` from earlier misses.

    The misses from origin i give one estimate of its t_i, weighted over distances by their standard errors, which are
    taken to be fully correlated. For a standard deviation s the t_i and the t to come are jointly normal with variance
    s² and a correlation of 0.97 from each origin to the next, so that the latest say most; s has a log-normal prior
    around the scatter of the runs and is summed over a grid.

    Args:
        missed: of any number of origins; of none, the prior comes back.
        noise: scatter of the fitted runs around the law.
    """
    s = noise * _GRID
    log_p = -0.5 * (np.log(_GRID / _MEDIAN) / _SPREAD) ** 2
    mean, variance = np.zeros(len(s)), s**2
    if len(missed.origin):
        seen, stderr = np.transpose([_one_origin(missed, i) for i in np.unique(missed.origin)])
        steps = np.abs(np.subtract.outer(np.arange(len(seen)), np.arange(len(seen) + 1)))
        alike = s[:, None, None] ** 2 * _ALIKE**steps
        covariance, to_come = alike[:, :, :-1] + np.diag(stderr**2), alike[:, :, -1]
        pull = np.linalg.solve(covariance, to_come[:, :, None])[:, :, 0]
        mean, variance = pull @ seen, s**2 - (pull * to_come).sum(1)
        misfit = (seen * np.linalg.solve(covariance, np.tile(seen[:, None], (len(s), 1, 1)))[:, :, 0]).sum(1)
        log_p -= 0.5 * (misfit + np.linalg.slogdet(covariance)[1])
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    shift = float(p @ mean)
    log_scale = 0.5 * np.log(variance + (mean - shift) ** 2)
    center = float(p @ log_scale)
    return shift, float(np.exp(center)), float(np.sqrt(p @ (log_scale - center) ** 2))


def _one_origin(missed: Misses, origin: int) -> tuple[float, float]:
    """Its t and the standard error."""
    here = missed.origin == origin
    growth = np.sqrt(missed.distance[here])
    t, stderr = missed.miss[here] / growth, missed.stderr[here] / growth
    return float(np.average(t, weights=stderr**-2)), float(np.average(stderr, weights=stderr**-2))


def _missed(
    problem: Problem, columns: dict[str, Array], best: Array, groups: Clusters, noise: float, seed: int
) -> Misses:
    """All origins are refitted side by side: rows that an origin does not see count nothing in it."""
    windows = _windows(problem, columns)
    entries: list[Array] = []
    if windows:
        weights = np.concatenate([_weights(problem, groups, seen, seed) for seen in windows])
        predicted = problem.objective.prepare(problem.call(_refits(problem, best, weights)))
        misses = (problem.prepared - predicted).reshape(len(windows), 1 + _DRAWS, problem.rows)
        if problem.objective.quantile != 0.5:  # a curve that is meant to lie to one side of its runs
            usual = [
                np.average(misses[i], axis=1, weights=problem.weights * seen)
                for i, seen in enumerate(windows)
            ]
            misses = misses - np.stack(usual)[:, :, None]
    for origin, seen in enumerate(windows):
        distance = Support.of({c: v[seen] for c, v in columns.items()}).distance(columns)
        ahead = ~seen & (problem.weights > 0) & np.isfinite(misses[origin]).all(0)
        bins = np.where(ahead, np.ceil(_BINS_PER_DECADE * distance), 0)
        kinds = np.unique(bins[bins > 0])
        share = (bins[:, None] == kinds) / np.maximum((bins[:, None] == kinds).sum(0), 1)
        mean = np.where(ahead, misses[origin], 0.0) @ share
        low, high = np.quantile(mean[1:], [0.16, 0.84], axis=0)
        clusters = [len(np.unique(groups.labels[bins == kind])) for kind in kinds]
        stderr = np.hypot((high - low) / 2.0, noise / np.sqrt(clusters))
        entries.append(np.stack([np.full(len(kinds), origin), distance @ share, mean[0], stderr], axis=1))
    table = np.concatenate([np.zeros((0, 4)), *entries])
    table = table[np.isfinite(table).all(1)]
    return Misses(table[:, 0].astype(np.int64), *table[:, 1:].T)


def _refits(problem: Problem, best: Array, weights: Array) -> Array:
    """Parameters under each weighting, shape (weightings, free), on all cores where that is worth it."""
    processes = processes_for(len(weights), problem.rows)
    rounds = max(1, len(weights) // (4 * processes)) if processes > 1 else 1
    parameters = np.empty((len(weights), len(best)))

    def refit(part: int) -> list[Array]:
        parts = []
        for turn in range(rounds):
            own = weights[part * rounds + turn :: processes * rounds]
            parts.append(descend(problem, np.tile(best, (len(own), 1)), own, steps=_STEPS).parameters)
            if part == 0:
                done(processes * len(own))
        return parts

    with progress("backtests", len(weights)) as done:
        for part, several in enumerate(in_parts(refit, processes)):
            for turn, each in enumerate(several):
                parameters[part * rounds + turn :: processes * rounds] = each
    return parameters


def _windows(problem: Problem, columns: dict[str, Array]) -> list[NDArray[np.bool_]]:
    """Which rows lie up to each origin; origins are evenly spaced over the upper two thirds of the scale."""
    along = _product(Support.of(columns).axis, columns)
    low, high = _ends(along)
    windows: list[NDArray[np.bool_]] = []
    for end in np.linspace(low + (high - low) / 3.0, high, _ORIGINS + 1)[:-1]:
        seen = (along <= end + 1e-9) & (problem.weights > 0)
        several = min(len(np.unique(v[seen])) for v in columns.values())
        enough = seen.sum() >= len(problem.free) + _SPARE and several >= min(3, len(problem.free))
        if enough and not any(np.array_equal(seen, other) for other in windows):
            windows.append(seen)
    return windows


def _weights(problem: Problem, groups: Clusters, seen: NDArray[np.bool_], seed: int) -> Array:
    """What each row counts in the refits from one origin: once, then as often as its cluster was drawn."""
    labels, own = np.unique(groups.labels[seen], return_inverse=True)
    drawn = bootstrap_weights(
        Clusters(own, len(labels), groups.words), problem.weights[seen], draws=_DRAWS, seed=seed, chunk=_DRAWS
    )
    weights = np.zeros((1 + _DRAWS, problem.rows))
    weights[0, seen], weights[1:, seen] = problem.weights[seen], next(drawn)
    return weights


def _ends(values: Array) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _product(axis: tuple[str, ...], columns: Mapping[str, Array]) -> Array:
    """log10 of the product of these columns."""
    return np.sum([np.log10(columns[c]) for c in axis], axis=0)


def _outside(values: Array, ends: tuple[float, float]) -> Array:
    return np.maximum(np.maximum(values - ends[1], ends[0] - values), 0.0)
