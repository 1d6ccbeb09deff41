"""The minimum of an objective: a fit posed as a problem, solved from many starts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scaling.fitting import seeds
from scaling.fitting.data import Array, Data, Table, Weights, read
from scaling.fitting.identifiability import require_enough
from scaling.fitting.objective import likelihood_scale, likelihood_value
from scaling.fitting.options import Options
from scaling.fitting.problem import Problem
from scaling.fitting.solve import STEPS, Solution, solve
from scaling.laws.base import Argument, Law

_POLISHED = 4096  # rows beyond which starts are solved on a sample first
_BEYOND = 1e4  # how far beyond the largest run a scale parameter is looked for
_NARROWER = (0.3, 0.1, 0.03, 0.01, 0.003)  # bend of the penalty on the way, in mean absolute misses
_NARROWEST = 0.001  # where refits stop, if the scale of the fit does not bend the penalty before


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where every start of a fit ended."""

    problem: Problem
    """What refits minimise: with its priors weighed, and a free scale of the likelihood at its best."""
    solution: Solution
    notes: tuple[str, ...]
    """What there is to say about the descent."""

    @property
    def best(self) -> Array:
        """The lowest solution, shape (free,)."""
        return self.solution.best


def pose(law: Law, runs: Table, options: Options, weights: Weights = None) -> tuple[Problem, Data]:
    """The function of parameter vectors that a fit minimises, and the runs as the law reads them.

    Raises:
        LawFails: the law raises on these columns, or does not return one value for each row, of that row alone.
        FitError, RecordError, BadOption: as `Options`, `read` and `require_enough` say.
    """
    goal = options.goal
    options.free(law)  # refuses what this law cannot be fitted with
    low, high = options.limits(law)
    data = read(
        law.columns, runs, target=options.target, positive=goal.log or options.target == "loss",
        weights=weights, stderr=options.stderr if goal.stderr else None,
    )  # fmt: skip
    require_enough(law, data, options)
    problem = Problem(
        law=law, columns=tuple(data.columns[c] for c in law.column_names), target=data.target, weights=data.weights,
        objective=goal, free=tuple(_located(p, law, data) for p in law.parameters if p.name not in options.fixed),
        fixed=dict(options.fixed), low=low, high=high, stderr=data.stderr,
    )  # fmt: skip
    sample = seeds.thinned(problem, 8)
    points = seeds.spread(sample, 2, 0)
    sample.require_function(points)
    return replace(problem, exact=sample.is_traceable(points)), data


def _located(parameter: Argument, law: Law, data: Data) -> Argument:
    """A parameter that is itself a scale (a break, a half-way point) has its starts around and far beyond the runs."""
    scales = [data.columns[c.name] for c in law.columns if c.quantity.count]
    if not (parameter.quantity.count and scales):
        return parameter
    low, high = min(float(s.min()) for s in scales), max(float(s.max()) for s in scales)
    return replace(parameter, quantity=replace(parameter.quantity, start=(0.1 * low, _BEYOND * high)))


def minimise(
    problem: Problem, options: Options, *, starts: int = seeds.STARTS, steps: int = STEPS
) -> Minimum:
    """The problem solved from every start, its priors weighed against the scatter of the runs.

    Args:
        problem: as `pose` made it.
        options: with which it was posed.
        starts: how many.
        steps: most steps of one descent.

    Raises:
        LawReturnsNaN: the law has no finite value at any start.
    """
    if options.objective == "huber_likelihood":
        return _maximise_likelihood(problem, options)
    return _from_all_starts(problem, options, starts, steps)


