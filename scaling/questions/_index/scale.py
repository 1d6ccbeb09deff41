"""Scores of models on benchmarks as one scale: least squares over who scored what where."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STOP = {"maxcor": 20, "ftol": 0.0, "gtol": 1e-7, "maxiter": 20_000, "maxfun": 40_000}
"""At a gradient of 1e-7 capabilities are right to 1e-6."""


@dataclass(frozen=True, eq=False)
class Scale:
    """Where least squares put models and benchmarks."""

    capability: Array
    stderr: Array
    """Both of shape (models,), logits of the anchor's score."""
    difficulty: Array
    slope: Array
    """Both of shape (benchmarks,)."""
    residual_std: float
    """Of the scores, with the degrees of freedom counted."""
    explained: float
    """Share of the variance of the scores."""
    converged: bool


@dataclass(frozen=True, eq=False)
class Scores:
    """Mean scores, one for each model and benchmark that met."""

    models: pl.DataFrame
    """model, release_date; by date."""
    benchmarks: list[str]
    model: NDArray[np.int64]
    benchmark: NDArray[np.int64]
    """Which model and which benchmark each score belongs to, shape (scores,)."""
    score: Array

    @staticmethod
    def of(scores: pl.DataFrame, least: int | None = None) -> Scores:
        """Where `least` is given, without models on fewer benchmarks, and without benchmarks of a single model."""
        cells = scores.group_by("model", "benchmark").agg(
            pl.col("performance").cast(pl.Float64).mean(), pl.col("release_date").min()
        )
        cells = cells.with_columns(pl.col("release_date").min().over("model"))
        while least is not None:
            kept = cells.filter((pl.len().over("model") >= least) & (pl.len().over("benchmark") >= 2))
            if len(kept) == len(cells):
                break
            cells = kept
        models = cells.select("model", "release_date").unique().sort("release_date", "model")
        column = pl.col("benchmark").rank("dense").cast(pl.Int64) - 1
        cells = cells.join(models.with_row_index("row"), on="model").with_columns(column=column)
        row, column, score = (
            cells.sort("row", "column")[name].to_numpy() for name in ("row", "column", "performance")
        )
        return Scores(models, cells["benchmark"].unique().sort().to_list(), row.astype(int), column, score)

    def taken(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many benchmarks each model took, and how many models each benchmark has."""
        return np.bincount(self.model), np.bincount(self.benchmark)

    def fit(self, anchor: str, penalty: float) -> Scale:
        """Least squares over C, D and log slope, all free but the anchor's; standard errors from J'J where it ends.

        By L-BFGS: on 190 models and 37 benchmarks 0.4 s, where `scipy.optimize.least_squares` takes 1.2 s, most of
        it in dense factors of a Jacobian of which one entry in ninety is not zero.
        """
        from scipy.optimize import minimize
        from scipy.special import expit

        M, B, y = len(self.models), len(self.benchmarks), self.score
        free = np.array([name != anchor for name in self.benchmarks])
        ridge = penalty / (M + 2 * int(free.sum()))

        def split(x: Array) -> tuple[Array, Array, Array]:
            """Capability of each model, difficulty and log slope of each benchmark, zero for the anchor."""
            rest = np.zeros((2, B))
            rest[:, free] = x[M:].reshape(2, -1)
            return x[:M], rest[0], rest[1]

        def slopes(x: Array) -> tuple[Array, Array, Array]:
            """Misses of the scores, and their derivatives by C (minus that by D) and by log slope."""
            C, D, log_slope = split(x)
            slope, apart = np.exp(log_slope)[self.benchmark], C[self.model] - D[self.benchmark]
            share = expit(slope * apart)
            by_C = share * (1 - share) * slope
            return share - y, by_C, by_C * apart

        def objective(x: Array) -> tuple[float, Array]:
            miss, by_C, by_slope = slopes(x)
            by_D = -np.bincount(self.benchmark, miss * by_C, B)
            by_slope = np.bincount(self.benchmark, miss * by_slope, B)
            down = np.concatenate([np.bincount(self.model, miss * by_C, M), by_D[free], by_slope[free]])
            return float(miss @ miss + ridge * (x @ x)), 2 * (down + ridge * x)

        share = (np.bincount(self.model, y) + 0.5) / (self.taken()[0] + 1.0)
        start = np.concatenate([np.log(share / (1 - share)), np.zeros(2 * int(free.sum()))])
        ended = minimize(objective, start, jac=True, method="L-BFGS-B", options=_STOP)
        miss, by_C, by_slope = slopes(ended.x)
        J = np.zeros((len(y), M + 2 * B))
        at = np.arange(len(y))
        J[at, self.model], J[at, M + self.benchmark], J[at, M + B + self.benchmark] = by_C, -by_C, by_slope
        J = J[:, np.concatenate([np.ones(M, bool), free, free])]
        rest = float(miss @ miss)
        variance = rest / max(len(y) - len(start), 1)
        inverse = np.linalg.inv(J.T @ J + ridge * np.eye(len(start)))
        C, D, log_slope = split(ended.x)
        return Scale(
            capability=C,
            stderr=np.sqrt(variance * np.diag(inverse)[:M]),
            difficulty=D,
            slope=np.exp(log_slope),
            residual_std=math.sqrt(variance),
            explained=1.0 - rest / max(float(((y - y.mean()) ** 2).sum()), 1e-300),
            converged=bool(ended.success),
        )
