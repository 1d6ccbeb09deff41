"""One law for several families of runs at once: what they share, how far they differ, and each with help of the others.

A family is a corpus, a tokeniser, a model series: whatever has a law of its own, but not of its own kind. Fitted by
itself, a family of eight runs hardly knows its exponents; fitted as one, families that differ are all wrong.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling import show
from scaling.arguments import checked, number, share
from scaling.errors import BadOption, FitError, require_columns, require_kind
from scaling.fitting import seeds
from scaling.fitting.data import Array, Data, Table, as_frame
from scaling.fitting.discrepancy import Discrepancy, backtest
from scaling.fitting.families import FEWEST, Pooled
from scaling.fitting.hierarchy import SETTLED, Hierarchy, Posterior, draw
from scaling.fitting.identifiability import slopes
from scaling.fitting.minimum import minimise, pose
from scaling.fitting.options import Options
from scaling.fitting.problem import Problem
from scaling.fitting.resample import Clusters, clusters
from scaling.laws.base import Exponent, Law, UnknownParameter, describe

_EXPONENT = typing.get_args(Exponent)[1]
_SPREAD, _LOG_SPREAD = 0.3, 1.0  # prior of τ: of the parameter's size, and of a scale's logarithm
_LEAST = 0.05  # size of a parameter below which its prior's τ shrinks no more
_LOOSE = 3.0  # e-folds, or times its size, that a start's own parameters are uncertain by at most
_EXACT = 1e-7  # scatter below which runs were made by the law


class OneFamily(FitError):
    """Runs of fewer than two families."""

    by: str
    families: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"families of runs were to be fitted together by {self.by!r}, but all runs are of one, "
            f"{', '.join(self.families)}. Name the column that tells families apart, or use fit."
        )


class TooFewOfAFamily(FitError):
    """A family with no more runs than parameters that are its own."""

    family: str
    runs: int
    own: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"family {self.family!r} has {self.runs} runs for {len(self.own)} parameters of its own "
            f"({', '.join(self.own)}), and needs more runs than that. Add runs, leave it out, or pool more parameters, "
            f"e.g. pooled=[..., {self.own[-1]!r}]."
        )


class FamilyRefused(FitError):
    """A family whose runs cannot tell its own parameters apart."""

    family: str
    reason: str

    def __str__(self) -> str:
        return f"family {self.family!r} cannot be fitted with the others: {self.reason}"


@checked
def pool(
    law: Callable[..., Any], runs: Table, *, by: str = "family", pooled: Sequence[str] | None = None,
    shared: Sequence[str] = (), spread: Mapping[str, float] | None = None, objective: str = "squares_log",
    cluster: str = "auto", level: float = 0.95, seed: int = 0, fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None, target: str = "loss",
) -> Pooled:  # fmt: skip
    """A law fitted to families of runs together: each family's parameters, what they have in common, how they differ.

        ln y = ln L(x; θ_f) + σ_f e,    θ_fp ~ N(μ_p, τ_p²) for the pooled parameters p

    A family with few runs leans on the others, by as much as these resemble each other. Draws are of the posterior of
    all at once (`fitting.hierarchy`); e has tails as heavy as the runs say, and runs of one cluster share a part of it.

    Args:
        law: as for `fit`.
        runs: as for `fit`, with the column `by`.
        by: column that names each run's family.
        pooled: parameters with a mean μ and a spread τ, by default the law's exponents; others are each family's own,
            flat between their bounds. Scales are pooled in their logarithm.
        shared: parameters with one value in all families.
        spread: of some pooled parameters the standard deviation of the half-normal prior of τ, by default .3 of the
            parameter, of scales 1 (a factor of 2.7).
        objective: "squares_log" (misses are ratios), or "squares" (differences: scores).
        cluster: runs of a family that share noise, as for `fit`.
        level: of the intervals in the table.
        seed: of the draws.
        fixed, bounds, target: as for `fit`.

    Returns:
        A `Pooled`; print it, and ask its `predict` of a family, or of a new one.

    Raises:
        OneFamily: fewer than two families.
        TooFewOfAFamily: a family with no more runs than parameters of its own.
        FamilyRefused: a family whose runs cannot tell these apart.
        BadOption, MissingColumns, LawError, FitError, RecordError: as `fit`.

    Source:
        Gelman and Hill 2007, Data Analysis Using Regression and Multilevel/Hierarchical Models, chapters 12 and 13.
    """
    described, level = describe(law), share("level", level, "0.95")
    require_kind("objective", objective, str, "'squares_log' or 'squares'")
    require_kind("by", by, str, "the name of a column")
    if objective not in ("squares_log", "squares"):
        raise BadOption("objective", objective, "'squares_log' or 'squares'")
    if spread is not None:
        require_kind("spread", spread, Mapping, "a dictionary with the names of pooled parameters")
    for option, names in (("pooled", () if pooled is None else pooled), ("shared", shared)):
        require_kind(option, names, (list, tuple, set, str), "a list of parameters")
    options = Options(
        objective=objective, seed=seed, target=target, fixed={} if fixed is None else fixed,
        bounds={} if bounds is None else bounds,
    )  # fmt: skip
    problem, data = pose(described, _labelled(as_frame(runs), by), options)
    linear = seeds.linear_parameters(problem, options.seed)
    names = _pooled(described, problem.names, linear, pooled, tuple(shared))
    _check_spread(spread or {}, names)
    own = tuple(p for p in problem.names if p not in (*names, *shared))
    labels = data.frame(by)[by].cast(pl.String).to_numpy()
    families, of = _families(labels, by, own)
    groups = clusters(data, cluster)
    frame = data.frame()
    parts = [frame.filter(labels == family) for family in families]
    alone = [_alone(described, part, options) for part in parts]
    base = _base(problem, options, alone)
    logs = dict(zip(problem.names, problem.log, strict=True))
    scale = {p: float((spread or {}).get(p, _prior_spread(base[p], logs[p]))) for p in names}
    common = {p: base[p] for p in (*names, *shared)}
    starts = [
        _start(described, part, options, common, scale, cluster, family)
        for part, family in zip(parts, families, strict=True)
    ]
    sigma = max(float(np.sqrt(np.median([s.miss / s.freedom for s in starts]))), _EXACT)
    order = np.lexsort((groups.labels, of))
    model = Hierarchy(
        problem=problem.part(order), family=of[order], cluster=_numbered(of[order], groups.labels[order]),
        pooled=_at(problem, names), shared=_at(problem, shared), own=_at(problem, own),
        spread=np.array([scale[p] for p in names]), linear=linear,
        centre=np.stack([np.append(s.best, np.log(sigma)) for s in starts]),
        covariance=np.stack([s.covariance(sigma) for s in starts]),
    )  # fmt: skip
    posterior = draw(model, options.seed)
    how = {"law": law, "by": by, "families": families, "level": level, "seed": options.seed}
    return _result(model, posterior, alone, starts, groups, how)


def _labelled(frame: pl.DataFrame, by: str) -> pl.DataFrame:
    """The runs, where each has a family."""
    require_columns([by], frame.columns, "Say which column names the families, e.g. pool(..., by='corpus').")
    if without := frame[by].null_count():
        raise BadOption("by", by, f"a column without gaps; {without} runs have no family")
    return frame


def _families(
    labels: NDArray[Any], by: str, own: tuple[str, ...]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names of the families, and the number of each run's."""
    names, of, counts = np.unique(labels, return_inverse=True, return_counts=True)
    families = tuple(map(str, names))
    if len(families) < 2:
        raise OneFamily(by, families)
    for family, count in zip(families, counts, strict=True):
        if count <= len(own):
            raise TooFewOfAFamily(family, int(count), own)
    return families, of


