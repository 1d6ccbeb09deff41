"""What a decade of compute buys, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scaling.units import power_of_ten, print_count
from scaling.verdict import Estimate, percent

FALLS, CANNOT_TELL = "falls", "cannot tell"
"""What `next_decade` may answer."""


def falls(factor: float, now: float, then: Estimate, N: Estimate, D: Estimate) -> str:
    """The loss that more compute buys, in nats/token, and how to spend it."""
    return (
        f"**Loss keeps falling with compute:** {_times(factor)} the compute of the largest run should take held-out "
        f"loss from {now:.2f} to {then.said(form='{:.2f}'.format)}. Best are {N.said()} on {D.said()} of new text."
    )


def unsure(factor: float, fall: float, missed: float) -> str:
    """A predicted fall that is no larger than what the law misses unseen runs by, both in percent."""
    return (
        f"**These runs cannot tell what more compute buys:** {_times(factor)} the compute of the largest run is "
        f"predicted to lower the loss by {percent(fall)}, no more than the {percent(missed)} by which the best law "
        "misses runs that it has not seen."
    )


def fade(repeats: Estimate) -> str:
    """After how many repeats a token is worth 1/e."""
    return f"**A token seen again is worth less each time:** after {repeats.said()} the next is worth 1/e of a new one."


NO_DRAWS = "There is no interval, as the bootstrap draws are too few."


def _times(factor: float) -> str:
    return "ten times" if factor == 10 else f"{factor:g} times"


def other_laws(said: Iterable[tuple[str, float, float]], decided: str) -> str:
    """What other laws predict for the same budget, how far (percent) each misses unseen runs, and what that decides."""
    parts = (
        f"`{name}` says {loss:.2f} for the same budget, and misses unseen runs by {percent(miss)}"
        for name, loss, miss in said
    )
    return f"**The form of the law.** {'; '.join(parts)}. {decided}"


def floor(floors: Mapping[str, tuple[float, float]]) -> str:
    """Where laws leave the loss that no compute removes: 95 % intervals in nats/token."""
    ends = " or ".join(f"{low:.2f} to {high:.2f} (`{name}`)" for name, (low, high) in floors.items())
    return (
        f"**A floor.** These runs leave the loss that no compute removes at {ends} nats/token, 95 %. Where in this "
        "range it lies decides what later decades buy."
    )


def tuning(rates: Iterable[float]) -> str:
    """Which learning rates the runs had."""
    listed = ", ".join(f"{rate:g}" for rate in rates)
    return f"**Tuning.** Every size and budget used the learning rate {listed}; see `runs/learning-rate`."


def harm(rise: str) -> str:
    """That repeats raised the loss somewhere."""
    return (
        f"**Repeats that harm.** {rise} No law in which repeats merely fade has that: large models on little text do "
        "worse than the slider says."
    )


def next_run(N: float, D: float, C: float) -> str:
    """The point that was predicted."""
    return (
        f"{print_count(N, 2)} parameters on {print_count(D, 2)} new tokens, the point predicted above, for "
        f"{power_of_ten(C)} FLOPs"
    )


def misses(rows: Mapping[str, Mapping[str, Any]], spread: float, q: float) -> str:
    """How far laws miss runs they saw and runs they did not.

    Args:
        rows: of `Comparison.table` by the name of the law, the best one first, as `Comparison.ranking` has them.
        spread: how far seeds lie apart, percent.
        q: exponent of the power mean, 1 where none was fitted.
    """
    best = next(iter(rows))

    def miss(law: str) -> str:
        row = rows[law]
        return (
            f"misses the runs it was fitted to by **{percent(row['rms_percent'])}** rms, and the largest ones, unseen, "
            f"by **{percent(row['held_out_percent'])}** ({row['held_out_bias_percent']:+.1f} % on average)"
        )

    noise = f"Runs that differ only in their seed lie {percent(spread)} apart, and no law can do better."
    if best == "chinchilla" or "chinchilla" not in rows:
        return f"The best of these laws, `{best}`, {miss(best)}. {noise}"
    said = f"The additive law `chinchilla` {miss('chinchilla')}. `{best}` {miss(best)}. {noise}"
    if q > 1.5:
        said += (
            " So the two terms do not simply add at this size: what is scarcer, data or parameters, decides. A power "
            f"mean of them has exponent q = {q:.1f}, where 1 would be additive."
        )
    return said
