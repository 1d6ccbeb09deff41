"""Has the loss come to a plateau, or does the power law go on? With the rate at which the answer would be wrong."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from scaling.errors import BadOption
from scaling.fitting.data import Table, as_frame
from scaling.questions._plateau import words
from scaling.questions._plateau.case import (
    ALARMS,
    BEYOND,
    DRAWS,
    ONSETS,
    SEEDS,
    Case,
    case_of,
    further,
    rival_curves,
    rival_table,
)
from scaling.questions._plateau.frontier import Frontier, frontier
from scaling.questions._plateau.metrics import metrics
from scaling.questions._plateau.rivals import Jury, measured, rivals, together
from scaling.questions._plateau.words import CONTINUES, FLAT, SLOWS, UNDECIDED
from scaling.questions._plateau.worlds import Simulator
from scaling.units import power_of_ten
from scaling.verdict import Estimate, Reach, Verdict, check_level, check_prior, posterior_odds

QUESTION = "Has the loss come to a plateau, or does the power law go on?"

ANSWERS = (CONTINUES, SLOWS, FLAT, UNDECIDED)

SHORTEST = 2.0
"""Decades of compute below which nothing is said of a plateau."""

FEW_MISSES = 0.2
"""Share of missed plateaus below which a next run is enough."""


def plateau(
    runs: Table,
    *,
    level: float = 0.8,
    worlds: int = 500,
    seed: int = 0,
    prior: tuple[float, float] = (0.05, 0.5),
    target: str = "loss",
    entropy: float | None = None,
) -> Verdict:
    """Whether the power law continues, slows down or has gone flat; or that these runs cannot tell.

    The runs become one curve of loss against compute (`frontier`). Rival forms of it, declared before looking
    (`rivals`), are scored by how well they predict the next points from those so far:

        T = ln p(later points | first third, flat) - ln p(later points | first third, any other rival)

    The threshold of T is the largest 95 % quantile over several kinds of worlds without a plateau, simulated at the
    same points with the same noise (`worlds`); three kinds in five follow laws that no rival has. Other worlds, not
    used for the threshold, give the error rates. "Power law continues" is said only where T is below what 95 % of the
    worlds with a plateau of a decade reach; "not identifiable" between the thresholds, where a plateau over half of the
    range would be missed more often than not, and where a bend lies at the ends of the grid of sizes and budgets.

    Args:
        runs: columns C (or N and D) and `target`; seed, trunk_id, entropy and unique_tokens are used where they are.
        level: of the intervals.
        worlds: simulated of each kind for the thresholds, and again for the error rates.
        seed: of the simulation.
        prior: lowest and highest probability of a plateau before the runs; they carry the band of the odds.
        target: the loss, nats/token.
        entropy: of the text, nats/token; None takes the column `entropy` where there is one.

    Returns:
        A `Verdict` with the tables points, rivals, curves, worlds, next_runs and metrics; points alone over too short
        a range.

    Raises:
        MissingColumns, NonFiniteLoss, BadPredictor, DuplicateRuns, MixedConventions, TooFewScales: these runs are no
            curve; each says why.
        BadOption: an option out of range.
    """
    check_level(level)
    if not (isinstance(worlds, int) and worlds >= 100):
        raise BadOption("worlds", worlds, "100 or more, because a threshold at 5 % rests on them")
    check_prior(prior)
    frame = as_frame(runs)
    curve = frontier(frame, target=target, entropy=entropy)
    design = measured(curve)
    jury = Jury(rivals(curve, float(design.x[-1])), design)
    reach = _reach(frame, curve)
    if curve.decades < SHORTEST:
        return _too_short(curve, jury, reach, level, seed)
    simulator = _simulator(jury, curve)
    streams = [np.random.default_rng([seed, k]) for k in range(4)]
    onsets = sorted({*ONSETS, round(curve.decades / 2, 2)})
    thresholds = simulator.thresholds(design.x[-1] / 10, worlds, streams[0], alarms=ALARMS)
    rates = simulator.rates(thresholds, onsets, worlds, streams[1])
    case = case_of(curve, jury, thresholds, rates, streams[2])
    ahead, told, table = further(simulator, curve, worlds, streams[3]), metrics(curve), rival_table(case)
    return Verdict(
        question=QUESTION,
        topic="plateau",
        answers=ANSWERS,
        answer=case.answer,
        sentence=f"{_sentence(case, level)} {words.errors(*case.alarms, {k: case.missed(k) for k in ONSETS})}",
        numbers=_numbers(case, prior, level),
        evidence={
            "points": _points(curve, jury),
            "rivals": table,
            "curves": rival_curves(case),
            "worlds": rates,
            "next_runs": ahead,
            "metrics": told,
        },
        would_change=_doubts(case, table, told),
        next_runs=_next(ahead),
        identifiable=case.answer != UNDECIDED,
        reach=reach,
        data_hash=curve.data_hash,
        seed=seed,
    )


def _simulator(jury: Jury, curve: Frontier) -> Simulator:
    power = tuple(form for form in jury.forms if form.says == CONTINUES)
    slower = tuple(form for form in jury.forms if form.says == SLOWS and not form.reads_repeats)
    return Simulator(jury, power, slower, jury.design, curve.loss)


def _points(curve: Frontier, jury: Jury) -> pl.DataFrame:
    return curve.table.with_columns(stderr=pl.Series(jury.design.stderr))


def _numbers(case: Case, prior: tuple[float, float], level: float) -> dict[str, Estimate]:
    numbers: dict[str, Estimate] = {}
    if case.answer == FLAT:
        numbers["onset of the plateau"] = Estimate.of(case.places[FLAT], level, "FLOPs")
    last, forms = case.logs[-1:], case.jury.forms
    log_factor = together(forms, last, (FLAT,)) - together(forms, last, (CONTINUES, SLOWS))
    factor = math.exp(min(float(log_factor[0]), 700.0))
    numbers["posterior odds of a plateau"] = posterior_odds(factor, prior)
    numbers["false alarms"] = _wrong(case.rates.filter(pl.col("onset_decades").is_null()), level)
    for decades in sorted({*ONSETS, case.half}):
        name = f"misses of a plateau over {decades:g} decades"
        numbers[name] = _wrong(case.rates.filter(pl.col("onset_decades") == decades), level)
    return numbers


def _wrong(rows: pl.DataFrame, level: float) -> Estimate:
    """Percent of worlds judged wrongly, with the interval of the simulation."""
    wrong = round(float(np.dot(rows["wrong"], rows["worlds"])))
    return Estimate.of_share(wrong, int(rows["worlds"].sum()), level)


def _sentence(case: Case, level: float) -> str:
    curve, largest = case.curve, float(case.curve.C[-1])
    if case.answer in (FLAT, SLOWS):
        turn = Estimate.of(case.places[case.answer], level, "FLOPs")
        decades = math.log10(largest / turn.value)
        if case.answer == FLAT:
            return words.flat(turn, decades, entropy=curve.floor is not None)
        return words.slower(turn, decades)
    if case.answer == CONTINUES:
        return words.continues(curve.decades, largest)
    if case.outside:
        why = words.at_the_ends(case.scored, BEYOND, int(curve.table["edge"].sum()), len(curve.loss))
    elif case.blind:
        why = words.blind(case.half)
    else:
        why = words.between_thresholds(case.flat, case.thresholds.unbent, case.thresholds.flat)
    return words.undecided(curve.decades, largest, why)


def _doubts(case: Case, table: pl.DataFrame, told: pl.DataFrame) -> tuple[str, ...]:
    curve, thresholds = case.curve, case.thresholds
    said = [
        words.score(case.flat, thresholds.flat, thresholds.unbent, ALARMS),
        words.noise(100 * float(np.mean(case.jury.design.stderr / curve.loss)), curve.freedom),
    ]
    if curve.floor is None:
        said.append(words.NO_ENTROPY)
    if not curve.repeated:
        said.append(words.NOTHING_REPEATED)
    elif table.filter(says=SLOWS)["name"][0] == "data-limited":
        said.append(words.DATA_LIMITED)
    if not curve.path:
        said.append(words.grid(curve.given, len(curve.loss), curve.cut, int(curve.table["edge"].sum())))
    return (*said, words.metrics(told.select("name", "says").iter_rows()))


def _next(ahead: pl.DataFrame) -> tuple[str, ...]:
    """The cheapest that misses few, or else the one that misses least."""
    enough = ahead.filter(pl.col("wrong") <= FEW_MISSES)
    row = (enough if len(enough) else ahead.sort("wrong")).row(0, named=True)
    return (words.next_run(SEEDS, row["C"], row["name"], row["wrong"], FEW_MISSES),)


def _reach(frame: pl.DataFrame, curve: Frontier) -> Reach | None:
    if not {"params_total", "N"} & set(frame.columns):
        return None
    return Reach.of(frame if "C" in frame.columns else frame.with_columns(C=pl.lit(float(curve.C[-1]))))


def _too_short(curve: Frontier, jury: Jury, reach: Reach | None, level: float, seed: int) -> Verdict:
    """The verdict on a range too short for one, with what it does tell: how fast the loss falls within it."""
    judge = max(jury.scored(len(curve.loss)), key=lambda one: float(one.log_evidence(curve.loss[None])[0]))
    ends = judge.curves(*judge.draw(curve.loss, DRAWS, np.random.default_rng(seed)), jury.design)[:, [0, -1]]
    fall = Estimate.of(100 * (1 - np.exp(np.log(ends[:, 1] / ends[:, 0]) / curve.decades)), level, "%")
    return Verdict(
        question=QUESTION,
        topic="plateau",
        answers=ANSWERS,
        answer=UNDECIDED,
        sentence=words.too_short(curve.decades, SHORTEST, fall),
        numbers={"fall of the loss per decade of compute": fall},
        evidence={"points": _points(curve, jury)},
        would_change=(
            f"**More range.** {SHORTEST:g} decades of compute, and {UNDECIDED} may become another answer.",
        ),
        next_runs=(f"{SEEDS} seeds at {power_of_ten(float(curve.C[0]) * 10**SHORTEST)} FLOPs",),
        identifiable=False,
        reach=reach,
        data_hash=curve.data_hash,
        seed=seed,
    )
