"""What generations of models that read models say, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scaling.questions._synthetic.cells import Gain, Value
from scaling.questions.phrases import gain_of, moves, seen
from scaling.units import counted, print_count
from scaling.verdict import Estimate, capitalised

COLLAPSES, STAYS, IMPROVES, CANNOT = "collapses", "stays", "improves", "cannot tell"
ANSWERS = (COLLAPSES, STAYS, IMPROVES, CANNOT)
"""What `synthetic` may answer."""
READS = {
    "replace": "reading earlier models' pages alone",
    "accumulate": "adding all of earlier models' pages to the real ones",
    "verified": "adding earlier models' pages that an executor calls right",
}
_LEADS = {
    COLLAPSES: "{} makes models worse",
    STAYS: "{} leaves models as they are",
    IMPROVES: "{} makes models better",
    CANNOT: "these runs cannot tell whether {} makes models better or worse",
}


def sentence(
    arm: str, answers: Mapping[str, str], gains: Mapping[str, Estimate], generations: int, rests: str
) -> str:
    """The answer for the arm that is asked about, then the others, after so many generations; all on `rests`."""
    lead = capitalised(_LEADS[answers[arm]].format(READS[arm]))
    moved = f"after {counted(generations, 'generation')} it {moves(gains[arm])} against real text alone"
    others = [f"{READS[other]} {moves(gains[other])}" for other in gains if other != arm]
    said = [f"**{lead}:** {moved}", capitalised("; ".join(others)), f"These are means over {rests}."]
    return ". ".join(filter(None, said))


def cannot(why: str) -> str:
    """Why the runs cannot tell."""
    return f"**These runs cannot tell what text by models does to those that read it:** {why}."


def doubts(
    verifier: Gain | None, values: Sequence[Value], detectable: float, unit: str, level: float
) -> tuple[str, ...]:
    """What would change the answer."""
    said = [
        f"**Worth.** A token by a model ({one.arm}) is worth {real.said()}, read off as long training on more of it."
        for one in values
        for real in [Estimate(*one.worth, level, "tokens of real text", one.beyond)]
        if math.isinf(one.N)
    ]
    if verifier is not None:
        gain = gain_of(verifier.mean, verifier.low, verifier.high, level, unit)
        more = "helps" if gain.low > 0 else "hurts" if gain.high < 0 else "does nothing beyond chance"
        said.append(f"**The verifier** {more}: it {moves(gain)} against pages as they come.")
    if math.isfinite(detectable):
        said.append(f"**Power.** {seen(detectable, unit)} in nine of ten such studies.")
    said.append(
        "**Fresh real text.** The real pages are the same in all generations, and as few as they were; where every "
        "generation finds new ones, text by models has less to replace."
    )
    return tuple(said)


def next_runs(largest: float, base: float) -> str:
    """Runs that would tell most."""
    return (
        f"models of {print_count(16 * largest, 2)} parameters with the same arms and seeds, and "
        f"{print_count(4 * base, 2)} real tokens in place of {print_count(base, 2)}"
    )
