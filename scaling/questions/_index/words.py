"""What an index says, in words."""

from __future__ import annotations

from scaling.questions._index.scale import Scale
from scaling.verdict import Estimate

ONE, SEVERAL, CANNOT_TELL = (
    "one scale orders the models",
    "one scale is too few",
    "not identifiable from these scores",
)
"""What `index` may answer."""


_LEADS = {
    ONE: "One scale orders these models",
    SEVERAL: "One scale is too few for these models",
    CANNOT_TELL: "These scores determine no scale, as the fit did not converge",
}


def sentence(
    answer: str, scale: Scale, benchmarks: int, models: int, records: int, latest: str, at: Estimate
) -> str:
    """The scale, how well it explains the scores, and who leads on it."""
    return (
        f"**{_LEADS[answer]}:** it explains {100 * scale.explained:.0f} % of the variance of the scores of {models} "
        f"models on {benchmarks} benchmarks. The latest of {records} record models is {latest}, at {at.said()}; the "
        f"scale misses a score by {scale.residual_std:.3f}."
    )


NEXT_SCORES = "no training run, but more benchmarks that the same models were tested on"
"""What would determine a scale."""

DOUBTS = (
    "**A second ability.** Benchmarks that order the models otherwise lower the share that one scale explains.",
    "**Which benchmarks.** The scale is that of what was tested: scores that everyone reaches tell no models apart.",
)
"""What would change the answer."""
