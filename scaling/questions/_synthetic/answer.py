"""Does text by models collapse what reads it, and what is such text worth in real text?"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import polars as pl
from scipy.special import ndtri

from scaling.errors import BadOption
from scaling.fitting.data import framed
from scaling.questions._synthetic import words
from scaling.questions._synthetic.cells import ARMS, REAL, Gain, Value, base_of, gains, generations, values
from scaling.questions._synthetic.words import ANSWERS, CANNOT, COLLAPSES, IMPROVES, STAYS
from scaling.questions._wall.inputs import Input, Intervention
from scaling.questions.measured import sign_of, unit_of
from scaling.questions.phrases import gain_of, models
from scaling.show import named_ends
from scaling.verdict import Estimate, Reach, Verdict, check_level, hash_of, more_seeds

QUESTION = "Does text by models collapse those that read it, and what is it worth?"
_DRAWS = 200
"""Equally likely values that stand for a measured factor in a forecast."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Synthetic(Verdict):
    """What becomes of models that read what models wrote."""

    values: tuple[Value, ...]
    """What each arm's text is worth, at every size and on their mean."""

    def interventions(self, date: str) -> dict[str, Intervention]:
        """What this text would do to the stock, for `questions.wall`: one for each arm whose worth is known.

            with_text = inputs.plus(synthetic(runs).interventions("2026-11"))

        The input "synthetic" is then the real text that does as well as real and written text together, over the real
        text, as measured at these sizes.

        Args:
            date: of the runs, as scenarios have it: "2026-11".
        """
        shares = [(i + 0.5) / _DRAWS for i in range(_DRAWS)]
        made = {}
        for one in self.values:
            if math.isfinite(one.N):
                continue
            drawn = tuple(one.factor[0] * math.exp(one.log_stderr * float(ndtri(s))) for s in shares)
            source = f"measured on {self.reach}" + (", a lower bound" if one.beyond > 0 else "")
            made[f"text by models, {one.arm}"] = Intervention(
                "synthetic", Input(distribution="draws", unit="times", source=source, date=date, values=drawn)
            )
        return made


