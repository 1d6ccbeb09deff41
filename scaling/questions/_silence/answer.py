"""Is silence evidence of a plateau? Months without a better model, weighed against how long releases take anyway."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from scaling.arguments import checked, number
from scaling.errors import BadOption
from scaling.questions._silence import words
from scaling.questions._silence.nulls import NULLS, NegativeMonths, Null
from scaling.questions._silence.words import DISAGREE, LITTLE, PLATEAU
from scaling.verdict import Estimate, Verdict, check_level, check_prior, hash_of, posterior_odds

QUESTION = "Is silence evidence of a plateau?"

ENOUGH = 3.0
"""Bayes factor from which evidence is more than a bare mention: Jeffreys 1961, appendix B (10^0.5, rounded)."""
_LATEST = 1200.0
"""Months until which a table of every month is made."""


@checked
def silence(
    months: float,
    nulls: Sequence[Null] = NULLS,
    *,
    prior: tuple[float, float] = (0.05, 0.3),
    level: float = 0.8,
    until: float = 48.0,
) -> Verdict:
    """How much so many months without a better model speak for a plateau, under every null.

        BF(t) = P(silence to t | plateau) / P(silence to t | no plateau) = 1 / S_null(t)

    A plateau is taken to be silent for certain, which favours it: the factors are upper bounds. The answer is "silence
    says little" where every factor is below 3, "silence speaks for a plateau" where none is, else "the nulls disagree".

    Args:
        months: since the last record model.
        nulls: how long releases take anyway, one or more.
        prior: lowest and highest probability of a plateau before the silence; its ends carry the band of the odds.
        level: of the intervals.
        until: last month of the evidence table, which has a row per null and month.

    Raises:
        NegativeMonths: months below zero, or not finite.
        BadOption: no nulls, or a prior that is not two ascending probabilities.
    """
    check_level(level)
    if not 0 <= number("months", months) < math.inf:
        raise NegativeMonths("a silence", months)
    if not len(nulls) or not all(isinstance(null, Null) for null in nulls):
        raise BadOption("nulls", list(nulls), "one or more, e.g. Renewal()")
    if not until <= _LATEST:
        raise BadOption("until", until, f"a month, at most {_LATEST:g}")
    check_prior(prior)
    numbers: dict[str, Estimate] = {}
    for null in nulls:
        factor = null.bayes_factor(months, level=level)
        numbers[f"Bayes factor, {null.name}"] = factor
        numbers[f"posterior odds, {null.name}"] = posterior_odds(factor.value, prior)
    factors = [numbers[f"Bayes factor, {null.name}"].value for null in nulls]
    spoken = {factor >= ENOUGH for factor in factors}
    answer = DISAGREE if len(spoken) > 1 else PLATEAU if True in spoken else LITTLE
    return Verdict(
        question=QUESTION,
        topic="silence",
        answers=(LITTLE, PLATEAU, DISAGREE),
        answer=answer,
        sentence=words.sentence(answer, months, factors, prior, ENOUGH),
        numbers=numbers,
        evidence={
            "nulls": _by_month(nulls, max(until, months), prior),
            "silence": pl.DataFrame({"months": [float(months)]}),
        },
        would_change=words.doubts(ENOUGH),
        next_runs=(words.agreed(_agree(nulls, level, months)),) if answer == DISAGREE else (),
        identifiable=answer != DISAGREE,
        data_hash=hash_of((months, tuple(nulls), prior)),
    )


def _agree(nulls: Sequence[Null], level: float, months: float) -> int | None:
    """Months of silence after which all nulls speak for a plateau; None where they still disagree after ten years."""
    for month in range(math.ceil(months) + 1, 121):
        if all(null.bayes_factor(month, level=level).value >= ENOUGH for null in nulls):
            return month
    return None


def _by_month(nulls: Sequence[Null], until: float, prior: tuple[float, float]) -> pl.DataFrame:
    """Survival, factor and odds of every null at each month."""
    months = np.arange(0.0, until + 1e-9)
    low, high = (p / (1 - p) for p in prior)
    alive = pl.col("survival")
    named = (
        pl.DataFrame({"null": [null.name] * len(months), "months": months, "survival": null.survival(months)})
        for null in nulls
    )
    return pl.concat(named).with_columns(bayes_factor=1 / alive, odds_low=low / alive, odds_high=high / alive)
