"""Model discrepancy: how far a law misses beyond its runs, from backtests, and what predictions allow for it.

A bootstrap knows how well the runs determine the parameters, not whether the law goes on to hold. So the same law is
refitted to the runs up to several origins, each time predicts the rest, and its misses are held against the distance.
Where other forms fit the runs too (`fitting.rivals`), some of the draws are theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling import laws, show
from scaling.fitting.data import Array, Data, scales
from scaling.fitting.later import when_read
from scaling.fitting.minimum import descend
from scaling.fitting.parallel import in_parts, processes_for
from scaling.fitting.problem import Problem
from scaling.fitting.progress import progress
from scaling.fitting.resample import Clusters, bootstrap_weights
from scaling.fitting.solve import block_size
from scaling.fitting.support import Areas, Support, ends_of, product_of

# Prior of the miss a decade beyond the runs: median and spread of its standard deviation, in units of the scatter of
# the fitted runs, and the correlation of misses from one origin to the next. Chosen by coverage and interval score one
# and two decades beyond the simulated worlds 0 to 209 of benchmarks/coverage_beyond.py, which reports on others, with
# rival forms beside. The growth was chosen with them: with the root of the distance 80 % intervals held 43 % of
# other laws' losses at two decades in place of 47, and 66 in place of 77 beside rivals.
_MEDIAN, _SPREAD, _ALIKE = 0.8, 0.7, 0.9
GRID = np.exp(np.linspace(-4.6, 4.6, 81))
"""Standard deviations that are summed over, in units of the scatter of the fitted runs."""

_ORIGINS = 6
_DRAWS = 16  # refits to resampled runs from each origin, enough for a standard error
_BINS_PER_DECADE = 4
_SPARE = 3  # runs that an origin needs beyond one for each free parameter
_STEPS = 80  # of a refit: four in ten of the time would go to the last few
_HANDOVER = 0.25  # decades beyond the runs over which a draw passes from the law to a rival form


@dataclass(frozen=True)
class Form:
    """Another law of the same columns, fitted to the same runs."""

    law: str
    """Name that `laws.get` knows."""
    reads: tuple[str, ...]
    """Columns in the order of its arguments."""
    share: float
    """Of the draws beyond the runs that are its own."""
    parameters: dict[str, tuple[float, ...]]
    """Bootstrap draws of each."""
    shift: float
    scale: float
    spread: float
    """Of its own misses, as in `Discrepancy`."""

    def values(self, picked: NDArray[np.int64], columns: Mapping[str, Array]) -> Array:
        """Its losses at its draws of these numbers, shape (picked, points)."""
        named = {p: np.asarray(v)[picked][:, None] for p, v in self.parameters.items()}
        with np.errstate(all="ignore"):
            return laws.get(self.law)(*(columns[c] for c in self.reads), **named)


@dataclass(frozen=True)
class Discrepancy:
    """What a law misses beyond its runs: a number t for a whole extrapolation, growing with its distance d in decades.

        ln y = ln L + t d,   t ~ Normal(shift, s),   ln s ~ Normal(ln scale, spread)

    (y = L + t d for an objective on differences.) All points of a prediction share t, as a law that runs off at one
    decade is twice as far off at two. Of `forms` each has its share of the draws: there L is that form's, from a
    quarter of a decade beyond the runs on, and t has its own shift, scale and spread.
    """

    support: Support | Areas
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
    forms: tuple[Form, ...] = when_read(())
    """Rival forms; the law itself has what is left of the draws."""
    missed: tuple[tuple[int, float, float], ...] = ()
    """What the backtests missed: origin, decades beyond its runs, and the mean miss there."""

    @staticmethod
    def restored(saved: dict[str, Any] | None) -> Discrepancy | None:
        """From the dictionary that `dataclasses.asdict` made and JSON kept; None stays None."""
        if saved is None:
            return None
        kept = saved["support"]
        support = Support.restored(kept) if "ranges" in kept else Areas.restored(kept)
        forms = tuple(_restored_form(form) for form in saved.get("forms", ()))
        missed = tuple((origin, far, miss) for origin, far, miss in saved.get("missed", ()))
        named: dict[str, Any] = saved | {"support": support, "forms": forms, "missed": missed}
        return Discrepancy(**named)

    def draws(self, count: int, seed: int) -> Array:
        """Draws of what may lie beyond the runs, for `move` alone to read.

        Returns:
            Shape (count, 3): t, as many on either side of its shift; the form whose draw it is, from 1 on in the order
            of `forms`, 0 for the law; and which of that form's bootstrap draws, from 0 to 1.
        """
        rng = np.random.default_rng([seed, 2])
        half = (count + 1) // 2
        wide, off = rng.normal(size=half), rng.normal(size=half)
        both = rng.permutation(np.stack([np.tile(wide, 2), np.concatenate([off, -off])], axis=1)[:count])
        ends = np.cumsum([1.0 - sum(form.share for form in self.forms), *(f.share for f in self.forms)])
        of = rng.permutation(np.searchsorted(ends[:-1], (np.arange(count) + 0.5) / count))
        shift, scale, spread = np.transpose([(f.shift, f.scale, f.spread) for f in (self, *self.forms)])
        t = shift[of] + scale[of] * np.exp(spread[of] * both[:, 0]) * both[:, 1]
        return np.stack([t, of, rng.permutation(np.arange(count) / count)], axis=1)

    def move(self, values: Array, t: Array, columns: Mapping[str, Array]) -> Array:
        """Losses of shape (draws, points) moved by `draws`, at points of shape (points,).

        A plain t of shape (draws,) moves the law's own losses, whatever the other forms say.
        """
        t = t if t.ndim == 2 else np.stack([t, 0 * t, 0 * t], axis=1)
        distance = self.support.distance(columns)
        moved, over = np.array(values, float), np.minimum(distance / _HANDOVER, 1.0)
        for number, form in enumerate(self.forms, start=1):
            own = t[:, 1] == number
            picked = (t[own, 2] * len(next(iter(form.parameters.values())))).astype(np.int64)
            theirs = form.values(picked, columns)
            moved[own] = np.where(over > 0, moved[own] ** (1.0 - over) * theirs**over, moved[own])
        miss = t[:, :1] * distance
        return moved * np.exp(miss) if self.relative else moved + miss

    def __str__(self) -> str:
        unit, percent = (100.0, " %") if self.relative else (1.0, "")
        shift, scale = unit * self.shift, unit * self.scale
        size = f"± {show.rounded_error(shift, scale)}{percent}"
        if isinstance(self.support, Areas):
            return f"model discrepancy of a schedule unlike those fitted: {size}, from {self.origins} left out in turn"
        said = ", by its prior, as the runs are too few to backtest"
        if self.origins:
            size, said = f"{show.rounded(shift, scale)} {size}", f", from {self.origins} backtests"
        shares = (f"{100 * form.share:.0f} % by {form.law}" for form in self.forms)
        rivals = f"; of the draws beyond the runs {' and '.join(shares)}" if self.forms else ""
        return f"model discrepancy one decade out: {size}{said}{rivals}"


def _restored_form(saved: dict[str, Any]) -> Form:
    parameters = {p: tuple(v) for p, v in saved["parameters"].items()}
    return Form(**(saved | {"reads": tuple(saved["reads"]), "parameters": parameters}))


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
    s² and a correlation of 0.9 from each origin to the next, so that the latest say most; s has a log-normal prior
    around the scatter of the runs and is summed over a grid.

    Args:
        missed: of any number of origins; of none, the prior comes back.
        noise: scatter of the fitted runs around the law.
    """
    s = noise * GRID
    log_p = -0.5 * (np.log(GRID / _MEDIAN) / _SPREAD) ** 2
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
    t, stderr = (each[here] / missed.distance[here] for each in (missed.miss, missed.stderr))
    return float(np.average(t, weights=stderr**-2)), float(np.average(stderr, weights=stderr**-2))