def _from_all_starts(
    problem: Problem, options: Options, starts: int = seeds.STARTS, steps: int = STEPS
) -> Minimum:
    linear = seeds.linear_parameters(problem, options.seed)
    unannotated = np.array([not p.annotated for p in problem.free])
    if not linear.all():
        problem = replace(problem, by_factor_first=linear & unannotated)
    points = seeds.starts(problem, linear, seed=options.seed, count=starts)
    solution = _solve_starts(problem, points, steps)
    if options.priors:
        problem = _with_priors(problem, solution.best, options)
        means = np.where(np.isnan(problem.prior_mean), points, problem.prior_mean)  # type: ignore[arg-type]
        solution = _solve_starts(problem, np.concatenate([solution.parameters, means]), steps)
    if not np.isfinite(solution.value).any():
        raise seeds.without_value(problem, points)
    notes = ()
    if not problem.exact:
        notes += ("derivatives by finite differences: dual numbers do not pass through this law",)
    if not solution.converged[np.argmin(solution.value)]:
        notes += ("the best start did not converge: its last step still lowered the objective",)
    return Minimum(problem, solution, notes)


def _solve_starts(problem: Problem, points: Array, steps: int) -> Solution:
    """Every start solved; with very many runs on a sample first, so that few steps go over the whole table."""
    if problem.rows > _POLISHED:
        points = solve(seeds.thinned(problem, _POLISHED // 2), points, steps=steps).parameters
    return solve(problem, points, steps=steps)


def _with_priors(problem: Problem, best: Array, options: Options) -> Problem:
    known = [options.priors.get(name, (np.nan, np.inf)) for name in problem.names]
    mean = np.array([mean for mean, _ in known])
    precision = np.array([std**-2.0 for _, std in known])
    return replace(problem, prior_mean=mean, prior_precision=precision, temperature=problem.nat(best))


@np.errstate(all="ignore")
def _maximise_likelihood(problem: Problem, options: Options) -> Minimum:
    """The Huber likelihood with free scale s: for a given s it is the Huber fit with its bend at s delta.

    For a small delta the best s is about delta times the mean absolute miss, so the bend is that times delta squared:
    this is a fit of least absolute errors in all but the last digits. It is approached by narrowing the bend step by
    step, as from afar hardly any row would bend the objective. Refits to resampled runs keep the s of the fit, which
    moves them to second order only, and stop at a thousandth of the mean miss. One nat of log-likelihood, by which
    priors are weighed, is worth s² with the bend at s delta, else bend times s / delta.
    """
    delta = problem.objective.delta or 1e-3
    plain = replace(problem, objective=replace(problem.objective, likelihood=False))
    first = _from_all_starts(plain, options)
    plain, mean_miss = first.problem, first.problem.mean_miss(first.best)
    solution = descend(_bent(plain, _NARROWEST * mean_miss, mean_miss), first.solution.parameters)
    scale = 0.0
    for _ in range(4):
        scale = likelihood_scale(plain.misses(solution.best[None])[0], plain.weights, delta)
        solution = solve(_bent(plain, delta * scale, scale / delta), solution.parameters)
    value = [likelihood_value(r, plain.weights, scale, delta) for r in plain.misses(solution.parameters)]
    value = np.where(np.isfinite(solution.value), value + plain.prior(solution.parameters), np.inf)
    bend = max(_NARROWEST * mean_miss, delta * scale)
    refits = _bent(replace(plain, objective=problem.objective), bend, scale / delta)
    return Minimum(refits, replace(solution, value=value), first.notes)


def descend(
    problem: Problem, starts: Array, weights: Array | None = None, prepared: Array | None = None,
    *, steps: int = STEPS, prior_mean: Array | None = None,
) -> Solution:  # fmt: skip
    """Fits from their starts as `solve` makes them; of a likelihood with free scale, its bend narrowed step by step."""
    if problem.objective.name == "huber_likelihood":
        last = problem.objective.delta or 1e-3
        mean_miss = problem.temperature / last
        for bend in (share * mean_miss for share in _NARROWER if share * mean_miss > last):
            bent = _bent(problem, bend, mean_miss)
            starts = solve(bent, starts, weights, prepared, steps=steps, prior_mean=prior_mean).parameters
    return solve(problem, starts, weights, prepared, steps=steps, prior_mean=prior_mean)


def _bent(problem: Problem, delta: float, mean_miss: float) -> Problem:
    objective = replace(problem.objective, delta=delta)
    return replace(problem, objective=objective, temperature=delta * mean_miss)
