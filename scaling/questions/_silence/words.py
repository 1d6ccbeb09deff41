"""What silence says, in words."""

from __future__ import annotations

from collections.abc import Mapping

from scaling.verdict import capitalised

LITTLE, PLATEAU, DISAGREE = (
    "silence says little",
    "silence speaks for a plateau",
    "the nulls disagree",
)
"""What `silence` may answer."""


def sentence(answer: str, months: float, factors: Mapping[str, float], prior: tuple[float, float]) -> str:
    """The Bayes factor under every null, by its name, and what it makes of the ends of the prior."""
    low, high = min(factors.values()), max(factors.values())
    named = "; ".join(f"{null}: {value:.2g}" for null, value in factors.items())

    def after(factor: float, p: float) -> float:
        return 100 * factor * p / (1 - p + factor * p)

    return (
        f"**{capitalised(answer)}** after {months:g} months: the Bayes factor for a plateau runs from "
        f"{low:.2g} to {high:.2g} ({named}). A prior of {100 * prior[0]:.2g} to {100 * prior[1]:.2g} % becomes "
        f"{after(low, prior[0]):.2g} to {after(high, prior[1]):.2g} %."
    )


def agreed(month: int | None) -> str:
    """What would make the nulls agree: no run, but time."""
    if month is None:
        return "no training run, nor ten years of silence, but a choice between the nulls by past releases"
    return (
        f"no training run, but {month} months of silence in all, after which every null speaks for a plateau"
    )


def doubts(enough: float) -> tuple[str, ...]:
    """What would change the answer."""
    return (
        f"**A factor of {enough:g} under every null**, or under none: from there on they agree.",
        "**Lags.** Which lag enters the gap decides what the compute-paced nulls say after 30 months.",
        "**A model kept back.** A plateau that still brings releases, or a better model nobody shows, breaks "
        "the step from silence to plateau.",
    )
