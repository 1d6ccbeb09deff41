"""`fit`: a law and a table of runs in, a `Fit` out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from scaling.arguments import checked, whole
from scaling.fitting.data import Array, Data, Table, Weights, row_names
from scaling.fitting.discrepancy import Discrepancy, backtest
from scaling.fitting.fewclusters import FEW, directions, few_targets
from scaling.fitting.identifiability import (
    caveats,
    condition,
    odd_places,
    rounding,
    slopes,
    spare_runs,
    undetermined,
)
from scaling.fitting.later import Later
from scaling.fitting.minimum import Minimum, descend, minimise, pose
from scaling.fitting.noise import scatter
from scaling.fitting.options import Options
from scaling.fitting.parallel import in_parts, processes_for
from scaling.fitting.problem import Problem
from scaling.fitting.progress import progress
from scaling.fitting.resample import (
    Clusters,
    bootstrap_weights,
    clusters,
    prior_means,
    thin_draws,
    wild_targets,
)
from scaling.fitting.result import Fit, Starts
from scaling.fitting.rivals import rival_forms
from scaling.fitting.solve import Solution, block_size, chunk_size, solve
from scaling.fitting.unseen import unseen_schedules
from scaling.laws.base import describe
from scaling.show import weighted_rms

_AGREE = 1e-6  # relative difference of objectives at which two starts ended at the same minimum
_SPARE = 3  # runs more than free parameters, below which a fit says that it is too sure of itself
_MOST = 3  # runs named as missed most
_THIN = (
    0.05  # share of draws that hardly determine a parameter, from which they take the ends of a 95 % interval
)
_NEARBY = 24  # steps within which all but one in a thousand refits near the best solution end
_BLOCKS = 16  # of long work each process goes through, so that its progress shows and all end together


@checked
def fit(
    law: Callable[..., Any],
    runs: Table,
    *,
    objective: str = "huber_log",
    delta: float = 1e-3,
    quantile: float = 0.5,
    ratio: float = 1.0,
    seed: int = 0,
    bootstrap: int = 1000,
    cluster: str = "auto",
    resample: str = "pairs",
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    priors: Mapping[str, tuple[float, float]] | None = None,
    weights: Weights = None,
    target: str = "loss",
    stderr: str = "loss_stderr",
) -> Fit:
    """A law fitted to runs, from many starts, with a clustered bootstrap.

    Args:
        law: a function whose positional arguments are columns and whose keyword-only arguments are fitted:
            one of `scaling.laws`, or your own (annotations and derivatives are not needed).
        runs: one row per run, a frame (polars, pandas, pyarrow) or a dictionary of arrays, with the law's columns and
            `target`.
        objective: "huber_log" (Huber on log loss), "huber_likelihood" (its scale free), "quantile_log",
            "asymmetric_log" (squares, either side at its own cost), "squares_log", "squares", or "gaussian" with the
            column `stderr`.
        delta: where the Huber penalty turns from square to linear, in log loss; 1e-3 is 0.1 %.
        quantile: share of the runs below the curve, for "quantile_log": 0.1 traces the better runs.
        ratio: what an overestimate of the loss costs in underestimates of its size, for "asymmetric_log": 10 for those
            who must not overestimate, 0.1 for those who must not underestimate.
        seed: of starts and bootstrap.
        bootstrap: number of refits to resampled runs; 0 skips them, and the backtests from smaller runs on that
            `Fit.discrepancy` rests on, which are made when it is first read.
        cluster: what is resampled together: "rows", "compute" (quarter decades), a column, or "auto": trunk_id where
            the table has it, else learning curves of one model each, else runs of one N or seed whose misses are
            alike, else quarter decades of compute, else rows. The choice is printed. Under eight clusters are not
            resampled: see `fitting.fewclusters`.
        resample: "pairs" draws clusters of runs with replacement; "wild", the wild cluster bootstrap, keeps every run
            and flips the signs of a cluster's residuals together, for grids too small to lose a size or a budget.
        fixed: parameters held still, e.g. {"E": 1.69}.
        bounds: (low, high) of parameters, None for an open end; within what the law's annotations allow.
        priors: (mean, standard deviation) of Gaussian priors on parameters, weighed against the scatter of the runs
            and cut off at bounds. Each bootstrap draw has them about another mean, as sure as they are:
            see `fitting.resample.prior_means`.
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
    options = Options(
        objective=objective, delta=delta, quantile=quantile, ratio=ratio, seed=seed, resample=resample,
        target=target, stderr=stderr,
        fixed={} if fixed is None else fixed, bounds={} if bounds is None else bounds,
        priors={} if priors is None else priors,
    )  # fmt: skip
    problem, data = pose(describe(law), runs, options, weights)
    groups = Clusters(np.zeros(data.rows, int), 1, "rows")
    if cluster != "auto":
        groups = clusters(data, cluster)  # refuses what there is not, before any work
    minimum = minimise(problem, options)
    if bootstrap and cluster == "auto":
        groups = clusters(data, cluster, minimum.problem.misses(minimum.best[None])[0])
    refits = bootstrap_refits(minimum, groups, bootstrap, options)
    discrepancy = Later(lambda: _discrepancy(minimum, data, groups, options)) if bootstrap else None
    return _result(law, minimum, data, groups, refits, options, discrepancy)


