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

    The best of a cell is its lowest mean loss over the number of passes, of the same seeds with and without the lever.
    D(L) is the number of new tokens at which a single pass without the lever reaches a loss L, read off the runs of the
    same size, linear in ln D, and

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
    rows = pl.concat([part.select(*sorted(needed), "members") for part in tried])
    rows = rows.with_columns(epochs=pl.col("D") / pl.col("unique_tokens"))
    spread = _seed_spread(rows, ["N", "D", "unique_budget", "weight_decay", "members"])
    least = float(rows["weight_decay"].to_numpy().min())
    without = (pl.col("weight_decay") == least) & (pl.col("members") == 1)
    rng = np.random.default_rng(seed)
    found = []
    for (N,), size in rows.group_by("N", maintain_order=True):
        single = size.filter(without, pl.col("epochs") < 1.05)
        fresh = _means(single.filter(pl.col("unique_budget") == pl.col("unique_budget").max())).sort("D")
        if len(fresh) < 3:
            continue
        curve = _noisy(fresh["loss"].to_numpy(), fresh["seeds"].to_numpy(), spread, rng)
        at = np.log(fresh["D"].to_numpy())
        for (pool,), cell in size.group_by("unique_budget", maintain_order=True):
            if float(cell["epochs"].to_numpy().max()) < 1.5:
                continue
            for (decay, members), lever in cell.filter(~without).group_by("weight_decay", "members"):
                plain = cell.filter(without, pl.col("seed").is_in(lever["seed"].unique().implode()))
                if plain.is_empty():
                    continue
                best = _means(lever).sort("loss").head(1)
                losses = _drawn(best, spread, rng)
                tokens = _tokens(losses, curve, at)
                ratio = np.exp(
                    tokens - _tokens(_drawn(_means(plain).sort("loss").head(1), spread, rng), curve, at)
                )
                tails = (math.nan, math.nan)
                if spread:
                    tails = map(float, np.quantile(ratio[1:], [0.5 - level / 2, 0.5 + level / 2]))
                said = _words(float(decay), int(members), least)  # type: ignore[arg-type]
                of_best = (said, N, pool, best["epochs"][0], best["loss"][0])
                beyond = bool(losses[0] < curve[0].min())
                found.append((*of_best, float(np.exp(tokens[0])), float(ratio[0]), *tails, beyond))
    return pl.DataFrame(found, schema=_SCHEMA, orient="row").sort("pool", "N", "lever")


def best_passes(runs: pl.DataFrame, ensembles: pl.DataFrame | None = None) -> pl.DataFrame:
    """The lowest mean loss over the number of passes, for every size, pool, weight decay and number of members.

    Members are compared on the seeds that have ensembles: what `laws.ensemble`, the form of Kim et al., is fitted to.

    Returns:
        N, pool, weight_decay, members, epochs (of the best) and loss, of pools that were repeated.
    """
    tried = [runs.with_columns(members=pl.lit(1, pl.Int64))]
    if ensembles is not None:
        tried = [tried[0].filter(pl.col("seed").is_in(ensembles["seed"].unique().implode())), ensembles]
    columns = ["N", "D", "unique_tokens", "unique_budget", "weight_decay", "members", "loss"]
    rows = pl.concat([part.select(columns) for part in tried])
    rows = rows.with_columns(epochs=pl.col("D") / pl.col("unique_tokens"), pool="unique_budget")
    cell = ["N", "pool", "weight_decay", "members"]
    means = rows.group_by(*cell, "D").agg(pl.col("loss", "epochs").mean())
    best = means.sort("loss").group_by(cell, maintain_order=True).first().drop("D")
    repeated = rows.filter(pl.col("epochs") > 1.5).select("N", "pool").unique()
    return best.join(repeated, on=["N", "pool"]).select(*cell, "epochs", "loss").sort(cell)


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


def _means(runs: pl.DataFrame) -> pl.DataFrame:
    """D, mean loss and passes, and how many seeds are in them."""
    return runs.group_by("D").agg(pl.col("loss").mean(), pl.col("epochs").mean(), seeds=pl.len())


def _drawn(mean: pl.DataFrame, spread: float, rng: np.random.Generator) -> Array:
    """A single mean, and draws of what it might have been, shape (1 + draws,)."""
    return _noisy(mean["loss"].to_numpy(), mean["seeds"].to_numpy(), spread, rng)[:, 0]


def _tokens(losses: Array, curves: Array, at: Array) -> Array:
    """ln of the tokens at which each curve reaches each loss; the ends of the curve where it does not."""
    falling = np.minimum.accumulate(curves, axis=1)
    return np.array([np.interp(-loss, -curve, at) for loss, curve in zip(losses, falling, strict=True)])
