"""Runs of one size on one unique-token budget, epoch after epoch: their means, their scatter, and where they rise."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from scaling.errors import require_columns
from scaling.fitting.data import framed

CELL = ["N", "unique_budget"]


def with_epochs(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs with `epochs`, and with `unique_budget`: the distinct tokens seen, where nothing else is known."""
    require_columns(("N", "D", "unique_tokens", "loss"), runs.columns, "Best epochs need them of each run.")
    budget = "unique_budget" if "unique_budget" in runs.columns else "unique_tokens"
    return runs.with_columns(epochs=pl.col("D") / pl.col("unique_tokens"), unique_budget=pl.col(budget))


@framed("runs")
def without_interventions(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs that laws are fitted to: those with the smallest weight decay, with `epochs` and `unique_budget`."""
    runs = with_epochs(runs)
    if "weight_decay" in runs.columns:
        runs = runs.filter(pl.col("weight_decay") == pl.col("weight_decay").min())
    return runs


@framed("runs")
def until_best_epoch(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs up to the best epoch of every size and budget, which laws of fading repeats can describe."""
    runs = with_epochs(runs)
    mean = pl.col("loss").mean().over(*CELL, "D")
    return runs.filter(pl.col("D") <= pl.col("D").sort_by(mean).first().over(CELL))


def repeated(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs of sizes and budgets of which some saw their text more than once."""
    return with_epochs(runs).filter(pl.col("epochs").max().over(CELL) > 1.5)


def means(runs: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Mean loss and epochs at each D, and how many seeds are in them."""
    return runs.group_by(*by, "D").agg(pl.col("loss", "epochs").mean(), seeds=pl.len())


@framed("runs", "ensembles")
def best_epochs(runs: pl.DataFrame, ensembles: pl.DataFrame | None = None) -> pl.DataFrame:
    """The lowest mean loss over epochs, for every size, budget, weight decay and number of members.

    Members are compared on the seeds that have ensembles: what `laws.ensemble`, the form of Kim et al., is fitted to.

    Returns:
        N, unique_budget, weight_decay, members, epochs (of the best) and loss, of budgets that were repeated.
    """
    if ensembles is not None:
        runs = runs.filter(pl.col("seed").is_in(ensembles["seed"].unique().implode()))
    rows = with_members(runs, ensembles, [*CELL, "D", "unique_tokens", "weight_decay", "loss"])
    cell = [*CELL, "weight_decay", "members"]
    best = means(rows, *cell).sort("loss").group_by(cell, maintain_order=True).first()
    return best.join(repeated(rows).select(CELL).unique(), on=CELL).select(*cell, "epochs", "loss").sort(cell)


def with_members(runs: pl.DataFrame, ensembles: pl.DataFrame | None, columns: list[str]) -> pl.DataFrame:
    """Single runs, of one member, and ensembles below one another, with these columns, `members` and `epochs`."""
    tried = [runs.with_columns(members=pl.lit(1, pl.Int64)), *([] if ensembles is None else [ensembles])]
    return with_epochs(pl.concat([part.select(*columns, "members") for part in tried]))


def rises(runs: pl.DataFrame, spread: float | None = None) -> pl.DataFrame:
    """Where further epochs of the same text made the loss worse, by more than twice the standard error over seeds.

    Args:
        runs: with N, epochs and the distinct tokens on offer; without them nothing is said.
        spread: how far single runs scatter, as a share of their loss, for cells of one seed; None leaves those out.

    Returns:
        N, unique_budget, best_epochs, best_loss, last_epochs, last_loss.
    """
    columns = ("N", "unique_budget", "best_epochs", "best_loss", "last_epochs", "last_loss")
    budget = "unique_budget" if "unique_budget" in runs.columns else "unique_tokens"
    if not {budget, "epochs"} <= set(runs.columns) or (spread is None and "seed" not in runs.columns):
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.Float64))
    runs = runs.with_columns(unique_budget=pl.col(budget))
    loss, epochs, error = (pl.col(name) for name in ("loss", "epochs", "error"))
    ends = (
        runs.filter(epochs.max().over(CELL) > 1.5)
        .group_by(*CELL, epochs.round(3))
        .agg(loss.mean(), error=loss.std() / pl.len().sqrt())
        .with_columns(error.fill_null(loss * (spread or math.inf)))
        .sort(*CELL, "epochs")
        .group_by(CELL, maintain_order=True)
        .agg(
            best_epochs=epochs.get(loss.arg_min()), best_loss=loss.min(), last_epochs=epochs.last(),
            last_loss=loss.last(), error=(error.get(loss.arg_min()) ** 2 + error.last() ** 2).sqrt(),
        )
    )  # fmt: skip
    return ends.filter(pl.col("last_loss") - pl.col("best_loss") > 2 * error).select(columns)


def seed_spread(runs: pl.DataFrame) -> float:
    """How far runs lie apart that differ only in their seed: median standard deviation, percent of the loss."""
    alike = ("N", "D", "unique_budget", "peak_lr", "origin", "corpus_hash")
    cells = runs.group_by([name for name in alike if name in runs.columns]).agg(
        spread=100 * pl.col("loss").std() / pl.col("loss").mean(), seeds=pl.len()
    )
    spread = cells.filter(pl.col("seeds") > 1)["spread"].median()
    return float(spread) if isinstance(spread, float) else math.nan


def pooled_std(rows: pl.DataFrame, cell: list[str]) -> float:
    """Standard deviation over seeds, nats/token, pooled over the cells that have several; 0 where none has."""
    cells = rows.group_by(cell).agg(square=pl.col("loss").var(), spare=pl.len() - 1)
    cells = cells.filter(pl.col("spare") > 0)
    if cells.is_empty():
        return 0.0
    return math.sqrt(np.average(cells["square"].to_numpy(), weights=cells["spare"].to_numpy()))
