"""Runs as one curve of loss against compute: the best that each budget bought, with its noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from polars import selectors as cs

from scaling.errors import BadOption
from scaling.fitting.data import Array, MixedConventions, Table, TooFewScales, as_frame, compute, read
from scaling.laws import compute_only
from scaling.laws.base import along, describe

FEWEST_POINTS = 6
"""Budgets below which no curve is drawn: a plateau has four parameters, and one more point must speak against it."""

_CELL = (
    "N",
    "D",
    "unique_budget",
    "width",
    "depth",
    "peak_lr",
    "weight_decay",
    "optimizer",
    "tokens_per_step",
)
_ONE_CURVE = ("entropy", "blend", "corpus_hash")
_MOST_POINTS = 40  # of a path; finer ones are pooled
_BINS = 4  # per decade of a grid, as the clusters of a bootstrap
_BEATEN = 2.0  # standard errors by which a cheaper run must be better to take a point off the frontier
_ENOUGH = 2.0  # decades that must remain for the ends of a grid to be cut off
_FEWEST_REPEATS = 3  # degrees of freedom from which repeated runs say what the noise is


@dataclass(frozen=True, eq=False)
class Frontier:
    """Loss as a function of compute, as these runs have it."""

    table: pl.DataFrame
    """One row per point by rising C: C, loss, runs (how many were averaged), edge, and N, D, unique_tokens if known."""
    covariance: Array
    """Of the points' noise, up to `spread`²: nats²/token², shape (points, points). Points of one trunk share some."""
    spread: float
    """Standard deviation of a run, relative to its loss above the entropy; NaN where no run was repeated."""
    freedom: int
    """Degrees of freedom behind `spread`."""
    floor: float | None
    """The entropy where it is known, nats/token."""
    path: bool
    """Whether all runs lie on one path of growing models, so that each is a point; else the best of each budget is."""
    given: int
    """Runs that it was made from."""
    cut: int
    """Points at the ends of the grid that were left out, because no larger or smaller model was tried there."""
    data_hash: str

    @property
    def C(self) -> Array:
        return self.table["C"].to_numpy()

    @property
    def loss(self) -> Array:
        return self.table["loss"].to_numpy()

    @property
    def decades(self) -> float:
        """How many decades of compute it spans."""
        return float(np.log10(self.C[-1] / self.C[0]))

    @property
    def edges(self) -> int:
        """Points of the table at the ends of the grid."""
        return int(self.table["edge"].sum())

    @property
    def repeated(self) -> bool:
        """Whether any point repeats data: more than one epoch."""
        if not {"D", "unique_tokens"} <= set(self.table.columns):
            return False
        return bool((self.table["D"] > 1.05 * self.table["unique_tokens"]).sum() >= 3)


def frontier(runs: Table, *, target: str = "loss", entropy: float | None = None) -> Frontier:
    """The curve of loss against compute along the lower edge of the runs.

    Runs that differ only in seed are averaged. Where N and D rise together from run to run, every budget is a point;
    else the best of each quarter decade is, unless a cheaper run did better by two standard errors. At the ends of a
    grid the best run is the largest or the smallest that was tried, whatever the best would be: those points are left
    out if two decades remain without them, else they are marked `edge`. Arguments and errors are those of `plateau`.
    """
    frame = as_frame(runs)
    law = along(compute_only, "C")
    if "C" not in frame.columns and (flops := compute(frame)) is not None:
        frame = frame.with_columns(C=pl.Series(flops[0]))
    data = read(describe(law).columns, frame, target=target)
    for name in _ONE_CURVE:
        if name in frame.columns and frame[name].n_unique() > 1:
            raise MixedConventions(name, tuple(map(str, frame[name].unique().sort())), target)
    budgets = np.unique(data.columns["C"])
    if len(budgets) < FEWEST_POINTS:
        raise TooFewScales("a curve of loss against compute", "C", tuple(budgets), FEWEST_POINTS)
    floor = _floor(frame, entropy, float(data.target.min()))
    frame = data.frame().with_columns(
        C=pl.Series(data.columns["C"]), loss=pl.Series(data.target), row=pl.int_range(data.rows)
    )
    cells = _cells(frame)
    scale = _scale(cells["loss"].to_numpy(), floor)
    spread, freedom, shared = _noise(frame, cells, scale)
    path = _is_path(cells)
    points = _pooled(cells) if path else _lowest(cells, scale, spread)
    if len(points) < FEWEST_POINTS:
        raise TooFewScales("a curve of loss against compute", "C", tuple(points["C"]), FEWEST_POINTS)
    points, cut = (points.with_columns(edge=False), 0) if path else _without_ends(points, cells)
    weight = _scale(points["loss"].to_numpy(), floor)
    return Frontier(
        table=points.drop("row", "loss_rows", strict=False),
        covariance=_shares(points, frame, shared) * np.outer(weight, weight),
        spread=spread,
        freedom=freedom,
        floor=floor,
        path=path,
        given=data.rows,
        cut=cut,
        data_hash=data.hash,
    )


