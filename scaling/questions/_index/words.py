"""What an index says, in words."""

from __future__ import annotations

from typing import Any

ONE, SEVERAL, CANNOT_TELL = (
    "one scale orders the models",
    "one scale is too few",
    "not identifiable from these scores",
)
"""What `index` may answer."""


def sentence(answer: str, explained: float, models: int, benchmarks: int, residual: float, records: int,
             latest: dict[str, Any]) -> str:  # fmt: skip
    """The scale, how well it explains the scores, and who leads on it."""
    lead = {
        ONE: "One scale orders these models",
        SEVERAL: "One scale is too few for these models",
        CANNOT_TELL: "These scores determine no scale: the fit did not converge",
    }[answer]
    return (
        f"**{lead}.** It explains {100 * explained:.0f} % of the variance of the scores of {models} models on "
        f"{benchmarks} benchmarks, and misses a score by {residual:.3f}. {records} models were better than all before "
        f"them; the latest is {latest['model']} ({latest['release_date']}) at {latest['capability']:.2f} ± "
        f"{latest['stderr']:.2f} logits."
    )


DOUBTS = (
    "**A second ability.** Benchmarks that order the models otherwise lower the share that one scale explains.",
    "**Which benchmarks.** The scale is that of what was tested: scores that everyone reaches tell no models apart.",
)
"""What would change the answer."""
