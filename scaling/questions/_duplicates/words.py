"""What duplicates do, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import polars as pl
from scipy.special import nctdtr, stdtrit

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
COST = "loss on fresh answers, over that without duplicates"
"""What duplicates cost, among the numbers."""
EACH = 1.0
"""Points for each doubling below which a rise counts as none."""
_SEEN = 0.1
"""Nats/token that a study should see."""
_MOST = 60
"""Seeds of which a study is thought."""


_LEADS = {
    GROWS: "What is seen more often is memorised more",
    ALIKE: "How often it was seen makes no difference to what is memorised",
    NOTHING: "Nothing is memorised, however often it was seen",
    CANNOT: "These runs cannot tell whether what is seen more often is memorised more",
}


def sentence(answer: str, numbers: Mapping[str, Estimate]) -> str:
    """The answer, and the rise, the shares and the cost that it rests on."""
    shares = " and ".join(
        number.said(f"% of {name.removeprefix('memorised of ')}")
        for name, number in numbers.items()
        if name.startswith("memorised of what was seen")
    )
    rise, cost = numbers["rise of the share memorised"], numbers.get(COST)
    way = "adds" if rise.value >= 0 else "takes"
    points = rise.either("points to the share memorised", "points off the share memorised")
    said = f"**{_LEADS[answer]}:** each doubling {way} {points}. Models hold {shares}."
    if cost is None:
        return said
    return (
        f"{said} On fresh answers duplicates {'cost' if cost.value >= 0 else 'save'} "
        f"{cost.either(cost.unit, cost.unit)} against as many distinct documents seen equally often."
    )


def doubts(shares: pl.DataFrame, cost: pl.DataFrame, numbers: Mapping[str, Estimate]) -> tuple[str, ...]:
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
    elif math.isfinite(numbers[COST].low):
        said.append(_power(numbers[COST], cost))
    return tuple(said)


def _power(estimate: Estimate, cost: pl.DataFrame) -> str:
    """How likely these seeds see a cost, and how many see it in eight and in nine of ten studies.

    Seeds are taken to differ as their means do, and at least as the runs of a size would let them alone: three seeds
    that happen to agree say little of the next.
    """
    seeds, cells = cost["seed"].n_unique(), cost.select("params_total", "D").n_unique()
    many, quantile = np.arange(2, max(_MOST, seeds) + 1), 0.5 + estimate.level / 2
    off = (cost["cost"] - cost.select(pl.col("cost").mean().over("params_total", "D"))["cost"]).to_numpy()
    alone = math.sqrt(float(off @ off) / max(1, len(off) - cells) / cells)
    each = max(
        (estimate.high - estimate.value) / stdtrit(seeds - 1, quantile) * math.sqrt(seeds), alone, 1e-12
    )
    seen = 1.0 - nctdtr(many - 1, np.minimum(_SEEN * np.sqrt(many) / each, 30.0), stdtrit(many - 1, quantile))
    asked = [
        str(many[seen >= share][0]) if (seen >= share).any() else f"more than {many[-1]}"
        for share in (0.8, 0.9)
    ]
    return (
        f"**Power.** If seeds differ as these do, a cost of {_SEEN:g} nats/token is beyond chance in "
        f"{100 * seen[seeds - 2]:.0f} % of studies of {seeds} seeds; in 80 % with {asked[0]}, in 90 % with {asked[1]}."
    )


def next_runs(largest: int) -> str:
    """Runs that would tell most."""
    return f"models of {print_count(4 * largest, 2)} parameters, with the same documents each told in other words"
