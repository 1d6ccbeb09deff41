"""What weight decay and ensembles buy when text is scarce, as so many times the data."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]

_DRAWS = 4_000
_SCHEMA = {
    "lever": pl.String, "N": pl.Int64, "pool": pl.Int64, "epochs": pl.Float64, "loss": pl.Float64,
    "fresh_tokens": pl.Float64, "multiplier": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "at_least": pl.Boolean,
}  # fmt: skip


def levers(
    runs: pl.DataFrame, ensembles: pl.DataFrame | None = None, *, level: float = 0.8, seed: int = 0
) -> pl.DataFrame:
    """The best that each lever gets out of a pool of text, beside the best without it.

    The best of a cell is its lowest mean loss over the number of passes. D(L) is the number of new tokens at which a
    single pass without the lever reaches a loss L, read off the runs of the same size, linear in ln D, and

        multiplier = D(best loss with the lever) / D(best loss without)

    The interval carries the scatter over seeds: one standard deviation for all cells, pooled, in every mean.

    Args:
        runs: with N, D, unique_tokens, unique_budget, loss, seed and weight_decay, of which the smallest is "without".
        ensembles: rows of kind "ensemble", with `members`.
        level: of the intervals.
        seed: of the draws behind them.

    Returns:
        One row per size, pool and lever: lever, N, pool (distinct tokens on offer), epochs (of the best), loss,
        fresh_tokens, multiplier, low, high, at_least (true where the loss is below all that single passes reached; then
        fresh_tokens and multiplier are lower bounds). No rows where the runs lack a column or a single pass to compare.
    """
    needed = {"N", "D", "unique_tokens", "unique_budget", "loss", "seed", "weight_decay"}
    if not needed <= set(runs.columns):
        return pl.DataFrame(schema=_SCHEMA)
    tried = [runs.with_columns(members=pl.lit(1, pl.Int64))]
    if ensembles is not None:
        tried.append(ensembles)
    columns = [*sorted(needed), "members"]
    rows = pl.concat([part.select(columns) for part in tried])
    rows = rows.with_columns(epochs=pl.col("D") / pl.col("unique_tokens"))
    cell = ["N", "unique_budget", "weight_decay", "members"]
    means = rows.group_by(*cell, "D").agg(pl.col("loss").mean(), pl.col("epochs").mean(), seeds=pl.len())
    spread = _seed_spread(rows, [*cell, "D"])
    least = float(rows["weight_decay"].to_numpy().min())
    rng = np.random.default_rng(seed)
    repeated = means.filter(pl.col("epochs").max().over("N", "unique_budget") > 1.5)
    found = []
    for (N, pool), group in repeated.group_by("N", "unique_budget", maintain_order=True):
        fresh = means.filter(
            (pl.col("N") == N) & (pl.col("weight_decay") == least) & (pl.col("members") == 1),
            pl.col("epochs") < 1.05,
        ).sort("D")
        fresh = fresh.filter(pl.col("unique_budget") == pl.col("unique_budget").max())
        plain = group.filter((pl.col("weight_decay") == least) & (pl.col("members") == 1))
        if len(fresh) < 3 or plain.is_empty():
            continue
        curve = _noisy(fresh["loss"].to_numpy(), fresh["seeds"].to_numpy(), spread, rng)
        at = np.log(fresh["D"].to_numpy())
        without = _tokens(_best(plain, spread, rng), curve, at)
        for (decay, members), lever in group.group_by("weight_decay", "members", maintain_order=True):
            if decay == least and members == 1:
                continue
            losses = _best(lever, spread, rng)
            tokens = _tokens(losses, curve, at)
            ratio = np.exp(tokens - without)
            best = lever.sort("loss").row(0, named=True)
            tails = (
                np.quantile(ratio[1:], [0.5 - level / 2, 0.5 + level / 2]) if spread else (math.nan, math.nan)
            )
            found.append(
                (
                    _words(float(decay), int(members), least), N, pool, best["epochs"], best["loss"],  # type: ignore[arg-type]
                    float(np.exp(tokens[0])), float(ratio[0]), float(tails[0]), float(tails[1]),
                    bool(losses[0] < curve[0].min()),
                )
            )  # fmt: skip
    return pl.DataFrame(found, schema=_SCHEMA, orient="row").sort("pool", "N", "lever")


def _words(decay: float, members: int, least: float) -> str:
    said = [f"weight decay {decay:g}"] if decay != least else []
    return " and ".join(said + ([f"{members} models together"] if members > 1 else []))


def _seed_spread(rows: pl.DataFrame, cell: list[str]) -> float:
    """Standard deviation over seeds, nats/token, pooled over the cells that have several; 0 where none has."""
    cells = (
        rows.group_by(cell).agg(square=pl.col("loss").var(), spare=pl.len() - 1).filter(pl.col("spare") > 0)
    )
    if cells.is_empty():
        return 0.0
    return math.sqrt(np.average(cells["square"].to_numpy(), weights=cells["spare"].to_numpy()))


def _noisy(means: Array, seeds: Array, spread: float, rng: np.random.Generator) -> Array:
    """The means, and below them draws of what they might have been, shape (1 + draws, means)."""
    noise = rng.normal(size=(_DRAWS, len(means))) * spread / np.sqrt(seeds)
    return np.concatenate([means[None], means + noise])


def _best(cell: pl.DataFrame, spread: float, rng: np.random.Generator) -> Array:
    """Loss at the passes with the lowest mean loss, shape (1 + draws,)."""
    lowest = cell.sort("loss").head(1)
    return _noisy(lowest["loss"].to_numpy(), lowest["seeds"].to_numpy(), spread, rng)[:, 0]


def _tokens(losses: Array, curves: Array, at: Array) -> Array:
    """ln of the tokens at which each curve reaches each loss; the ends of the curve where it does not."""
    falling = np.minimum.accumulate(curves, axis=1)
    return np.array([np.interp(-loss, -curve, at) for loss, curve in zip(losses, falling, strict=True)])
