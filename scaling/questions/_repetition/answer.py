"""What is a repeated token worth, when is another pass useless, and when does it hurt?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import polars as pl

from scaling.errors import FitError, MissingColumns, QuestionError
from scaling.fitting import Fit, fit, profile
from scaling.fitting.data import read
from scaling.fitting.evidence import curve
from scaling.laws import (
    chinchilla,
    data_constrained,
    describe,
    power_mean,
    with_fading,
    with_overfitting,
    with_repeats,
)
from scaling.questions._decade.answer import rises, seed_spread
from scaling.questions._repetition.interventions import levers
from scaling.questions._repetition.repeats import Passes, passes
from scaling.units import print_count
from scaling.verdict import Estimate, Reach, Verdict, between, percent


class NothingRepeats(QuestionError):
    """A question about repeated tokens, asked of runs that repeat none."""

    runs: int

    def __str__(self) -> str:
        return (
            f"asked what a repeated token is worth, but all {self.runs} runs saw every token once. Train some with a "
            "unique_budget below their D and max_epochs above 1, as in runs/repetition/study.toml."
        )


QUESTION = "What is a repeated token worth, when is another pass useless, and when does it hurt?"

FADE, HURT, CANNOT = "repeats fade", "repeats fade, then hurt", "cannot tell"
"""What `repetition` may answer."""

RIVALS: tuple[Callable[..., Any], ...] = (
    chinchilla,
    power_mean,
    data_constrained,
    with_repeats(chinchilla),
    with_repeats(power_mean),
    with_fading(chinchilla),
    with_fading(power_mean),
    with_overfitting(chinchilla),
    with_overfitting(power_mean),
    with_overfitting(with_repeats(power_mean)),
)
"""Laws that are tried unless others are given: no repetition, Muennighoff, Goyal, Lovelace, and Lovelace over fading
repeats, over the additive form and over the power mean of the two terms."""

_ENOUGH_PASSES = 4.5
"""Most passes in the runs from which their worth can be told; a grid that stops at 4 leaves the e-fold open."""
_OPEN = 4.0
"""Ratio of the ends of the interval of the e-fold beyond which it is called not determined."""


def repetition(
    runs: pl.DataFrame,
    *,
    ensembles: pl.DataFrame | None = None,
    laws: Iterable[Callable[..., Any]] = RIVALS,
    judged: pl.DataFrame | None = None,
    level: float = 0.8,
    bootstrap: int = 200,
    seed: int = 0,
) -> Verdict:
    """How many passes over the same text are nearly free, when more are useless, and when they hurt.

    Every law is fitted without the most repeated runs of each pool, and without the largest model, and is judged by
    its misses on what was left out; the one that misses least on average answers, fitted to all runs. Passes are
    nearly free while repeated tokens are on average worth 0.9 of new ones, useless when one more pass is worth less
    than 0.1 of new text, harmful when it raises the loss. The e-folding number of repeats R_D is that of
    `with_repeats` on the runs up to the best pass of each cell, as its authors fitted it; its half-life is R_D ln 2.

    The answer is "repeats fade, then hurt" where the runs themselves turn up, by more than twice their standard error;
    "cannot tell" where no pool is seen more than 4 times or the interval of R_D is open; else "repeats fade".

    Args:
        runs: with the columns N, D, unique_tokens and loss. Where they have weight_decay, the laws see the smallest.
        ensembles: rows of kind "ensemble" of the same study.
        laws: what is tried, laws of N and D, or N, D and unique_tokens.
        judged: what `judge` said of them, where it has been asked already.
        level: of the intervals.
        bootstrap: refits behind the intervals.
        seed: of starts and bootstrap.

    Raises:
        MissingColumns: a column is not there.
        NothingRepeats: every run saw every token once.
        FitError: no law can be fitted to these runs.
    """
    if missing := [c for c in ("N", "D", "unique_tokens", "loss") if c not in runs.columns]:
        raise MissingColumns(missing, runs.columns, "A repetition law reads N, D and unique_tokens.")
    laws, plain = tuple(laws), without_levers(runs)
    most = float(plain["epochs"].to_numpy().max())
    if most < 1.05:
        raise NothingRepeats(len(plain))
    table = judge(plain, laws, seed=seed) if judged is None else judged
    best = next(law for law in laws if describe(law).name == table["law"][0])
    found = fit(best, plain, bootstrap=bootstrap, seed=seed)
    efold, is_open = _efold(plain, level, seed)
    turned = rises(plain, found.rms_percent / 100)
    known = most > _ENOUGH_PASSES and not is_open
    answer = CANNOT if not known else HURT if turned else FADE
    cells = passes_table(found, plain, level)
    gains = levers(runs, ensembles, level=level, seed=seed)
    numbers = {"repeats until a token is worth 1/e (R*)": efold}
    half_life, low, high = (math.log(2) * x for x in (efold.value, efold.low, efold.high))
    numbers["half-life of a repeat (R* ln 2)"] = Estimate(half_life, low, high, level, "repeats")
    numbers |= _cell_numbers(found, plain, level)
    numbers |= {
        f"{row['lever']}, {print_count(row['N'], 2)} parameters on {print_count(row['pool'], 2)} tokens": Estimate(
            row["multiplier"], row["low"], row["high"], level, "times the data"
        )
        for row in gains.filter(~pl.col("at_least")).iter_rows(named=True)
    }
    return Verdict(
        question=QUESTION,
        answer=answer,
        sentence=_sentence(answer, found, plain, efold, level, most),
        numbers=numbers,
        evidence=cells,
        would_change=tuple(_doubts(table, _runner_up(table, laws, plain, seed), plain, turned, gains)),
        next_runs=_next(plain, most),
        identifiable=known,
        reach=Reach.of(plain) if "C" in plain.columns else None,
        data_hash=found.data_hash,
        seed=seed,
    )


def with_epochs(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs with `epochs`, and with `pool`: the distinct tokens on offer, those seen where nothing else is known."""
    pool = "unique_budget" if "unique_budget" in runs.columns else "unique_tokens"
    repeats = (pl.col("D") / pl.col("unique_tokens")).alias("epochs")
    return runs.with_columns(repeats, pl.col(pool).alias("pool"))