def _missed(
    problem: Problem, columns: dict[str, Array], best: Array, groups: Clusters, noise: float, seed: int
) -> Misses:
    windows = _windows(problem, columns)
    parameters = _from_origins(problem, best, groups, windows, seed)
    entries: list[Array] = []
    for origin, (seen, refitted) in enumerate(zip(windows, parameters, strict=True)):
        misses = _ahead(problem, refitted)
        if problem.objective.quantile != 0.5:  # a curve that is meant to lie to one side of its runs
            misses -= np.average(misses, axis=1, weights=problem.weights * seen)[:, None]
        distance = Support.of({c: v[seen] for c, v in columns.items()}).distance(columns)
        ahead = ~seen & (problem.weights > 0) & np.isfinite(misses).all(0)
        bins = np.where(ahead, np.ceil(_BINS_PER_DECADE * distance), 0)
        kinds = np.unique(bins[bins > 0])
        share = (bins[:, None] == kinds) / np.maximum((bins[:, None] == kinds).sum(0), 1)
        mean = np.where(ahead, misses, 0.0) @ share
        low, high = np.quantile(mean[1:], [0.16, 0.84], axis=0)
        clusters = [len(np.unique(groups.labels[bins == kind])) for kind in kinds]
        stderr = np.hypot((high - low) / 2.0, noise / np.sqrt(clusters))
        entries.append(np.stack([np.full(len(kinds), origin), distance @ share, mean[0], stderr], axis=1))
    table = np.concatenate([np.zeros((0, 4)), *entries])
    table = table[np.isfinite(table).all(1)]
    return Misses(table[:, 0].astype(np.int64), *table[:, 1:].T)


