"""What a transfer matrix says, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scaling.questions.phrases import gain_of, models, moves, named, seen
from scaling.units import counted, print_count
from scaling.verdict import Estimate, capitalised

HELPS, HURTS, NONE = "helps", "hurts", "no effect at these sizes"
WORDS, FORM = "more steps or shared words explain it", "shared form explains it"
OPEN, CANNOT = "cannot be extrapolated", "cannot tell"
ANSWERS = (HELPS, HURTS, NONE, WORDS, FORM, OPEN, CANNOT)
"""What `transfer` may answer."""

_LEADS = {
    HELPS: "{} helps {}",
    HURTS: "{} hurts {}",
    NONE: "no effect of {} on {} is seen at these sizes",
    WORDS: "more steps or shared words explain what {} does for {}",
    FORM: "a shared form explains what {} does for {}",
    OPEN: "what {} does for {} cannot be extrapolated",
}
_BESIDE = {
    "words": "its own words in random order",
    "form": "the same form without the skill",
    "repeats": "equally many steps on {}",
}
"""What a source is told from, by its name among the columns of a pair."""
_EXPLAINS = {WORDS: ("words", "repeats"), FORM: ("form",)}
"""Which of these may be the answer."""


def sentence(
    answer: str, pair: Mapping[str, Any], other: Mapping[str, Any] | None, worth: Estimate | None
) -> str:
    """The answer for one source and target, and what it rests on."""
    source, target, over = named(pair["source"]), named(pair["target"]), beyond(pair)
    beside = {kind: than.format(target) for kind, than in _BESIDE.items()}
    alike = [kind for kind in _EXPLAINS.get(answer, ()) if kind in over and over[kind].low <= 0]
    rests = f"with {_amounts(pair)}, in {models(pair['smallest'], pair['largest'], pair['seeds'])}"
    if alike:
        lead = f"{source} is not seen to do more for {target} than {beside[alike[0]]},** over which it "
        lead += moves(over[alike[0]])
        rests = f"In all it {moves(gain(pair))}, {rests}"
    else:
        lead = f"{_LEADS[answer].format(source, target)}:** it {moves(gain(pair))}{_but(answer, pair, other)}"
        if answer == HELPS and over:
            kind, least = min(over.items(), key=lambda one: one[1].value)
            rests = f"{least.said(f'{least.unit} more')} than with {beside[kind]}, {rests}"
        rests = f"That is {rests}"
    rate = f" In the largest model a token of {source} is worth {worth.said()}." if worth else ""
    return f"**{capitalised(lead)}. {rests}.{rate}"


def _but(answer: str, pair: Mapping[str, Any], other: Mapping[str, Any] | None) -> str:
    """What speaks against the gain, where the answer does not follow from it alone."""
    target = named(pair["target"])
    if answer == OPEN:
        slope = Estimate.of_row(pair, "slope", pair["level"], f"tokens of {target}")
        fades = pair["slope"] is not None and not slope.low <= 0 <= slope.high
        way = f"its worth {'rises' if slope.value > 0 else 'falls'} by {slope.either(slope.unit, slope.unit)}"
        return f", but {f'{way} for each decade of N' if fades else 'not at every size'}"
    if answer not in (HURTS, WORDS, FORM) or gain(pair).high < 0:
        return ""
    if other is None:
        return f", but less than half of that in another form of {target}"
    instead = "does harm" if answer == HURTS else "does no more than these"
    seen = f"{print_count(other['unique'], 3)} tokens of {target} seen {other['epochs']:.3g} times"
    return f", but {instead} on {seen}"


def gain(pair: Mapping[str, Any], kind: str = "gain") -> Estimate:
    """What a row of a pair says was gained, or gained beyond something."""
    mean, low, high = (pair[f"{kind}{end}"] for end in ("", "_low", "_high"))
    return gain_of(mean, low, high, pair["level"], pair["unit"])


def beyond(pair: Mapping[str, Any]) -> dict[str, Estimate]:
    """How much of it is left over the best placebo of each kind, and over the target again."""
    return {kind: gain(pair, kind) for kind in _BESIDE if pair[kind] is not None}


def _amounts(pair: Mapping[str, Any]) -> str:
    """Tokens of both, and how many of them are distinct where they were read again."""
    added = pair["dose"] * pair["tokens"], pair["source_unique"], pair["source"]
    own = pair["tokens"], pair["unique"], pair["target"]
    return " beside ".join(
        f"{print_count(tokens, 3)} tokens of {named(domain)}"
        + ("" if math.isclose(unique, tokens, rel_tol=0.02) else f" ({print_count(unique, 3)} distinct)")
        for tokens, unique, domain in (added, own)
    )


def cannot(source: str, target: str, why: str) -> str:
    """Why the runs cannot tell."""
    return f"**These runs cannot tell whether {named(source)} helps {named(target)}:** {why}."


def trend(slope: Estimate, gpt2: Estimate, decades: float, bounded: bool) -> str:
    """How the rate goes with size, and what the line says of GPT-2."""
    way = (
        "does not change beyond chance"
        if slope.low <= 0 <= slope.high
        else "rises"
        if slope.low > 0
        else "falls"
    )
    bound = " At some size the rate is only a bound, so the line is one too." if bounded else ""
    return (
        f"**With size** the rate beyond the placebo {way}: by {slope.said('')} for each decade of N. GPT-2 (124M) is "
        f"{decades:.1f} decades of N above the largest model here; a straight line would say {gpt2.said('')} there, if "
        f"it went on.{bound}"
    )


def doubts(
    pair: Mapping[str, Any],
    detectable: float,
    used_up: Mapping[str, Any] | None,
    bend: tuple[float, float, float] | None,
    unlearned: int,
) -> list[str]:
    """What the runs leave open."""
    source, target = named(pair["source"]), named(pair["target"])
    said = []
    if pair["words"] is None:
        said.append(
            f"**No placebo.** Nothing here has the words of {source} without its order, so neither words nor steps are "
            "told from it."
        )
    if pair["repeats_gain"] is not None:
        again = gain_of(pair["repeats_gain"], math.nan, math.nan, pair["level"], pair["unit"])
        than = "more" if pair["repeats_gain"] > pair["gain"] else "less"
        said.append(
            f"**More steps on {target}.** Reading it again for as many steps {moves(again)}, {than} than {source} does."
        )
    if used_up is not None:
        left = ""
        if again := beyond(used_up).get("repeats"):
            left = f", {again.either(f'{again.unit} more', f'{again.unit} less')} than equally many steps on {target}"
        said.append(
            f"**When {target} is used up.** After {used_up['epochs']:.3g} epochs of "
            f"{print_count(used_up['unique'], 3)} tokens {source} {moves(gain(used_up))}{left}: {used_up['answer']}."
        )
    if bend is not None and (bend[1] > 0 or bend[2] < 0):
        said.append(
            "**No straight line.** The rates bend against log N beyond chance, so no line in it can be trusted far out."
        )
    if unlearned:
        said.append(
            f"**Not learned.** {counted(unlearned, 'cell')} left out, whose source the models did not learn."
        )
    if math.isfinite(detectable):
        said.append(f"**Power.** {seen(detectable, pair['unit'])} in nine of ten such matrices.")
    return said


def next_runs(answer: str, pair: Mapping[str, Any] | None) -> str:
    """The runs that would tell most."""
    if pair is None:
        return "the target alone and with the source, five seeds each, at three sizes or more"
    more = f"{print_count(16 * pair['largest'], 2)} parameters with the same arms and seeds"
    if pair["words"] is None:
        return f"a placebo of {pair['source']} at the same doses"
    if answer == NONE:
        return f"{more}, or four times the seeds"
    return more


def others(rows: Sequence[Mapping[str, Any]]) -> str:
    """The other pairs, each with what it is called."""
    pairs: dict[str, list[str]] = {}
    for row in rows:
        pairs.setdefault(row["answer"], []).append(
            " → ".join(named(row[end]) for end in ("source", "target"))
        )
    said = {answer: ", ".join(of) for answer, of in pairs.items()}
    return f"**Other pairs.** {'; '.join(f'{answer}: {listed}' for answer, listed in said.items())}."
