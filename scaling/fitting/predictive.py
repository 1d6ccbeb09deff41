"""How dense each law's prediction is at runs that it did not see, over several origins and held-out sizes.

Every law is refitted to each part of the runs and predicts the rest. A miss r at the distance of d decades from the
runs that were fitted has the density of Student's t with four degrees of freedom and the scale

    s² + t² d

where s is the scatter of the fitted runs, widened by sqrt(n / (n − p)), and t, one number for each law, is the one that
makes its misses likeliest: how far it runs off in a decade. A run that several parts hold out counts once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling.fitting.contest import Contest, Fold
from scaling.fitting.data import Array, scales
from scaling.fitting.minimum import descend, minimise, pose
from scaling.fitting.problem import Problem
from scaling.fitting.resample import Clusters
from scaling.fitting.result import Fit
from scaling.fitting.support import Support
from scaling.laws.base import describe
from scaling.show import weighted_rms

_FREEDOM = 4.0
_STARTS, _SOLUTIONS = 4, 2  # of a law on all runs, and the best of them, from which it is fitted to each part
_STEPS = 100  # of such a refit
_SPARE = 2  # runs that a part needs beyond one for each free parameter
_RUNS_OFF = np.concatenate([[0.0], np.geomspace(0.05, 100.0, 60)])  # t, in units of the scatter
_ROUNDING = 1e-6
_RESAMPLED = 200
_ROUNDS = 500


@dataclass(frozen=True, eq=False)
class Unseen:
    """ln density of runs that were held out, under each law."""

    names: tuple[str, ...]
    density: Array
    """Shape (laws, cases); a case is one run in one fold."""
    run: NDArray[np.int64]
    """Row of the table, shape (cases,)."""
    fold: NDArray[np.int64]
    groups: Clusters
    """Of the rows of the table."""
    counted: Array
    """What each row of the table counts."""

    @property
    def folds(self) -> int:
        return len(np.unique(self.fold))

    @property
    def runs(self) -> int:
        return len(np.unique(self.run))

    def by_run(self) -> tuple[Array, NDArray[np.int64]]:
        """Mean over folds for each run held out, shape (laws, runs), and which runs they are."""
        rows, place = np.unique(self.run, return_inverse=True)
        times = np.bincount(place)
        return np.stack([np.bincount(place, each) / times for each in self.density]), rows

    def total(self) -> dict[str, float]:
        """Sum over the runs, nats."""
        density, rows = self.by_run()
        return dict(zip(self.names, map(float, density @ self.counted[rows]), strict=True))

    def difference(self, first: str, second: str) -> tuple[float, float, float]:
        """By how much the first predicts better: nats over all runs, its standard error over clusters, share of folds.

        The standard error is NaN with fewer than two clusters.
        """
        density, rows = self.by_run()
        a, b = self.names.index(first), self.names.index(second)
        labels = np.unique(self.groups.labels[rows], return_inverse=True)[1]
        parts = np.bincount(labels, self.counted[rows] * (density[a] - density[b]))
        count = len(parts)
        stderr = np.sqrt(count * parts.var(ddof=1)) if count > 1 else np.nan
        ahead = np.bincount(self.fold, self.counted[self.run] * (self.density[a] - self.density[b]))
        ahead = ahead[np.unique(self.fold)]
        return float(parts.sum()), float(stderr), float(np.mean(ahead > 0))

    def weights(self, seed: int) -> dict[str, float]:
        """Of each law in the mixture that predicts best, averaged over Bayesian bootstrap draws of the clusters.

        Clusters drawn anew keep laws that chance set apart from taking all the weight.
        """
        density, rows = self.by_run()
        labels = np.unique(self.groups.labels[rows], return_inverse=True)[1]
        times = np.random.default_rng([seed, 4]).exponential(size=(_RESAMPLED, labels.max() + 1))
        each = stacking_weights(density, self.counted[rows] * times[:, labels])
        return dict(zip(self.names, map(float, np.mean(each, axis=0)), strict=True))


def stacking_weights(log_density: Array, counted: Array | None = None) -> Array:
    """Weights of the models in the mixture that gives what was held out the highest likelihood.

        max over w of  Σ_i n_i ln Σ_k w_k p_k(y_i)

    Args:
        log_density: ln p_k(y_i) of each held-out value under each model, shape (models, values).
        counted: n_i, what each value counts, shape (values,); one unless given. Or several such, shape (sets, values).

    Returns:
        Shape (models,), summing to one, or (sets, models): 500 steps of expectation maximisation from equal weights.

    Source:
        Yao et al. 2018, arXiv:1704.02030, equation 3.
    """
    density = np.exp(log_density - log_density.max(axis=0))
    times = np.ones(density.shape[1]) if counted is None else np.asarray(counted, float)
    times = times / times.sum(axis=-1, keepdims=True)
    weights = np.full((*times.shape[:-1], len(density)), 1.0 / len(density))
    for _ in range(_ROUNDS):
        weights = weights * (times / (weights @ density) @ density.T)
    return weights


@np.errstate(all="ignore")
def unseen(
    contest: Contest, fits: Mapping[str, Fit], folds: list[Fold], groups: Clusters, *, spare: int = _SPARE
) -> Unseen | None:
    """The density of what each fold holds out; None where no fold leaves every law enough to be fitted to.

    Args:
        contest: laws and runs.
        fits: each law fitted to all runs; their options say how to refit.
        folds: parts of the runs to fit and to predict.
        groups: runs that are not independent, labelled in the order of the table.
        spare: runs that a part needs beyond one for each free parameter.
    """
    refits = {name: _refitted(contest, name, fitted, folds, spare) for name, fitted in fits.items()}
    good = [i for i in range(len(folds)) if all(i in refit for refit in refits.values())]
    if not good:
        return None
    cases = [np.flatnonzero(folds[i].held & (_counted(fits) > 0)) for i in good]
    if not any(map(len, cases)):
        return None
    run = np.concatenate(cases)
    fold = np.repeat(good, [len(rows) for rows in cases])
    density = []
    for refit in refits.values():
        miss, scale, far = (
            np.concatenate([refit[i][part][rows] for i, rows in zip(good, cases, strict=True)])
            for part in range(3)
        )
        tried = scale**2 * (1 + _RUNS_OFF[:, None] ** 2 * far)
        each = _student(miss, np.sqrt(tried))
        density.append(each[np.argmax(each @ _counted(fits)[run])])
    return Unseen(tuple(fits), np.stack(density), run, fold, groups, _counted(fits))


def _counted(fits: Mapping[str, Fit]) -> Array:
    return next(iter(fits.values())).residual_weights


def _student(miss: Array, scale: Array) -> Array:
    """Up to a constant that is the same for all laws."""
    return -0.5 * (_FREEDOM + 1) * np.log1p((miss / scale) ** 2 / _FREEDOM) - np.log(scale)


def _refitted(
    contest: Contest, name: str, fitted: Fit, folds: list[Fold], spare: int
) -> dict[int, tuple[Array, Array, Array]]:
    """Miss, scatter and distance of every row, in the order of the table, for each fold that can be fitted."""
    law, options = describe(contest.laws[name]), fitted.options
    problem, data = pose(law, contest.frame, options, contest.options["weights"])
    minimum = minimise(problem, options, starts=_STARTS)
    problem, place = minimum.problem, np.argsort(data.order)
    along = {c: data.columns[c] for c in scales(law, data)}
    able = [i for i, f in enumerate(folds) if _enough(problem, along, f.fitted[data.order], spare)]
    if not able:
        return {}
    starts = minimum.solution.parameters[np.argsort(minimum.solution.value)[:_SOLUTIONS]]
    count = len(starts)
    rows = np.array([folds[i].fitted[data.order] for i in able])
    solution = descend(
        problem,
        np.tile(starts, (len(able), 1)),
        np.repeat(rows * problem.weights, count, axis=0),
        steps=_STEPS,
    )
    best = np.argmin(solution.value.reshape(len(able), count), axis=1) + count * np.arange(len(able))
    miss = problem.prepared - problem.objective.prepare(problem.call(solution.parameters[best]))
    out = {}
    for i, seen, r in zip(able, rows, miss, strict=True):
        n = problem.weights[seen].sum()
        widened = np.sqrt(n / max(1.0, n - len(problem.free)))
        scatter = max(weighted_rms(r[seen], problem.weights[seen]) * widened, _ROUNDING)
        far = Support.of({c: v[seen] for c, v in along.items()}).distance(along) if along else np.ones(len(r))
        out[i] = r[place], np.full(len(r), scatter), far[place]
    return out


def _enough(problem: Problem, along: Mapping[str, Array], seen: NDArray[np.bool_], spare: int) -> bool:
    """Whether a part has runs and scales enough to determine the law."""
    seen = seen & (problem.weights > 0)
    several = min((len(np.unique(v[seen])) for v in along.values()), default=3)
    return bool(seen.sum() >= len(problem.free) + spare and several >= min(3, len(problem.free)))
