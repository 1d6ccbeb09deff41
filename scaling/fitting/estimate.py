"""`fit`: a law and a table of runs in, a `Fit` out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.errors import BadOption
from scaling.fitting import seeds
from scaling.fitting.data import Array, Data, Table, read
from scaling.fitting.discrepancy import Discrepancy, look_back
from scaling.fitting.enough import caveats, require_enough, spare_runs
from scaling.fitting.identify import condition, undetermined
from scaling.fitting.objective import Objective, likelihood_scale, likelihood_value, objective
from scaling.fitting.options import bounds_within, free_parameters, number, parameter_options, whole
from scaling.fitting.parallel import cores, in_parts
from scaling.fitting.problem import Problem
from scaling.fitting.resample import Clusters, bootstrap_weights, clusters, thin_draws, wild_targets
from scaling.fitting.result import Fit, Starts
from scaling.fitting.solve import STEPS, Solution, block_size, solve
from scaling.laws.base import Argument, Law, describe
from scaling.show import weighted_rms

_AGREE = 1e-6  # relative difference of objectives at which two starts have found the same minimum
_POLISHED = 4096  # rows beyond which starts are solved on a sample first
_BEYOND = 1e4  # how far beyond the largest run a scale parameter is looked for
_SPARE = 3  # runs more than free parameters, below which a fit says that it is too sure of itself
_THIN = 0.01  # share of draws on too few clusters that is worth a word
_NEARBY = 24  # steps within which all but one in a thousand refits near the best solution end
_PATIENCE = 80  # steps of a refit to the smaller runs: four in ten of the time would go to the last few
_WORTH_A_PROCESS = 1 << 17  # draws × rows: a tenth of a second, where starting a process takes a fiftieth


def fit(
    law: Callable[..., Any],
    runs: Table,
    *,
    objective: str = "huber_log",
    delta: float = 1e-3,
    quantile: float = 0.5,
    seed: int = 0,
    bootstrap: int = 1000,
    cluster: str = "auto",
    resample: str = "pairs",
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
        runs: one row per run, a frame (polars, pandas, pyarrow) or a dictionary of arrays, with the law's columns and
            `target`.
        objective: "huber_log" (Huber on log loss), "huber_likelihood" (its scale free), "quantile_log", "squares_log",
            "squares", or "gaussian" with the column `stderr`.
        delta: where the Huber penalty turns from square to linear, in log loss; 1e-3 is 0.1 %.
        quantile: share of the runs below the curve, for "quantile_log": 0.1 traces the better runs.
        seed: of starts and bootstrap.
        bootstrap: number of refits to resampled runs; 0 skips them, and the look at what the law missed from smaller
            runs on (`Fit.discrepancy`).
        cluster: what is resampled together: "rows", "compute" (quarter decades), a column, or "auto": trunk_id where
            the table has it, else quarter decades of compute, else rows. The choice is printed.
        resample: "pairs" draws clusters of runs with replacement; "wild" keeps every run and turns the misses of a
            cluster over by the toss of a coin, for grids too small to lose a size or a budget.
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
    bootstrap = whole("bootstrap", bootstrap, "a whole number, 0 to skip it")
    seed = whole("seed", seed, "a whole number from zero")
    if resample not in ("pairs", "wild"):
        raise BadOption("resample", resample, "'pairs' or 'wild'")
    settings = {
        "objective": objective, "delta": number("delta", delta), "quantile": number("quantile", quantile),
        "seed": seed, "resample": resample, **parameter_options(fixed, bounds, priors),
        "target": target, "stderr": stderr,
    }  # fmt: skip
    weighed = settings["priors"]
    problem, data = prepare(describe(law), runs, settings, weights)
    groups = clusters(data, cluster) if bootstrap else Clusters(np.zeros(data.rows, np.int64), 1, "rows")
    if objective == "huber_likelihood":
        found, solution, notes = _maximise_likelihood(problem, weighed, seed)
    else:
        found, solution, notes = minimise(problem, weighed, seed)
    best = solution.parameters[np.argmin(solution.value)]
    refits = bootstrap_draws(found, best, groups, bootstrap, seed, wild=resample == "wild")
    draws = np.concatenate([np.empty((0, len(best))), *(r.parameters for r in refits)])
    unfinished = int(sum((~r.converged).sum() for r in refits))
    words = groups.words + ", wild" * (resample == "wild")
    notes += caveats(problem.law, data, settings["fixed"], weighed) + _too_sure(
        data, len(best), groups, 0 if resample == "wild" else bootstrap, seed
    )
    result = _result(law, found, data, best, solution, draws, unfinished, words, notes, settings)
    return replace(result, discrepancy=_look_back(found, data, best, groups, seed)) if bootstrap else result


_objective = objective  # `fit` has an argument of that name


def prepare(
    law: Law, runs: Table, settings: Mapping[str, Any], weights: str | Sequence[float] | NDArray | None = None
) -> tuple[Problem, Data]:
    """What a fit minimises, from its settings as `Fit.settings` keeps them, and the runs as the law reads them."""
    goal = _objective(settings["objective"], settings["delta"], settings["quantile"])
    fixed, bounds, priors = settings["fixed"], settings["bounds"], settings["priors"]
    free = free_parameters(law, fixed, bounds, priors)
    low, high = bounds_within(law, free, bounds)
    target = settings["target"]
    data = read(
        law, runs, target=target, positive=goal.log or target == "loss",
        weights=weights, stderr=settings["stderr"] if goal.stderr else None,
    )  # fmt: skip
    require_enough(law, data, free, fixed=fixed, priors=priors)
    return build(law, data, goal, fixed, low, high), data


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
        raise seeds.without_value(problem, points)
    notes = (
        ()
        if problem.exact
        else ("derivatives by finite differences: dual numbers do not pass through this law",)
    )
    if not solution.converged[np.argmin(solution.value)]:
        notes += ("the best start did not converge: its last step still lowered the objective",)
    return problem, solution, notes


_NARROWER = (0.3, 0.1, 0.03, 0.01, 0.003)  # bend of the penalty on the way, in mean absolute misses
_NARROWEST = 0.001  # where refits stop, if the scale of the fit does not bend the penalty before


@np.errstate(all="ignore")
def _maximise_likelihood(
    problem: Problem, priors: Mapping[str, tuple[float, float]], seed: int
) -> tuple[Problem, Solution, tuple[str, ...]]:
    """The Huber likelihood with free scale s: for a given s it is the Huber fit with its bend at s delta.

    For a small delta the best s is about delta times the mean absolute miss, so the bend is that times delta squared:
    this is a fit of least absolute errors in all but the last digits. It is approached by narrowing the bend step by
    step, as from afar hardly any row would bend the objective. Refits to resampled runs keep the s of the fit, which
    moves them to second order only, and stop at a thousandth of the mean miss. One nat of log-likelihood, by which
    priors are weighed, is worth s² with the bend at s delta, else bend times s / delta.
    """
    delta = problem.objective.delta or 1e-3
    plain = replace(problem, objective=replace(problem.objective, likelihood=False))
    found, solution, notes = minimise(plain, priors, seed)
    best = solution.parameters[[np.argmin(solution.value)]]
    mean_miss = float(np.average(np.abs(found.misses(best)[0]), weights=found.weights))
    solution = _narrowed(_bent(found, _NARROWEST * mean_miss, mean_miss), solution.parameters)
    scale = 0.0
    for _ in range(4):
        best = solution.parameters[[np.argmin(solution.value)]]
        scale = likelihood_scale(found.misses(best)[0], found.weights, delta)
        solution = solve(_bent(found, delta * scale, scale / delta), solution.parameters)
    value = [likelihood_value(r, found.weights, scale, delta) for r in found.misses(solution.parameters)]
    value = np.where(np.isfinite(solution.value), value + found.prior(solution.parameters), np.inf)
    bend = max(_NARROWEST * mean_miss, delta * scale)
    refits = _bent(replace(found, objective=problem.objective), bend, scale / delta)
    return refits, replace(solution, value=value), notes


def _narrowed(
    problem: Problem, starts: Array, weights: Array | None = None, prepared: Array | None = None,
    *, steps: int = STEPS,
) -> Solution:  # fmt: skip
    """Fits with the bend of the penalty narrowed step by step to the problem's own, each from the one before."""
    last = problem.objective.delta or 1e-3
    mean_miss = problem.temperature / last
    for bend in (share * mean_miss for share in _NARROWER if share * mean_miss > last):
        starts = solve(_bent(problem, bend, mean_miss), starts, weights, prepared, steps=steps).parameters
    return solve(problem, starts, weights, prepared, steps=steps)