def _floor(frame: pl.DataFrame, entropy: float | None, lowest: float) -> float | None:
    if entropy is None and "entropy" in frame.columns:
        given = frame["entropy"].drop_nulls()
        entropy = float(given[0]) if len(given) else None
    if entropy is not None and not 0.0 <= entropy < lowest:
        raise BadOption("entropy", entropy, f"from 0 to below the lowest loss, {lowest:g} nats/token")
    return entropy


def _cells(frame: pl.DataFrame) -> pl.DataFrame:
    """Runs that differ only in seed as one row, by rising compute."""
    keys = [name for name in _CELL if name in frame.columns]
    keys = keys if {"N", "D"} & set(keys) else [*keys, "C"]
    others = [name for name in frame.columns if name not in keys]
    averaged = [name for name in ("C", "N", "D", "unique_tokens", "params_total", "loss") if name in others]
    means = pl.col(averaged).cast(pl.Float64).mean()
    cells = frame.group_by(keys, maintain_order=True).agg(means, pl.col("row"), runs=pl.len())
    return cells.sort("C", "loss")


def _scale(loss: Array, floor: float | None) -> Array:
    """What noise is relative to: the loss above the entropy, which noise shrinks with."""
    above = loss - (floor or 0.0)
    return np.maximum(above, 0.05 * np.median(above))


def _noise(frame: pl.DataFrame, cells: pl.DataFrame, scale: Array) -> tuple[float, int, float]:
    """Relative standard deviation between repeated runs, its degrees of freedom, and the share that a trunk shares."""
    several = cells.with_columns(scale=pl.Series(scale), cell=pl.int_range(len(cells)), mean="loss")
    off = (
        several.filter(pl.col("runs") > 1)
        .explode("row")
        .drop("loss", "C")
        .join(frame.select("row", "loss", *({"trunk_id"} & set(frame.columns))), on="row")
        .with_columns(off=(pl.col("loss") - pl.col("mean")) / pl.col("scale"))
    )
    freedom = len(off) - off["cell"].n_unique()
    if freedom < _FEWEST_REPEATS:
        return float("nan"), 0, 0.0
    square = float((off["off"] ** 2).sum())
    spread = max((square / freedom) ** 0.5, 1e-6)
    if "trunk_id" not in off.columns:
        return spread, freedom, 0.0
    # Over pairs of one trunk's branches, the sum of products is (the square of the sum less the sum of squares).
    trunks = off.group_by("trunk_id").agg(
        total=pl.col("off").sum(), squares=(pl.col("off") ** 2).sum(), count=pl.len()
    )
    pairs = float((trunks["count"] * (trunks["count"] - 1)).sum())
    products = float((trunks["total"] ** 2 - trunks["squares"]).sum())
    shared = np.clip(products / pairs / (square / len(off)), 0.0, 0.95) if pairs else 0.0
    return spread, freedom, float(shared)


