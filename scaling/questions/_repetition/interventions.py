"""What weight decay and ensembles buy when text is scarce, as so many times the data."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.fitting.data import framed
from scaling.questions._repetition.cells import means, pooled_std, with_members
from scaling.show import tails

Array = NDArray[np.float64]

_DRAWS = 4_000
_SCHEMA = {
    "intervention": pl.String, "N": pl.Int64, "unique_budget": pl.Int64, "epochs": pl.Float64, "loss": pl.Float64,
    "fresh_tokens": pl.Float64, "multiplier": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "at_least": pl.Boolean,
}  # fmt: skip


@framed("runs", "ensembles")
def interventions(
    runs: pl.DataFrame, ensembles: pl.DataFrame | None = None, *, level: float = 0.8, seed: int = 0
) -> pl.DataFrame:
    """The best that each intervention gets out of a unique-token budget, beside the best without it.

    The best of a cell is its lowest mean loss over epochs, of the same seeds with and without the intervention. D(L) is
    the number of new tokens at which one epoch without it reaches a loss L, read off the runs of the same size, linear
    in ln D, and

        multiplier = D(best loss with it) / D(best loss without)

    The interval carries the scatter over seeds: one standard deviation for all cells, pooled, in every mean.

    Args:
        runs: with N, D, unique_tokens, unique_budget, loss, seed and weight_decay, of which the smallest is "without".
        ensembles: rows of kind "ensemble", with `members`.
        level: of the intervals.
        seed: of the draws behind them.

    Returns:
        One row per size, budget and intervention: intervention, N, unique_budget, epochs (of the best), loss,
        fresh_tokens, multiplier, low, high, at_least (true where the loss is below all that one epoch reached; then
        fresh_tokens and multiplier are lower bounds). No rows where the runs lack a column or one epoch to compare.
    """
    needed = {"N", "D", "unique_tokens", "unique_budget", "loss", "seed", "weight_decay"}
    if not needed <= set(runs.columns):
        return pl.DataFrame(schema=_SCHEMA)
    rows = with_members(runs, ensembles, sorted(needed))
    rows = rows.sort("N", "unique_budget", "weight_decay", "members", "D", "seed")  # so that draws repeat
    spread = pooled_std(rows, ["N", "D", "unique_budget", "weight_decay", "members"])
    least = float(rows["weight_decay"].to_numpy().min())
    without = (pl.col("weight_decay") == least) & (pl.col("members") == 1)
    rng = np.random.default_rng(seed)
    table = []
    for (N,), size in rows.group_by("N", maintain_order=True):
        once = size.filter(without, pl.col("epochs") < 1.05)
        fresh = means(once.filter(pl.col("unique_budget") == pl.col("unique_budget").max())).sort("D")
        if len(fresh) < 3:
            continue
        curve = _noisy(fresh, spread, rng)
        at = np.log(fresh["D"].to_numpy())
        for (budget,), cell in size.group_by("unique_budget", maintain_order=True):
            if float(cell["epochs"].to_numpy().max()) < 1.5:
                continue
            for (decay, members), moved in cell.filter(~without).group_by(
                "weight_decay", "members", maintain_order=True
            ):
                plain = cell.filter(without, pl.col("seed").is_in(moved["seed"].unique().implode()))
                if plain.is_empty():
                    continue
                best = means(moved).sort("loss").head(1)
                both = best, means(plain).sort("loss").head(1)
                losses, other = (_noisy(one, spread, rng)[:, 0] for one in both)
                tokens = _tokens(losses, curve, at)
                ratio = np.exp(tokens - _tokens(other, curve, at))
                ends = (math.nan, math.nan)
                if spread:
                    ends = map(float, np.quantile(ratio[1:], tails(level)[::2]))
                said = _name(float(decay), int(members), least)  # type: ignore[arg-type]
                of_best = (said, N, budget, best["epochs"][0], best["loss"][0])
                beyond = bool(losses[0] < curve[0].min())
                table.append((*of_best, float(np.exp(tokens[0])), float(ratio[0]), *ends, beyond))
    return pl.DataFrame(table, schema=_SCHEMA, orient="row").sort("unique_budget", "N", "intervention")


def _name(decay: float, members: int, least: float) -> str:
    said = [f"weight decay {decay:g}"] if decay != least else []
    return " and ".join(said + ([f"{members} models together"] if members > 1 else []))


def _noisy(means: pl.DataFrame, spread: float, rng: np.random.Generator) -> Array:
    """Mean losses, and below them draws of what they might have been, shape (1 + draws, means)."""
    losses = means["loss"].to_numpy()
    noise = rng.normal(size=(_DRAWS, len(losses))) * spread / np.sqrt(means["seeds"].to_numpy())
    return np.concatenate([losses[None], losses + noise])


def _tokens(losses: Array, curves: Array, at: Array) -> Array:
    """ln of the tokens at which each curve reaches each loss; the ends of the curve where it does not."""
    falling = np.minimum.accumulate(curves, axis=1)
    return np.array([np.interp(-loss, -curve, at) for loss, curve in zip(losses, falling, strict=True)])
