"""What a fit owes to single runs, sizes or clusters: each left out in turn, all refits in one batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling import show
from scaling.arguments import checked
from scaling.errors import BadOption, require_kind
from scaling.fitting.data import COUNTS, Array, Data, Table, Weights, compute, row_names, scales
from scaling.fitting.minimum import Minimum, descend, minimise, pose
from scaling.fitting.problem import Problem
from scaling.fitting.resample import Clusters, clusters
from scaling.fitting.result import Fit, require_fit
from scaling.fitting.solve import block_size
from scaling.fitting.support import axis_of
from scaling.laws.base import describe
from scaling.units import print_count

_AHEAD = 1.0  # decades beyond the largest run at which a prediction is watched
_LINES = 10


@dataclass(frozen=True, eq=False, repr=False)
class Influence(show.Shown):
    """How a fit moves without each part of its runs, and how well the rest predicts that part."""

    table: pl.DataFrame
    """One row per part, the one that moves the fit most first: left_out (its name), runs, cook (its distance),
    move_percent (of the prediction at `at` when it is left out), miss_percent and bias_percent (root mean square and
    mean of observed/predicted - 1 of its runs, predicted without them), converged, and each fitted parameter without
    it."""
    parts: str
    """What was left out at a time, in words."""
    at: dict[str, float]
    """Where the prediction is watched."""
    predicted: float
    """There, by the fit to all runs."""
    params: dict[str, float]
    """The fitted parameters of all runs."""
    left_out_percent: float
    """Root mean square miss of all runs, each predicted without its part."""
    rms_percent: float
    """The same by the fit to all runs."""
    target: str = "loss"

    def shown(self) -> Iterator[str | show.Table]:
        where = ", ".join(f"{name} = {print_count(value)}" for name, value in self.at.items())
        caption = (
            f"without each of {self.parts}: move of the predicted {self.target} {self.predicted:.4g} at {where}, "
            "and of the parameters"
        )
        header = ["left out", "runs", "Cook's distance", "prediction, %", "its own miss, rms %", *self.params]
        rows = [
            [
                str(row["left_out"]) + ("" if row["converged"] else " (not converged)"),
                str(row["runs"]),
                f"{row['cook']:.2g}",
                f"{row['move_percent']:+.2g}",
                f"{row['miss_percent']:.2g}",
                *(_change(row[p], value) for p, value in self.params.items()),
            ]
            for row in self.table.head(_LINES).iter_rows(named=True)
        ]
        yield show.Table(header, rows, caption)
        if len(self.table) > _LINES:
            yield f"… and {len(self.table) - _LINES} more that move the fit less"
        yield (
            f"runs left out are missed by {self.left_out_percent:.2g} % rms, where the fit to all misses by "
            f"{self.rms_percent:.2g} %"
        )


@checked
def influence(
    fitted: Fit, runs: Table, *, by: str = "auto", at: Mapping[str, float] | None = None, weights: Weights = None
) -> Influence:  # fmt: skip
    """How a fit moves when each run, size or cluster is left out, and how well the others predict it.

        Cook's distance of a part g:   Σ_i w_i (f_(g)(x_i) − f(x_i))² / (p s²),   s² = Σ_i w_i r_i² / (n − p)

    with f what the objective compares (ln L for a log objective), f_(g) fitted without g, r the misses of the fit to
    all n runs and p the fitted parameters. For a linear law, least squares and single rows it is Cook's own; a part
    beyond 1 decides the fit by itself. Every refit starts from the solution of all runs.

    Args:
        fitted: the fit.
        runs: what it was fitted to.
        by: what is left out at a time: "rows", a column ("N" leaves out one size after another), "compute", or "auto",
            the clusters that `fit` would resample.
        at: columns of the prediction to watch, e.g. {"N": 70e9, "D": 1.4e12}; by default a decade of compute (or of
            the law's first scale) beyond the largest run.
        weights: as given to `fit`, if any were.

    Returns:
        An `Influence`; print it, or `plot` it.

    Raises:
        BadOption: other runs than the fit was made from, or a point that the law cannot be read at.
        MissingColumns: `by` is no column, or `at` lacks one.

    Source:
        Cook 1977, Technometrics 19(1), equation 5.
    """
    minimum, data = posed_again(fitted, runs, weights)
    groups = clusters(data, by)
    watched = _watched(fitted, data, at)
    problem, best = minimum.problem, minimum.best
    parameters, converged = _without(minimum, groups)
    ahead = _at(problem, watched, np.vstack([best, parameters]))
    cook, missed = _distances(problem, best, parameters, groups)
    counted = data.weights > 0
    table = pl.DataFrame(
        {
            "left_out": _labels(data, groups, by),
            "runs": np.bincount(groups.labels[counted], minlength=groups.count),
            "cook": cook,
            "move_percent": 100.0 * (ahead[1:] / ahead[0] - 1.0),
            "miss_percent": 100.0 * np.sqrt(_mean(missed**2, data.weights, groups)),
            "bias_percent": 100.0 * _mean(missed, data.weights, groups),
            "converged": converged,
        }
        | dict(zip(problem.names, parameters.T, strict=True))
    )
    return Influence(
        table=table.filter(pl.col("runs") > 0).sort("cook", descending=True, nulls_last=True, maintain_order=True),
        parts=groups.words if groups.words != "rows" else f"{groups.count} rows",
        at=watched,
        predicted=float(ahead[0]),
        params={p: fitted.params[p] for p in problem.names},
        left_out_percent=100.0 * show.weighted_rms(missed[counted], data.weights[counted]),
        rms_percent=fitted.rms_percent,
        target=fitted.target,
    )  # fmt: skip


def _change(value: float, before: float) -> str:
    """In percent, as a factor where that says more, or the new value where there was none."""
    if before == 0:
        return f"{value:.3g}"
    ratio = value / before
    return f"{100 * (ratio - 1):+.2g} %" if 0.5 < ratio < 2 else f"×{ratio:.2g}"


def posed_again(fitted: Fit, runs: Table, weights: Weights) -> tuple[Minimum, Data]:
    """What a fit minimised and where, from the runs that it was made from.

    Raises:
        BadOption: other runs.
    """
    require_fit(fitted)
    options = fitted.options
    problem, data = pose(describe(fitted.law), runs, options, weights)
    if data.hash != fitted.data_hash:
        raise BadOption(
            "runs", f"data {data.hash[:8]}", f"those that the fit was made from, {fitted.data_hash[:8]}"
        )
    return minimise(problem, options), data


def _without(minimum: Minimum, groups: Clusters) -> tuple[Array, NDArray[np.bool_]]:
    """The parameters without each group, shape (groups, free), and whether the refit converged."""
    problem = minimum.problem
    width = block_size(problem.rows)
    parameters, converged = [], []
    for first in range(0, groups.count, width):
        out = np.arange(first, min(first + width, groups.count))
        weights = np.where(groups.labels == out[:, None], 0.0, problem.weights)
        solution = descend(problem, np.tile(minimum.best, (len(out), 1)), weights)
        parameters.append(solution.parameters)
        converged.append(solution.converged)
    return np.concatenate(parameters), np.concatenate(converged)


@np.errstate(all="ignore")
def _distances(problem: Problem, best: Array, parameters: Array, groups: Clusters) -> tuple[Array, Array]:
    """Cook's distance of each group, and observed/predicted - 1 of each run by the fit without its group."""
    spread = problem.stderr if problem.objective.stderr and problem.stderr is not None else 1.0
    curve = problem.objective.prepare(problem.call(best[None])[0])
    spare = max(1, int((problem.weights > 0).sum()) - len(best))
    s2 = float(problem.weights @ ((problem.prepared - curve) / spread) ** 2) / spare
    cook, missed = np.empty(len(parameters)), np.empty(problem.rows)
    width = block_size(problem.rows)
    for first in range(0, len(parameters), width):
        curves = problem.call(parameters[first : first + width])
        moved = (problem.objective.prepare(curves) - curve) / spread
        cook[first : first + width] = moved**2 @ problem.weights / (len(best) * max(s2, np.finfo(float).tiny))
        mine = np.flatnonzero(np.isin(groups.labels, np.arange(first, first + len(curves))))
        missed[mine] = problem.target[mine] / curves[groups.labels[mine] - first, mine] - 1.0
    return cook, missed


def _at(problem: Problem, point: Mapping[str, float], parameters: Array) -> Array:
    """The law at one point for every parameter vector."""
    named = dict(zip(problem.names, parameters.T, strict=True))
    with np.errstate(all="ignore"):
        value = problem.law(*(np.full(len(parameters), v) for v in point.values()), **named, **problem.fixed)
    return np.broadcast_to(np.asarray(value, float), len(parameters))


def _watched(fitted: Fit, data: Data, at: Mapping[str, float] | None) -> dict[str, float]:
    """The point of the prediction, in the order of the law's columns.

    Raises:
        BadOption, MissingColumns: the law cannot be read there.
    """
    law = describe(fitted.law)
    if at is not None:
        require_kind("at", at, Mapping, "a dictionary with a number for each column")
        if np.size(fitted.predict(level=0.5, new_run=False, discrepancy=False, **at).median) != 1:
            raise BadOption("at", dict(at), "one point, a number for each column")
        return {c.name: float(np.ravel(at.get(c.name, c.default))[0]) for c in law.columns}  # type: ignore[arg-type]
    axis = axis_of(scales(law, data))
    size = np.sum([np.log(data.columns[c]) for c in axis], axis=0) if axis else -data.target
    largest = {name: float(values[np.argmax(size)]) for name, values in data.columns.items()}
    return largest | {name: largest[name] * 10.0 ** (_AHEAD / len(axis)) for name in axis}


def _labels(data: Data, groups: Clusters, by: str) -> list[str]:
    """What each group is called: its value of a column, its compute, or the name of its run."""
    first, names = np.unique(groups.labels, return_index=True)[1], row_names(data)
    if groups.count == data.rows:
        return [names[i] for i in first]
    for values in data.frame(*dict.fromkeys((by, "trunk_id", "N"))):
        column = values.name
        if len(pl.DataFrame({"group": groups.labels, "value": values}).unique()) == groups.count:
            shown = [print_count(v) if column in COUNTS else v for v in values]
            return [names[i] if values[int(i)] is None else f"{column} {shown[i]}" for i in first]
    flops, what = compute(data.frame(*COUNTS)) or (np.ones(data.rows), "group")
    middle = (np.exp(np.log(flops[groups.labels == g]).mean()) for g in range(groups.count))
    return [f"{what} {print_count(float(C), 2)}" for C in middle]


def _mean(values: Array, weights: Array, groups: Clusters) -> Array:
    """Weighted mean of each group; NaN where nothing weighs."""
    with np.errstate(invalid="ignore"):
        total = np.bincount(groups.labels, weights, groups.count)
        return np.bincount(groups.labels, weights * values, groups.count) / total
