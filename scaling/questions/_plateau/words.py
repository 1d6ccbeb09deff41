"""What the search for a plateau says, in words."""

from __future__ import annotations

from collections.abc import Iterable

from scaling.units import power_of_ten
from scaling.verdict import Estimate, between, percent

CONTINUES, SLOWS, FLAT, UNDECIDED = (
    "power law continues",
    "slows down",
    "flat beyond C",
    "not identifiable",
)
"""What `plateau` may answer, and what its rivals say."""


def flat(turn: Estimate, decades: float, *, entropy: bool) -> str:
    """A plateau from a compute on, which the runs follow for so many decades."""
    above = " above the entropy" if entropy else ""
    return (
        f"**Flat beyond C = {_place(turn)}.** The loss stays{above} where it was, and these runs go on for "
        f"{decades:.1f} decades from there."
    )


def slower(turn: Estimate, decades: float) -> str:
    """A smaller exponent from a compute on."""
    return (
        f"**The fall slows down.** Beyond {_place(turn)} the loss falls with a smaller exponent; these runs go on for "
        f"{decades:.1f} decades from there."
    )


def continues(decades: float, largest: float) -> str:
    """A power law over so many decades, up to a compute."""
    return (
        f"**The power law continues** over {_span(decades, largest)}. What comes later is not in these runs."
    )


def undecided(decades: float, largest: float, why: str) -> str:
    """No answer, and why not."""
    return f"**Not identifiable from these runs**, which span {_span(decades, largest)}: {why}."


def _span(decades: float, largest: float) -> str:
    return f"{decades:.1f} decades of compute, up to {power_of_ten(largest)} FLOPs"


def _place(turn: Estimate) -> str:
    ends = between(power_of_ten(turn.low), power_of_ten(turn.high), turn.level)
    return f"{power_of_ten(turn.value)} FLOPs ({ends})"


def at_the_ends(scored: str, fewest: int, ends: int, points: int) -> str:
    """Why a turn at the ends of a grid of sizes and budgets says nothing."""
    return (
        f"the curve bends ({scored}), but fewer than {fewest} points lie on one side of the bend inside the grid of "
        f"sizes and budgets: {ends} of {points} points are the largest or smallest tried, where the curve bends "
        "because nothing better was tried"
    )


def blind(half: float) -> str:
    """Why runs say nothing that would miss even a long plateau."""
    return f"a plateau over {half:g} decades, half of them, would be missed more often than not"


def between_thresholds(score: float, low: float, high: float) -> str:
    """Why a score between the thresholds says nothing."""
    return (
        f"the score of a plateau, {score:.1f}, lies between {low:.1f}, below which a plateau of a decade is unlikely, "
        f"and {high:.1f}, from which it is called"
    )


def errors(every: float, worst: float, kind: str, missed: dict[float, float]) -> str:
    """How often the answer would be wrong: shares of worlds without a plateau, and of plateaus by their decades."""
    return (
        f"Of simulated worlds without a plateau {percent(100 * every)} are called flat (at worst "
        f"{percent(100 * worst)}, of the kind “{kind}”). Of plateaus that began one decade before the largest run "
        f"{percent(100 * missed[1.0])} are missed; of those that began half a decade before it "
        f"{percent(100 * missed[0.5])}, and of those that began with it {percent(100 * missed[0.0])}."
    )


def too_short(decades: float, least: float, fall: Estimate) -> str:
    """What a range that is too short for a verdict still tells."""
    return (
        f"**Not identifiable from these runs**, which span {decades:.1f} decades of compute: nothing is said of a "
        f"plateau below {least:g}. What they do tell is that within them the loss falls by {percent(fall.value)} per "
        f"decade ({between(percent(fall.low), percent(fall.high), fall.level)})."
    )


def score(value: float, flat: float, unbent: float, alarms: float) -> str:
    """The score beside its thresholds."""
    return (
        f"**The score.** T is {value:.1f}; above {flat:.1f} it would be called flat, below {unbent:.1f} a plateau of a "
        f"decade is ruled out at {percent(100 * alarms)}."
    )


def noise(scatter: float, freedom: int) -> str:
    """How far points scatter (percent), and how that is known."""
    if freedom:
        return (
            f"**Noise.** Points scatter by {percent(scatter)}, from {freedom} repeats and the smooth curve."
        )
    return (
        f"**Noise.** No run was repeated with another seed, so the noise is not known; {percent(scatter)} is taken, "
        "from how far points lie from the best smooth curve. Three seeds at one point would tell."
    )


NO_ENTROPY = (
    "**Entropy.** It is not known here: a loss that has come down to it gradually counts as a power law with a floor, "
    "and one that stops abruptly as a plateau."
)
NOTHING_REPEATED = "**Data.** That repeated data bends the curve cannot be tested: no point repeats any."
DATA_LIMITED = "**Data.** Of the rivals that slow down, the one that runs out of fresh data does best."


def grid(given: int, points: int, cut: int, edges: int) -> str:
    """What the curve was made of, and what was left out at the ends of the grid."""
    return (
        f"**The frontier.** The best run of each quarter decade of {given} counts, {points} in all; {cut} at the ends "
        f"of the grid are left out and {edges} are kept."
    )


def metrics(said: Iterable[tuple[str, str]]) -> str:
    """What a naive slope rule makes of the same runs under each metric."""
    seen = "; ".join(f"{name}: {says}" for name, says in said)
    return f"**The metric.** Whether the last decade gained less than half of the one before: {seen}."


def next_run(seeds: int, compute: float, name: str, wrong: float, few: float) -> str:
    """The cheapest larger run after which few plateaus would be missed."""
    more = "" if wrong <= few else f", still more than {percent(100 * few)}"
    return (
        f"{seeds} seeds at {power_of_ten(compute)} FLOPs, {name}, would miss {percent(100 * wrong)} of plateaus that "
        f"began half a decade before the largest run{more}"
    )
