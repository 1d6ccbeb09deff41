"""How fragile a law is, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from scaling.fitting import Fit
from scaling.show import two_digits
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
    "a": ("exponent a of the best N in compute", "in N ∝ C^a", "{:.2f}".format),
    "tokens_per_parameter": ("best tokens per parameter", "tokens per parameter", two_digits),
    "loss_100x": ("loss at 100 times the compute", "nats/token", "{:.2f}".format),
}
"""What each outcome is called, its unit, and how it is told."""


def sentence(
    answer: str, law: str, runs: int, table: pl.DataFrame, moves: pl.DataFrame, moved: Sequence[str],
    chosen: Mapping[str, Estimate], resampled: Mapping[str, Estimate],
) -> str:  # fmt: skip
    """The answer with the outcome that decides it, over choices and resampled runs; which fits count; what moves a."""
    own, kept, outcome = table.filter(form=law), int(table["kept"].sum()), next(iter(moved), "a")
    name, _, form = OUTCOMES[outcome]
    drawn = resampled[outcome].said("", form)
    over = f"{form(chosen[outcome].low)} to {form(chosen[outcome].high)}"
    share = f"{100 * chosen[outcome].level:.3g} % of {kept} ways to fit these {runs} runs"
    said = [f"the {name} is {over} in {share}", f"Resampling the runs it is {drawn}"]
    if answer == CANNOT_TELL and most(own["converged"]):
        said = [f"resampling them leaves the {name} at {drawn}", f"Over choices it is {over} in {share}"]
        said = said if kept else said[:1]
    elif answer == CANNOT_TELL:
        said = [f"fewer than half of the fits of `{law}` converge"]
    missed = "" if most(own["kept"]) or not kept else _missed(law, table)
    if answer == FRAGILE and not moved:
        said = [missed or f"none of {len(table)} ways to fit these {runs} runs counts"]
    elif missed:
        said.append(capitalised(missed))
    said += [
        f"What moves a most is {CHOICES[top['choice']][0]}, with {100 * top['share']:.0f} % of its variance"
        for top in moves.head(1).iter_rows(named=True)
    ]
    return f"**{capitalised(answer)}:** {'. '.join(said)}."


def _missed(law: str, table: pl.DataFrame) -> str:
    """That most fits of the law do not count: its median miss, and that of the form that misses least."""
    joint = table.filter(~pl.col("form").str.starts_with("isoFLOP"))
    middle = joint.group_by("form", maintain_order=True).agg(pl.col("median_percent").median())
    miss = dict(middle.iter_rows())
    best = min(miss, key=lambda form: miss[form])
    fails = f"most fits of `{law}` do not count, as it misses a run by {percent(miss[law])}"
    return f"{fails} where `{best}` misses it by {percent(miss[best])}"


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
