"""What an index says, in words."""

from __future__ import annotations

from typing import Any

from scaling.questions._index.scale import Scale

ONE, SEVERAL, CANNOT_TELL = (
    "one scale orders the models",
    "one scale is too few",
    "not identifiable from these scores",
)
"""What `index` may answer."""


def sentence(
    answer: str, scale: Scale, benchmarks: int, models: int, records: int, latest: dict[str, Any]
) -> str:
    """The scale, how well it explains the scores, and who leads on it."""
    lead = {
        ONE: "One scale orders these models",
        SEVERAL: "One scale is too few for these models",
        CANNOT_TELL: "These scores determine no scale: the fit did not converge",
    }[answer]
    return (
        f"**{lead}.** It explains {100 * scale.explained:.0f} % of the variance of the scores of {models} models on "
        f"{benchmarks} benchmarks, and misses a score by {scale.residual_std:.3f}. {records} models were better than "
        f"all before them; the latest is {latest['model']} ({latest['release_date']}) at {latest['capability']:.2f} ± "
        f"{latest['stderr']:.2f} logits."
    )


NEXT_SCORES = "no training run, but more benchmarks that the same models were tested on"
"""What would determine a scale."""

DOUBTS = (
    "**A second ability.** Benchmarks that order the models otherwise lower the share that one scale explains.",
    "**Which benchmarks.** The scale is that of what was tested: scores that everyone reaches tell no models apart.",
)
"""What would change the answer."""
