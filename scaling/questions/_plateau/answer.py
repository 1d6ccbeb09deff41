"""Has the loss come to a plateau, or does the power law go on? With the rate at which the answer would be wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from scaling.arguments import checked
from scaling.errors import BadOption
from scaling.fitting.data import Table, as_frame
from scaling.questions._plateau import CONTINUES, FLAT, SLOWS, UNDECIDED, words
from scaling.questions._plateau.case import ALARMS, DRAWS, ONSETS, SEEDS, SHORTEST, Case, case_of, further
from scaling.questions._plateau.frontier import Frontier, frontier
from scaling.questions._plateau.metrics import metrics
from scaling.questions._plateau.rivals import Jury, measured, rivals, together
from scaling.questions._plateau.worlds import Simulator
from scaling.units import power_of_ten
from scaling.verdict import Estimate, Reach, Verdict, check_level, check_prior, posterior_odds

QUESTION = "Has the loss come to a plateau, or does the power law go on?"

ANSWERS = (CONTINUES, SLOWS, FLAT, UNDECIDED)


@checked
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
    spent = frame if "C" in frame.columns else frame.with_columns(C=pl.lit(float(curve.C[-1])))
    points = curve.table.with_columns(stderr=pl.Series(design.stderr))
    about: dict[str, Any] = {
        "question": QUESTION,
        "topic": "plateau",
        "answers": ANSWERS,
        "reach": Reach.of(spent) if {"params_total", "N"} & set(frame.columns) else None,
        "data_hash": curve.data_hash,
        "seed": seed,
    }
    if curve.decades < SHORTEST:
        fall = _fall(curve, jury, level, seed)
        more = f"**More range.** {SHORTEST:g} decades of compute, and {UNDECIDED} may become another answer."
        return Verdict(
            **about,
            answer=UNDECIDED,
            sentence=words.too_short(curve.decades, fall),
            numbers={"fall of the loss per decade of compute": fall},
            evidence={"points": points},
            would_change=(more,),
            next_runs=(f"{SEEDS} seeds at {power_of_ten(float(curve.C[0]) * 10**SHORTEST)} FLOPs",),
            next_flops=SEEDS * float(curve.C[0]) * 10**SHORTEST,
            identifiable=False,
        )
    power = tuple(form for form in jury.forms if form.says == CONTINUES)
    slower = tuple(form for form in jury.forms if form.says == SLOWS and not form.reads_repeats)
    simulator = Simulator(jury, power, slower, design, curve.loss)
    streams = [np.random.default_rng([seed, k]) for k in range(4)]
    onsets = sorted({*ONSETS, round(curve.decades / 2, 2)})
    thresholds = simulator.thresholds(design.x[-1] / 10, worlds, streams[0], alarms=ALARMS)
    rates = simulator.rates(thresholds, onsets, worlds, streams[1])
    case = case_of(curve, jury, thresholds, rates, streams[2])
    ahead, told, table = further(simulator, curve, worlds, streams[3]), metrics(curve), case.rivals()
    wrong = {
        decades: _wrong(rates.filter(pl.col("onset_decades").eq_missing(decades)), level)
        for decades in (None, *onsets)
    }
    evidence = {
        "points": points,
        "rivals": table,
        "curves": case.curves(level, np.random.default_rng([seed, 4])),
        "worlds": rates,
        "next_runs": ahead,
        "metrics": told,
    }
    return Verdict(
        **about,
        answer=case.answer,
        sentence=words.sentence(case, level, wrong),
        numbers=_numbers(case, wrong, prior, level),
        evidence=evidence,
        would_change=words.doubts(case, table, told),
        next_runs=(words.next_run(ahead),),
        next_flops=SEEDS * words.next_compute(ahead),
        identifiable=case.answer != UNDECIDED,
    )


def _numbers(
    case: Case, wrong: Mapping[float | None, Estimate], prior: tuple[float, float], level: float
) -> dict[str, Estimate]:
    numbers: dict[str, Estimate] = {}
    if case.answer == FLAT:
        numbers["onset of the plateau"] = Estimate.of(case.places[FLAT], level, "FLOPs")
    last, forms = case.logs[-1:], case.jury.forms
    log_factor = together(forms, last, (FLAT,)) - together(forms, last, (CONTINUES, SLOWS))
    factor = math.exp(min(float(log_factor[0]), 700.0))
    numbers["posterior odds of a plateau"] = posterior_odds(factor, prior)
    named = (
        "false alarms" if decades is None else f"misses of a plateau over {decades:g} decades"
        for decades in wrong
    )
    return numbers | dict(zip(named, wrong.values(), strict=True))


def _wrong(rows: pl.DataFrame, level: float) -> Estimate:
    """Percent of worlds judged wrongly, with the interval of the simulation."""
    wrong = round(float(np.dot(rows["wrong"], rows["worlds"])))
    return Estimate.of_share(wrong, int(rows["worlds"].sum()), level)


def _fall(curve: Frontier, jury: Jury, level: float, seed: int) -> Estimate:
    """How fast the loss falls within the runs: what even a range too short for a verdict tells."""
    judge = max(jury.scored(len(curve.loss)), key=lambda one: float(one.log_evidence(curve.loss[None])[0]))
    ends = judge.curves(*judge.draw(curve.loss, DRAWS, np.random.default_rng(seed)), jury.design)[:, [0, -1]]
    return Estimate.of(100 * (1 - np.exp(np.log(ends[:, 1] / ends[:, 0]) / curve.decades)), level, "%")
