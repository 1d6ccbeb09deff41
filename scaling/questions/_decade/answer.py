"""What does more compute buy, and what is a repeated token worth?"""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from scaling.design.allocation import Allocation, allocate
from scaling.fitting import Comparison, Fit
from scaling.show import Interval
from scaling.units import power_of_ten, print_count
from scaling.verdict import Estimate, Prose, Reach, Verdict, between, percent

QUESTION = "How does loss fall with compute, and what is a repeated token worth?"

FALLS, CANNOT_TELL = "falls", "cannot tell"
"""What `next_decade` may answer."""


def next_decade(
    found: Fit, compared: Comparison, runs: pl.DataFrame, *, factor: float = 10.0, level: float = 0.8
) -> Verdict:
    """What so many times the compute of the largest run would buy, and how far to believe it.

    The answer is "falls" where the predicted fall is larger than the law's miss on runs that it had not seen, else
    "cannot tell".

    Args:
        found: the law that predicts, fitted to all runs; one that reads unique_tokens also says what a repeat is worth.
        compared: laws side by side on runs without repeats.
        runs: what was fitted.
        factor: how many times the compute of the largest run.
        level: of the intervals.
    """
    reach = Reach.of(runs)
    ahead = allocate(found, runs, [reach.compute, factor * reach.compute], level=level)
    now, then = (Estimate(*_at(ahead.loss, i), level, "nats/token") for i in (0, 1))
    fall = 100 * (1 - then.value / now.value)
    missed = float(compared.table["held_out_percent"][0])
    falls = fall > missed
    numbers = {
        "loss at the compute of the largest run": now,
        f"loss at {factor:g} times that": then,
        "parameters for it": Estimate(*_at(ahead.N, 1), level, "parameters"),
        "tokens for it": Estimate(*_at(ahead.D, 1), level, "tokens"),
    }
    sentence = _fall(ahead, factor, fall) if falls else _unsure(factor, fall, missed)
    if "R_D" in found.free:
        numbers["repeats until a token is worth 1/e"] = Estimate(
            float(np.median(found.draws["R_D"])), *found.intervals(level)["R_D"], level, "repeats"
        )
        sentence += " " + _fade(found, level)
    return Verdict(
        question=QUESTION,
        answer=FALLS if falls else CANNOT_TELL,
        sentence=sentence,
        numbers=numbers,
        evidence=compared.table,
        would_change=tuple(_doubts(compared, runs, factor * reach.compute, level)),
        next_runs=(
            f"{print_count(ahead.N.median[1], 2)} parameters on {print_count(ahead.D.median[1], 2)} new tokens, the "
            f"point predicted above, for {power_of_ten(factor * reach.compute)} FLOPs",
        ),
        identifiable=falls,
        reach=reach,
        data_hash=found.data_hash,
        seed=int(found.settings.get("seed", 0)),
    )


def _at(number: Interval, index: int) -> tuple[float, float, float]:
    return float(number.median[index]), float(number.low[index]), float(number.high[index])


def _fall(ahead: Allocation, factor: float, fall: float) -> str:
    low, high = (f"{end[1]:.2f}" for end in (ahead.loss.low, ahead.loss.high))
    return (
        f"**Loss keeps falling with compute.** {_times(factor)} the compute of the largest run here takes the held-out "
        f"loss from {ahead.loss.median[0]:.2f} to {ahead.loss.median[1]:.2f} nats/token "
        f"({between(low, high, ahead.level)}), {percent(fall)} less, if it is spent on "
        f"{print_count(ahead.N.median[1], 2)} parameters and {print_count(ahead.D.median[1], 2)} tokens of new text."
    )


def _unsure(factor: float, fall: float, missed: float) -> str:
    return (
        f"**These runs cannot tell what more compute buys.** {_times(factor)} the compute of the largest run is "
        f"predicted to lower the loss by {percent(fall)}, no more than the {percent(missed)} by which the best law "
        "misses runs that it has not seen."
    )


def _fade(found: Fit, level: float) -> str:
    low, high = found.intervals(level)["R_D"]
    middle = float(np.median(found.draws["R_D"]))
    return (
        f"**A token seen again is worth less each time:** after {middle:.0f} repeats "
        f"({between(f'{low:.0f}', f'{high:.0f}', level)}) a further one is worth 1/e of a new token."
    )


def _times(factor: float) -> str:
    return "Ten times" if factor == 10 else f"{factor:g} times"


