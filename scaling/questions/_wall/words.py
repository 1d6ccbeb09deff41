"""What a forecast of the wall says, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scaling.units import print_count
from scaling.verdict import between

BEFORE, AFTER, NONE, CANNOT_SAY = (
    "a wall before then is likely",
    "the wall comes later",
    "no wall in sight",
    "cannot say from these inputs",
)
"""What `wall` may answer."""

DEMANDS: dict[str, str] = {
    "historical": "the trend of training sets",
    "compute-optimal": "compute at the given tokens per parameter",
    "law": "compute as the law splits it",
    "either": "the trend or the compute, half the draws each",
}


def year(date: float, horizon: float) -> str:
    """A date: 2028.5, or "after 2100"."""
    return f"{date:.1f}" if date < horizon else f"after {horizon:.0f}"


def lead(answer: str, by: float, horizon: float) -> str:
    """The answer for that year."""
    return {
        BEFORE: f"A data wall before {by:.0f} is likely",
        AFTER: f"The data wall comes after {by:.0f}",
        NONE: f"No data wall is in sight before {horizon:.0f}",
        CANNOT_SAY: f"These inputs cannot say whether the data wall comes before {by:.0f}",
    }[answer]


def reached(chance: float, draws: int, stock: float, by: float) -> str:
    """How often demand reaches the stock before that year."""
    return (
        f"in {100 * chance:.0f} % of {draws:,} draws demand reaches the effective stock of {print_count(stock, 2)} "
        f"tokens before {by:.0f}"
    )


def when(median: float, interval: tuple[float, float], level: float, horizon: float) -> str:
    """The median date and its interval."""
    low, high = (year(end, horizon) for end in interval)
    return f"median {year(median, horizon)} ({between(low, high, level)})"


def no_cliff(when: float, loss: float, unlimited: float, wasted: float) -> str:
    """What repetition costs the best model of a year; losses in nats/token, the waste as a share."""
    return (
        f"**It is no cliff:** the best model of {when:.0f} ends at {loss:.3f} nats/token, where unlimited text would "
        f"give {unlimited:.3f}, and repetition wastes {100 * wasted:.0f} % of its compute."
    )


def delay(intervention: str, months: float) -> str:
    """The intervention that gains most."""
    return f"What delays it most is {intervention}: by {months:.0f} months."


def doubts(
    shares: Sequence[tuple[str, float]],
    demands: Sequence[tuple[str, float]],
    months: Mapping[str, float],
    law: str,
    decades: float | None,
    horizon: float,
) -> tuple[str, ...]:
    """What would change the answer.

    Args:
        shares: inputs and their shares of the variance, the largest first.
        demands: other readings of the demand and the median date under each.
        months: that each intervention gains.
        law: that says what nearing the wall costs.
        decades: of compute that it is carried beyond the runs it was fitted to; None where that is not known.
        horizon: year beyond which a wall counts as none.
    """
    said = []
    if shares:
        named = ", ".join(f"{name} ({100 * share:.0f} %)" for name, share in shares)
        said.append(f"**What is not known.** The date varies most with {named}.")
    if demands:
        other = "; ".join(f"{year(date, horizon)} with demand from {DEMANDS[name]}" for name, date in demands)
        said.append(f"**Demand.** The median is {other}.")
    if months:
        gained = "; ".join(f"{name} {gain:+.0f}" for name, gain in months.items())
        said.append(f"**Interventions, months gained.** {gained}.")
    beyond = (
        "with its constants as given"
        if decades is None
        else f"which is carried {decades:.0f} decades of compute beyond the largest run that it was fitted to"
    )
    said.append(f"**The law.** What nearing the wall costs is that of `{law}`, {beyond}.")
    return tuple(said)


def next_runs(share: float) -> tuple[str, ...]:
    """The runs that would tell most, given the share of the variance that goes with the worth of repeats."""
    if share < 0.01:
        return ()
    return (
        "models on a fixed text, repeated up to 64 times, to fit what a repeat is worth, which carries "
        f"{100 * share:.0f} % of the variance",
    )


def footer(name: str, draws: int, seed: int, redrawn: Mapping[str, int], horizon: float, later: float) -> str:
    """What the forecast was drawn from."""
    rejected = ", ".join(f"{count} of {name}" for name, count in redrawn.items()) or "none"
    return (
        f"{name}, {draws:,} draws, seed {seed}; impossible draws replaced: {rejected}; "
        f"no wall before {horizon:.0f} in {100 * later:.2g} % of the draws"
    )
