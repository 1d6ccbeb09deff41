"""What a study of preferences says, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scaling.questions.phrases import models
from scaling.units import print_count
from scaling.verdict import Estimate

CARRIES, PARTLY, NOT, CANNOT = "carries over", "partly", "not at these sizes", "not identifiable"
"""What `preference` may answer."""
LOW, HIGH = 1 / 3, 2 / 3
"""Of the ratio: above the higher, preferences about other things win most of what those about the thing would."""
CHANCE = 0.05
"""How likely a gain may be by chance that is called one."""
_LEADS = {
    CARRIES: "Preferences carry over",
    PARTLY: "Preferences carry over in part",
    NOT: "Preferences do not carry over at these sizes",
    CANNOT: "These runs cannot tell whether preferences carry over",
}


def answer(low: float, high: float, p: float) -> str:
    """By where the interval of the ratio lies, and whether the gain could be chance.

    Args:
        low, high: of the ratio.
        p: of a gain over nothing and over labels at random.
    """
    if high < LOW:
        return NOT
    if not p <= CHANCE:
        return CANNOT
    if low > HIGH:
        return CARRIES
    return PARTLY if low > 0 and high < 1 and high - low < HIGH else CANNOT


def sentence(said: str, domains: Sequence[str], row: Mapping[str, Any], n: int, level: float) -> str:
    """The answer with the ratio of gains, and what it rests on at the largest size."""
    where = " and ".join(domains)
    ratio = Estimate.of_row(row, "ratio", level, "%") * 100
    won = f"the ratio is not defined, as even preferences about {where} do not beat the base by two standard errors"
    if not math.isnan(ratio.value):
        won = f"without any about {where}, a reward model wins {ratio.said('% of what it wins there with them')}"
    chance = "p < 0.001" if row["p"] < 0.001 else f"p = {row['p']:.2g}"
    return (
        f"**{_LEADS[said]}:** {won}. This is the best of {n} answers after {print_count(row['comparisons'])} "
        f"comparisons, in {models(row['N'], row['N'], row['seeds'])}; as large a gain over the mean answer and over "
        f"random labels comes by chance with {chance}."
    )


DOUBTS = (
    "**What is shared.** Here an answer is good in four ways, of which three are the same in every domain and one, "
    "what is true, is not; where less is shared, less carries over.",
    "**Another policy.** A reward model and the policy that it chooses for go on from the same weights; a larger "
    "policy under a smaller reward model over-optimises otherwise.",
    "**More comparisons.** The ratio against their number, and the slope against size, say where it is going over what "
    "was tried, and no further.",
    "**More answers.** Beyond the n of this answer a proxy may be used up sooner where it saw no preferences.",
)
"""What would change the answer."""

NEXT_RUNS = (
    "ten seeds of the largest size",
    "a reward model larger than the policy that it chooses for",
)
"""The runs that would tell most more."""
