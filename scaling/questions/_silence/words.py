"""What silence says, in words."""

from __future__ import annotations

from collections.abc import Collection

from scaling.show import two_digits
from scaling.verdict import capitalised

LITTLE, PLATEAU, DISAGREE = (
    "silence says little",
    "silence speaks for a plateau",
    "the nulls disagree",
)
"""What `silence` may answer."""


def sentence(
    answer: str, months: float, factors: Collection[float], prior: tuple[float, float], enough: float
) -> str:
    """How far the Bayes factor goes over the nulls, and what it makes of the ends of the prior."""
    low, high = min(factors), max(factors)
    after = (100 * factor * p / (1 - p + factor * p) for factor, p in zip((low, high), prior, strict=True))
    begun, become = (" to ".join(map(two_digits, ends)) for ends in ((100 * p for p in prior), after))
    return (
        f"**{capitalised(answer)}:** after {months:g} months the Bayes factor for a plateau is {two_digits(low)} to "
        f"{two_digits(high)}, by how release lags are modelled; evidence begins at {enough:g}. A prior of {begun} % "
        f"becomes {become} %."
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
