"""What the trend of the record says, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from scaling.verdict import Estimate

LINE, BREAK = "one line", "the slope changes"
"""What `trend` may answer."""
STRONG = 6.0
"""Difference of the BIC from which evidence is strong: Kass and Raftery 1995, section 4.1."""


def sentence(answer: str, records: int, numbers: Mapping[str, Estimate], break_at: date, gain: float) -> str:
    """Both trends, and how much better the broken one does for the parameters that it adds."""
    one, before, after = (slope.said() for slope in numbers.values())
    strong = (
        f"the BIC {'falls' if gain > 0 else 'rises'} by {abs(gain):.1f} ({STRONG:g} less is strong evidence)"
    )
    at = f"{break_at:%B %Y}"
    if answer == LINE:
        return (
            f"**One line describes the record:** it rises by {one}. With a break in {at} the {records} records rise by "
            f"{before} before it and {after} after it: {strong}."
        )
    return (
        f"**The slope of the record changes:** in {at} it goes from {before} to {after}. Without a break the {records} "
        f"records rise by {one}; with it {strong}."
    )


DOUBTS = (
    "**More records.** Each side of a break needs three of them; a break near the end has few to rest on.",
    "**Which benchmarks.** A scale that runs out of hard benchmarks makes the record look slower than it is.",
    "**Dependence.** Records are maxima and depend on each other, so the intervals are narrower than the truth.",
)
"""What would change the answer."""
