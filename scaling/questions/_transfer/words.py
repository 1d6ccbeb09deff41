"""What a transfer matrix says, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scaling.units import counted, print_count
from scaling.verdict import Estimate, between

HELPS, HURTS, NONE = "helps", "hurts", "no effect at these sizes"
WORDS, FORM = "more steps or shared words explain it", "shared form explains it"
OPEN, CANNOT = "cannot be extrapolated", "cannot tell"
ANSWERS = (HELPS, HURTS, NONE, WORDS, FORM, OPEN, CANNOT)
"""What `transfer` may answer."""

Ends = tuple[float, float, float]
"""Middle, low and high."""


def sentence(answer: str, pair: Mapping[str, Any], why: str) -> str:
    """The answer for one source and target, from its row over sizes."""
    source, target, gain = pair["source"], pair["target"], pair["gain"]
    ends = dict.fromkeys(print_count(pair[end], 2) for end in ("smallest", "largest"))
    sizes = f"models of {' to '.join(ends)} parameters"
    own = f"{print_count(pair['tokens'], 3)}{_distinct(pair)}"
    alike = f"as many tokens of {source} as its own {own}"
    dose = alike if pair["dose"] == 1 else f"{pair['dose']:g} tokens of {source} for each of its {own}"
    said = {
        HELPS: f"**{source.capitalize()} helps {target}** in {sizes}",
        HURTS: f"**{source.capitalize()} hurts {target}** in {sizes}",
        NONE: f"**No effect of {source} on {target} at these sizes**, {sizes}",
        WORDS: f"**More steps or shared words explain what {source} does for {target}** in {sizes}",
        FORM: f"**A shared form explains what {source} does for {target}** in {sizes}",
        OPEN: f"**What {source} does for {target} cannot be extrapolated** from {sizes}",
    }[answer]
    ends = between(_signed(pair["gain_low"]), _signed(pair["gain_high"]), pair["level"])
    moved = f"gain {_signed(gain)} {pair['unit']}"
    if pair["unit"] == "nats/token":
        moved = (
            f"take {gain:.2g} nats/token off the loss"
            if gain > 0
            else f"add {-gain:.2g} nats/token to the loss"
        )
    fall = f"{dose} {moved} on {target} (gain, {ends})"
    return f"{said}: {fall}{why}."


def beyond(pair: Mapping[str, Any]) -> str:
    """How much of it is left over the best placebo, and over the target again."""
    said = ""
    for kind, what in {
        "words": "as much of its own words without their order",
        "form": "its form without the skill",
    }.items():
        if pair[kind] is not None:
            ends = between(_signed(pair[f"{kind}_low"]), _signed(pair[f"{kind}_high"]), pair["level"])
            than = "more" if pair[kind] > 0 else "less"
            said += f", {abs(pair[kind]):.2g} {than} than {what} ({ends})"
    return said


def _distinct(pair: Mapping[str, Any]) -> str:
    """How many distinct tokens there are of both, where either was read again."""
    if pair["epochs"] == 1 and math.isclose(
        pair["source_unique"], pair["dose"] * pair["tokens"], rel_tol=0.02
    ):
        return ""
    unique, source_unique = (print_count(pair[name], 3) for name in ("unique", "source_unique"))
    return f" ({unique} distinct ones of {pair['target']}, {source_unique} of {pair['source']})"


def worth(rate: Estimate, source: str, target: str) -> str:
    """A rate in words: a token of code is worth 0.19 tokens of prose."""
    form = "{:.2g}".format
    return f"a token of {source} is worth {rate.amount(form)} tokens of {target} ({rate.ends(form)})"


def cannot(source: str, target: str, why: str) -> str:
    """Why the runs cannot tell."""
    return f"**These runs cannot tell whether {source} helps {target}:** {why}."


def trend(slope: Ends, gpt2: Ends, level: float, decades: float, bounded: bool) -> str:
    """How the rate goes with size, and what the line says of GPT-2."""
    way = (
        "does not change beyond chance" if slope[1] <= 0 <= slope[2] else "rises" if slope[1] > 0 else "falls"
    )
    bound = " At some size the rate is only a bound, so the line is one too." if bounded else ""
    return (
        f"**With size** the rate beyond the placebo {way}: {_signed(slope[0])} for each decade of N "
        f"({between(_end(slope[1]), _end(slope[2]), level)}). GPT-2 (124M) is {decades:.1f} decades of N above the "
        f"largest model here; a straight line would say {gpt2[0]:.2g} there "
        f"({between(_end(gpt2[1]), _end(gpt2[2]), level)}), if it went on.{bound}"
    )


def doubts(
    pair: Mapping[str, Any],
    detectable: float,
    used_up: Mapping[str, Any] | None,
    bend: Ends | None,
    unlearned: int,
) -> list[str]:
    """What the runs leave open."""
    source, target = pair["source"], pair["target"]
    said = []
    if pair["words"] is None:
        said.append(
            f"**No placebo.** Nothing here has the words of {source} without its order, so neither words nor steps are "
            "told from it."
        )
    if pair["repeats_gain"] is not None:
        than = "more" if pair["repeats_gain"] > pair["gain"] else "less"
        said.append(
            f"**More steps on the target.** Seen again for as many steps, {target} gains "
            f"{_signed(pair['repeats_gain'])}, {than} than {source} does."
        )
    if used_up is not None:
        left = (
            f", {_signed(used_up['repeats'])} against the same steps on {target}"
            if used_up["repeats"] is not None
            else ""
        )
        said.append(
            f"**When the target is used up.** After {used_up['epochs']:.3g} epochs of "
            f"{print_count(used_up['unique'], 3)} tokens, {source} gains {_signed(used_up['gain'])}{left}: "
            f"{used_up['answer']}."
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
        said.append(
            f"**Power.** A difference of {detectable:.2g} would have been seen in nine of ten such matrices."
        )
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
    named: dict[str, list[str]] = {}
    for row in rows:
        named.setdefault(row["answer"], []).append(f"{row['source']} → {row['target']}")
    return (
        "**Other pairs.** "
        + "; ".join(f"{answer}: {', '.join(pairs)}" for answer, pairs in named.items())
        + "."
    )


def _signed(value: float) -> str:
    return f"{value:+.2g}".replace("+", "") if math.isfinite(value) else _end(value)


def _end(value: float) -> str:
    return f"{value:.2g}" if math.isfinite(value) else "beyond what was measured"