def _is_path(cells: pl.DataFrame) -> bool:
    if not {"N", "D"} <= set(cells.columns):
        return True
    N, D, C = (cells[name].to_numpy().astype(float) for name in ("N", "D", "C"))
    rising = np.all(np.diff(N) >= -1e-6 * N[:-1]) and np.all(np.diff(D) >= -1e-6 * D[:-1])
    return bool(rising and np.all(np.diff(C) > 0) and (N[-1] > N[0] or D[-1] > D[0]))


def _merged(cells: pl.DataFrame, by: pl.Expr) -> pl.DataFrame:
    """Neighbours as one point: loss averaged over runs, compute by its logarithm."""
    runs, others = pl.col("runs"), cs.numeric() - cs.by_name("loss", "runs")
    geometric = ((others.log() * runs).sum() / runs.sum()).exp()
    mean = (pl.col("loss") * runs).sum() / runs.sum()
    merged = cells.group_by(by.alias("bin")).agg(geometric, mean, runs.sum(), pl.col("row").explode())
    return merged.sort("C").drop("bin")


def _pooled(cells: pl.DataFrame) -> pl.DataFrame:
    """The cells of a path, the finest ones pooled."""
    if len(cells) <= _MOST_POINTS:
        return cells
    x = pl.col("C").log10()
    width = float(np.log10(cells["C"][-1] / cells["C"][0])) / _MOST_POINTS
    return _merged(cells, ((x - x.min()) / width).floor().clip(0, _MOST_POINTS - 1))


def _lowest(cells: pl.DataFrame, scale: Array, spread: float) -> pl.DataFrame:
    """The best cell of each quarter decade, less those that a cheaper one beats beyond noise."""
    noise = 0.0 if np.isnan(spread) else spread
    best = (
        cells.with_columns(
            bin=(_BINS * pl.col("C").log10()).round(),
            stderr=noise * pl.Series(scale) / pl.col("runs").sqrt(),
        )
        .sort("loss", "C")
        .unique("bin", keep="first", maintain_order=True)
        .sort("C")
    )
    kept: list[int] = []
    for i, (loss, stderr) in enumerate(best.select("loss", "stderr").iter_rows()):
        if all(loss - best["loss"][j] <= _BEATEN * float(np.hypot(stderr, best["stderr"][j])) for j in kept):
            kept.append(i)
    return best[kept].drop("bin", "stderr")


def _without_ends(points: pl.DataFrame, cells: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Points at the ends of the grid marked, and left out where enough remains."""
    names = [name for name in ("N", "D") if cells[name].n_unique() > 1]
    low = np.logical_or.reduce([(points[n] <= cells[n].min()).to_numpy() for n in names])
    high = np.logical_or.reduce([(points[n] >= cells[n].max()).to_numpy() for n in names])
    first = int(np.argmin(low)) if not low.all() else len(points)
    last = len(points) - (int(np.argmin(high[::-1])) if not high.all() else len(points))
    index = np.arange(len(points))
    points = points.with_columns(edge=pl.Series((index < first) | (index >= last)))
    inner = points[first:last] if first < last else points.clear()
    if len(inner) > FEWEST_POINTS and np.log10(inner["C"][-1] / inner["C"][0]) >= _ENOUGH:
        return inner, len(points) - len(inner)
    return points, 0


def _shares(points: pl.DataFrame, frame: pl.DataFrame, shared: float) -> Array:
    """Covariance of the points' means, in units of the variance of one run."""
    rows = [np.asarray(r) for r in points["row"].to_list()]
    own = np.diag([1.0 / len(r) for r in rows])
    if not shared:  # as where nobody says which trunk a run is from
        return own
    trunks = frame["trunk_id"].rank("dense").fill_null(0).to_numpy().astype(int)
    share = np.array([np.bincount(trunks[r], minlength=int(trunks.max()) + 1) / len(r) for r in rows])
    return shared * (share @ share.T) + (1.0 - shared) * own
