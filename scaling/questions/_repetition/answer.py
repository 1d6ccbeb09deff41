"""What is a repeated token worth, when is another epoch useless, and when does it hurt?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from scaling.errors import FitError, QuestionError, require_columns
from scaling.fitting import Fit, fit, profile
from scaling.fitting.contest import curve
from scaling.fitting.data import framed, read
from scaling.laws import (
    chinchilla,
    data_constrained,
    describe,
    power_mean,
    with_fading,
    with_overfitting,
    with_repeats,
)
from scaling.questions._repetition import words
from scaling.questions._repetition.cells import (
    CELL,
    means,
    repeated,
    rises,
    seed_spread,
    until_best_epoch,
    with_epochs,
    without_interventions,
)
from scaling.questions._repetition.interventions import interventions
from scaling.questions._repetition.words import CANNOT, ENOUGH_EPOCHS, FADE, HURT, MARKS
from scaling.questions._repetition.worth import loss_of, worth_of_epochs
from scaling.show import named_ends
from scaling.units import print_count
from scaling.verdict import Estimate, Reach, Verdict


class NothingRepeats(QuestionError):
    """A question about repeated tokens, asked of runs that repeat none."""

    runs: int

    def __str__(self) -> str:
        return (
            f"asked what a repeated token is worth, but all {self.runs} runs saw every token once. Train some with a "
            "unique_budget below their D and max_epochs above 1, as in runs/repetition/study.toml."
        )


QUESTION = "What is a repeated token worth, when is another epoch useless, and when does it hurt?"

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

_OPEN = 4.0
"""Ratio of the ends of the interval of the e-fold beyond which it is called not determined."""


@framed("runs", "ensembles")
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
    """How many epochs of the same text are nearly free, when more are useless, and when they hurt.

    Every law is fitted without the most repeated runs of each unique-token budget, and without the largest model, and
    is judged by its misses on what was left out; the one that misses least on average answers, fitted to all runs.
    Epochs are nearly free while repeated tokens are on average worth 0.9 of new ones, useless when one more is worth
    less than 0.1 of new text, harmful when it raises the loss. The e-folding number of repeats R_D is that of
    `with_repeats` on the runs up to the best epoch of each cell, as its authors fitted it; its half-life is R_D ln 2.

    The answer is "repeats fade, then hurt" where the loss of the runs themselves rises, by more than twice its standard
    error; "cannot tell" where no text is seen more than 4 times or the interval of R_D is open; else "repeats fade".

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
    needed = ("N", "D", "unique_tokens", "loss")
    require_columns(needed, runs.columns, "A repetition law reads N, D and unique_tokens.")
    laws, plain = tuple(laws), without_interventions(runs)
    most = float(plain["epochs"].to_numpy().max())
    if most < 1.05:
        raise NothingRepeats(len(plain))
    table = judge(plain, laws, seed=seed) if judged is None else judged
    ranked = [next(law for law in laws if describe(law).name == name) for name in table["law"].head(2)]
    best = fit(ranked[0], plain, bootstrap=bootstrap, seed=seed)
    next_best = [fit(law, plain, bootstrap=0, seed=seed) for law in ranked[1:]]
    efold, is_open = _efold(plain, level, seed)
    known = most > ENOUGH_EPOCHS and not is_open
    rising = rises(plain, best.rms_percent / 100)
    answer = CANNOT if not known else HURT if len(rising) else FADE
    cells, gains = epochs_table(best, plain, level), interventions(runs, ensembles, level=level, seed=seed)
    corners = _corners(cells)
    budget, sizes = corners["unique_budget"][0], corners["N"].to_list()
    after, spread = _after(corners, level), seed_spread(plain) if "seed" in plain.columns else math.nan
    evidence = {
        "cells": cells,
        "laws": table,
        "interventions": gains,
        "points": (points := _points(best, plain)),
        "curves": _curves(best, cells),
    }
    return Verdict(
        question=QUESTION,
        topic="repetition",
        answers=(FADE, HURT, CANNOT),
        answer=answer,
        sentence=words.sentence(answer, sizes, budget, after) if known else words.cannot(most, efold),
        numbers=_numbers(efold, sizes, budget, after, gains, level),
        evidence=evidence,
        would_change=(
            words.form(table["law"].to_list(), table["mean"].to_list()),
            *(
                words.next_law(other.name, _after(epochs_table(other, plain, level, corners), level))
                for other in next_best
            ),
            words.misfit(points),
            *words.doubts(rising, spread, gains),
        ),
        next_runs=(words.next_runs(budget, float(plain["N"].to_numpy().max()), most),),
        identifiable=known,
        reach=Reach.of(plain),
        data_hash=best.data_hash,
        seed=seed,
    )


@framed("runs")
def judge(runs: pl.DataFrame, laws: Iterable[Callable[..., Any]] = RIVALS, *, seed: int = 0) -> pl.DataFrame:
    """Laws by how far they miss the most repeated runs, and the largest model, when fitted without them.

    Returns:
        One row per law, best first: law, free, rms_percent (in sample), held_out_epochs_percent,
        held_out_sizes_percent (null where too little is left to fit), mean of the two.

    Raises:
        FitError: no law can be fitted to all runs; the first one's reason.
    """
    runs = with_epochs(runs)
    last = (pl.col("epochs") > 1.5) & (pl.col("epochs") > 0.7 * pl.col("epochs").max().over("unique_budget"))
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
        fitted = fit(law, runs.filter(~held), bootstrap=0, seed=seed)
    except FitError:
        return None
    unseen = read(describe(law).columns, runs.filter(held), weights=np.ones(int(held.sum())))
    return float(100 * np.sqrt(np.mean((curve(fitted, unseen) / unseen.target - 1) ** 2)))


