"""Has the loss come to a plateau, or does the power law go on? With the rate at which the answer would be wrong."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from scaling.errors import BadOption
from scaling.fitting.data import Array, Table, as_frame
from scaling.questions._plateau.cases import (
    ALARMS,
    BEYOND,
    DRAWS,
    ONSETS,
    SEEDS,
    Case,
    case_of,
    further,
    rival_table,
)
from scaling.questions._plateau.frontier import Frontier, frontier
from scaling.questions._plateau.metrics import metrics
from scaling.questions._plateau.rivals import (
    CONTINUES,
    FLAT,
    SLOWS,
    Design,
    Jury,
    measured,
    rivals,
    together,
)
from scaling.questions._plateau.worlds import (
    UNDECIDED,
    Simulator,
)
from scaling.units import power_of_ten
from scaling.verdict import Estimate, Reach, Verdict, between, percent

QUESTION = "Has the loss come to a plateau, or does the power law go on?"

ANSWERS = (CONTINUES, SLOWS, FLAT, UNDECIDED)
"""What `plateau` may answer."""

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
        A `Verdict`; its evidence has parts "point", "rival", "world", "next run" and "metric".

    Raises:
        MissingColumns, NonFiniteLoss, BadPredictor, DuplicateRuns, MixedConventions, TooFewScales: these runs are no
            curve; each says why.
        BadOption: an option out of range.
    """
    _check(level, worlds, prior)
    frame = as_frame(runs)
    curve = frontier(frame, target=target, entropy=entropy)
    design = measured(curve)
    jury = Jury(rivals(curve, float(design.x[-1])), design)
    if curve.decades < SHORTEST:
        return _too_short(curve, jury, _reach(frame, curve), level, seed)
    simulator = _simulator(jury, curve)
    streams = [np.random.default_rng([seed, k]) for k in range(4)]
    onsets = sorted({*ONSETS, round(curve.decades / 2, 2)})
    thresholds = simulator.thresholds(design.x[-1] / 10, worlds, streams[0], alarms=ALARMS)
    rates = simulator.rates(thresholds, onsets, worlds, streams[1])
    case = case_of(curve, jury, thresholds, rates, streams[2])
    ahead = further(simulator, curve, worlds, streams[3])
    told = metrics(curve)
    parts = [_points(curve, design), rival_table(case), rates, ahead, told]
    return Verdict(
        question=QUESTION,
        answer=case.answer,
        sentence=_sentence(case, level),
        numbers=_numbers(case, prior, level),
        evidence=pl.concat(parts, how="diagonal_relaxed"),
        would_change=tuple(_doubts(case, told)),
        next_runs=_next(ahead, curve),
        identifiable=case.answer != UNDECIDED,
        reach=_reach(frame, curve),
        data_hash=curve.data_hash,
        seed=seed,
    )


def _check(level: float, worlds: int, prior: tuple[float, float]) -> None:
    if not 0 < level < 1:
        raise BadOption("level", level, "between 0 and 1, e.g. 0.8")
    if not (isinstance(worlds, int) and worlds >= 100):
        raise BadOption("worlds", worlds, "100 or more, because a threshold at 5 % rests on them")
    if not 0 < prior[0] <= prior[1] < 1:
        raise BadOption("prior", prior, "two ascending probabilities between 0 and 1")


def _simulator(jury: Jury, curve: Frontier) -> Simulator:
    power = tuple(form for form in jury.forms if form.says == CONTINUES)
    slower = tuple(form for form in jury.forms if form.says == SLOWS and not form.reads_repeats)
    return Simulator(jury, power, slower, jury.design, curve.loss)


def _points(curve: Frontier, design: Design) -> pl.DataFrame:
    stderr = pl.Series(np.sqrt(np.diag(design.covariance)))
    return curve.table.select(pl.lit("point").alias("part"), pl.all(), stderr.alias("stderr"))


