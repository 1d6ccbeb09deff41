"""What does more compute buy, and what is a repeated token worth?"""

from __future__ import annotations

import math

import polars as pl

from scaling.design.allocation import Allocation, allocate
from scaling.errors import require_kind
from scaling.fitting import Comparison, Fit
from scaling.fitting.data import framed
from scaling.fitting.result import require_fit
from scaling.questions._decade import words
from scaling.questions._decade.words import CANNOT_TELL, FALLS
from scaling.questions._repetition.cells import rises, seed_spread
from scaling.questions._repetition.words import rise
from scaling.show import named_ends
from scaling.verdict import Estimate, Prose, Reach, Verdict

_COMPARED = "what scaling.compare returned"
QUESTION = "How does loss fall with compute, and what is a repeated token worth?"


@framed("runs")
def next_decade(
    fitted: Fit, compared: Comparison, runs: pl.DataFrame, *, factor: float = 10.0, level: float = 0.8
) -> Verdict:
    """What so many times the compute of the largest run would buy, and how far to believe it.

    The answer is "falls" where the predicted fall is larger than the law's miss on runs that it had not seen, else
    "cannot tell".

    Args:
        fitted: the law that predicts, to all runs; one that reads unique_tokens also says what a repeat is worth. With
            fewer than 20 bootstrap draws the verdict has no intervals, and says so.
        compared: laws side by side on runs without repeats.
        runs: what was fitted.
        factor: how many times the compute of the largest run.
        level: of the intervals.
    """
    require_fit(fitted)
    require_kind("compared", compared, Comparison, _COMPARED)
    reach = Reach.of(runs)
    budgets = _budgets(allocate(fitted, runs, [reach.compute, factor * reach.compute], level=level))
    now, then = (Estimate.of_row(row, "loss", level, "nats/token") for row in budgets.iter_rows(named=True))
    ahead = budgets.row(1, named=True)
    N, D = (Estimate.of_row(ahead, *of) for of in (("N", level, "parameters"), ("D", level, "tokens")))
    fall = 100 * (1 - then.value / now.value)
    missed = float(compared.row(compared.ranking[0])["held_out_percent"])
    numbers = {
        "loss at the compute of the largest run": now,
        f"loss at {factor:g} times that": then,
        "parameters for it": N,
        "tokens for it": D,
    }
    identifiable = fall > missed
    bought = words.falls(factor, now.value, then, N, D)
    sentence = bought if identifiable else words.unsure(factor, fall, missed)
    if "R_D" in fitted.free:
        fade = fitted.derived(lambda R_D: R_D, level=level)
        repeats = Estimate(float(fade.median), float(fade.low), float(fade.high), level, "repeats")
        numbers["repeats until a token is worth 1/e"] = repeats
        sentence += " " + words.fade(repeats)
    if math.isnan(then.low):
        sentence += " " + words.NO_DRAWS
    return Verdict(
        question=QUESTION,
        topic="decade",
        answers=(FALLS, CANNOT_TELL),
        answer=FALLS if identifiable else CANNOT_TELL,
        sentence=sentence,
        numbers=numbers,
        evidence={"laws": compared.table, "budgets": budgets},
        would_change=tuple(_doubts(compared, runs, factor * reach.compute, level)),
        next_runs=(words.next_run(N.value, D.value, factor * reach.compute),),
        identifiable=identifiable,
        reach=reach,
        data_hash=fitted.data_hash,
        seed=int(fitted.settings.get("seed", 0)),
    )


def _budgets(ahead: Allocation) -> pl.DataFrame:
    """C, and N, D and loss of the best model for it, each with its interval."""
    columns = {"C": ahead.C}
    for name in ("N", "D", "loss"):
        number = getattr(ahead, name)
        columns |= named_ends(name, (number.median, number.low, number.high))
    return pl.DataFrame(columns)


def _doubts(compared: Comparison, runs: pl.DataFrame, C: float, level: float) -> list[str]:
    """What would have to be seen for another answer, in Markdown."""
    missed = dict(compared.table.select("law", "held_out_percent").iter_rows())
    others = [
        (name, float(allocate(other, runs, C, level=level).loss.median[0]), missed[name])
        for name, other in compared.fits.items()
        if name != compared.ranking[0] and {"N", "D"} <= set(other.ranges)
    ]
    doubts = [words.other_laws(others, compared.sentence)] if others else []
    good = (compared.fits[name] for name, miss in missed.items() if miss < 1.5 * min(missed.values()))
    floors = {one.name: one.intervals()["E"] for one in good if "E" in one.free and one.drawn}
    if floors:
        doubts.append(words.floor(floors))
    if "peak_lr" in runs.columns:
        doubts.append(words.tuning(runs["peak_lr"].unique().sort()))
    return doubts + [words.harm(rise(row)) for row in rises(runs).iter_rows(named=True)]


@framed("runs")
def misses(compared: Comparison, runs: pl.DataFrame) -> Prose:
    """In words: how far the best law and the additive one miss runs they saw and did not see, and what that decides."""
    require_kind("compared", compared, Comparison, _COMPARED)
    rows = {law: compared.row(law) for law in compared.ranking}
    q = compared.fits["power_mean"].params["q"] if "power_mean" in compared.fits else 1.0
    return Prose(f"{words.misses(rows, seed_spread(runs), q)} {compared.sentence}")
