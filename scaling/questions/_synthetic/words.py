"""What generations of models that read models say, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scaling.questions._synthetic.cells import Gain, Value
from scaling.units import counted, print_count
from scaling.verdict import between

COLLAPSES, STAYS, IMPROVES, CANNOT = "collapses", "stays", "improves", "cannot tell"
ANSWERS = (COLLAPSES, STAYS, IMPROVES, CANNOT)
"""What `synthetic` may answer."""
READS = {
    "replace": "nothing but the pages of the models before them",
    "accumulate": "those pages beside the real ones",
    "verified": "beside the real pages only those that the executor calls right",
}
_BECOMES = {
    COLLAPSES: "get worse",
    STAYS: "stay as they are",
    IMPROVES: "get better",
    CANNOT: "may get better or worse",
}


def sentence(arm: str, answers: Mapping[str, str], ends: Mapping[str, Gain], unit: str, level: float) -> str:
    """The answer for the arm that is asked about, then the others."""
    last = ends[arm].generation
    lead = f"**Models that read {READS[arm]} {_BECOMES[answers[arm]]}:** after {counted(last, 'generation')} "
    others = [
        f"reading {READS[other]} they {_BECOMES[answers[other]]} ({_moved(ends[other], unit, level)})"
        for other in ends
        if other != arm
    ]
    return lead + _moved(ends[arm], unit, level) + "".join(f"; {other}" for other in others) + "."


def _moved(gain: Gain, unit: str, level: float) -> str:
    ends = between(f"{gain.low:+.2g}", f"{gain.high:+.2g}", level)
    way = "better" if gain.mean > 0 else "worse"
    return f"{abs(gain.mean):.2g} {unit} {way} than on real text alone ({ends})"


def cannot(why: str) -> str:
    """Why the runs cannot tell."""
    return f"**These runs cannot tell what text by models does to those that read it:** {why}."


def worth(one: Value, level: float) -> str:
    """What a token by a model is worth, as a doubt or an offer."""
    mean, low, high = one.worth
    bound = {1: ", at least", -1: ", at most"}.get(one.beyond, "")
    return (
        f"**Worth.** A token by a model ({one.arm}) is worth {mean:.2g} real ones{bound} "
        f"({between(f'{low:.2g}', f'{high:.2g}', level)}), read off equally long training on more real text."
    )


def doubts(
    verifier: Gain | None, values: Sequence[Value], detectable: float, unit: str, level: float
) -> tuple[str, ...]:
    """What would change the answer."""
    said = [worth(one, level) for one in values if math.isinf(one.N)]
    if verifier is not None:
        more = "helps" if verifier.low > 0 else "hurts" if verifier.high < 0 else "does nothing beyond chance"
        said.append(
            f"**The verifier** {more}: {verifier.mean:+.2g} {unit} over pages as they come "
            f"({between(f'{verifier.low:+.2g}', f'{verifier.high:+.2g}', level)})."
        )
    if math.isfinite(detectable):
        said.append(
            f"**Power.** A difference of {detectable:.2g} {unit} would have been seen in nine of ten such studies."
        )
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
