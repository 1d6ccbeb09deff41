"""What reading one thing first does for another, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scaling.questions._reasoning.cells import Gain
from scaling.units import print_count
from scaling.verdict import between

HELPS, HURTS, WORDS = "helps", "hurts", "its words explain it"
NONE, CANNOT = "no effect at these sizes", "cannot tell"
ANSWERS = (HELPS, HURTS, WORDS, NONE, CANNOT)
"""What `reasoning` may answer."""
WHEN = {"first": "{} read first", "decay": "{} in the decay"}
"""When the source is read, and how that is called."""


def sentence(
    answer: str,
    source: str,
    target: str,
    without: str,
    gains: Sequence[Gain],
    unit: str,
    level: float,
    when: str = "first",
) -> str:
    """The answer, and the gains that it rests on."""
    first = WHEN[when].format(source)
    lead = {
        HELPS: f"**{first.capitalize()} helps to learn {target}**",
        HURTS: f"**{first.capitalize()} makes {target} harder to learn**",
        WORDS: f"**The words of {source} explain what it does for {target}**",
        NONE: f"**No effect of {first} on learning {target}**",
        CANNOT: f"**These runs cannot tell whether {first} helps to learn {target}**",
    }[answer]
    over = [f"over {one.over} {moved(one, unit, level)}" for one in gains]
    begun = "" if without == "nothing" else f", within as many tokens of {without}"
    if when == "decay":
        begun = f", for as many tokens of {target}"
    return f"{lead}{begun}: along the learning curve it gains {', '.join(over)}."


def moved(gain: Gain, unit: str, level: float) -> str:
    """A gain with its interval."""
    return f"{gain.mean:+.2g} {unit} ({between(f'{gain.low:+.2g}', f'{gain.high:+.2g}', level)})"


def cannot(source: str, target: str, why: str, when: str = "first") -> str:
    """Why the runs cannot tell."""
    return f"**These runs cannot tell whether {WHEN[when].format(source)} helps to learn {target}:** {why}."


def doubts(
    gains: Sequence[Gain],
    doubled: float,
    placebos: Sequence[str],
    reached: float,
    ratio: tuple[float, float, float] | None,
    unit: str,
    level: float,
) -> tuple[str, ...]:
    """What would change the answer."""
    said = []
    if ratio is not None:
        said.append(
            f"**Tokens to criterion.** {ratio[0]:.2g} times as many as without "
            f"({between(f'{ratio[1]:.2g}', f'{ratio[2]:.2g}', level)}); {100 * reached:.0f} % of models come to it, "
            "the others count with all they were given."
        )
    if not placebos:
        said.append(
            "**No placebo.** None has read its words without their order, so words are not told from what they say."
        )
    power = max((one.detectable for one in gains), default=math.nan)
    if math.isfinite(power):
        said.append(
            f"**Power.** A difference of {power:.2g} {unit} would have been seen in nine of ten such studies; twice "
            f"the tokens of the target gain {doubled:.2g}."
        )
    return tuple(said)


def next_runs(largest: float) -> str:
    """Runs that would tell most."""
    return f"models of {print_count(16 * largest, 2)} parameters with the same arms and seeds"
