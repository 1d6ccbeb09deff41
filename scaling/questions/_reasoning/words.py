"""What reading one thing first does for another, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scaling.questions._reasoning.cells import Arms, Gain
from scaling.questions.phrases import amount, moves, named, seen
from scaling.units import print_count
from scaling.verdict import Estimate, capitalised

HELPS, HURTS, WORDS = "helps", "hurts", "its words explain it"
NONE, CANNOT = "no effect at these sizes", "cannot tell"
ANSWERS = (HELPS, HURTS, WORDS, NONE, CANNOT)
"""What `reasoning` may answer."""
WHEN = {"first": "{} read first", "decay": "{} in the decay"}
"""When the source is read, and how that is called."""
_LEADS = {
    HELPS: "{first} helps to learn {target}",
    HURTS: "{first} makes {target} harder to learn",
    NONE: "no effect of {first} on learning {target} is seen at these sizes",
    CANNOT: "these runs cannot tell whether {first} helps to learn {target}",
}


def sentence(
    answer: str,
    source: str,
    target: str,
    compared: Arms,
    gains: Mapping[str, Estimate],
    rests: str,
    when: str,
) -> str:
    """The answer with the gain that decides it, and the gain over models without the source; both on `rests`."""
    names = {"first": WHEN[when].format(named(source)), "target": named(target)}
    against = f"models that read {named(compared.without)} first"
    if when == "decay":
        against = f"as many tokens of {names['target']} alone"
    moved = f"it {moves(gains[compared.without])} against {against}"
    if answer != WORDS:
        return f"**{capitalised(_LEADS[answer].format(**names))}:** {moved}. This is {rests}."
    least = min((gains[one] for one in compared.placebos), key=lambda gain: gain.low)
    lead = "{first} is not seen to do more for {target} than its words in random order".format(**names)
    return f"**{capitalised(lead)},** over which it {moves(least)}. In all {moved}, {rests}."


def cannot(source: str, target: str, why: str, when: str) -> str:
    """Why the runs cannot tell."""
    first, target = WHEN[when].format(named(source)), named(target)
    return f"**{capitalised(_LEADS[CANNOT].format(first=first, target=target))}:** {why}."


def doubts(
    gains: Sequence[Gain],
    doubled: float,
    placebos: Sequence[str],
    reached: float,
    ratio: Estimate | None,
    unit: str,
) -> tuple[str, ...]:
    """What would change the answer."""
    said = []
    if ratio is not None:
        said.append(
            f"**Tokens to criterion.** {ratio.said('times as many as without')}; {100 * reached:.0f} % of models get "
            "there, the others count with all that they were given."
        )
    if not placebos:
        said.append(
            "**No placebo.** None has read its words without their order, so words are not told from what they say."
        )
    power = max((one.detectable for one in gains), default=math.nan)
    if math.isfinite(power):
        said.append(
            f"**Power.** {seen(power, unit)} in nine of ten such studies; twice the tokens of the target bring "
            f"{amount(doubled, unit)}."
        )
    return tuple(said)


def next_runs(largest: float) -> str:
    """Runs that would tell most."""
    return f"models of {print_count(16 * largest, 2)} parameters with the same arms and seeds"