def _doubts(compared: Comparison, runs: pl.DataFrame, C: float, level: float) -> list[str]:
    """What would have to be seen for another answer, in Markdown."""
    said = []
    for name, other in compared.fits.items():
        if name != compared.best.name and describable(other):
            there = allocate(other, runs, C, level=level)
            miss = percent(compared.table.filter(pl.col("law") == name)["held_out_percent"][0])
            said.append(
                f"`{name}` says {there.loss.median[0]:.2f} for the same budget, and misses unseen runs by {miss}"
            )
    doubts = [f"**The form of the law.** {'; '.join(said)}."] if said else []
    good = compared.table.filter(pl.col("held_out_percent") < 1.5 * pl.col("held_out_percent").min())["law"]
    floors = [f for f in (compared.fits[law] for law in good) if "E" in f.free and len(f.draws["E"])]
    if floors:
        ends = [f"{low:.2f} to {high:.2f} (`{f.name}`)" for f in floors for low, high in [f.intervals()["E"]]]
        doubts.append(
            f"**A floor.** These runs leave the loss that no compute removes at {' or '.join(ends)} nats/token, 95 %. "
            "Where in this range it lies decides what later decades buy."
        )
    if "peak_lr" in runs.columns:
        rates = ", ".join(f"{rate:g}" for rate in runs["peak_lr"].unique().sort())
        doubts.append(
            f"**Tuning.** Every size and budget used the learning rate {rates}; see `runs/learning-rate`."
        )
    doubts += [
        f"**Repeats that harm.** {rise} No law in which repeats merely fade has that: large models on little text do "
        "worse than the slider says."
        for rise in rises(runs)
    ]
    return doubts


def describable(found: Fit) -> bool:
    """Whether a fit reads N and D, so that a budget can be split."""
    return {"N", "D"} <= set(found.ranges)


def rises(runs: pl.DataFrame, spread: float | None = None) -> list[str]:
    """Where more passes over the same text made the loss worse, by more than twice the standard error over seeds.

    Args:
        runs: with N, epochs and the distinct tokens on offer; without them nothing is said.
        spread: how far single runs scatter, as a share of their loss, for cells of one seed; None leaves those out.
    """
    pool = "unique_budget" if "unique_budget" in runs.columns else "unique_tokens"
    if not {pool, "epochs"} <= set(runs.columns) or (spread is None and "seed" not in runs.columns):
        return []
    cells = (
        runs.filter(pl.col("epochs").max().over("N", pool) > 1.5)
        .group_by("N", pool, pl.col("epochs").round(3))
        .agg(pl.col("loss").mean(), error=pl.col("loss").std() / pl.len().sqrt())
        .with_columns(pl.col("error").fill_null(pl.col("loss") * (spread or math.inf)))
        .sort("N", pool, "epochs")
    )
    said = []
    for (N, U), cell in cells.group_by("N", pool, maintain_order=True):
        lowest = cell.row(int(cell["loss"].arg_min() or 0), named=True)
        last = cell.row(-1, named=True)
        if last["loss"] - lowest["loss"] > 2 * math.hypot(lowest["error"], last["error"]):
            said.append(
                f"The model of {print_count(N, 2)} parameters was at {lowest['loss']:.2f} after "
                f"{lowest['epochs']:.0f} passes over {print_count(U, 2)} tokens and at {last['loss']:.2f} after "
                f"{last['epochs']:.0f}."
            )
    return said


def seed_spread(runs: pl.DataFrame) -> float:
    """How far runs lie apart that differ only in their seed: median standard deviation, percent of the loss."""
    same = [
        name
        for name in ("N", "D", "unique_budget", "peak_lr", "origin", "corpus_hash")
        if name in runs.columns
    ]
    cells = runs.group_by(same).agg(
        spread=100 * pl.col("loss").std() / pl.col("loss").mean(), seeds=pl.col("loss").len()
    )
    spread = cells.filter(pl.col("seeds") > 1)["spread"].median()
    return float(spread) if isinstance(spread, float) else math.nan


def misses(compared: Comparison, runs: pl.DataFrame) -> Prose:
    """In words: how far the best law and the additive one miss runs they saw and runs they did not."""
    rows = {row["law"]: row for row in compared.table.iter_rows(named=True)}
    best = compared.table["law"][0]

    def miss(law: str) -> str:
        row = rows[law]
        return (
            f"misses the runs it was fitted to by **{percent(row['rms_percent'])}** rms, and the largest ones, unseen, "
            f"by **{percent(row['held_out_percent'])}** ({row['held_out_bias_percent']:+.1f} % on average)"
        )

    spread = f"Runs that differ only in their seed lie {percent(seed_spread(runs))} apart, and no law can do better."
    if best == "chinchilla" or "chinchilla" not in rows:
        return Prose(f"The best of these laws, `{best}`, {miss(best)}. {spread}")
    said = f"The additive law `chinchilla` {miss('chinchilla')}. `{best}` {miss(best)}. {spread}"
    q = compared.fits["power_mean"].params["q"] if "power_mean" in compared.fits else 1.0
    if q > 1.5:
        said += (
            " So the two terms do not simply add at this size: what is scarcer, data or parameters, decides. A power "
            f"mean of them has exponent q = {q:.1f}, where 1 would be additive."
        )
    return Prose(said)
