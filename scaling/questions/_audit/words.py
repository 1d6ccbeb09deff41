"""How fragile a law is, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from scaling.fitting import Fit
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


def sentence(
    answer: str, law: str, runs: int, table: pl.DataFrame, moves: pl.DataFrame, outcomes: str
) -> str:
    """The answer, how many fits count, which form beats the law, what the rest say, and what moves a most."""
    kept = int(table["kept"].sum())
    said = [f"**{capitalised(answer)}.** Of {len(table)} ways to fit these {runs} runs, {kept} count."]
    if not kept:
        return said[0]
    if not most(table.filter(form=law)["kept"]):  # a form's miss: the median of its median misses
        joint = table.filter(~pl.col("form").str.starts_with("isoFLOP"))
        middle = joint.group_by("form", maintain_order=True).agg(pl.col("median_percent").median())
        miss = dict(middle.iter_rows())
        best = min(miss, key=lambda form: miss[form])
        fails = f"Most fits of `{law}` do not: it misses a run by {percent(miss[law])}"
        said.append(f"{fails} where `{best}` misses it by {percent(miss[best])}.")
    said.append(outcomes)
    said += [
        f"**What moves a most is {CHOICES[top['choice']][0]}:** {100 * top['share']:.0f} % of its variance, and up "
        f"to {top['largest_change']:.2f} when nothing else changes ({top['low']} against {top['high']})."
        for top in moves.head(1).iter_rows(named=True)
    ]
    return " ".join(said)


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


def doubts(base: Fit, table: pl.DataFrame, moves: pl.DataFrame, *, one_seed: bool) -> tuple[str, ...]:
    """What would have to be seen for another answer."""
    said = []
    if len(moves):
        shares = dict(moves.select("choice", "share").iter_rows())
        listed = ", ".join(f"{CHOICES[choice][0]} {100 * share:.0f} %" for choice, share in shares.items())
        said.append(
            f"**One choice made for good.** Shares of the variance of a over choices: {listed}; together, beyond each "
            f"alone, {100 * max(0.0, 1.0 - sum(shares.values())):.0f} %."
        )
    out = table.filter(~pl.col("kept")).group_by("form", maintain_order=True).len()
    if len(out):
        counts = ", ".join(f"{count} of `{form}`" for form, count in out.iter_rows())
        why = "not converged, or a median miss beyond 1.5 times the best form's"
        said.append(f"**Fits that do not count.** {counts}: {why}.")
    if one_seed:
        said.append(
            "**Noise.** There is one seed for each point, so how far a second training would land is not known; the "
            "resampling intervals take the scatter around the law for it."
        )
    said += [f"**Not determined.** {name}: {how}." for name, how in base.undetermined.items()]
    said += [f"**These runs.** {capitalised(note)}." for note in base.notes]
    return (
        *said,
        "**Trainings are no choices of analysis.** Tokens, text, rate, schedule and warm-up are the same in every row "
        "here; other sweeps have other exponents.",
    )


def most(flags: pl.Series) -> bool:
    """Whether more than half of them are true."""
    return 2 * int(flags.sum()) > len(flags)
