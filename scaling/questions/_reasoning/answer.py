"""Does what was read before, such as code, help to learn a skill?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import polars as pl

from scaling.errors import BadOption
from scaling.fitting.data import framed
from scaling.questions._reasoning import words
from scaling.questions._reasoning.cells import (
    Arms,
    Gain,
    arms,
    decays,
    gains,
    halfway,
    learners,
    to_criterion,
    twice,
)
from scaling.questions._reasoning.words import ANSWERS, CANNOT, HELPS, HURTS, NONE, WHEN, WORDS
from scaling.questions.measured import sign_of, unit_of
from scaling.questions.phrases import gain_of, models, named
from scaling.questions.seeds import student
from scaling.verdict import Estimate, Reach, Verdict, check_level, hash_of, more_seeds


@framed("runs", "measurements")
def reasoning(
    runs: pl.DataFrame,
    measurements: pl.DataFrame | None = None,
    *,
    target: str = "english",
    source: str = "code",
    placebos: Mapping[str, str] | None = None,
    measure: str = "answer_loss",
    higher_is_better: bool | None = None,
    criterion: float | None = None,
    when: str = "first",
    level: float = 0.95,
    seed: int = 0,
) -> Verdict:
    """Whether models that had read a source first learn a target sooner than models that had read the same without it.

    Both read as many tokens before, and go on to the same tokens of the target. What is compared is the mean of the
    measure over all budgets of the target, the area under the learning curve in the logarithm of tokens, paired over
    seeds, on the mean over sizes:

        "helps", "hurts"             the gain over models without the source is beyond chance, and for "helps" also
                                     that over each placebo
        "its words explain it"       the gain is beyond chance, and that over a placebo is not
        "no effect at these sizes"   the gain is not, and its interval is narrower than what twice the target gains
        "cannot tell"                it is not, and the interval is wider, or too few seeds have every arm

    The placebos are asked only where the first gain is beyond chance, and must all agree. In such a fixed sequence
    each is tested at the whole level, and the chance of any false claim is still 1 - level; intervals of single sizes
    hold for all of them at once (max-T).

    Which comes first is a question of the same form: `target="prose"` and models whose parents read code alone. So is
    what is read while the rate falls, `when="decay"`: models go on from a constant rate to the target and the source,
    to the target and a placebo, or to as many tokens of the target alone, which are then what is paired. "more TARGET",
    as many tokens in all of the target alone, stands beside them and decides nothing.

    Args:
        runs: rows with run_id, parent_run, N, D, seed and blend; those on the target alone are compared, by what their
            parents had read, all tokens of these alike.
        measurements: of the same runs, where `measure` is a probe.
        target: domain that is learned.
        source: domain that was read first.
        placebos: of each domain that has the words of a source without their order, that source; of a study's text
            `study.corpus.placebo_of`.
        measure: "loss", or a probe such as "answer_loss".
        higher_is_better: of what is measured; None is as the probe has it.
        criterion: value to which tokens are counted; None is halfway down the mean curve of models without the source.
        when: "first", before the target, or in the "decay" of models that go on from others.
        level: of all intervals.
        seed: of draws.

    Raises:
        MissingColumns: a column is not there.
        NoValues: `measure` was not measured.
        NoSuchReading: no run on the target had read the source, or none the same without it.
        BadOption: the level is no share, or there is no such `when`.

    Source:
        Maurer, Hothorn and Lehmacher 1995, "Multiple comparisons in drug clinical trials and preclinical assays:
        a-priori ordered hypotheses", for the sequence; Berger 1982, Technometrics 24(4), for placebos that all agree.
    """
    check_level(level)
    if when not in WHEN:
        raise BadOption("when", when, " or ".join(map(repr, WHEN)))
    sign = sign_of(measure, higher_is_better)
    frame = (decays if when == "decay" else learners)(runs, measurements, target, measure, sign)
    compared = arms(frame, target, source, placebos or {})
    every, unit = gains(frame, compared, level, seed), unit_of(measurements, measure)
    pooled = [one for one in every if math.isinf(one.N)]
    doubled = twice(frame, compared.without)
    known = any(one.over == compared.without for one in pooled)
    answer = _answer(pooled, compared, doubled) if known else CANNOT
    bar = halfway(frame, compared.without) if criterion is None else sign * criterion
    tokens = to_criterion(frame, bar)
    ratio = _ratio(tokens, compared, level) if when == "first" else None
    over = {one.over: gain_of(one.mean, one.low, one.high, level, unit) for one in pooled}
    numbers = {f"gain over {named(name)}": gain for name, gain in over.items()}
    if ratio is not None:
        numbers[f"tokens to criterion, over those after {named(compared.without)}"] = ratio
    of_arms = tokens.filter(pl.col("read").is_in([compared.with_source, compared.without]))
    reached = float(of_arms["reached"].to_numpy().mean()) if len(of_arms) else 0.0
    cells = pl.DataFrame([asdict(one) for one in every])
    curves = frame.group_by("N", "read", "D").agg(
        pl.col("value").mean() * sign, stderr=pl.col("value").std() / pl.len().sqrt(), seeds=pl.len()
    )
    smallest, largest = (float(end(frame["N"].to_numpy())) for end in (np.min, np.max))
    rests = f"the mean over learning curves of {models(smallest, largest, max((g.seeds for g in pooled), default=0))}"
    seeds, flops = more_seeds(runs)
    return Verdict(
        question=f"Does {WHEN[when].format(named(source))} help to learn {named(target)}?",
        topic="reasoning",
        answers=ANSWERS,
        answer=answer,
        sentence=words.sentence(answer, source, target, compared, over, rests, when)
        if known
        else words.cannot(source, target, "fewer than two seeds have both at any size", when),
        numbers=numbers,
        evidence={"gains": cells, "curves": curves.sort("N", "read", "D"), "to_criterion": tokens},
        would_change=words.doubts(pooled, doubled, compared.placebos, reached, ratio, unit) if known else (),
        next_runs=(seeds if answer == CANNOT else words.next_runs(largest),),
        next_flops=flops,
        identifiable=answer != CANNOT,
        reach=Reach.of(runs),
        data_hash=hash_of(frame, source, placebos or {}, measure),
        seed=seed,
    )


def _answer(pooled: list[Gain], compared: Arms, doubled: float) -> str:
    gain = next(one for one in pooled if one.over == compared.without)
    beyond = [one for one in pooled if one.over in compared.placebos]
    if gain.high < 0:
        return HURTS
    if gain.low > 0:
        return HELPS if all(one.low > 0 for one in beyond) else WORDS
    return NONE if gain.high - gain.low < doubled else CANNOT


def _ratio(tokens: pl.DataFrame, compared: Arms, level: float) -> Estimate | None:
    """Tokens to criterion with the source over those without, its interval over seeds; None with fewer than two."""
    pair = [
        tokens.filter(read=name).group_by("seed").agg(pl.col("tokens").log().mean().alias(column))
        for name, column in ((compared.with_source, "mine"), (compared.without, "other"))
    ]
    both = pair[0].join(pair[1], on="seed")
    if len(both) < 2:
        return None
    apart = (both["mine"] - both["other"]).to_numpy()
    half = student(level, len(apart)) * float(apart.std(ddof=1)) / math.sqrt(len(apart))
    mean = float(apart.mean())
    low, middle, high = (float(np.exp(end)) for end in (mean - half, mean, mean + half))
    return Estimate(middle, low, high, level, "times")
