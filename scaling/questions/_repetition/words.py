"""What repeated tokens are worth, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from scaling.units import print_count
from scaling.verdict import Estimate, percent

FADE, HURT, CANNOT = "repeats fade", "repeats fade, then hurt", "cannot tell"
"""What `repetition` may answer."""

MARKS = {"nearly_free": "nearly free", "useless": "useless", "harmful": "harmful"}
"""What is asked of further epochs, each with its word."""

MUCH = 5.0
"""Percent of the loss by which a law misses a cell before words say so."""

ENOUGH_EPOCHS = 4.5
"""Most epochs in the runs from which their worth can be told; a grid that stops at 4 leaves the e-fold open."""


def sentence(
    answer: str, sizes: Sequence[float], budget: float, after: Mapping[str, Sequence[Estimate]]
) -> str:
    """Epochs after which repeats are nearly free, and useless or harmful, for models of some sizes on one budget."""

    def each(mark: str) -> str:
        return " and ".join(
            f"{_epochs(epochs)} in models of {print_count(N, 2)} parameters"
            for N, epochs in zip(sizes, after[mark], strict=True)
        )

    later = "One more is worth less than a tenth of new text after"
    if answer == HURT:
        later = "The loss rises after"
    return (
        f"**Repeated tokens are nearly as good as new ones** up to {each('nearly_free')}. {later} "
        f"{each('harmful' if answer == HURT else 'useless')}, on {print_count(budget, 2)} distinct tokens."
    )


def cannot(most: float, efold: Estimate) -> str:
    """Why the runs cannot tell: too few epochs, or an e-folding number that is left open."""
    why = f"when a token is worth 1/e of a new one is left open, {efold.said()}"
    if most <= ENOUGH_EPOCHS:
        why = f"no text is seen more than {most:.3g} times"
    return f"**These runs cannot tell what a repeat is worth:** {why}."


def _epochs(epochs: Estimate) -> str:
    """So many epochs with their interval: 23 epochs (80 % interval 20 to over 1,000)."""
    if math.isfinite(epochs.value):
        return epochs.said(form=_most)
    return f"{_most(epochs.value)} {epochs.unit}"


def form(names: Sequence[str], misses: Sequence[float | None]) -> str:
    """How far the laws miss unseen runs, the best one first, percent; None where a law could not be judged."""
    best = misses[0] or math.nan
    judged = zip(names[1:], misses[1:], strict=True)
    near = [f"`{name}`" for name, miss in judged if miss is not None and miss < 1.25 * best]
    others = f"; {', '.join(near)} by hardly more." if near else ", the least of those tried."
    return f"**The form of the law.** `{names[0]}` misses unseen epochs and sizes by {percent(best)} on average{others}"


def next_law(name: str, after: Mapping[str, Sequence[Estimate]]) -> str:
    """What the law says that misses unseen runs least but one."""
    nearly_free, useless, harmful = (_and(_most(end.value) for end in after[mark]) for mark in MARKS)
    return (
        f"**The next law.** By `{name}` repeats are nearly free up to {nearly_free} epochs, useless after {useless}, "
        f"harmful after {harmful}."
    )


def rise(row: Mapping[str, Any]) -> str:
    """A size and budget whose loss rises with further epochs."""
    return (
        f"The model of {print_count(row['N'], 2)} parameters was at {row['best_loss']:.2f} after "
        f"{row['best_epochs']:.0f} epochs of {print_count(row['unique_budget'], 2)} tokens and at "
        f"{row['last_loss']:.2f} after {row['last_epochs']:.0f}."
    )


def misfit(points: pl.DataFrame) -> str:
    """The cell that the law misses most, and all others that it misses by much."""
    first, *others = reversed(points.sort(pl.col("missed_percent").abs()).to_dicts())
    said = (
        f"**Where the law misses most.** {_cell(first)} have a loss of {first['loss']:.2f}, and the law says "
        f"{first['law']:.2f}, {abs(first['missed_percent']):.1f} % {'less' if first['missed_percent'] > 0 else 'more'}."
    )
    if listed := [
        f"{_cell(row)} ({row['loss']:.2f}, by the law {row['law']:.2f})"
        for row in others
        if row["missed_much"]
    ]:
        said += f" It also misses by more than {percent(MUCH)}: {'; '.join(listed)}."
    return f"{said} There the curve drawn is no guide." if first["missed_much"] else said


def _cell(row: Mapping[str, Any]) -> str:
    epochs = "one epoch" if row["epochs"] < 1.05 else f"{row['epochs']:.2g} epochs"
    return f"{print_count(row['N'], 2)} parameters after {epochs} of {print_count(row['unique_budget'], 2)} tokens"


def doubts(rising: pl.DataFrame, spread: float, gains: pl.DataFrame) -> list[str]:
    """What the runs themselves leave open: where the loss rises, how far seeds lie apart, what is worth too much."""
    said = [f"**The loss rises.** {rise(row)}" for row in rising.iter_rows(named=True)]
    known = f"Runs that differ only in their seed lie {percent(spread)} apart."
    unknown = "One seed only: how far chance moves a run is not known from these runs."
    said.append(f"**Noise.** {known if math.isfinite(spread) else unknown}")
    return said + [
        f"**{row['intervention'].capitalize()}** takes {print_count(row['N'], 2)} parameters below any loss that one "
        f"epoch of up to {print_count(row['fresh_tokens'], 2)} new tokens reached: more than {row['multiplier']:.2g} "
        "times the data, how much more these runs do not say."
        for row in gains.filter("at_least").iter_rows(named=True)
    ]


def next_runs(budget: float, largest: float, most: float) -> str:
    """More epochs, or a larger model and budget."""
    if most <= ENOUGH_EPOCHS:
        return f"the same unique-token budgets to 16 and 64 epochs, {print_count(budget, 2)} tokens first"
    return (
        f"{print_count(4 * largest, 2)} parameters on {print_count(budget, 2)} and {print_count(budget * 4, 2)} tokens "
        f"to {most:.0f} epochs, for how the epoch from which the loss rises moves with size"
    )


def _and(said: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(said))


def _most(epochs: float) -> str:
    return f"{epochs:.2g}" if math.isfinite(epochs) else "over 1,000"
