"""What a study of preferences says, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scaling.units import print_count

CARRIES, PARTLY, NOT, CANNOT = "carries over", "partly", "not at these sizes", "not identifiable"
"""What `preference` may answer."""
LOW, HIGH = 1 / 3, 2 / 3
"""Of the ratio: above the higher, preferences about other things win most of what those about the thing would."""
CHANCE = 0.05
"""How likely a gain may be by chance that is called one."""
_LEADS = {
    CARRIES: "Preferences carry over to {}, about which none of them was",
    PARTLY: "Preferences carry over in part to {}, about which none of them was",
    NOT: "Preferences do not carry over to {} at these sizes",
    CANNOT: "These runs cannot tell whether preferences carry over to {}",
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


def sentence(said: str, domains: Sequence[str], row: dict[str, Any], n: int, level: float) -> str:
    """The answer, and what it rests on at the largest size."""
    where = " and ".join(domains)
    ratio = (
        f"The ratio is {row['ratio']:.2f}, {100 * level:.0f} % [{row['low']:.2f}, {row['high']:.2f}]: 1 would be no "
        "need of preferences about them, 0 a need of nothing else."
        if row["ratio"] == row["ratio"]
        else "The ratio is not defined, as the preferences of all domains do not beat the base by two standard errors."
    )
    random = (
        ""
        if row["shuffled"] != row["shuffled"]
        else f", and {row['shuffled']:+.3f} when its labels were random"
    )
    return (
        f"**{_LEADS[said].format(where)}.** On a scale of worth from 0 to 1, models of {print_count(row['N'])} weights "
        f"win {row['without']:+.3f} there when a reward model without these domains chooses the best of {n} answers, "
        f"{row['with']:+.3f} when it has seen all domains{random}, after {print_count(row['comparisons'])} comparisons "
        f"each. {ratio}"
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
