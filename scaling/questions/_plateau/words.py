"""What the search for a plateau says, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from scaling.questions._plateau import CONTINUES, FLAT, SLOWS, UNDECIDED
from scaling.questions._plateau.case import ALARMS, BEYOND, FEW_MISSES, SEEDS, SHORTEST, Case
from scaling.questions._plateau.frontier import Frontier
from scaling.units import power_of_ten
from scaling.verdict import Estimate, percent

_SURE = 2.0  # standard errors by which a mean has moved


def sentence(case: Case, level: float, wrong: Mapping[float | None, Estimate]) -> str:
    """The answer, and how often it would be wrong in simulated worlds without a plateau, and with one."""
    return (
        f"{_answer(case, level, wrong)} Of simulated worlds without a plateau {wrong[None].said()} are called flat; "
        f"plateaus over a decade are missed in {wrong[1.0].said()}, over half a decade in {wrong[0.5].said()}."
    )


def _answer(case: Case, level: float, wrong: Mapping[float | None, Estimate]) -> str:
    curve, largest = case.curve, float(case.curve.C[-1])
    span = f"{curve.decades:.1f} decades of compute, up to {power_of_ten(largest)} FLOPs"
    if case.answer == CONTINUES:
        return f"**The power law continues** over {span}. What comes later is not in these runs."
    if case.answer == UNDECIDED:
        return f"**Not identifiable from these runs:** {_why_not(case, wrong)}. The runs span {span}."
    turn = Estimate.of(case.places[case.answer], level, "FLOPs")
    place = turn.said(form=power_of_ten)
    ahead = f"over the {math.log10(largest / turn.value):.1f} decades that these runs go on from there"
    if case.answer == FLAT:
        above = "" if curve.floor is None else " above the entropy"
        return f"**Flat beyond C = {place}:** the loss stays{above} where it was, {ahead}."
    return f"**The fall slows down beyond {place}:** the loss falls with a smaller exponent {ahead}."


def _why_not(case: Case, wrong: Mapping[float | None, Estimate]) -> str:
    if words := _no_fall(case):
        return words
    if case.outside:
        return (
            f"the curve bends, but fewer than {BEYOND} points on one side of the bend lie inside the grid of sizes and "
            f"budgets. Of {len(case.curve.loss)} points {case.curve.edges} are the largest or smallest tried, where a "
            "curve bends for want of runs"
        )
    if case.blind:
        return f"a plateau over {case.half:g} decades, half of them, would be missed in {wrong[case.half].said()}"
    return (
        f"the score of a plateau, {case.flat:.1f}, lies between {case.thresholds.unbent:.1f}, below which one of a "
        f"decade is unlikely, and {case.thresholds.flat:.1f}, from which it is called"
    )


def _no_fall(case: Case) -> str:
    """That there is no fall that could end, by the means of the first and the last third of the points; else ""."""
    loss, stderr = case.curve.loss, case.jury.design.stderr
    third = max(1, len(loss) // 3)
    first, last = float(loss[:third].mean()), float(loss[-third:].mean())
    doubt = float(np.sqrt((stderr[:third] ** 2).sum() + (stderr[-third:] ** 2).sum())) / third
    if first - last > _SURE * doubt:
        return ""
    moved = "rises" if last - first > _SURE * doubt else "stands still"
    return (
        f"the loss {moved}, from {first:.4g} over the smallest third of the budgets to {last:.4g} over the largest, "
        "and a plateau is the end of a fall. Add smaller runs, where it falls, or look whether the column is the loss"
    )


def too_short(decades: float, fall: Estimate) -> str:
    """What a range that is too short for a verdict still tells."""
    return (
        f"**Not identifiable from these runs:** they span {decades:.1f} decades of compute, and nothing is said of a "
        f"plateau below {SHORTEST:g}. Within them the loss falls by {fall.said('% per decade')}."
    )


def doubts(case: Case, rivals: pl.DataFrame, metrics: pl.DataFrame) -> tuple[str, ...]:
    """What would have to be seen for another answer."""
    curve, thresholds = case.curve, case.thresholds
    said = [
        f"**The score.** T is {case.flat:.1f}; above {thresholds.flat:.1f} it would be called flat, below "
        f"{thresholds.unbent:.1f} a plateau of a decade is ruled out at {percent(100 * ALARMS)}.",
        _noise(curve, percent(100 * float(np.mean(case.jury.design.stderr / curve.loss)))),
    ]
    if curve.floor is None:
        said.append(
            "**Entropy.** It is not known here: a loss that has come down to it gradually counts as a power law with a "
            "floor, and one that stops abruptly as a plateau."
        )
    if not curve.repeated:
        said.append("**Data.** That repeated data bends the curve cannot be tested: no point repeats any.")
    elif rivals.filter(says=SLOWS)["name"][0] == "data-limited":
        said.append("**Data.** Of the rivals that slow down, the one that runs out of fresh data does best.")
    if not curve.path:
        said.append(
            f"**The frontier.** The best run of each quarter decade of {curve.given} counts, {len(curve.loss)} in all; "
            f"{curve.cut} at the ends of the grid are left out and {curve.edges} are kept."
        )
    seen = "; ".join(f"{name}: {says}" for name, says in metrics.select("name", "says").iter_rows())
    half = "Whether the last decade gained less than half of the one before"
    return (*said, f"**The metric.** {half}: {seen}.")


def _noise(curve: Frontier, scatter: str) -> str:
    if curve.freedom:
        return f"**Noise.** Points scatter by {scatter}, from {curve.freedom} repeats and the smooth curve."
    return (
        f"**Noise.** No run was repeated with another seed, so the noise is not known; {scatter} is taken, "
        "from how far points lie from the best smooth curve. Three seeds at one point would tell."
    )


def next_run(ahead: pl.DataFrame) -> str:
    """The cheapest larger run after which few plateaus would be missed, or else the one that misses least."""
    row = _next(ahead)
    more = "" if row["wrong"] <= FEW_MISSES else f", still more than {percent(100 * FEW_MISSES)}"
    return (
        f"{SEEDS} seeds at {power_of_ten(row['C'])} FLOPs, {row['name']}, would miss {percent(100 * row['wrong'])} of "
        f"plateaus that began half a decade before the largest run{more}"
    )


def next_compute(ahead: pl.DataFrame) -> float:
    """FLOPs of that run."""
    return float(_next(ahead)["C"])


def _next(ahead: pl.DataFrame) -> dict[str, Any]:
    enough = ahead.filter(pl.col("wrong") <= FEW_MISSES)
    return (enough if len(enough) else ahead.sort("wrong")).row(0, named=True)