def _from_origins(
    problem: Problem, best: Array, groups: Clusters, windows: list[NDArray[np.bool_]], seed: int
) -> list[Array]:
    """Parameters of the refits from each origin, shape (1 + draws, free); rows that it does not see count nothing.

    Origins are refitted side by side, as many as memory allows.
    """
    abreast, parameters = max(1, block_size(problem.rows) // (1 + _DRAWS)), []
    for first in range(0, len(windows), abreast):
        some = windows[first : first + abreast]
        refitted = _refits(problem, best, _weights(problem, groups, some, seed))
        parameters += np.split(refitted, len(some))
    return parameters


def _ahead(problem: Problem, parameters: Array) -> Array:
    """Observed minus predicted at each parameter vector, in the terms of the objective, shape (batch, rows)."""
    misses, width = np.empty((len(parameters), problem.rows)), block_size(problem.rows)
    for first in range(0, len(parameters), width):
        predicted = problem.objective.prepare(problem.call(parameters[first : first + width]))
        misses[first : first + width] = problem.prepared - predicted
    return misses


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
    along = product_of(Support.of(columns).axis, columns)
    low, high = ends_of(along)
    windows: list[NDArray[np.bool_]] = []
    for end in np.linspace(low + (high - low) / 3.0, high, _ORIGINS + 1)[:-1]:
        seen = (along <= end + 1e-9) & (problem.weights > 0)
        several = min(len(np.unique(v[seen])) for v in columns.values())
        enough = seen.sum() >= len(problem.free) + _SPARE and several >= min(3, len(problem.free))
        if enough and not any(np.array_equal(seen, other) for other in windows):
            windows.append(seen)
    return windows


def _weights(problem: Problem, groups: Clusters, windows: list[NDArray[np.bool_]], seed: int) -> Array:
    """What each row counts in the refits from each origin: once, then as often as its cluster was drawn."""
    weights = np.zeros((len(windows), 1 + _DRAWS, problem.rows))
    chunk = min(_DRAWS, block_size(problem.rows))
    for own, seen in zip(weights, windows, strict=True):
        own[0, seen] = problem.weights[seen]
        labels, number = np.unique(groups.labels[seen], return_inverse=True)
        clusters = Clusters(number, len(labels), groups.words)
        drawn = bootstrap_weights(clusters, problem.weights[seen], draws=_DRAWS, seed=seed, chunk=chunk)
        for first, some in zip(range(1, 1 + _DRAWS, chunk), drawn, strict=True):
            own[first : first + len(some), seen] = some
    return weights.reshape(-1, problem.rows)
