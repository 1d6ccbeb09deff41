"""`fit`: a law and a table of runs in, a `Fit` out."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.errors import BadOption, BoundsExcludeStarts, LawReturnsNaN, NothingToFit, UnknownParameter
from scaling.fit import seeds
from scaling.fit.data import Array, Data, Table, read, require_enough
from scaling.fit.objective import Objective, objective
from scaling.fit.problem import Problem
from scaling.fit.resample import Clusters, bootstrap_weights, clusters
from scaling.fit.result import Fit, Starts
from scaling.fit.solve import Solution, chunk_size, solve
from scaling.fit.text import weighted_rms
from scaling.laws.base import Argument, Law, describe

_AGREE = 1e-6  # relative difference of objectives at which two starts have found the same minimum
_POLISHED = 4096  # rows beyond which starts are solved on a sample first
_FLAT = 1e10  # condition number beyond which some direction is not determined
_WIDE = 100.0  # ratio of the ends of a 95 % interval beyond which a positive parameter is not determined
_BEYOND = 1e4  # how far beyond the largest run a scale parameter is looked for
_AT_BOUND = 0.1  # share of draws at a bound beyond which a parameter is not determined


def fit(
    law: Callable[..., Any],
    runs: Table,
    *,
    objective: str = "huber_log",
    delta: float = 1e-3,
    seed: int = 0,
    bootstrap: int = 1000,
    cluster: str = "auto",
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    priors: Mapping[str, tuple[float, float]] | None = None,
    weights: str | Sequence[float] | NDArray | None = None,
    target: str = "loss",
    stderr: str = "loss_stderr",
) -> Fit:
    """A law fitted to runs, from many starts, with a clustered bootstrap.

    Args:
        law: a function whose positional arguments are columns and whose keyword-only arguments are fitted:
            one of `scaling.laws`, or your own (annotations and derivatives are not needed).
        runs: one row per run, a polars frame or a dictionary of arrays, with the law's columns and `target`.
        objective: "huber_log" (Huber on log loss), "squares_log", "squares", or "gaussian" with the column `stderr`.
        delta: where the Huber penalty turns from square to linear, in log loss; 1e-3 is 0.1 %.
        seed: of starts and bootstrap.
        bootstrap: number of refits to resampled runs; 0 skips them.
        cluster: what is resampled together: "rows", "compute" (quarter decades), a column, or "auto": trunk_id where
            the table has it, else quarter decades of compute, else rows. The choice is printed.
        fixed: parameters held still, e.g. {"E": 1.69}.
        bounds: (low, high) of parameters, None for an open end; within what the law's annotations allow.
        priors: (mean, standard deviation) of Gaussian priors on parameters, weighed against the scatter of the runs.
        weights: column or array with what each run counts.
        target: column that the law predicts.
        stderr: column with the standard error of each target; read by objective="gaussian" only.

    Returns:
        A frozen `Fit`; print it.

    Raises:
        LawError: the function cannot serve as a law.
        RecordError: a column is missing.
        FitError: these runs cannot be fitted; each kind is named in `scaling.errors`.
    """
    described = describe(law)
    goal = _objective(objective, delta)
    fixed, bounds, priors = dict(fixed or {}), dict(bounds or {}), dict(priors or {})
    if not (isinstance(bootstrap, int) and bootstrap >= 0):
        raise BadOption("bootstrap", bootstrap, "a whole number, 0 to skip it")
    free_names = _check_options(described, fixed, bounds, priors)
    low, high = _bounds(described, free_names, bounds)
    data = read(
        described, runs, target=target, positive=goal.log or target == "loss",
        weights=weights, stderr=stderr if goal.stderr else None,
    )  # fmt: skip
    require_enough(described, data, free_names, loose=len(fixed) + len(priors) + len(described.held))
    groups = clusters(data, cluster) if bootstrap else Clusters(np.zeros(data.rows, np.int64), 1, "rows")
    problem = build(described, data, goal, fixed, low, high)
    found, solution, notes = minimise(problem, priors, seed)
    best = solution.parameters[np.argmin(solution.value)]
    draws, unfinished = _bootstrap(found, best, groups, bootstrap, seed)
    return _result(
        law, found, data, best, solution, draws, unfinished, groups.words, notes,
        settings={
            "objective": objective, "delta": delta, "seed": seed, "fixed": fixed, "priors": priors,
            "bounds": {k: list(v) for k, v in bounds.items()}, "target": target,
        },
    )  # fmt: skip


_objective = objective  # `fit` has an argument of that name


def build(
    law: Law, data: Data, goal: Objective, fixed: Mapping[str, float], low: Array, high: Array
) -> Problem:
    """The function of parameter vectors that a fit minimises.

    Raises:
        LawFails: the law raises on these columns, or does not return one value for each row.
    """
    free = tuple(_located(p, law, data) for p in law.parameters if p.name not in fixed)
    problem = Problem(
        law=law, columns=tuple(data.columns[c] for c in law.column_names), target=data.target, weights=data.weights,
        objective=goal, free=free, fixed=dict(fixed), low=low, high=high, stderr=data.stderr,
    )  # fmt: skip
    probe = seeds.spread(seeds.thinned(problem, 8), 2, 0)
    return replace(problem, exact=seeds.thinned(problem, 8).is_traceable(probe))


def _located(parameter: Argument, law: Law, data: Data) -> Argument:
    """A parameter that is itself a scale (a break, a half-way point) has its starts around and far beyond the runs."""
    scales = [data.columns[c.name] for c in law.columns if c.quantity.count]
    if not (parameter.quantity.count and scales):
        return parameter
    low, high = min(float(s.min()) for s in scales), max(float(s.max()) for s in scales)
    return replace(parameter, quantity=replace(parameter.quantity, start=(0.1 * low, _BEYOND * high)))


def minimise(
    problem: Problem, priors: Mapping[str, tuple[float, float]], seed: int
) -> tuple[Problem, Solution, tuple[str, ...]]:
    """The problem with its priors weighed, every start's solution, and what there is to say about it.

    Raises:
        LawReturnsNaN: the law has no finite value at any start.
    """
    linear = seeds.linear_parameters(problem, seed)
    unannotated = np.array([not p.annotated for p in problem.free])
    if not linear.all():
        problem = replace(problem, by_factor_first=linear & unannotated)
    points = seeds.starts(problem, linear, seed=seed)
    solution = _solve_starts(problem, points)
    if priors:
        problem = _with_priors(problem, solution, priors)
        means = np.where(np.isnan(problem.prior_mean), points, problem.prior_mean)  # type: ignore[arg-type]
        solution = _solve_starts(problem, np.concatenate([solution.parameters, means]))
    if not np.isfinite(solution.value).any():
        raise LawReturnsNaN(
            problem.law.name, len(points), dict(zip(problem.names, points[0].tolist(), strict=True))
        )
    notes = (
        ()
        if problem.exact
        else ("derivatives by finite differences: dual numbers do not pass through this law",)
    )
    if not solution.converged[np.argmin(solution.value)]:
        notes += ("the best start did not converge: its last step still lowered the objective",)
    return problem, solution, notes


def _solve_starts(problem: Problem, points: Array) -> Solution:
    """Every start solved; with very many runs on a sample first, so that few passes go over the whole table."""
    if problem.rows > _POLISHED:
        points = solve(seeds.thinned(problem, _POLISHED // 2), points).parameters
    return solve(problem, points)


def _with_priors(problem: Problem, solution: Solution, priors: Mapping[str, tuple[float, float]]) -> Problem:
    best = solution.parameters[np.argmin(solution.value)]
    temperature = problem.objective.temperature(problem.misses(best[None])[0], problem.weights)
    mean = np.array([priors.get(name, (np.nan, np.inf))[0] for name in problem.names])
    precision = np.array(
        [temperature / priors[name][1] ** 2 if name in priors else 0.0 for name in problem.names]
    )
    return replace(problem, prior_mean=mean, prior_precision=precision)


def _bootstrap(problem: Problem, best: Array, groups: Clusters, draws: int, seed: int) -> tuple[Array, int]:
    """Refits to resampled runs, each from the best solution: shape (draws, free), and how many did not converge."""
    if not draws:
        return np.empty((0, len(best))), 0
    chunk = chunk_size(problem.rows)
    drawn = bootstrap_weights(groups, problem.weights, draws=draws, seed=seed, chunk=chunk)
    parts = [solve(problem, np.tile(best, (len(own), 1)), own) for own in drawn]
    return np.concatenate([p.parameters for p in parts]), int(sum((~p.converged).sum() for p in parts))


def _result(
    law: Callable[..., Any], problem: Problem, data: Data, best: Array, solution: Solution, draws: Array,
    unfinished: int, cluster: str, notes: tuple[str, ...], settings: dict[str, Any],
) -> Fit:  # fmt: skip
    params = {
        p: float(problem.fixed[p]) if p in problem.fixed else float(best[problem.names.index(p)])
        for p in problem.law.parameter_names
    }
    drawn = {
        p: draws[:, problem.names.index(p)] if p in problem.names else np.full(len(draws), v)
        for p, v in params.items()
    }
    value = problem.call(best[None])[0]
    relative = data.target / value - 1.0
    residuals = np.empty(data.rows)
    residuals[data.order] = np.log(data.target / value) if problem.objective.log else data.target - value
    own = np.empty(data.rows)
    own[data.order] = data.weights
    lowest = float(solution.value.min())
    excess = np.sort(solution.value) / max(lowest, np.finfo(float).tiny) - 1.0
    apart = tuple(float(e) for e in excess if e > _AGREE and lowest > problem.rows * 1e-24)
    condition, loose = _condition(problem, best)
    return Fit(
        law=law,
        name=problem.law.name,
        params=params,
        free=problem.names,
        method=problem.objective.words,
        settings=settings,
        objective=lowest,
        starts=Starts(len(excess) - len(apart), len(excess), apart),
        draws=drawn,
        draws_unfinished=unfinished,
        cluster=cluster,
        rows=data.rows,
        target=settings["target"],
        residuals=residuals,
        residual_weights=own,
        rms_percent=100.0 * weighted_rms(relative, data.weights),
        condition=condition,
        undetermined=_undetermined(problem, best, draws, condition, loose),
        ranges={c: (float(v.min()), float(v.max())) for c, v in data.columns.items()},
        notes=notes,
        data_hash=data.hash,
    )


def _condition(problem: Problem, best: Array) -> tuple[float, NDArray[np.bool_]]:
    """Condition number of the Gauss-Newton matrix with unit diagonal, and what its flattest direction moves.

    All rows count here, not only the active ones: the question is what the design determines.
    """
    _, parts = problem.derivatives(best[None])
    value = problem.call(best[None])[0]
    J = np.stack([np.broadcast_to(parts.get(j, 0.0), (1, problem.rows))[0] for j in range(len(best))], axis=1)
    J = J / value[:, None] if problem.objective.log else J
    J = J * np.sqrt(problem.weights)[:, None]
    J = J[np.isfinite(J).all(1)]
    size = np.sqrt((J**2).sum(0))
    dead = size == 0
    J = J[:, ~dead] / size[~dead]
    if not J.size:
        return np.inf, np.ones(len(best), bool)
    _, singular, directions = np.linalg.svd(J, full_matrices=False)
    loose = dead.copy()
    loose[~dead] = np.abs(directions[-1]) > 0.3
    return np.inf if dead.any() else float((singular[0] / max(singular[-1], 1e-300)) ** 2), loose


def _undetermined(
    problem: Problem, best: Array, draws: Array, condition: float, loose: NDArray[np.bool_]
) -> dict[str, str]:
    """Parameters that the runs do not determine, and how that shows."""
    found: dict[str, str] = {}
    for j, argument in enumerate(problem.free):
        name, low, high = argument.name, problem.low[j], problem.high[j]
        for end, bound in (("lower", low), ("upper", high)):
            if np.isfinite(bound) and np.isclose(best[j], bound, rtol=1e-9, atol=1e-12):
                found[name] = f"at its {end} bound {bound:g}"
        if name in found:
            continue
        if condition > _FLAT and loose[j]:
            found[name] = f"the objective is flat along it, condition number {condition:.1e}"
        elif len(draws):
            ends = np.quantile(draws[:, j], [0.025, 0.975])
            at_bound = np.mean(
                np.isclose(draws[:, j], low, rtol=1e-9, atol=1e-12) | np.isclose(draws[:, j], high, rtol=1e-9)
            )
            if at_bound > _AT_BOUND:
                found[name] = f"{100 * at_bound:.0f} % of the draws end at a bound"
            elif argument.quantity.log and ends[0] > 0 and ends[1] / ends[0] > _WIDE:
                found[name] = f"95 % of the draws span a factor of {ends[1] / ends[0]:.1e}"
    return found


def _check_options(
    law: Law, fixed: Mapping[str, float], bounds: Mapping[str, Any], priors: Mapping[str, Any]
) -> tuple[str, ...]:
    """The free parameters; every option names a parameter of the law and gives it numbers that make sense."""
    known = law.parameter_names
    for option, given in (("fixed", fixed), ("bounds", bounds), ("priors", priors)):
        _check_names(law, option, given, known)
    for name, value in fixed.items():
        if not np.isfinite(value):
            raise BadOption(f"fixed[{name!r}]", value, "a finite number")
    for name, prior in priors.items():
        if not (len(prior) == 2 and np.isfinite(prior).all() and prior[1] > 0):
            raise BadOption(f"priors[{name!r}]", prior, "(mean, standard deviation above zero)")
    for name in fixed:
        for option, given in (("bounds", bounds), ("priors", priors)):
            if name in given:
                raise BadOption(f"{option}[{name!r}]", given[name], f"left out, as {name} is fixed")
    free = tuple(p for p in known if p not in fixed)
    if not free:
        raise NothingToFit(law.name, (*law.held, *fixed))
    return free


def _check_names(law: Law, option: str, given: Iterable[str], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            closest = difflib.get_close_matches(name, known, n=1)
            raise UnknownParameter(law.name, option, name, known, closest[0] if closest else None)


def _bounds(
    law: Law, free: tuple[str, ...], bounds: Mapping[str, tuple[float | None, float | None]]
) -> tuple[Array, Array]:
    """The user's bounds within the law's own."""
    low, high = [], []
    for p in (p for p in law.parameters if p.name in free):
        allowed = (p.quantity.low, p.quantity.high)
        given = bounds.get(p.name, (None, None))
        if len(given) != 2:
            raise BadOption(f"bounds[{p.name!r}]", given, "(low, high), None for an open end")
        first = -np.inf if given[0] is None else float(given[0])
        last = np.inf if given[1] is None else float(given[1])
        inner = max(first, allowed[0]), min(last, allowed[1])
        if not inner[0] < inner[1]:
            raise BoundsExcludeStarts(law.name, p.name, first, last, allowed)
        low.append(inner[0])
        high.append(inner[1])
    return np.array(low), np.array(high)
