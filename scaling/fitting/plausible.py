"""Which laws could have made the runs: each makes some in simulation, and all are fitted to what it made.

A criterion that adds up log-likelihoods is sure of itself where noise is shared, tails are heavy or a law contains
another. So the ratio of likelihoods is held against what it comes to where the law j is true:

    T_j = ln Q_j − ln min_{k ≠ j} Q_k,    Q_k = min over parameters of Σ_i w_i ρ(ln L_k − ln y)_i
    ln y* = ln f_j + τ u_cluster + σ e,   u and e standard normal
    p_j = (1 + #{T_j* ≥ T_j}) / (1 + draws)

with the fitted curve f_j, and τ² and σ² from its own misses. ρ is Huber's penalty with its bend at 1.345 standard
deviations of the noise; a linear objective keeps its own. A law that contains the true one is never implausible, so a law is
also asked to copy the curve of each other one.

Source:
    Cox 1962, J. R. Stat. Soc. B 24(2), for tests between laws of which none contains the other; Williams 1970,
    Biometrics 26(1), for simulating them. Chosen by the simulated worlds of benchmarks/comparison.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from scaling.fitting.contest import Contest
from scaling.fitting.data import Array
from scaling.fitting.minimum import descend, minimise, pose
from scaling.fitting.options import Options
from scaling.fitting.problem import Problem
from scaling.fitting.resample import Clusters
from scaling.fitting.result import Fit
from scaling.laws.base import describe
from scaling.show import weighted_rms

IMPLAUSIBLE = 0.05
"""p at which a law is taken to have been refuted: the true one is in one table of twenty."""
_DRAWS = 99
_BEND = 1.345  # standard deviations: 95 % efficient for normal noise
_NORMAL = np.sqrt(np.pi / 2)  # standard deviation by mean absolute deviation
_STEPS = 60  # of a refit to simulated runs
_SOLUTIONS = 4  # of a law's own, from which it is fitted to the curve of another
_COPIED = 0.25  # nats that a law may lose on the curve of another and still contain it
_ROUNDING = 1e-8  # relative; a miss below is that of the arithmetic


@dataclass(frozen=True, eq=False)
class Plausibility:
    """What simulation says of each law."""

    p: dict[str, float]
    """How often runs that the law made would speak as much against it as these do; NaN for a law without rivals."""
    contains: dict[str, tuple[str, ...]]
    """Laws with fewer parameters whose curves it copies on these runs."""

    @property
    def left(self) -> tuple[str, ...]:
        """Laws that could have made the runs."""
        return tuple(name for name, p in self.p.items() if not p <= IMPLAUSIBLE)

    @property
    def simplest(self) -> str | None:
        """Of the laws that are left the one that all others contain, which is enough; None where there is none."""
        for name in self.left:
            if all(name in self.contains[other] for other in self.left if other != name):
                return name
        return None


@dataclass(frozen=True, eq=False)
class _Trial:
    """A law that can be fitted to what others made; all arrays here are in the order of the table."""

    problem: Problem
    order: NDArray[np.int64]
    solutions: Array
    """Its own, best first, shape (solutions, free)."""
    value: float
    curve: Array
    miss: Array

    def fitted(self, starts: Array, targets: Array, steps: int) -> tuple[Array, Array]:
        """Parameters and objective for each target of shape (rows,)."""
        solution = descend(self.problem, starts, None, targets[:, self.order], steps=steps)
        return solution.parameters, self.floored(solution.value)

    def floored(self, value: Array) -> Array:
        return np.where(np.isfinite(value), value, np.inf) + self.problem.weights.sum() * _ROUNDING**2


@np.errstate(all="ignore")
def plausibility(contest: Contest, fits: Mapping[str, Fit], groups: Clusters, seed: int) -> Plausibility:
    """What simulation says of each law.

    Args:
        contest: laws and runs.
        fits: each law fitted to all runs.
        groups: runs that share noise, labelled in the order of the table.
        seed: of the draws.
    """
    if len(fits) < 2:
        return Plausibility(dict.fromkeys(fits, np.nan), dict.fromkeys(fits, ()))
    trials = _trials(contest, fits)
    contains: dict[str, tuple[str, ...]] = {name: () for name in trials}
    p = {}
    for number, (name, true) in enumerate(trials.items()):
        made = true.curve + _noise(true, groups, np.random.default_rng([seed, 3, number]))
        values = {name: true.fitted(_tiled(true.solutions[0]), made, _STEPS)[1]}
        for other, trial in trials.items():
            if other == name:
                continue
            count = len(trial.solutions)
            copies, lost = trial.fitted(trial.solutions, np.tile(true.curve, (count, 1)), 2 * _STEPS)
            if _copied(lost.min(), true) and len(trial.problem.free) > len(true.problem.free):
                contains[other] += (name,)
            values[other] = trial.fitted(_tiled(copies[np.argmin(lost)]), made, _STEPS)[1]
        best = {k: trial.floored(np.array(trial.value)) for k, trial in trials.items()}
        p[name] = (1 + int((_against(name, values) >= _against(name, best)).sum())) / (1 + _DRAWS)
    return Plausibility(p, contains)


def _tiled(start: Array) -> Array:
    return np.tile(start, (_DRAWS, 1))


def _against(name: str, values: Mapping[str, Array]) -> Array:
    """T of one law."""
    rivals = [value for other, value in values.items() if other != name]
    return np.log(values[name]) - np.log(np.min(rivals, axis=0))


def _copied(lost: float, true: _Trial) -> bool:
    variance = weighted_rms(true.miss, true.problem.weights[np.argsort(true.order)]) ** 2
    return lost < _COPIED * max(variance, 10 * len(true.miss) * _ROUNDING**2)


def _trials(contest: Contest, fits: Mapping[str, Fit]) -> dict[str, _Trial]:
    bend = _BEND * max(min(map(_spread, fits.values())), _ROUNDING)
    trials = {}
    for name, fitted in fits.items():
        options = fitted.options
        if options.goal.log:
            plain = {"objective": "huber_log", "delta": bend, "quantile": 0.5}
            options = Options(**(asdict(options) | plain))
        law = describe(contest.laws[name])
        problem, data = pose(law, contest.frame, options, contest.options["weights"])
        minimum = minimise(problem, options)
        problem, ranked = minimum.problem, np.argsort(minimum.solution.value)[:_SOLUTIONS]
        place = np.argsort(data.order)
        shape = problem.objective.prepare(problem.call(minimum.best[None])[0])
        trials[name] = _Trial(
            problem, data.order, minimum.solution.parameters[ranked], float(minimum.solution.value.min()),
            shape[place], (problem.prepared - shape)[place],
        )  # fmt: skip
    return trials


def _spread(fitted: Fit) -> float:
    """Standard deviation of the runs around a law, by their mean absolute miss."""
    counted = fitted.residual_weights
    spare = counted.sum() / max(1.0, counted.sum() - len(fitted.free))
    return float(_NORMAL * np.average(np.abs(fitted.residuals), weights=counted) * np.sqrt(spare))


def _noise(true: _Trial, groups: Clusters, rng: np.random.Generator) -> Array:
    """Noise of simulated runs, shape (draws, rows): of the size of the misses, as much of it shared as they share."""
    counted = true.problem.weights[np.argsort(true.order)]
    known = true.problem.stderr
    unit = known[np.argsort(true.order)] if true.problem.objective.stderr and known is not None else 1.0
    miss, n = true.miss / unit, counted.sum()
    total = np.average(miss**2, weights=counted) * n / max(1.0, n - len(true.problem.free))
    size = np.maximum(np.bincount(groups.labels, counted, groups.count), 1e-300)
    mean = np.bincount(groups.labels, counted * miss, groups.count) / size
    shared, own = 0.0, 1.0
    if n > groups.count + 1:
        own = float(counted @ (miss - mean[groups.labels]) ** 2) / (n - groups.count)
        shared = max(0.0, float(np.mean(mean**2 - own / size)))
    scale = np.sqrt(max(total, _ROUNDING**2) / max(own + shared, 1e-300))
    noise = np.sqrt(own) * rng.standard_normal((_DRAWS, len(miss)))
    noise += np.sqrt(shared) * rng.standard_normal((_DRAWS, groups.count))[:, groups.labels]
    return unit * scale * noise