def epochs_table(
    fitted: Fit, runs: pl.DataFrame, level: float = 0.8, only: pl.DataFrame | None = None
) -> pl.DataFrame:
    """For each size and unique-token budget, of `only` these or of all that were repeated, what further epochs do.

    Returns:
        N, unique_budget, most_epochs, best_epochs (lowest mean loss), best_loss, then nearly_free, useless and harmful
        (median over the draws, inf: not within 1,000 epochs) with their _low and _high.
    """
    best = pl.all().sort_by("loss").first()
    seen = means(repeated(runs), *CELL).group_by(CELL).agg(pl.col("epochs").max().alias("most_epochs"), best)
    if only is not None:
        seen = seen.join(only.select(CELL), on=CELL, how="semi")
    rows = []
    for row in seen.sort("unique_budget", "N").iter_rows(named=True):
        worth = worth_of_epochs(fitted, float(row["N"]), float(row["unique_budget"]))
        said = {name: row[name] for name in (*CELL, "most_epochs")}
        said |= {"best_epochs": row["epochs"], "best_loss": row["loss"]}
        for name in MARKS:
            mark = Estimate.of(getattr(worth, name), level, "epochs", method="nearest")
            said |= named_ends(name, (mark.value, mark.low, mark.high))
        rows.append(said)
    return pl.DataFrame(rows)


def _corners(cells: pl.DataFrame) -> pl.DataFrame:
    """The smallest and the largest model on the budget that was repeated most."""
    budget = pl.col("unique_budget")
    most = cells.filter(budget == budget.get(pl.col("most_epochs").arg_max())).sort("N")
    return most[sorted({0, len(most) - 1})]


def _after(corners: pl.DataFrame, level: float) -> dict[str, list[Estimate]]:
    """Epochs at each mark, for every corner."""
    rows = corners.to_dicts()
    return {name: [Estimate.of_row(row, name, level, "epochs") for row in rows] for name in MARKS}


def _points(fitted: Fit, runs: pl.DataFrame) -> pl.DataFrame:
    """Mean loss of each cell at each D, what the law says of it, by how much the loss lies above, in percent, and
    whether that is much."""
    points = means(repeated(runs), *CELL).sort(*CELL, "D")
    seen = (points["D"] / points["epochs"]).to_numpy()
    said = loss_of(
        fitted,
        points["N"].to_numpy().astype(float),
        points["D"].to_numpy().astype(float),
        seen,
        fitted.params,
    )
    law = pl.Series("law", np.broadcast_to(said, len(points)))
    missed = 100 * (pl.col("loss") / law - 1)
    return points.with_columns(law, missed_percent=missed, missed_much=missed.abs() > words.MUCH)


def _curves(fitted: Fit, cells: pl.DataFrame) -> pl.DataFrame:
    """The law at its best parameters over the epochs of every cell, for a figure."""
    parts = []
    for N, budget, most in cells.select(*CELL, "most_epochs").iter_rows():
        epochs = np.geomspace(1.0, most, 60)
        loss = loss_of(fitted, N, epochs * budget, float(budget), fitted.params)
        curve = {
            "N": N,
            "unique_budget": budget,
            "epochs": epochs,
            "loss": np.broadcast_to(loss, epochs.shape),
        }
        parts.append(pl.DataFrame(curve))
    return pl.concat(parts)


def _efold(runs: pl.DataFrame, level: float, seed: int) -> tuple[Estimate, bool]:
    """R_D by profile likelihood on the runs up to the best epoch of every cell, and whether its interval is open."""
    kept = until_best_epoch(runs)
    fits = [fit(with_repeats(law), kept, bootstrap=0, seed=seed) for law in (chinchilla, power_mean)]
    seen = profile(min(fits, key=lambda fitted: fitted.objective), kept, "R_D", level=level)
    is_open = bool(seen.flat) or not 0 < seen.high < _OPEN * seen.low
    return Estimate(seen.best, seen.low, seen.high, level, "repeats"), is_open


def _numbers(
    efold: Estimate,
    sizes: Sequence[float],
    budget: float,
    after: Mapping[str, Sequence[Estimate]],
    gains: pl.DataFrame,
    level: float,
) -> dict[str, Estimate]:
    def where(N: float, tokens: float) -> str:
        return f"{print_count(N, 2)} parameters on {print_count(tokens, 2)} tokens"

    value, low, high = (math.log(2) * end for end in (efold.value, efold.low, efold.high))
    numbers = {
        "repeats until a token is worth 1/e (R*)": efold,
        "half-life of a repeat (R* ln 2)": Estimate(value, low, high, level, "repeats"),
    }
    for i, N in enumerate(sizes):
        for name, said in MARKS.items():
            if math.isfinite(after[name][i].value):
                numbers[f"epochs until more are {said}, {where(N, budget)}"] = after[name][i]
    for row in gains.filter(~pl.col("at_least")).iter_rows(named=True):
        named = f"{row['intervention']}, {where(row['N'], row['unique_budget'])}"
        numbers[named] = Estimate.of_row(row, "multiplier", level, "times the data")
    return numbers