def _clusters(data: Data, choice: str) -> Clusters:
    """As `clusters`; each run its own where all of a family would be of one."""
    try:
        return clusters(data, choice)
    except BadOption:
        return clusters(data, "rows")


def _at(problem: Problem, some: Sequence[str]) -> NDArray[np.int64]:
    return np.array([problem.names.index(p) for p in some], np.int64)


def _pooled(
    law: Law,
    free: tuple[str, ...],
    linear: NDArray[np.bool_],
    asked: Sequence[str] | None,
    shared: tuple[str, ...],
) -> tuple[str, ...]:
    """Names of the pooled parameters, in the order of the law."""
    for option, given in (("pooled", asked or ()), ("shared", shared)):
        if isinstance(given, str):
            raise BadOption(option, given, f"a list of parameters, e.g. [{given!r}]")
        for name in given:
            if name not in law.parameter_names:
                raise UnknownParameter(law.name, option, name, law.parameter_names)
            if name not in free:
                raise BadOption(option, name, f"a free parameter; {name} is fixed")
    if asked is None:
        exponents = {p.name for p in law.parameters if p.quantity == _EXPONENT}
        if not any(p.annotated for p in law.parameters):
            exponents = {p for p, one in zip(free, linear, strict=True) if not one}
        asked = [p for p in free if p in exponents and p not in shared]
    if both := [p for p in asked if p in shared]:
        raise BadOption("shared", both, "parameters that are not pooled too")
    if not asked and not shared:
        raise BadOption(
            "pooled", list(asked), f"some of {', '.join(free)}: else families have nothing in common"
        )
    return tuple(p for p in free if p in asked)