def _bent(problem: Problem, delta: float, mean_miss: float) -> Problem:
    objective = replace(problem.objective, delta=delta)
    return replace(problem, objective=objective, temperature=delta * mean_miss)


def _solve_starts(problem: Problem, points: Array) -> Solution:
    """Every start solved; with very many runs on a sample first, so that few passes go over the whole table."""
    if problem.rows > _POLISHED:
        points = solve(seeds.thinned(problem, _POLISHED // 2), points).parameters
    return solve(problem, points)


def _with_priors(problem: Problem, solution: Solution, priors: Mapping[str, tuple[float, float]]) -> Problem:
    best = solution.parameters[np.argmin(solution.value)]
    temperature = problem.objective.temperature(problem.misses(best[None])[0], problem.weights)
    mean = np.array([priors.get(name, (np.nan, np.inf))[0] for name in problem.names])
    precision = np.array([priors[name][1] ** -2.0 if name in priors else 0.0 for name in problem.names])
    return replace(problem, prior_mean=mean, prior_precision=precision, temperature=temperature)


@np.errstate(all="ignore")
def bootstrap_draws(
    problem: Problem, best: Array, groups: Clusters, draws: int, seed: int, *, wild: bool = False,
    processes: int | None = None,
) -> list[Solution]:  # fmt: skip
    """Refits to resampled runs, each from the best solution, in blocks.

    Args:
        problem, best: what is fitted, and its solution.
        groups: runs that are drawn together.
        draws: refits in all.
        seed: of what is drawn; the refits are the same bit for bit on any number of processes.
        wild: keep the runs, and turn their misses over by tossed coins.
        processes: that share the blocks; by default a core each, where that is worth starting them.
    """
    worth = min(cores(), draws * problem.rows // _WORTH_A_PROCESS)
    processes = max(1, min(processes or worth, draws))
    how = {
        "draws": draws,
        "seed": seed,
        "chunk": max(1, min(block_size(problem.rows), -(-draws // processes))),
    }
    fitted = problem.objective.prepare(problem.call(best[None])[0])
    miss = (fitted - problem.prepared) * np.sqrt(problem.rows / max(1, problem.rows - len(best)))

    def refits(part: int) -> list[Solution]:
        """Every so many-th block; the others are drawn, and left to whom they belong."""
        if wild:
            blocks = ((None, y) for y in wild_targets(groups, fitted, miss, **how))
        else:
            blocks = ((w, None) for w in bootstrap_weights(groups, problem.weights, **how))
        return [_refit(problem, best, w, y) for w, y in itertools.islice(blocks, part, None, processes)]

    parts = in_parts(refits, processes)
    return [one for blocks in itertools.zip_longest(*parts) for one in blocks if one is not None]


def _too_sure(data: Data, free: int, groups: Clusters, draws: int, seed: int) -> tuple[str, ...]:
    """What makes the intervals narrower than they should be."""
    found = []
    if (spare := spare_runs(data, free)) < _SPARE:
        found.append(f"{spare + free} different runs for {free} free parameters: any interval is too narrow")
    if draws and (thin := thin_draws(groups, free, draws=draws, seed=seed)) >= _THIN:
        found.append(
            f"{100 * thin:.0f} % of the draws rest on no more clusters than the {free} free parameters"
        )
    return tuple(found)


def _look_back(problem: Problem, data: Data, best: Array, groups: Clusters, seed: int) -> Discrepancy | None:
    def refit(problem: Problem, best: Array, weights: Array) -> Array:
        starts = np.tile(best, (len(weights), 1))
        how = _narrowed if problem.objective.name == "huber_likelihood" else solve
        return how(problem, starts, weights, steps=_PATIENCE).parameters

    return look_back(problem, data, best, groups, seed=seed, refit=refit)


def _log_likelihood(problem: Problem, best: Array, lowest: float) -> float | None:
    """Log-likelihood of the runs, priors left out; None where the objective is none."""
    goal = problem.objective
    if not goal.likelihood:
        return None
    if goal.name == "huber_likelihood":
        return float(problem.prior(best[None])[0]) - lowest
    spread = problem.stderr if problem.stderr is not None else np.ones(problem.rows)
    normaliser = problem.weights @ np.log(spread * np.sqrt(2 * np.pi))
    return -float(problem.weights @ goal.penalty(problem.misses(best[None])[0]) + normaliser)


def _refit(problem: Problem, best: Array, weights: Array | None, prepared: Array | None) -> Solution:
    """Fits to resampled runs, from the best solution.

    Most end within a few steps at the scales of that solution, which saves a seventh of the time. Where a parameter is
    hardly determined the scales change on the way, and with the old ones one refit in six would stop short: what has
    not ended soon starts over, with scales found anew at every step.
    """
    starts = np.tile(best, (len(weights if weights is not None else prepared), 1))  # type: ignore[arg-type]
    if problem.objective.name == "huber_likelihood":
        return _narrowed(problem, starts, weights, prepared)
    metric = problem.slice(best[None]).scale[0]
    found = solve(problem, starts, weights, prepared, steps=_NEARBY, metric=metric)
    late = np.flatnonzero(~found.converged)
    if not len(late):
        return found
    own = (None if each is None else each[late] for each in (weights, prepared))
    again = solve(problem, starts[late], *own)
    for name in ("parameters", "value", "converged", "steps"):
        getattr(found, name)[late] = getattr(again, name)
    return found


@np.errstate(all="ignore")
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
    excess = (np.sort(solution.value) - lowest) / max(abs(lowest), np.finfo(float).tiny)
    apart = tuple(float(e) for e in excess if e > _AGREE and abs(lowest) > problem.rows * 1e-24)
    flatness, loose = condition(problem, best)
    return Fit(
        law=law,
        name=problem.law.name,
        params=params,
        free=problem.names,
        method=problem.objective.words,
        settings=settings,
        objective=lowest,
        log_likelihood=_log_likelihood(problem, best, lowest),
        starts=Starts(len(excess) - len(apart), len(excess), apart),
        draws=drawn,
        draws_unfinished=unfinished,
        cluster=cluster,
        rows=data.rows,
        target=settings["target"],
        residuals=residuals,
        residual_weights=own,
        rms_percent=100.0 * weighted_rms(relative, data.weights),
        condition=flatness,
        undetermined=undetermined(problem, best, draws, flatness, loose),
        ranges={c: (float(v.min()), float(v.max())) for c, v in data.columns.items()},
        notes=notes,
        data_hash=data.hash,
    )
