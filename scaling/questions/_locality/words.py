"""What a study of locality says, in words."""

from __future__ import annotations

from scaling.units import print_count

LOCAL, PARTLY, NOT, CANNOT = "local", "partly local", "not local", "cannot tell"
"""What `locality` may answer."""
LOW, HIGH = 1 / 3, 2 / 3
"""Of the index: below it the labels of others do most of what the own would, above it little."""
_LEADS = {
    LOCAL: "You need labels of the tool itself",
    PARTLY: "Labels of other tools do a part of what the tool's own would",
    NOT: "You need no labels of the tool itself",
    CANNOT: "These runs cannot tell",
}


def answer(low: float, high: float) -> str:
    """By where the interval of the index lies."""
    if high < LOW:
        return NOT
    if low > HIGH:
        return LOCAL
    return PARTLY if low > 0 and high < 1 and high - low < HIGH else CANNOT


def sentence(
    said: str, name: str, N: int, shares: dict[str, float], index: tuple[float, float, float], level: float
) -> str:
    """The answer, and what it rests on at the largest size."""
    got = ", ".join(f"{100 * share:.0f} % with {arm}" for arm, share in shares.items())
    value, low, high = index
    of = (
        f"The locality index is {value:.2f}, {100 * level:.0f} % [{low:.2f}, {high:.2f}]: 0 would be no need of its "
        "own labels, 1 a need of nothing else."
        if value == value
        else "The locality index is not defined, as the tool's own labels do not beat the base by two standard errors."
    )
    return (
        f"**{_LEADS[said]}.** Of held-out requests, models of {print_count(N)} weights that had read {name} got right: "
        f"{got}. {of}"
    )


DOUBTS = (
    "**Another ceiling.** The index is a share of what the tool's own labels gain; where these are few or badly "
    "trained, it looks smaller than it is.",
    "**Another rate.** Tuning that forgets what was read makes abilities look local; the rates of the later stages "
    "were chosen at one size.",
    "**Larger models.** The slope against size says where the index is going, over the sizes trained and no further.",
    "**Other text.** Manuals that state a flag before its meaning only, or comments in one phrasing, teach less.",
)
"""What would change the answer."""

NEXT_RUNS = (
    "ten seeds of the cells whose interval is widest",
    "a larger model with its rates tuned anew",
)
"""The runs that would tell most more."""