@framed("runs", "measurements")
def synthetic(
    runs: pl.DataFrame,
    measurements: pl.DataFrame | None = None,
    *,
    arm: str | None = None,
    measure: str = "loss",
    higher_is_better: bool | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Synthetic:
    """What becomes of models that read what models wrote, generation after generation, and what such text is worth.

    A gain is how much lower the value of an arm is than that of models of the same size and seed on the real text that
    its line began with, for as many tokens. The answer is about the last generation, on the mean over sizes; intervals
    hold for all arms at once (max-T):

        "collapses", "improves"   the gain is below or above 0 beyond chance
        "stays"                   it is not, and its interval is narrower than what twice the real text gains
        "cannot tell"             it is not, and the interval is wider, or too few seeds have every arm

    A written token is worth as many real ones as would have brought the same value,

        (U(L) - real text that is still read) / written tokens

    with U(L) read off models trained for as many tokens on other amounts of real text.

    Args:
        runs: of a study like runs/synthetic, with N, D, seed, unique_tokens, blend, parent_run, generation, generated.
        measurements: of the same runs, where `measure` is a probe; with the probe "written" the evidence says what
            share of each generation's own pages is whole, right and different.
        arm: that is asked about: "replace", "accumulate" or "verified"; None is the last of these that there is.
        measure: "loss", or a probe such as "answer_exact".
        higher_is_better: of what is measured; None is as the probe has it.
        level: of all intervals.
        seed: of draws.

    Raises:
        MissingColumns: a column is not there.
        NoValues: `measure` was not measured.
        NoGenerations: no run reads pages of models, or not all lines begin with the same amount of real text.
        BadOption: the level is no share, or no run is of that arm.

    Source:
        Shumailov et al. 2024, Nature 631, 755, for replaced text; Gerstgrasser et al. 2024, arXiv:2404.01413, for
        accumulated.
    """
    check_level(level)
    frame = generations(runs, measurements, measure, sign_of(measure, higher_is_better))
    there = [one for one in ARMS if one in frame["arm"].unique()]
    if arm is not None and arm not in there:
        raise BadOption("arm", arm, " or ".join(map(repr, there)))
    pooled, each, verifier, detectable = gains(frame, level, seed)
    last = int(frame["generation"].to_numpy().max())
    ends = {one.arm: one for one in pooled if one.generation == last}
    asked = arm or there[-1]
    unit, worths = unit_of(measurements, measure), values(frame, level, seed)
    doubled = _twice(frame)
    answers = {name: _answer(one, doubled) for name, one in ends.items()}
    known = asked in ends
    told, (seeds, flops) = known and answers[asked] != CANNOT, more_seeds(runs)
    base, N = base_of(frame), frame["N"].to_numpy()
    smallest, largest = float(N.min()), float(N.max())
    gained = {name: gain_of(one.mean, one.low, one.high, level, unit) for name, one in ends.items()}
    numbers = {f"gain after {last} generations, {name}": gain for name, gain in gained.items()}
    for one in worths:
        if math.isinf(one.N):
            worth = Estimate(*one.worth, level, "", one.beyond)
            numbers[f"real tokens that a written one is worth, {one.arm}"] = worth
            numbers[f"text with it over real text, {one.arm}"] = Estimate(*one.factor, level, "times")
    return Synthetic(
        question=QUESTION,
        topic="synthetic",
        answers=ANSWERS,
        answer=answers[asked] if known else CANNOT,
        sentence=words.sentence(asked, answers, gained, last, models(smallest, largest, ends[asked].seeds))
        if known
        else words.cannot("fewer than two seeds have its last generation at every size"),
        numbers=numbers,
        evidence=_evidence(frame, pooled, each, worths, measurements, runs),
        would_change=words.doubts(verifier, worths, detectable, unit, level) if known else (),
        next_runs=(words.next_runs(largest, base) if told else seeds,),
        next_flops=flops,
        identifiable=told,
        reach=Reach.of(runs),
        data_hash=hash_of(frame, measure),
        seed=seed,
        values=tuple(worths),
    )


def _answer(gain: Gain, doubled: float) -> str:
    if gain.high < 0:
        return COLLAPSES
    if gain.low > 0:
        return IMPROVES
    return STAYS if 2 * gain.half < doubled else CANNOT


def _twice(frame: pl.DataFrame) -> float:
    """What the next larger amount of real text gains for each doubling, over sizes; 0 where there is none."""
    base = base_of(frame)
    real = frame.filter(arm=REAL).group_by("N", "unique").agg(pl.col("value").mean()).sort("N", "unique")
    more = real.filter(pl.col("unique") > base)["unique"]
    if more.is_empty():
        return 0.0
    larger = float(more.to_numpy().min())
    means = [float(real.filter(unique=u)["value"].to_numpy().mean()) for u in (base, larger)]
    return (means[0] - means[1]) / math.log2(larger / base)


def _evidence(
    frame: pl.DataFrame,
    pooled: list[Gain],
    each: list[Gain],
    worths: list[Value],
    measurements: pl.DataFrame | None,
    runs: pl.DataFrame,
) -> dict[str, pl.DataFrame]:
    def table(of: list[Gain]) -> pl.DataFrame:
        rows = [asdict(one) | {"low": one.low, "high": one.high} for one in of]
        return pl.DataFrame(rows).drop("half") if rows else pl.DataFrame()

    flat = [
        {"arm": one.arm, "N": one.N, "beyond": one.beyond}
        | named_ends("worth", one.worth)
        | named_ends("factor", one.factor)
        for one in worths
    ]
    mean = pl.col("value").mean()
    real = frame.filter(arm=REAL).group_by("N", "unique").agg(mean, seeds=pl.len()).sort("N", "unique")
    made = {
        "generations": table(pooled).drop("N", strict=False),
        "cells": table(each),
        "worth": pl.DataFrame(flat),
        "real": real,
    }
    if measurements is not None and "written" in measurements["probe"].unique():
        about = runs.select(
            "run_id",
            "N",
            arm=pl.col("generated").fill_null(REAL),
            generation=pl.col("generation").fill_null(0),
        )
        pages = measurements.filter(probe="written").join(about, on="run_id")
        what = pl.col("group").str.split(" ").list.last()
        made["written"] = (
            pages.group_by("arm", "generation", what=what)
            .agg(share=mean, runs=pl.col("run_id").n_unique())
            .sort("arm", "generation", "what")
        )
    return made