def without_levers(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs that the laws are fitted to: those with the smallest weight decay, with `epochs` and `pool`."""
    runs = with_epochs(runs)
    if "weight_decay" in runs.columns:
        runs = runs.filter(pl.col("weight_decay") == pl.col("weight_decay").min())
    return runs


def judge(runs: pl.DataFrame, laws: Iterable[Callable[..., Any]] = RIVALS, *, seed: int = 0) -> pl.DataFrame:
    """Laws by how far they miss the most repeated runs, and the largest model, when fitted without them.

    Returns:
        One row per law, best first: law, free, rms_percent (in sample), held_out_epochs_percent,
        held_out_sizes_percent (null where too little is left to fit), mean of the two.

    Raises:
        FitError: no law can be fitted to all runs; the first one's reason.
    """
    runs = with_epochs(runs)
    last = (pl.col("epochs") > 1.5) & (pl.col("epochs") > 0.7 * pl.col("epochs").max().over("pool"))
    splits = [runs.select(last).to_series(), runs["N"] == runs["N"].max()]
    rows, refused = [], None
    for law in laws:
        try:
            whole = fit(law, runs, bootstrap=0, seed=seed)
        except FitError as reason:
            refused = refused or reason
            continue
        missed = [_missed(law, runs, held, seed) for held in splits]
        rows.append((whole.name, len(whole.free), whole.rms_percent, *missed))
    if not rows and refused:
        raise refused
    header = ["law", "free", "rms_percent", "held_out_epochs_percent", "held_out_sizes_percent"]
    table = pl.DataFrame(rows, schema=header, orient="row")
    return table.with_columns(mean=pl.mean_horizontal(header[3:])).sort("mean", nulls_last=True)


def _missed(law: Callable[..., Any], runs: pl.DataFrame, held: pl.Series, seed: int) -> float | None:
    """Root mean square miss of the held-out runs, percent; None where the rest cannot be fitted."""
    if not held.any():
        return None
    try:
        found = fit(law, runs.filter(~held), bootstrap=0, seed=seed)
    except FitError:
        return None
    unseen = read(describe(law).columns, runs.filter(held), weights=np.ones(int(held.sum())))
    return float(100 * np.sqrt(np.mean((curve(found, unseen) / unseen.target - 1) ** 2)))


def before_the_turn(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs up to the best pass of every size and pool, which laws of fading repeats can describe."""
    runs = with_epochs(runs)
    cell = ["N", "pool"]
    mean = pl.col("loss").mean().over(*cell, "D")
    return runs.filter(pl.col("D") <= pl.col("D").sort_by(mean).first().over(cell))


def _efold(runs: pl.DataFrame, level: float, seed: int) -> tuple[Estimate, bool]:
    """R_D by profile likelihood on the runs up to the best pass of every cell, and whether its interval is open."""
    kept = before_the_turn(runs)
    law = min(
        (with_repeats(chinchilla), with_repeats(power_mean)),
        key=lambda law: fit(law, kept, bootstrap=0, seed=seed).objective,
    )
    found = fit(law, kept, bootstrap=0, seed=seed)
    seen = profile(found, kept, "R_D", level=level)
    is_open = bool(seen.flat) or not 0 < seen.high < _OPEN * seen.low
    return Estimate(seen.best, seen.low, seen.high, level, "repeats"), is_open


def passes_table(found: Fit, runs: pl.DataFrame, level: float = 0.8) -> pl.DataFrame:
    """For each size and pool: the passes that were run, the best of them, and what the law says of further ones.

    Returns:
        N, pool, most_epochs, best_epochs (lowest mean loss), best_loss, then nearly_free, useless and harmful (median
        over the draws, inf: not within 1,000 passes) with their _low and _high.
    """
    rows = []
    for (N, pool), cell in _repeated(runs).group_by("N", "pool", maintain_order=True):
        means = cell.group_by("D").agg(pl.col("loss", "epochs").mean()).sort("loss")
        seen = passes(found, float(N), float(pool))  # type: ignore[arg-type]
        row = {
            "N": N, "pool": pool, "most_epochs": means["epochs"].max(), "best_epochs": means["epochs"][0],
            "best_loss": means["loss"][0],
        }  # fmt: skip
        for name in ("nearly_free", "useless", "harmful"):
            row |= dict(
                zip((name, f"{name}_low", f"{name}_high"), _spread(getattr(seen, name), level), strict=True)
            )
        rows.append(row)
    return pl.DataFrame(rows).sort("pool", "N")


def _repeated(runs: pl.DataFrame) -> pl.DataFrame:
    return with_epochs(runs).filter(pl.col("epochs").max().over("N", "pool") > 1.5)


def _spread(draws: np.ndarray, level: float) -> tuple[float, float, float]:
    """Median and interval; quantiles by order, so that passes that never come stay infinite."""
    middle, low, high = np.quantile(draws, [0.5, 0.5 - level / 2, 0.5 + level / 2], method="nearest")
    return float(middle), float(low), float(high)


def _corners(runs: pl.DataFrame) -> list[tuple[float, float]]:
    """The smallest and the largest model on the pool that was repeated most."""
    seen = _repeated(runs)
    pool = seen.sort("epochs")["pool"][-1]
    sizes = seen.filter(pl.col("pool") == pool)["N"].to_numpy()
    return [(float(N), float(pool)) for N in sorted({sizes.min(), sizes.max()})]


def _cell_numbers(found: Fit, runs: pl.DataFrame, level: float) -> dict[str, Estimate]:
    numbers = {}
    for N, pool in _corners(runs):
        seen: Passes = passes(found, N, pool)
        where = f"{print_count(N, 2)} parameters on {print_count(pool, 2)} tokens"
        for words, draws in (
            ("nearly free", seen.nearly_free), ("useless", seen.useless), ("harmful", seen.harmful)
        ):  # fmt: skip
            middle, low, high = _spread(draws, level)
            if math.isfinite(middle):
                numbers[f"passes until more are {words}, {where}"] = Estimate(
                    middle, low, high, level, "passes"
                )
    return numbers


def _sentence(answer: str, found: Fit, runs: pl.DataFrame, efold: Estimate, level: float, most: float) -> str:
    if answer == CANNOT:
        why = (
            f"no text is seen more than {most:.3g} times"
            if most <= _ENOUGH_PASSES
            else f"the number of repeats after which a token is worth 1/e of a new one is left open, {efold}"
        )
        return f"**These runs cannot tell what a repeat is worth:** {why}."
    corners = _corners(runs)
    seen = [passes(found, N, pool) for N, pool in corners]

    def after(name: str) -> str:
        said = [_times(getattr(one, name), level) for one in seen]
        return " and ".join(dict.fromkeys(said))

    sizes = " and ".join(print_count(N, 2) for N, _ in corners)
    said = (
        f"**Repeated tokens are worth nearly as much as new ones up to {after('nearly_free')} passes**, for models of "
        f"{sizes} parameters on {print_count(corners[0][1], 2)} distinct tokens. One more pass is worth less than a "
        f"tenth of new text after {after('useless')}"
    )
    return f"{said}, and **raises the loss after {after('harmful')}**." if answer == HURT else f"{said}."


def _times(draws: np.ndarray, level: float) -> str:
    middle, low, high = _spread(draws, level)
    if not math.isfinite(middle):
        return "over 1,000"
    ends = between(f"{low:.2g}", f"{high:.2g}" if math.isfinite(high) else "over 1,000", level)
    return f"{middle:.2g} ({ends})"


def _runner_up(
    table: pl.DataFrame, laws: Iterable[Callable[..., Any]], runs: pl.DataFrame, seed: int
) -> list[str]:
    """What the second-best law says of the same two models."""
    if len(table) < 2:
        return []
    second = next(law for law in laws if describe(law).name == table["law"][1])
    found = fit(second, runs, bootstrap=0, seed=seed)
    seen = [passes(found, N, pool) for N, pool in _corners(runs)]

    def after(name: str) -> str:
        ends = [float(getattr(one, name)[0]) for one in seen]
        return " and ".join(f"{end:.2g}" if math.isfinite(end) else "over 1,000" for end in ends)

    return [
        f"**The next law.** By `{found.name}` repeats are nearly free up to {after('nearly_free')} passes, useless "
        f"after {after('useless')}, harmful after {after('harmful')}."
    ]


def _doubts(
    table: pl.DataFrame, other: list[str], runs: pl.DataFrame, turned: list[str], gains: pl.DataFrame
) -> list[str]:
    names, misses = table["law"].to_list(), table["mean"].to_list()
    near = [n for n, m in zip(names[1:], misses[1:], strict=True) if m is not None and m < 1.25 * misses[0]]
    doubts = [
        f"**The form of the law.** `{names[0]}` misses unseen epochs and sizes by {percent(misses[0])} on average"
        + (
            f"; {', '.join(f'`{n}`' for n in near)} by hardly more."
            if near
            else ", the least of those tried."
        )
    ]
    doubts += other + [f"**The loss turns up.** {words}" for words in turned]
    spread = seed_spread(runs) if "seed" in runs.columns else math.nan
    doubts.append(
        f"**Noise.** Runs that differ only in their seed lie {percent(spread)} apart."
        if math.isfinite(spread)
        else "**Noise.** One seed only: how far chance moves a run is not known from these runs."
    )
    doubts += [
        f"**{row['lever'].capitalize()}** takes {print_count(row['N'], 2)} parameters below any loss that a single "
        f"pass over up to {print_count(row['fresh_tokens'], 2)} new tokens reached: more than "
        f"{row['multiplier']:.2g} times the data, how much more these runs do not say."
        for row in gains.filter("at_least").iter_rows(named=True)
    ]
    return doubts


def _next(runs: pl.DataFrame, most: float) -> tuple[str, ...]:
    pool, N = _corners(runs)[0][1], runs["N"].to_numpy().max()
    if most <= _ENOUGH_PASSES:
        return (f"the same pools to 16 and 64 passes, {print_count(pool, 2)} tokens first",)
    return (
        f"{print_count(4 * float(N), 2)} parameters on {print_count(pool, 2)} and {print_count(pool * 4, 2)} "
        f"tokens to {most:.0f} passes, for how the turning point moves with size",
    )
