"""Do preferences carry over to domains that none of them was about?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from scaling.corpora.synthetic.dialogues import STEM
from scaling.errors import require_columns
from scaling.fitting.data import framed
from scaling.questions._preference import words
from scaling.questions._preference.cells import ALL, GOLD, SHUFFLED, NoPreferences, tables, without
from scaling.questions._preference.transfer import curves, fits, ratios
from scaling.questions._preference.words import CANNOT, CARRIES, NOT, PARTLY
from scaling.questions.seeds import slope
from scaling.verdict import Estimate, Reach, Verdict, check_level, hash_of, more_seeds

QUESTION = "Does a preference model trained without any science and engineering carry over to them?"


@framed("runs", "measured")
def preference(
    runs: pl.DataFrame,
    measured: pl.DataFrame,
    *,
    tested: Sequence[str] = STEM,
    n: int = 16,
    level: float = 0.8,
    bootstrap: int = 200,
    seed: int = 0,
) -> Verdict:
    """How much of what preferences win in some domains comes without any preferences about them.

        T = (without − base) / (with − base)

    Gains are of the gold worth that a checker gives, by the best of n answers that a reward model chooses, over the
    mean answer of its parent. The answer rests on the largest models and the most comparisons: "carries over" where the
    interval of T lies above 2/3, "not at these sizes" where it lies below 1/3, "partly" where it lies between 0 and 1
    and is narrower than 2/3, else "not identifiable". To carry over at all, the gain must beat nothing and a reward
    model of random labels, each at 5 % by Student's t over seeds.

    Args:
        runs: of all stages, as from `open_runs` of a study like runs/preference.
        measured: `open_measurements` of it, with the probes "helpful", "preferred" and "divergence".
        tested: domains that the preferences were not about.
        n: answers among which a reward model chooses.
        level: of the intervals.
        bootstrap: draws behind the interval of each β.
        seed: of these.

    Raises:
        MissingColumns: a column is not there.
        NoPreferences: reward models of all domains, or without the tested ones, are missing, or n was not tried.
        BadOption: a level that is none.
    """
    check_level(level)
    require_columns(
        ("run_id", "stage", "parent_run", "blend", "D", "N", "seed", "context"),
        runs.columns,
        "Open a study of later stages, e.g. open_runs('runs/preference').",
    )
    every, policies, ranked = tables(runs, measured)
    choices = every.filter(way=GOLD).drop("way")
    arm, at_n = without(tested), choices.filter(pl.col("n") == n)
    there = tuple(at_n["arm"].unique().sort())
    for needed in (ALL, arm):
        if needed not in there:
            raise NoPreferences(needed, there)
    transfer = ratios(at_n, arm, tested, level)
    if not len(transfer):
        raise NoPreferences(f"{arm}, two seeds or more", there)
    (row,) = transfer.tail(1).rows(named=True)
    N, most = row["N"], row["comparisons"]
    said = words.answer(row["low"], row["high"], row["p"]) if math.isfinite(row["ratio"]) else CANNOT
    evidence = {"transfer": transfer, "one_left_out": _one_left_out(at_n, level)}
    evidence |= _overoptimised(choices, arm, tested, N, level=level, bootstrap=bootstrap, seed=seed)
    evidence |= _policies(policies, arm, tested, N, level, bootstrap, seed)
    evidence |= {
        "accuracy": _accuracy(ranked, tested),
        "aspects": _aspects(every, (ALL, arm, SHUFFLED), tested, N, most),
    }
    seeds, flops = more_seeds(runs)
    return Verdict(
        question=QUESTION,
        topic="preference",
        answers=(CARRIES, PARTLY, NOT, CANNOT),
        answer=said,
        sentence=words.sentence(said, tested, row, n, level),
        numbers=_numbers(evidence, arm, N, most, level),
        evidence=evidence,
        would_change=words.DOUBTS,
        next_runs=(seeds,) if said == CANNOT else words.NEXT_RUNS,
        next_flops=flops,
        identifiable=said != CANNOT,
        reach=Reach.of(runs),
        data_hash=hash_of(choices, policies),
        seed=seed,
    )


def _numbers(
    evidence: dict[str, pl.DataFrame], arm: str, N: int, most: int, level: float
) -> dict[str, Estimate]:
    """Of the verdict: ratios, their slope, where over-optimisation begins, and pairs ranked right."""
    numbers = {}
    for name, table in (("best of n", "transfer"), ("direct preference optimisation", "policy_transfer")):
        at = evidence[table].filter(N=N).drop_nans("ratio").tail(1)
        for row in at.iter_rows(named=True):
            numbers[f"ratio of gains, {name}"] = Estimate.of_row(row, "ratio", level, "")
    sizes = evidence["transfer"].filter(comparisons=most).drop_nans("ratio")
    sizes = sizes.filter(pl.col("low").is_finite() & pl.col("high").is_finite())
    if len(sizes) > 1:
        columns = (sizes[name].to_numpy() for name in ("N", "ratio", "low", "high"))
        at = slope(*columns, seeds=int(sizes["seeds"].to_numpy().min()), level=level)
        numbers["change of the ratio for a decade of N"] = Estimate(*at, level, "")
    law = evidence["by_size"].filter(N=N, comparisons=most)
    both = {row["arm"]: row for row in law.iter_rows(named=True)}
    if {ALL, arm} <= both.keys():
        for name, words_ in ((ALL, "with"), (arm, "without")):
            row = both[name]
            numbers[f"β {words_} their preferences"] = Estimate.of_row(row, "beta", level, "/nat")
            best_n = Estimate(row["best_n"], math.nan, math.nan, level, "answers")
            numbers[f"n of the best gold {words_} them"] = best_n
    return numbers


def _one_left_out(at_n: pl.DataFrame, level: float) -> pl.DataFrame:
    """The ratio in each domain for reward models of all others, at every size."""
    parts = []
    for domain in at_n["domain"].unique().sort():
        table = ratios(at_n, without([domain]), [domain], level)
        parts.append(table.select(pl.lit(domain).alias("domain"), pl.all()))
    return pl.concat(parts)


def _overoptimised(
    choices: pl.DataFrame, arm: str, tested: Sequence[str], N: int, *, level: float, bootstrap: int, seed: int
) -> dict[str, pl.DataFrame]:
    """Gold against distance: curves, the law of each domain, and that of the tested ones by size and comparisons."""
    alone = pl.col("arm") == pl.format("without {}", "domain")
    own = choices.filter((pl.col("N") == N) & (alone | pl.col("arm").is_in([ALL, arm])))
    left = own.filter(alone)["comparisons"]
    shared = int(left.to_numpy().max()) if len(left) else int(own["comparisons"].to_numpy().max())
    by_domain = fits(own.filter(comparisons=shared), level=level, bootstrap=0, seed=seed)
    with_all = by_domain.filter(arm=ALL).select("domain", of_all="beta")
    by_domain = by_domain.join(with_all, on="domain", how="left").with_columns(
        beta_over_all=pl.col("beta") / pl.col("of_all")
    )
    mean = choices.filter(pl.col("domain").is_in(list(tested)) & pl.col("arm").is_in([ALL, arm]))
    keys = ["arm", "N", "seed", "comparisons", "n"]
    mean = mean.group_by(keys).agg(pl.col("distance", "gain").mean()).sort(keys)
    mean = mean.with_columns(domain=pl.lit(" and ".join(tested)))
    largest = choices.filter((pl.col("N") == N) & (alone | pl.col("arm").is_in([ALL, arm, SHUFFLED])))
    return {
        "curves": curves(largest, level),
        "overoptimised": by_domain.drop("of_all", "low", "high"),
        "by_size": fits(mean, level=level, bootstrap=bootstrap, seed=seed).drop("domain"),
    }


def _policies(
    policies: pl.DataFrame, arm: str, tested: Sequence[str], N: int, level: float, bootstrap: int, seed: int
) -> dict[str, pl.DataFrame]:
    """The same of policies: the ratio at every budget, curves, and the law of each domain."""
    largest = policies.filter((pl.col("N") == N) & pl.col("arm").is_in([ALL, arm, SHUFFLED]))
    return {
        "policy_transfer": ratios(policies, arm, tested, level),
        "policies": curves(largest, level),
        "policies_overoptimised": fits(largest, level=level, bootstrap=0, seed=seed).drop(
            "low", "high", "best_n"
        ),
    }


def _accuracy(ranked: pl.DataFrame, tested: Sequence[str]) -> pl.DataFrame:
    """Share of held-out pairs ranked right, by whether the domain is tested."""
    about = pl.when(pl.col("domain").is_in(list(tested))).then(pl.lit("tested")).otherwise(pl.lit("others"))
    keys, accuracy = ["arm", "N", "comparisons", "domains"], pl.col("accuracy")
    each = ranked.with_columns(domains=about).group_by(*keys, "seed").agg(accuracy.mean()).sort(*keys, "seed")
    means = each.group_by(keys, maintain_order=True)  # a sum in another order has other last digits
    return means.agg(accuracy.mean(), stderr=accuracy.std() / pl.len().sqrt(), seeds=pl.len())


def _aspects(
    every: pl.DataFrame, arms: Sequence[str], tested: Sequence[str], N: int, most: int
) -> pl.DataFrame:
    """In which ways answers in the tested domains are good: shares as drawn, and of the best of the most."""
    mine = every.filter(N=N, comparisons=most).filter(
        pl.col("domain").is_in(list(tested)), pl.col("arm").is_in(list(arms))
    )
    means = mine.filter(pl.col("way") != GOLD).group_by("arm", "way", "n").agg(pl.col("gold").mean())
    ends = means.group_by("arm", "way").agg(
        drawn=pl.col("gold").sort_by("n").first(),
        chosen=pl.col("gold").sort_by("n").last(),
        n=pl.col("n").max(),
    )
    return ends.sort("way", "arm")