def _numbers(case: Case, prior: tuple[float, float], level: float) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    if case.answer == FLAT:
        found["onset of the plateau"] = _estimate(case.places[FLAT], level, "FLOPs")
    last, forms = case.logs[-1:], case.jury.forms
    log_factor = together(forms, last, (FLAT,)) - together(forms, last, (CONTINUES, SLOWS))
    factor = math.exp(min(float(log_factor[0]), 700.0))
    low, high = (p / (1 - p) for p in prior)
    found["posterior odds of a plateau"] = Estimate(
        factor * math.sqrt(low * high), factor * low, factor * high, 1.0, "to 1"
    )
    none = case.rates.filter(pl.col("onset_decades").is_null())
    found["false alarms"] = _share(none, level)
    for decades in sorted({*ONSETS, case.half}):
        name = f"misses of a plateau over {decades:g} decades"
        found[name] = _share(case.rates.filter(pl.col("onset_decades") == decades), level)
    return found


def _estimate(draws: Array, level: float, unit: str) -> Estimate:
    middle, low, high = np.quantile(draws, [0.5, 0.5 - level / 2, 0.5 + level / 2])
    return Estimate(float(middle), float(low), float(high), level, unit)


def _share(rows: pl.DataFrame, level: float) -> Estimate:
    """Percent of worlds judged wrongly, with the interval of the simulation (Jeffreys)."""
    from scipy.special import betaincinv

    worlds = int(rows["worlds"].sum())
    wrong = round(float(np.dot(rows["wrong"], rows["worlds"])))
    low, high = betaincinv(wrong + 0.5, worlds - wrong + 0.5, [0.5 - level / 2, 0.5 + level / 2])
    return Estimate(100 * wrong / worlds, 100 * float(low), 100 * float(high), level, "%")


def _sentence(case: Case, level: float) -> str:
    curve, largest = case.curve, power_of_ten(float(case.curve.C[-1]))
    ran = f"{curve.decades:.1f} decades of compute, up to {largest} FLOPs"
    every, worst, kind = case.alarms
    sure = (
        f"Of simulated worlds without a plateau {percent(100 * every)} are called flat (at worst "
        f"{percent(100 * worst)}, of the kind “{kind}”); of plateaus that began one decade before the largest run "
        f"{percent(100 * case.missed(1.0))} are missed, half a decade before {percent(100 * case.missed(0.5))}, at it "
        f"{percent(100 * case.missed(0.0))}."
    )
    if case.answer in (FLAT, SLOWS):
        turn = _estimate(case.places[case.answer], level, "FLOPs")
        ends = between(power_of_ten(turn.low), power_of_ten(turn.high), level)
        where = f"{power_of_ten(turn.value)} FLOPs ({ends})"
        held = f"these runs go on for {math.log10(curve.C[-1] / turn.value):.1f} decades from there"
        if case.answer == FLAT:
            above = " above the entropy" if curve.floor is not None else ""
            return f"**Flat beyond C = {where}.** The loss stays{above} where it was, and {held}. {sure}"
        return (
            f"**The fall slows down.** Beyond {where} the loss falls with a smaller exponent; {held}. {sure}"
        )
    if case.answer == CONTINUES:
        return f"**The power law continues** over {ran}. What comes later is not in these runs. {sure}"
    return f"**Not identifiable from these runs**, which span {ran}: {_why(case)}. {sure}"


def _why(case: Case) -> str:
    if case.outside:
        ends = int(case.curve.table["edge"].sum())
        return (
            f"the curve turns ({case.scored}), but fewer than {BEYOND} points lie on one side of the turn inside the "
            f"grid of sizes and budgets: {ends} of {len(case.curve.loss)} points are the largest or smallest tried, "
            "where the curve bends because nothing better was tried"
        )
    if case.blind:
        return f"a plateau over {case.half:g} decades, half of them, would be missed more often than not"
    return (
        f"the score of a plateau, {case.flat:.1f}, lies between {case.thresholds.unbent:.1f}, below which a plateau "
        f"of a decade is unlikely, and {case.thresholds.flat:.1f}, from which it is called"
    )


