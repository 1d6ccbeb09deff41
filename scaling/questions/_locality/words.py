"""What a study of locality says, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scaling.verdict import Estimate

LOCAL, PARTLY, NOT, CANNOT = "local", "partly local", "not local", "cannot tell"
"""What `locality` may answer."""
LOW, HIGH = 1 / 3, 2 / 3
"""Of the index: below it the labels of others do most of what the own would, above it little."""
_LEADS = {
    LOCAL: "You need labels of the tool itself",
    PARTLY: "You need labels of the tool itself in part",
    NOT: "You need no labels of the tool itself",
    CANNOT: "These runs cannot tell whether you need labels of the tool itself",
}


def answer(low: float, high: float) -> str:
    """By where the interval of the index lies."""
    if high < LOW:
        return NOT
    if low > HIGH:
        return LOCAL
    return PARTLY if low > 0 and high < 1 and high - low < HIGH else CANNOT


def sentence(said: str, read: str, index: Estimate, right: Sequence[Estimate], rests: str) -> str:
    """The answer with what other tools' labels teach of the own ones', and the shares of requests done right."""
    taught = "the index is not defined, as they do not beat none by two standard errors"
    if not math.isnan(index.value):
        by_others = Estimate(1 - index.value, 1 - index.high, 1 - index.low, index.level, "%") * 100
        taught = f"those of other tools teach {by_others.said('% of what its own do')}"
    none, others, own = (share.said(form="{:.1f}".format) for share in right)
    return (
        f"**{_LEADS[said]}:** {taught}. Of held-out requests {none} are done right without labels, {others} after "
        f"labels of other tools and {own} after the tool's own, by {rests}, that have read {read}."
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
