"""What the trend of the record says, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scaling.verdict import between

LINE, BREAK = "one line", "the slope changes"
"""What `trend` may answer."""


def sentence(answer: str, records: int, one: Mapping[str, Any], two: Mapping[str, Any], gain: float,
             level: float) -> str:  # fmt: skip
    """Both trends, and how much better the broken one does for the parameters that it adds.

    Args:
        one, two: the rows of the straight and of the broken trend.
        gain: BIC of the straight trend minus that of the broken one.
    """
    lead = {LINE: "One line describes the record", BREAK: "The slope of the record changes"}[answer]

    def slope(row: Mapping[str, Any], mean: str, low: str, high: str) -> str:
        return f"{row[mean]:.2f} ({between(f'{row[low]:.2f}', f'{row[high]:.2f}', level)})"

    return (
        f"**{lead}.** {records} records rise by {slope(one, 'slope', 'low', 'high')} logits a year; with a break at "
        f"{two['broken_at']}, by {slope(two, 'slope', 'low', 'high')} before and "
        f"{slope(two, 'after', 'after_low', 'after_high')} after it. The break "
        f"{'lowers' if gain > 0 else 'raises'} the BIC by {abs(gain):.1f}."
    )


DOUBTS = (
    "**More records.** Each side of a break needs three of them; a break near the end has few to rest on.",
    "**Which benchmarks.** A scale that runs out of hard benchmarks makes the record look slower than it is.",
    "**Dependence.** Records are maxima and depend on each other, so the intervals are narrower than the truth.",
)
"""What would change the answer."""