def _doubts(case: Case, told: pl.DataFrame) -> list[str]:
    curve, noise = (
        case.curve,
        100 * float(np.sqrt(np.diag(case.jury.design.covariance)) @ (1 / case.curve.loss)),
    )
    noise /= len(curve.loss)
    found = [
        f"**The score.** T is {case.flat:.1f}; above {case.thresholds.flat:.1f} it would be called flat, below "
        f"{case.thresholds.unbent:.1f} a plateau of a decade is ruled out at {percent(100 * ALARMS)}."
    ]
    if curve.freedom:
        found.append(
            f"**Noise.** Points scatter by {percent(noise)}, from {curve.freedom} repeats and the smooth curve."
        )
    else:
        found.append(
            f"**Noise.** No run was repeated with another seed, so the noise is not known; {percent(noise)} is taken, "
            "from how far points lie from the best smooth curve. Three seeds at one point would tell."
        )
    if curve.floor is None:
        found.append(
            "**Entropy.** It is not known here: a loss that has come down to it gradually counts as a power law with a "
            "floor, and one that stops abruptly as a plateau."
        )
    if not curve.repeated:
        found.append("**Data.** That repeated data bends the curve cannot be tested: no point repeats any.")
    elif next(iter(rival_table(case).filter(pl.col("says") == SLOWS)["name"])) == "data-limited":
        found.append("**Data.** Of the rivals that slow down, the one that runs out of fresh data does best.")
    if not curve.path:
        edges, cut = int(curve.table["edge"].sum()), curve.cut
        found.append(
            f"**The frontier.** The best run of each quarter decade of {curve.given} counts, {len(curve.loss)} in all; "
            f"{cut} at the ends of the grid are left out and {edges} are kept."
        )
    seen = "; ".join(f"{name}: {says}" for name, says in told.select("name", "says").iter_rows())
    found.append(f"**The metric.** Whether the last decade gained less than half of the one before: {seen}.")
    return found


def _next(ahead: pl.DataFrame, curve: Frontier) -> tuple[str, ...]:
    enough = ahead.filter(pl.col("wrong") <= FEW_MISSES)
    row = (enough if len(enough) else ahead.sort("wrong")).row(0, named=True)
    misses = f"would miss {percent(100 * row['wrong'])} of plateaus that began half a decade before the largest run"
    more = "" if len(enough) else f", still more than {percent(100 * FEW_MISSES)}"
    return (f"{SEEDS} seeds at {power_of_ten(row['C'])} FLOPs, {row['name']}, {misses}{more}",)


def _reach(frame: pl.DataFrame, curve: Frontier) -> Reach | None:
    if not {"params_total", "N"} & set(frame.columns):
        return None
    return Reach.of(frame if "C" in frame.columns else frame.with_columns(C=pl.lit(float(curve.C[-1]))))


def _too_short(curve: Frontier, jury: Jury, reach: Reach | None, level: float, seed: int) -> Verdict:
    """The verdict on a range too short for one, with what it does tell: how fast the loss falls within it."""
    judge = max(jury.scored(len(curve.loss)), key=lambda one: float(one.log_evidence(curve.loss[None])[0]))
    ends = judge.curves(*judge.draw(curve.loss, DRAWS, np.random.default_rng(seed)), jury.design)[:, [0, -1]]
    falls = 100 * (1 - np.exp(np.log(ends[:, 1] / ends[:, 0]) / curve.decades))
    fall = _estimate(falls, level, "%")
    needed = power_of_ten(float(curve.C[0]) * 10**SHORTEST)
    return Verdict(
        question=QUESTION,
        answer=UNDECIDED,
        sentence=(
            f"**Not identifiable from these runs**, which span {curve.decades:.1f} decades of compute: nothing is said "
            f"of a plateau below {SHORTEST:g}. What they do tell is that within them the loss falls by "
            f"{percent(fall.value)} per decade ({between(percent(fall.low), percent(fall.high), level)})."
        ),
        numbers={"fall of the loss per decade of compute": fall},
        evidence=_points(curve, jury.design),
        would_change=(
            f"**More range.** {SHORTEST:g} decades of compute, and {UNDECIDED} may become another answer.",
        ),
        next_runs=(f"{SEEDS} seeds at {needed} FLOPs",),
        identifiable=False,
        reach=reach,
        data_hash=curve.data_hash,
        seed=seed,
    )
