"""Which laws could have made the runs: each makes some in simulation, and all are fitted to what it made.

A criterion that adds up log-likelihoods is sure of itself where noise is shared, tails are heavy or a law contains
another. So the ratio of likelihoods is held against what it comes to where the law j is true:

    T_j = ln Q_j − ln min_k Q_k,    Q_k = min over parameters of Σ_i w_i ρ(ln L_k − ln y)_i
    ln y* = ln f_j + τ u_cluster + σ e,   u and e standard normal
    p_j = (1 + #{T_j* ≥ T_j}) / (1 + draws)

with the fitted curve f_j, and τ² and σ² from its own misses. ρ is Huber's penalty with its bend at 1.345 standard
deviations of the noise; a linear objective keeps its own. A law that contains the true one is never implausible, so
every law is also asked to copy the curves of the others; those that it can copy are no rivals k of its own.

Source:
    Cox 1962, J. R. Stat. Soc. B 24(2), for tests between laws of which none contains the other; Williams 1970,
    Biometrics 26(1), for simulating them. Chosen by the simulated worlds of benchmarks/comparison.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace

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
_MOST = 2000  # runs that laws are simulated on
_BEND = 1.345  # standard deviations: 95 % efficient for normal noise
_LEAST_BEND = 1e-3  # from afar a narrower one is hardly bent anywhere, and descents end too soon
_NORMAL = np.sqrt(np.pi / 2)  # standard deviation by mean absolute deviation
_STEPS = 60  # of a refit to simulated runs
_STARTS, _SOLUTIONS = 6, 4  # of a law on the runs, and the best of them, from which it copies another
_COPIED = 0.25  # nats that a law may lose on the curve of another and still contain it
_ROUNDING = 1e-6  # relative; a miss below is that of digits left out, or of a descent that ended


@dataclass(frozen=True, eq=False)
class Plausibility:
    """What simulation says of each law."""

    p: dict[str, float]
    """How often runs that the law made would speak as much against it as these do; NaN for a law without rivals,
    as those that it contains are none."""
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

    @property
    def counted(self) -> Array:
        """What each row counts."""
        return self.problem.weights[np.argsort(self.order)]

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
    contest, groups = _thinned(contest, groups, seed)
    trials = _trials(contest, fits)
    copies = {(k, j): _copy(trials[k], trials[j]) for k in trials for j in trials if j != k}
    contains = {j: tuple(k for k in trials if k != j and copies[k, j][1]) for j in trials}
    seen = {j: trial.floored(np.array(trial.value)) for j, trial in trials.items()}
    p = {}
    for number, (name, true) in enumerate(trials.items()):
        rivals = [k for k in trials if k != name and k not in contains[name]]
        made = true.curve + _noise(true, groups, np.random.default_rng([seed, 3, number]))
        starts = {name: np.tile(true.solutions[0], (_DRAWS, 1))}
        starts |= {k: np.tile(copies[name, k][0], (_DRAWS, 1)) for k in rivals}
        values = {k: trials[k].fitted(start, made, _STEPS)[1] for k, start in starts.items()}
        p[name] = np.nan
        if rivals:
            above = _against(name, rivals, values) >= _against(name, rivals, seen)
            p[name] = float((1 + above.sum()) / (1 + _DRAWS))
    return Plausibility(p, contains)


def _thinned(contest: Contest, groups: Clusters, seed: int) -> tuple[Contest, Clusters]:
    """Some of very many runs, drawn at random: as many as decide the matter in seconds."""
    count = len(contest.frame)
    if count <= _MOST:
        return contest, groups
    rows = np.sort(np.random.default_rng([seed, 3]).permutation(count)[:_MOST])
    kept, labels = np.unique(groups.labels[rows], return_inverse=True)
    return replace(contest, frame=contest.frame[rows]), Clusters(labels, len(kept), groups.words)


def _copy(of: _Trial, by: _Trial) -> tuple[Array, bool]:
    """The parameters with which one law comes nearest the curve of another, and whether it contains that one."""
    copies, lost = by.fitted(by.solutions, np.tile(of.curve, (len(by.solutions), 1)), 2 * _STEPS)
    variance = weighted_rms(of.miss, of.counted) ** 2
    alike = lost.min() < _COPIED * max(variance, 10 * len(of.miss) * _ROUNDING**2)
    return copies[np.argmin(lost)], bool(alike and len(by.problem.free) > len(of.problem.free))


def _against(name: str, rivals: Iterable[str], values: Mapping[str, Array]) -> Array:
    """T of one law."""
    return np.log(values[name]) - np.log(np.min([values[other] for other in rivals], axis=0))


def _trials(contest: Contest, fits: Mapping[str, Fit]) -> dict[str, _Trial]:
    bend = max(_BEND * min(map(_spread, fits.values())), _LEAST_BEND)
    trials = {}
    for name, fitted in fits.items():
        options = fitted.options
        if options.goal.log:
            plain = {"objective": "huber_log", "delta": bend, "quantile": 0.5}
            options = Options(**(asdict(options) | plain))
        law = describe(contest.laws[name])
        problem, data = pose(law, contest.frame, options, contest.options["weights"])
        minimum = minimise(problem, options, starts=_STARTS)
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
    known = true.problem.stderr
    unit = known[np.argsort(true.order)] if true.problem.objective.stderr and known is not None else 1.0
    miss, counted = true.miss / unit, true.counted
    n = counted.sum()
    total = np.average(miss**2, weights=counted) * n / max(1.0, n - len(true.problem.free))
    own, shared = own_and_shared(miss, counted, groups)
    scale = np.sqrt(max(total, _ROUNDING**2) / max(own + shared, 1e-300))
    noise = np.sqrt(own) * rng.standard_normal((_DRAWS, len(miss)))
    noise += np.sqrt(shared) * rng.standard_normal((_DRAWS, groups.count))[:, groups.labels]
    return unit * scale * noise


def own_and_shared(miss: Array, counted: Array, groups: Clusters) -> tuple[float, float]:
    """Variance of a run's own miss and of what its cluster shares, by one-way analysis of variance; (1, 0) where
    clusters have no two runs."""
    n = counted.sum()
    if n <= groups.count + 1:
        return 1.0, 0.0
    size = np.maximum(np.bincount(groups.labels, counted, groups.count), 1e-300)
    mean = np.bincount(groups.labels, counted * miss, groups.count) / size
    own = float(counted @ (miss - mean[groups.labels]) ** 2) / (n - groups.count)
    return own, max(0.0, float(np.mean(mean**2 - own / size)))