def _numbered(of: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Clusters within families, of rows sorted by both."""
    return np.cumsum((np.diff(of, prepend=of[:1]) != 0) | (np.diff(labels, prepend=labels[:1]) != 0))


def _alone(law: Law, runs: pl.DataFrame, options: Options) -> dict[str, float] | None:
    """A family fitted by itself; None where its runs are too few."""
    try:
        minimum = minimise(pose(law, runs, options)[0], options)
    except FitError:
        return None
    return dict(zip(minimum.problem.names, map(float, minimum.best), strict=True))


def _base(problem: Problem, options: Options, alone: Sequence[dict[str, float] | None]) -> dict[str, float]:
    """Where the middle of families is looked for: their median, or where none can be fitted a fit to all runs."""
    own = [fitted for fitted in alone if fitted]
    if own:
        return {p: float(np.median([fitted[p] for fitted in own])) for p in problem.names}
    return dict(zip(problem.names, map(float, minimise(problem, options).best), strict=True))


def _check_spread(spread: Mapping[str, float], pooled: tuple[str, ...]) -> None:
    if unknown := [p for p in spread if p not in pooled]:
        raise BadOption("spread", unknown, f"for pooled parameters: {', '.join(pooled)}")
    for p, given in spread.items():
        if not 0.0 < number(f"spread[{p!r}]", given, "a finite number above zero") < np.inf:
            raise BadOption(f"spread[{p!r}]", given, "a finite number above zero")


def _prior_spread(base: float, log: bool = False) -> float:
    return _LOG_SPREAD if log else _SPREAD * max(abs(base), _LEAST)


@dataclass(frozen=True, eq=False)
class _Start:
    """Where one family is looked for."""

    best: Array
    """Its parameters, scales in logarithms."""
    curvature: Array
    """JᵀJ there."""
    loose: Array
    """Precision by which its parameters are near their start at all."""
    near: Array
    """The same, with what is known of those that families have in common."""
    miss: float
    """Sum of squares."""
    freedom: int
    ranges: dict[str, tuple[float, float]]
    runs: int
    discrepancy: Discrepancy | None

    def covariance(self, sigma: float) -> Array:
        """Of its parameters and its ln σ."""
        K = len(self.best)
        whole = np.zeros((K + 1, K + 1))
        whole[:K, :K] = np.linalg.inv(self.curvature / sigma**2 + np.diag(self.near))
        whole[K, K] = 0.5 / self.freedom
        return whole

    def variance(self, sigma: float) -> Array:
        """Of its parameters by its own runs, what is common taken for unknown."""
        return np.asarray(np.linalg.inv(self.curvature / sigma**2 + np.diag(self.loose)).diagonal(), float)


def _start(
    law: Law,
    runs: pl.DataFrame,
    options: Options,
    common: Mapping[str, float],
    scale: Mapping[str, float],
    cluster: str,
    family: str,
) -> _Start:
    """A family's best parameters near what families have in common, the curvature there, and its backtests."""
    is_log = {p.name: p.quantity.log for p in law.parameters}
    width = {p: scale.get(p, _prior_spread(v, is_log[p])) for p, v in common.items()}
    priors = {p: (v, width[p] * abs(v) if is_log[p] else width[p]) for p, v in common.items()}
    how = replace(options, priors=priors)
    try:
        problem, data = pose(law, runs, how)
        minimum = minimise(problem, how)
    except FitError as reason:
        raise FamilyRefused(family, str(reason)) from reason
    best = minimum.best
    miss = problem.misses(best[None])[0]
    missed = backtest(minimum.problem, data, best, _clusters(data, cluster), options.seed)
    log = problem.log
    step = 1e-6 * np.maximum(np.abs(best), 1e-3)  # off a bound, where logarithms and slopes end
    best = np.clip(best, problem.low + step, problem.high - step)
    J = slopes(problem, best) * np.where(log, best, 1.0)
    loose = np.where(log, _LOOSE, _LOOSE * np.maximum(np.abs(best), 0.1))
    near = np.minimum(loose, [width.get(p, np.inf) for p in problem.names])
    return _Start(
        np.where(log, np.log(np.where(log, best, 1.0)), best), J.T @ J, loose**-2.0, near**-2.0, float(miss @ miss),
        max(1, problem.rows - sum(p not in common for p in problem.names)),
        {c: (float(v.min()), float(v.max())) for c, v in data.columns.items()}, problem.rows, missed,
    )  # fmt: skip


def _result(
    model: Hierarchy, posterior: Posterior, alone: Sequence[dict[str, float] | None], starts: Sequence[_Start],
    groups: Clusters, how: dict[str, Any],
) -> Pooled:  # fmt: skip
    problem, x, names, level = model.problem, posterior.x, how["families"], how["level"]
    natural = model.natural(x)
    count = len(x)
    draws = {p: natural[..., j] for j, p in enumerate(problem.names)}
    draws |= {p: np.full((count, len(names)), v) for p, v in problem.fixed.items()}
    pooled = [problem.names[j] for j in model.pooled]
    middle = np.where(problem.log[model.pooled], np.exp(posterior.mean[:, :-1]), posterior.mean[:, :-1])
    means = {p: show.Interval.over(middle[:, i], level) for i, p in enumerate(pooled)}
    rows = []
    square = dict(zip(pooled, (posterior.spread**2).mean(0), strict=False))
    scatter = np.median(np.exp(x[..., -1]), axis=0)
    for f, family in enumerate(names):
        variances = starts[f].variance(scatter[f])
        for j, p in enumerate(problem.names):
            within = show.Interval.over(draws[p][:, f], level)
            own, variance = alone[f], variances[j]
            others = variance / (variance + square[p]) if p in square else None
            value = None if own is None else own[p]
            rows.append((family, starts[f].runs, p, value, within.median, within.low, within.high, others))
    schema = {
        "family": pl.String, "runs": pl.Int64, "parameter": pl.String, "alone": pl.Float64, "value": pl.Float64,
        "low": pl.Float64, "high": pl.Float64, "from_others": pl.Float64,
    }  # fmt: skip
    rng = np.random.default_rng([how["seed"], 6])
    log_sigma = posterior.mean[:, -1] + posterior.spread[:, -1] * rng.normal(size=count)
    return Pooled(
        **how, name=problem.law.name, pooled=tuple(pooled),
        shared=tuple(problem.names[j] for j in model.shared),
        table=pl.DataFrame(rows, schema=schema, orient="row"), means=means,
        spread_draws=dict(zip(pooled, posterior.spread.T, strict=False)), draws=draws,
        new=_unseen(model, posterior, rng) if len(names) >= FEWEST else {},
        noise=np.exp(np.column_stack([x[..., -1], log_sigma])), freedom=np.exp(posterior.noise[:, 1]),
        ranges=dict(zip(names, (s.ranges for s in starts), strict=True)),
        discrepancy={name: s.discrepancy for name, s in zip(names, starts, strict=True) if s.discrepancy},
        log=problem.objective.log,
        drift=posterior.drift, notes=_notes(model, posterior, groups),
    )  # fmt: skip


def _unseen(model: Hierarchy, posterior: Posterior, rng: np.random.Generator) -> dict[str, Array]:
    """Parameters of a family that was not seen; what lies beyond bounds is moved to them."""
    x, F = posterior.x, model.families
    count = len(x)
    new = np.zeros((count, x.shape[-1]))
    pooled = len(model.pooled)
    new[:, model.pooled] = posterior.mean[:, :pooled] + posterior.spread[:, :pooled] * rng.normal(
        size=(count, pooled)
    )
    new[:, model.shared] = x[:, 0, model.shared]
    shear = model.shear.mean(0)
    centre = model.centre[:, model.common].mean(0)
    own = x[..., model.own] - np.einsum("ok,dfk->dfo", shear, x[..., model.common] - centre)
    scatter = own.std(1, ddof=1) * np.sqrt(1.0 + 1.0 / F) * rng.standard_t(F - 1, (count, len(model.own)))
    new[:, model.own] = own.mean(1) + scatter + (new[:, model.common] - centre) @ shear.T
    new = np.clip(new, *model.limits)
    values = model.natural(new)
    fixed = {p: np.full(count, v) for p, v in model.problem.fixed.items()}
    return {p: values[:, j] for j, p in enumerate(model.problem.names)} | fixed


def _notes(model: Hierarchy, posterior: Posterior, groups: Clusters) -> tuple[str, ...]:
    words = [f"{len(posterior.x)} draws"]
    if model.together:
        part = show.Interval.over(posterior.noise[:, 0], 0.8)
        words[0] += (
            f"; runs of a family share noise by {groups.words}, a part {part.words(lambda v: f'{v:.2f}')} of it"
        )
    if model.families < FEWEST + 1:
        words.append(f"of {model.families} families hardly anything is known of their spread but its prior")
    if posterior.drift > SETTLED:
        words.append(f"draws have not settled, and still drift by {posterior.drift:.2g} standard deviations")
    return tuple(words)
