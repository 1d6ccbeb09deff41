"""Memorised or generalised: what models store of their data bit by bit, and whether their skill outgrows it."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from scaling.fitting.data import framed
from scaling.questions._memory import words
from scaling.questions._memory.cells import (
    CELL,
    capacities,
    check_chance,
    explained,
    means,
    rises,
    with_memory,
)
from scaling.questions._memory.words import (
    ANSWERS,
    BEFORE,
    CANNOT,
    ENOUGH,
    KNOWN,
    LEAST,
    MEMORY,
    RISES,
    STALLS,
)
from scaling.questions.phrases import models
from scaling.questions.seeds import mean_of, share_of, slope_of
from scaling.verdict import Estimate, Reach, Verdict, check_level, flops_of, hash_of, more_seeds

QUESTION = "Memorised or generalised: does skill go on rising after memory is full?"


@framed("runs", "measurements")
def memory(
    runs: pl.DataFrame,
    measurements: pl.DataFrame,
    *,
    skill: str,
    chance: float,
    level: float = 0.9,
    seed: int = 0,
) -> Verdict:
    """Bits that models of several sizes memorise of data of known entropy, beside their skill on fresh documents.

    A document's memorised bits are what it costs the true generator above what it costs the model. Where a model
    memorises at most 0.7 of the bits on offer its memory is full; capacity is the most that a size which fills up
    holds. The rise of skill is that of right answers on documents never seen, from the least data that fill memory to
    the most, over sizes and seeds. Memory explains (seen - fresh) / (seen - chance) of the answers; where
    perturbed_exact was measured, the same against documents seen of which one word and so the answer was changed.

    The answer is "skill rises past full memory" where the rise's interval is above 0, "skill stalls at full memory"
    where it is below 10 points, "skill came before memory was full" where 95 % were right by then, "memory without the
    rule" where the answers are never 5 points above chance, and else "cannot tell".

    Args:
        runs: of a study, with the columns run_id, params_total, unique_tokens, D, seed, and C or N.
        measurements: of the probes memorised, seen_exact, answer_exact and answer_loss, as from `open_measurements`.
        skill: the domain that has a rule; all others count as what can only be memorised.
        chance: share of its answers that a guess gets right.
        level: of the intervals.
        seed: stands in the verdict; nothing is drawn.

    Raises:
        MissingColumns: a column is not there.
        NotMeasured: a probe was not asked for, or the domain has no answers.
        BadOption: level or chance is not between 0 and 1.

    Source:
        Morris et al. 2025, arXiv:2505.24832, section 2, for memorised bits with the true generator as reference.
    """
    check_level(level)
    check_chance(chance)
    table = with_memory(runs, measurements, skill)
    cells = means(table, chance)
    full, risen = capacities(cells), rises(table, cells)
    known = len(full) >= 2 and risen["params_total"].n_unique() >= 2 and risen["seed"].n_unique() >= 2
    numbers: dict[str, Estimate] = {}
    answer, said = CANNOT, words.cannot(_missing(full, risen))
    doubts: tuple[str, ...] = ()
    if known:
        at_capacity = table.join(full.select(CELL), on=CELL)
        each = at_capacity.with_columns(bits=pl.col("memorised") / pl.col("params_total"))
        capacity = mean_of(each, "bits", level, "bits per parameter")
        slope = slope_of(full["params_total"], full["bits"], level)
        rise = mean_of(risen, "rise", level, "points", 100)
        first, last = (share_of(risen, name, level) for name in ("first", "last"))
        numbers = {
            "memorised at capacity": capacity,
            "slope of capacity against parameters, log-log": slope,
            "rise of right answers to fresh documents past full memory": rise,
        }
        numbers |= _explained(table, chance, level)
        answer = _answer(rise, first.value / 100, last.high / 100 - chance)
        sizes = risen["params_total"].to_numpy()
        rests = models(float(sizes.min()), float(sizes.max()), risen["seed"].n_unique())
        said = words.sentence(answer, capacity, rise, first, last, chance, rests)
        doubts = words.doubts(full, slope, skill)
    asked, flops = _asked(runs, table, full, risen)
    return Verdict(
        question=QUESTION,
        topic="memory",
        answers=ANSWERS,
        answer=answer,
        sentence=said,
        numbers=numbers,
        evidence={"cells": cells, "capacity": full, "rises": risen},
        would_change=doubts,
        next_runs=(words.next_runs(table),) if answer != CANNOT else asked,
        next_flops=flops,
        identifiable=answer != CANNOT,
        reach=Reach.of(runs),
        data_hash=hash_of(table, skill, chance),
        seed=seed,
    )


def _answer(rise: Estimate, first: float, above_chance: float) -> str:
    """One of the five, from the rise in points, the share right at full memory, and how far above chance it gets."""
    if first >= KNOWN:
        return BEFORE
    if above_chance < ENOUGH:
        return MEMORY
    if rise.low > 0:
        return RISES
    return STALLS if rise.high < LEAST else CANNOT


def _asked(
    runs: pl.DataFrame, table: pl.DataFrame, full: pl.DataFrame, risen: pl.DataFrame
) -> tuple[tuple[str, ...], float | None]:
    """The runs that would tell where these cannot, and their FLOPs."""
    spent = flops_of(runs).to_numpy()
    if len(full) < 2 or risen["params_total"].n_unique() < 2:
        asked, times = words.more_data(runs, filled=len(full) >= 2), words.MORE
        return (asked,), times * float(spent.sum())
    sizes, seeds = (
        risen.group_by(one).agg(pl.col("rise").mean())["rise"].to_numpy() for one in ("params_total", "seed")
    )
    if len(seeds) > 1 and sizes.var() > seeds.var():  # more seeds would not make sizes alike
        asked, times = words.next_runs(table), words.LARGER * len(seeds)
        return (asked,), times * float(spent.max())
    asked, flops = more_seeds(runs)
    return (asked,), flops


def _missing(full: pl.DataFrame, risen: pl.DataFrame) -> str:
    """Why there is no answer, in a sentence."""
    if len(full) < 2:
        return f"memory was full at {len(full)} sizes, and it takes two to compare"
    if risen["params_total"].n_unique() < 2:
        return "at most one size was trained on more data after its memory was full"
    return "every cell has one seed, so that nothing says how far seeds differ"


def _explained(table: pl.DataFrame, chance: float, level: float) -> dict[str, Estimate]:
    """Percent of the answers that memory explains, with the least and with the most data of each size."""
    numbers = {}
    for other, against in (("fresh", ""), ("changed", ", against changed ones")):
        if other not in table.columns:
            continue
        shares = table.with_columns(share=explained(chance, other)).drop_nulls("share")
        for end, pick in (("least", pl.col("unique_tokens").min()), ("most", pl.col("unique_tokens").max())):
            rows = shares.filter(pl.col("unique_tokens") == pick.over("params_total"))
            if len(rows) and math.isfinite(float(np.sum(rows["share"].to_numpy()))):
                said = f"answers that memory explains, {end} data{against}"
                numbers[said] = mean_of(rows, "share", level, "%", 100)
    return numbers
