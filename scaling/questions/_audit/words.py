"""How fragile a law is, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from scaling.show import two_digits
from scaling.units import power_of_ten
from scaling.verdict import Estimate, capitalised, percent

ROBUST, FRAGILE, CANNOT_TELL = "robust", "fragile", "not identifiable from these runs"
"""What `audit` may answer."""

CHOICES = {
    "form": ("the form of the law", "runs off the compute-optimal line, with few and with many tokens per parameter"),
    "objective": ("the objective", "further seeds at the points that miss most, to know which are noise"),
    "left_out": ("which runs are left out", "the runs that miss most once more, with other seeds"),
    "N_counted": ("how parameters are counted", "larger models, whose embeddings and head are a small share"),
    "C_counted": ("how compute is counted", "larger models, whose attention and head are a small share"),
    "window": ("the window of compute", "runs half a decade beyond the largest, at three sizes or more"),
    "weighting": ("what each run counts", "as many runs at each budget"),
}  # fmt: skip
"""What each choice is called, and which runs would settle it."""

OUTCOMES = {
    "a": ("exponent a of the best N in compute", "in N ∝ C^a"),
    "tokens_per_parameter": ("tokens per parameter", "tokens per parameter"),
    "loss_100x": ("loss at 100 times the compute", "nats/token"),
}
"""What each outcome is called, and its unit."""


def counted(answer: str, ways: int, runs: int, kept: int) -> str:
    """The answer, and how many of the fits count."""
    return f"**{capitalised(answer)}.** Of {ways} ways to fit these {runs} runs, {kept} count."


def beaten(law: str, miss: float, best: str, least: float) -> str:
    """That the law misses a run by more (percent) than another form does."""
    fails = f"Most fits of `{law}` do not: it misses a run by {percent(miss)}"
    return f"{fails} where `{best}` misses it by {percent(least)}."


def ranges(chosen: Mapping[str, Estimate], resampled: Mapping[str, Estimate], largest: float) -> str:
    """How far each outcome runs over choices, and over resampled runs; `largest` in FLOPs."""

    def ends(name: str, form: Callable[[float], str]) -> str:
        over, drawn = (f"{form(e.low)} to {form(e.high)}" for e in (chosen[name], resampled[name]))
        return f"from {over} (resampling the runs: {drawn})"

    return (
        f"Over {100 * chosen['a'].level:.3g} % of those the exponent a of the best N in compute runs "
        f"{ends('a', '{:.2f}'.format)}, the best tokens per parameter at {power_of_ten(largest)} FLOPs "
        f"{ends('tokens_per_parameter', two_digits)}, the loss at 100 times that {ends('loss_100x', '{:.2f}'.format)}."
    )


def moves(top: Mapping[str, Any]) -> str:
    """The choice that moves a most."""
    return (
        f"**What moves a most is {CHOICES[top['choice']][0]}:** {100 * top['share']:.0f} % of its variance, and "
        f"up to {top['largest_change']:.2f} when nothing else changes ({top['low']} against {top['high']})."
    )


def one_choice(shares: Mapping[str, float]) -> str:
    """How much of the variance of a each choice has."""
    said = ", ".join(f"{CHOICES[choice][0]} {100 * share:.0f} %" for choice, share in shares.items())
    return (
        f"**One choice made for good.** Shares of the variance of a over choices: {said}; together, beyond each alone, "
        f"{100 * max(0.0, 1.0 - sum(shares.values())):.0f} %."
    )


def left_out(counts: Iterable[tuple[str, int]]) -> str:
    """How many fits of each form do not count."""
    said = ", ".join(f"{count} of `{form}`" for form, count in counts)
    return f"**Fits that do not count.** {said}: not converged, or a median miss beyond 1.5 times the best form's."


ONE_SEED = (
    "**Noise.** There is one seed for each point, so how far a second training would land is not known; the resampling "
    "intervals take the scatter around the law for it."
)
OTHER_TRAININGS = (
    "**Trainings are no choices of analysis.** Tokens, text, rate, schedule and warm-up are the same in every row "
    "here; other sweeps have other exponents, see `chain`."
)