def _discrepancy(minimum: Minimum, data: Data, groups: Clusters, options: Options) -> Discrepancy | None:
    alone = backtest(minimum.problem, data, minimum.best, groups, options.seed)
    if alone is None:
        return unseen_schedules(minimum.problem, data, minimum.best, groups)
    forms = Later(lambda: rival_forms(minimum, data, groups, options, bootstrap_refits))
    return replace(alone, forms=forms)  # type: ignore[arg-type]


@np.errstate(all="ignore")
def bootstrap_refits(
    minimum: Minimum, groups: Clusters, draws: int, options: Options, *, processes: int | None = None
) -> list[Solution]:
    """Refits to resampled runs, each from the best solution, in blocks.

    Args:
        minimum: of the fit.
        groups: runs that are drawn together.
        draws: refits in all.
        options: of the fit. Its seed fixes what is drawn: the refits are the same bit for bit on any number of
            processes. `resample="wild"` keeps the runs, and flips the signs of their residuals cluster by cluster.
        processes: that share the blocks; by default a core each, where that is worth starting them.
    """
    problem, best = minimum.problem, minimum.best
    processes = max(1, min(processes or processes_for(draws, problem.rows), draws))
    chunk = max(4 * chunk_size(problem.rows), -(-draws // (_BLOCKS * processes)))
    chunk = max(1, min(chunk, block_size(problem.rows), -(-draws // processes)))
    how = {"draws": draws, "seed": options.seed, "chunk": chunk}
    fitted = problem.objective.prepare(problem.call(best[None])[0])
    miss = (fitted - problem.prepared) * np.sqrt(problem.rows / max(1, problem.rows - len(best)))
    few = directions(problem, best, groups) if draws and groups.count < FEW else None
    around = best if options.resample == "wild" else problem.prior_mean  # where the priors of the targets lie
    means = _prior_means(problem, around, draws, options)

    def refits(part: int) -> list[Solution]:
        """Every so many-th block; the others are drawn, and left to whom they belong."""
        if options.resample == "wild":
            blocks = ((None, y) for y in wild_targets(groups, fitted, miss, **how))
        elif few:
            blocks = ((None, y) for y in few_targets(problem, best, few, **how))
        else:
            blocks = ((w, None) for w in bootstrap_weights(groups, problem.weights, **how))
        own = itertools.islice(enumerate(blocks), part, None, processes)
        return [
            counted(
                _refit(problem, best, w, y, None if means is None else means[i * chunk : (i + 1) * chunk]),
                part,
            )
            for i, (w, y) in own
        ]

    def counted(refitted: Solution, part: int) -> Solution:
        """The part that is done here stands for all: blocks are dealt evenly."""
        if part == 0:
            done(min(processes * len(refitted.value), draws))
        return refitted

    with progress("bootstrap refits", draws) as done:
        parts = in_parts(refits, processes)
    return [one for blocks in itertools.zip_longest(*parts) for one in blocks if one is not None]


def _prior_means(problem: Problem, around: Array | None, draws: int, options: Options) -> Array | None:
    """Where the priors of each draw are centred; None without priors."""
    if problem.prior_precision is None or around is None:
        return None
    with np.errstate(divide="ignore"):
        std = problem.prior_precision**-0.5
    return prior_means(around, std, problem.low, problem.high, draws=draws, seed=options.seed)


def _refit(
    problem: Problem, best: Array, weights: Array | None, prepared: Array | None, prior_mean: Array | None
) -> Solution:
    """Fits to resampled runs, from the best solution.

    Most end within a few steps at the scales of that solution, which saves a seventh of the time. Where a parameter is
    hardly determined the scales change on the way, and with the old ones one refit in six would stop short: what has
    not ended soon starts over, with scales measured anew at every step.
    """
    starts = np.tile(best, (len(weights if weights is not None else prepared), 1))  # type: ignore[arg-type]
    if problem.objective.name == "huber_likelihood":
        return descend(problem, starts, weights, prepared, prior_mean=prior_mean)
    metric = problem.slice(best[None]).scale[0]
    solution = solve(problem, starts, weights, prepared, steps=_NEARBY, metric=metric, prior_mean=prior_mean)
    late = np.flatnonzero(~solution.converged)
    if not len(late):
        return solution
    weights, prepared, prior_mean = (
        None if own is None else own[late] for own in (weights, prepared, prior_mean)
    )
    return solution.updated(late, solve(problem, starts[late], weights, prepared, prior_mean=prior_mean))


def _too_sure(
    problem: Problem, best: Array, data: Data, groups: Clusters, draws: int, options: Options
) -> tuple[str, ...]:
    """What makes the intervals narrower than they should be."""
    words, free = [], len(best)
    if (spare := spare_runs(data, free)) < _SPARE:
        words.append(f"{spare + free} different runs for {free} free parameters: any interval is too narrow")
    pairs = draws and options.resample == "pairs"
    if pairs and groups.count < FEW:
        words.append(
            f"{groups.words} are too few to resample: t intervals from cluster-robust errors (CR2) in their place"
            + ", which two or three cannot make trustworthy" * (groups.count < 4)
        )
    elif pairs:
        J = slopes(problem, best)
        thin = thin_draws(groups, J, problem.weights, draws=draws, seed=options.seed)
        if thin >= _THIN:
            few = f"{100 * thin:.0f} % of the draws rest on clusters"
            words.append(f"{few} that hardly tell the {free} free parameters apart")
    return tuple(words)


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


def _chi_squared(problem: Problem, best: Array) -> float | None:
    """Sum of squared misses over their known standard errors; None where the objective reads none."""
    return float(problem.weights @ problem.misses(best[None])[0] ** 2) if problem.objective.stderr else None


def _starts(problem: Problem, solution: Solution) -> Starts:
    lowest = float(solution.value.min())
    excess = (np.sort(solution.value) - lowest) / max(abs(lowest), np.finfo(float).tiny)
    apart = tuple(float(e) for e in excess if e > _AGREE and abs(lowest) > problem.rows * 1e-24)
    return Starts(len(excess) - len(apart), len(excess), apart)


def _missed_most(data: Data, residuals: Array) -> dict[str, float]:
    """The runs with the largest residuals, of those that count, by name; residuals in the order of `data`."""
    names, size = row_names(data), np.abs(residuals) * (data.weights > 0)
    return {names[i]: float(residuals[i]) for i in np.argsort(-size, kind="stable")[:_MOST] if size[i] > 0}


@np.errstate(all="ignore")
def _result(
    law: Callable[..., Any], minimum: Minimum, data: Data, groups: Clusters, refits: list[Solution],
    options: Options, discrepancy: Later | None,
) -> Fit:  # fmt: skip
    problem, best = minimum.problem, minimum.best
    drawn = np.concatenate([np.empty((0, len(best))), *(r.parameters for r in refits)])
    params, draws = {}, {}
    for p in problem.law.parameter_names:
        at = problem.names.index(p) if p in problem.names else None
        params[p] = float(problem.fixed[p] if at is None else best[at])
        draws[p] = np.full(len(drawn), params[p]) if at is None else drawn[:, at]
    value = problem.call(best[None])[0]
    missed = np.log(data.target / value) if problem.objective.log else data.target - value
    residuals, own = np.empty(data.rows), np.empty(data.rows)
    residuals[data.order], own[data.order] = missed, data.weights
    lowest = float(minimum.solution.value.min())
    flatness, loose = condition(problem, best)
    return Fit(
        law=law,
        name=problem.law.name,
        params=params,
        free=problem.names,
        method=problem.objective.words,
        settings=asdict(options),
        objective=lowest,
        log_likelihood=_log_likelihood(problem, best, lowest),
        starts=_starts(problem, minimum.solution),
        draws=draws,
        chi_squared=_chi_squared(problem, best),
        draws_unfinished=int(sum((~r.converged).sum() for r in refits)),
        cluster=groups.words,
        clusters=groups.count if len(drawn) else 0,
        rows=data.rows,
        target=options.target,
        residuals=residuals,
        residual_weights=own,
        discrepancy=discrepancy,  # type: ignore[arg-type]
        noise=scatter(problem, data, missed, groups),
        missed_most=_missed_most(data, residuals[data.order]),
        rms_percent=100.0 * weighted_rms(data.target / value - 1.0, data.weights),
        condition=flatness,
        undetermined=undetermined(problem, best, drawn, flatness, loose),
        ranges={c: (float(v.min()), float(v.max())) for c, v in data.columns.items()},
        notes=(
            *minimum.notes,
            *caveats(problem.law, data, options),
            *odd_places(problem, best, data),
            *rounding(problem, best, options.target),
            *_too_sure(problem, best, data, groups, len(drawn), options),
        ),
        data_hash=data.hash,
    )
