"""What duplicates do: how much of a document is memorised by how often it was seen, and what that costs the rule."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from scaling.errors import QuestionError, require_columns
from scaling.fitting.data import framed
from scaling.questions._duplicates import words
from scaling.questions._duplicates.words import ALIKE, ANSWERS, CANNOT, EACH, GROWS, NOTHING, QUESTION
from scaling.questions._memory.cells import NotMeasured, check_chance, explained
from scaling.questions.seeds import mean_of, share_of, student
from scaling.records import ON_OFFER
from scaling.verdict import Estimate, Reach, Verdict, check_level, hash_of

_COLUMNS = ("run_id", "params_total", "D", "seed", "domain_epochs")


class SeenAlike(QuestionError):
    """A question about duplicates, asked of runs that saw all documents equally often."""

    domains: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked what duplicates do, but no run saw the documents of {', '.join(map(repr, self.domains))} more and "
            "less often. Give such domains equal shares and unequal budgets, as in runs/duplicates/study.toml."
        )


@framed("runs", "measurements")
def duplicates(
    runs: pl.DataFrame,
    measurements: pl.DataFrame,
    *,
    stored: Sequence[str],
    skill: Sequence[str] = (),
    chance: float = 0.0,
    level: float = 0.9,
    seed: int = 0,
) -> Verdict:
    """How much of a document models memorise by how often they saw it, and what duplicates cost on fresh documents.

        share = bits memorised / bits on offer,   rise = Σ (x - x̄)(share - s̄) / Σ (x - x̄)²,   x = log2(times seen)

    over the domains of one run; its mean over sizes and seeds answers: "more often seen, more memorised" where the
    interval of the rise is above 0, "seen more often makes no difference" where it is within a point for each doubling,
    "nothing is memorised" where the most often seen keep less than 5 % of their bits, else "cannot tell". Of answers
    that follow from a rule, memory explains (seen - fresh) / (seen - chance), and (seen - changed) / (seen - chance)
    against the same documents with one word and so their answer changed. What duplicates cost is the loss on fresh
    answers over that of runs of the same size, tokens and seed that saw all documents equally often, at the sizes that
    were trained: its interval is over seeds, each by its mean over sizes (Student's t), and `would_change` says how
    many seeds see a cost of .1 nats/token.

    Args:
        runs: of a study, with run_id, params_total, D, seed and domain_epochs.
        measurements: of the probe memorised, and of seen_exact, perturbed_exact, answer_exact and answer_loss for
            `skill`, as from `open_measurements`.
        stored: domains that can only be memorised, which differ in nothing but how often their documents are seen.
        skill: domains with a rule that differ so.
        chance: share of the answers that a guess gets right.
        level: of the intervals.
        seed: stands in the verdict; nothing is drawn.

    Raises:
        MissingColumns: a column is not there.
        NotMeasured: nothing was memorised or measured of these domains.
        SeenAlike: no run saw some of them more often than others.
        BadOption: level or chance is not between 0 and 1.

    Source:
        Carlini et al. 2023, arXiv:2202.07646, section 3.2; Hernandez et al. 2022, arXiv:2205.10487, for the cost.
    """
    check_level(level)
    check_chance(chance)
    seen = _seen(runs, measurements, [*stored, *skill])
    shares = seen.filter(pl.col("domain").is_in(stored), pl.col("varied")).drop_nulls("share")
    if shares.is_empty():
        raise SeenAlike(tuple(stored))
    x = pl.col("times").log(2)
    slope = pl.cov(x, pl.col("share")) / x.var()
    slopes = shares.group_by("run_id", "params_total", "seed").agg(rise=slope).sort("run_id")
    often = {end: _at(shares, end) for end in ("least", "most")}
    rise = mean_of(slopes, "rise", level, "points for each doubling", 100)
    most = share_of(often["most"], "share", level)
    numbers = {"rise of the share memorised": rise} | {
        f"memorised of what was seen {_times(rows)} times": share_of(rows, "share", level)
        for rows in often.values()
    }
    of_rule = seen.filter(pl.col("domain").is_in(skill))
    numbers |= _explained(of_rule.filter("varied"), chance, level)
    cost = _cost(of_rule)
    if len(cost):
        numbers["loss on fresh answers, over that without duplicates"] = paired(cost, level)
    answer = _answer(rise, most)
    means = pl.col("times", "share", "seen", "changed", "fresh", "fresh_loss").mean()
    cells = seen.filter("varied").group_by("params_total", "domain").agg(means, seeds=pl.len())
    ruled = pl.col("domain").is_in(skill)
    kind = pl.when(ruled).then(pl.lit("with a rule")).otherwise(pl.lit("without a rule"))
    return Verdict(
        question=QUESTION,
        topic="duplicates",
        answers=ANSWERS,
        answer=answer,
        sentence=words.sentence(answer, numbers),
        numbers=numbers,
        evidence={
            "cells": cells.with_columns(kind=kind).sort("params_total", "kind", "times"),
            "costs": cost,
        },
        would_change=words.doubts(shares, cost, numbers),
        next_runs=(words.next_runs(int(seen["params_total"].to_numpy().max())),),
        identifiable=answer != CANNOT,
        reach=Reach.of(runs),
        data_hash=hash_of(seen, list(stored), list(skill), chance),
        seed=seed,
    )


def _answer(rise: Estimate, most: Estimate) -> str:
    if most.high < 5:
        return NOTHING
    if rise.low > 0:
        return GROWS
    return ALIKE if rise.low > -EACH and rise.high < EACH else CANNOT


def _seen(runs: pl.DataFrame, measurements: pl.DataFrame, domains: Sequence[str]) -> pl.DataFrame:
    """Every run and domain that it read: how often, the share of its bits memorised, and its answers.

    Returns:
        run_id, params_total, seed, D, domain, times, varied (whether the run saw some domains more often than others),
        share, seen, changed, fresh, fresh_loss; null where it was not measured.
    """
    require_columns(_COLUMNS, runs.columns, "Open the runs of a study with open_runs.")
    rows = []
    for run_id, size, D, s, epochs in runs.select(_COLUMNS).iter_rows():
        read = json.loads(epochs) if isinstance(epochs, str) else epochs or {}
        times = {domain: read[domain] for domain in domains if read.get(domain)}
        varied = bool(times) and max(times.values()) > 1.5 * min(times.values())
        rows += [(run_id, size, s, D, domain, float(often), varied) for domain, often in times.items()]
    table = pl.DataFrame(
        rows, ["run_id", "params_total", "seed", "D", "domain", "times", "varied"], orient="row"
    )
    ends = measurements.filter(pl.col("step") == pl.col("step").max().over("run_id"))
    if (
        table.is_empty()
        or ends.filter(pl.col("probe") == "memorised", pl.col("group").is_in(domains)).is_empty()
    ):
        raise NotMeasured("memorised", ", ".join(domains), sorted(ends["probe"].unique()))
    parts = {
        "bits": "memorised", "offer": "memorised", "seen": "seen_exact", "changed": "perturbed_exact",
        "fresh": "answer_exact", "fresh_loss": "answer_loss",
    }  # fmt: skip
    for name, probe in parts.items():
        behind = ON_OFFER if name == "offer" else ""
        mine = ends.filter(pl.col("probe") == probe).select("run_id", group="group", **{name: "value"})
        table = table.with_columns(group=pl.col("domain") + behind).join(
            mine, on=["run_id", "group"], how="left"
        )
    table = table.with_columns(share=(pl.col("bits") / pl.col("offer")).clip(0, 1))
    return table.drop("group", "bits", "offer").sort("params_total", "seed", "run_id", "times")


def _at(rows: pl.DataFrame, end: str) -> pl.DataFrame:
    """Of each run the domain that it saw least often, or most."""
    extreme = pl.col("times").min() if end == "least" else pl.col("times").max()
    return rows.filter(pl.col("times") == extreme.over("run_id"))


def _times(rows: pl.DataFrame) -> str:
    return f"{float(np.median(rows['times'].to_numpy())):.0f}"


def _explained(rows: pl.DataFrame, chance: float, level: float) -> dict[str, Estimate]:
    """Percent of the answers to documents seen that memory explains, of the least and the most often seen."""
    numbers: dict[str, Estimate] = {}
    for end in ("least", "most"):
        mine = _at(rows, end)
        for name, other in (("fresh", "fresh ones"), ("changed", "changed ones")):
            known = mine.with_columns(explained=explained(chance, name)).drop_nulls("explained")
            if len(known):
                said = f"answers that memory explains, seen {_times(known)} times, against {other}"
                numbers[said] = mean_of(known, "explained", level, "%", 100)
    return numbers


def _cost(rows: pl.DataFrame) -> pl.DataFrame:
    """For each size, tokens and seed, the loss on fresh answers with duplicates less that without.

    Fresh documents of all these domains are of one kind, so their mean stands for both.
    """
    key = ["params_total", "D", "seed"]
    loss = rows.drop_nulls("fresh_loss").group_by(*key, "varied").agg(pl.col("fresh_loss", "fresh").mean())
    both = loss.filter("varied").join(loss.filter(~pl.col("varied")), on=key, suffix="_plain")
    cost = pl.col("fresh_loss") - pl.col("fresh_loss_plain")
    return both.select(*key, cost=cost, fresh="fresh", fresh_plain="fresh_plain").sort(key)


def paired(cost: pl.DataFrame, level: float) -> Estimate:
    """The mean cost at these sizes and tokens, its interval over seeds; of the cells that all seeds have.

    There is no interval with one seed.
    """
    seeds = cost["seed"].n_unique()
    whole = cost.filter(pl.len().over("params_total", "D") == seeds)
    each = (whole if len(whole) else cost).group_by("seed").agg(pl.col("cost").mean())["cost"].to_numpy()
    mean = float(each.mean())
    if len(whole) == 0 or seeds < 2:
        return Estimate(mean, np.nan, np.nan, level, "nats/token")
    half = student(level, seeds) * float(each.std(ddof=1)) / math.sqrt(seeds)
    return Estimate(mean, mean - half, mean + half, level, "nats/token")
