"""What duplicates do, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping

import polars as pl

from scaling.units import print_count
from scaling.verdict import Estimate

QUESTION = "Is what is seen more often memorised more, and what does that cost the rule?"
GROWS, ALIKE, NOTHING = (
    "more often seen, more memorised",
    "seen more often makes no difference",
    "nothing is memorised",
)
CANNOT = "cannot tell"
ANSWERS = (GROWS, ALIKE, NOTHING, CANNOT)
"""What `duplicates` may answer."""
EACH = 1.0
"""Points for each doubling below which a rise counts as none."""


def sentence(answer: str, numbers: Mapping[str, Estimate]) -> str:
    """The answer, and the shares and the cost that it rests on."""
    lead = {
        GROWS: "**What is seen more often is memorised more:**",
        ALIKE: "**How often it was seen makes no difference to what is memorised:**",
        NOTHING: "**Nothing is memorised, however often it was seen:**",
        CANNOT: "**These runs cannot tell whether what is seen more often is memorised more:**",
    }[answer]
    rise, shares = numbers["rise of the share memorised"], []
    for name, number in numbers.items():
        if name.startswith("memorised of what was seen"):
            shares.append(f"{number.value:.0f} % of {name.removeprefix('memorised of ')}")
    said = f"{lead} {' and '.join(shares)}, {rise.value:.1f} points with each doubling ({rise.ends('{:.1f}'.format)})."
    cost = numbers.get("loss on fresh answers, over that without duplicates")
    if cost is None:
        return said
    ends = "" if math.isnan(cost.low) else f" ({cost.ends('{:+.2f}'.format)})"
    return (
        f"{said} On fresh answers duplicates cost {cost.value:+.2f} nats/token{ends}, over as many distinct documents "
        "seen equally often."
    )


def doubts(shares: pl.DataFrame, cost: pl.DataFrame) -> tuple[str, ...]:
    """What would change the answer."""
    times = shares["times"].to_numpy()
    said = [
        f"**Copies in other words.** These are exact, and seen {times.min():.3g} to {times.max():.3g} times; "
        "others may be kept less.",
        "**Room for all.** What is seen most often has the fewest documents, so a share says how well each is known, "
        "not how many bits are held.",
    ]
    if cost.is_empty():
        said.append("**No runs without duplicates**, so what they cost on fresh documents is not known.")
    return tuple(said)


def next_runs(largest: int) -> str:
    """Runs that would tell most."""
    return f"models of {print_count(4 * largest, 2)} parameters, with the same documents each told in other words"
