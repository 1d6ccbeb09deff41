"""How fragile is a law? Every defensible way to fit the same runs, and which choice moves the answer most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from scaling.arguments import checked
from scaling.errors import BadOption, QuestionError, require_columns
from scaling.fitting import fit
from scaling.fitting.data import Table, as_frame, framed
from scaling.laws import chinchilla, kaplan, power_mean
from scaling.laws.base import describe
from scaling.questions._audit import words
from scaling.questions._audit.multiverse import CHOICES, OUTCOMES, multiverse, outcomes, prices
from scaling.questions._audit.words import CANNOT_TELL, FRAGILE, ROBUST
from scaling.show import tails
from scaling.verdict import Estimate, Reach, Verdict, check_level


class TooFewRunsToAudit(QuestionError):
    """Too few runs to leave some out and fit the rest."""

    law: str
    needed: int
    given: int

    def __str__(self) -> str:
        return (
            f"an audit of {self.law} leaves runs out and needs {self.needed} or more, but got {self.given}. "
            f"Train more, or fit once and say so: fit({self.law}, runs)."
        )


QUESTION = "How fragile is this law: do the defensible ways to fit the same runs agree?"

MATTERS = {"a": 0.1, "tokens_per_parameter": 3.0, "loss_100x": 1.05}
"""From which width a range over choices makes a law fragile: a difference of a, a factor of the other two.

A tenth of a is a factor of 1.6 in the size planned two decades ahead; the factors are conventions as well."""

WIDEST = 0.2
"""Width of the resampling interval of a from which the runs do not determine it, however they are fitted."""

FEWEST = 20
"""Resampled refits that an interval takes."""


@checked
def audit(
    runs: Table,
    *,
    law: Callable[..., Any] = chinchilla,
    others: Sequence[Callable[..., Any]] = (power_mean, kaplan),
    bootstrap: int = 200,
    level: float = 0.8,
    seed: int = 0,
) -> Verdict:
    """Whether the defensible ways to fit the same runs agree, and which choice moves the answer most.

    Objective and its delta, runs left out, how N and C are counted (as far as the columns allow), window of compute,
    weighting, and form (`law`, `others`, approach 2 with a parabola and a cubic) are crossed: the table
    `specifications` has a row for each, see `multiverse`. Three outcomes are followed over the rows that are kept: the
    exponent a, the best tokens per parameter at the largest compute, and the loss at 100 times that. The answer is

        "not identifiable from these runs"   where resampling the runs alone moves a by 0.2 or more, or fewer than half
                                             of the fits of `law` converge;
        "fragile"                            where choices move a by 0.1, tokens per parameter by a factor of 3, or the
                                             loss by 5 %, or more; or where most fits of `law` do not count, because
                                             another form misses the runs by much less;
        "robust"                             otherwise: what the law says does not hang on how it was fitted. It
                                             may still hang on the runs, for which see the resampling intervals.

    A range over choices is no interval: the choices are not draws, and how often each level occurs is a convention.

    Args:
        runs: columns N, D and loss at least; C, params_head, params_total and loss_stderr widen the choices.
        law: the law that is audited, of N and D.
        others: forms beside it.
        bootstrap: resampled refits under the usual choices.
        level: of the intervals, and the share of the specifications that a range holds.
        seed: of starts and bootstrap.

    Raises:
        MissingColumns: no N, D or loss.
        TooFewRunsToAudit: fewer than twice as many runs as the law has parameters.
        NotALaw: a form that reads other columns than N and D.
        BadOption: fewer than 20 resampled refits, or a level outside (0, 1).
        FitError: as `fit`.

    Source:
        Steegen et al. 2016, "Increasing transparency through a multiverse analysis"; Simonsohn et al. 2020,
        "Specification curve analysis".
    """
    frame, described = as_frame(runs), describe(law)
    require_columns(("N", "D", "loss"), frame.columns, "An audit needs N, D and loss of each run.")
    if len(frame) < 2 * len(described.parameters):
        raise TooFewRunsToAudit(described.name, 2 * len(described.parameters), len(frame))
    if bootstrap < FEWEST:
        raise BadOption(
            "bootstrap", bootstrap, f"{FEWEST} or more, as an audit compares choices with resampling"
        )
    check_level(level)
    table = multiverse(frame, law, others=others, seed=seed)
    base = fit(law, frame, bootstrap=bootstrap, seed=seed)
    price = next(iter(prices(frame).values()))
    drawn = outcomes(described, {p: base.draws[p] for p in base.params}, price)
    best = outcomes(described, {p: np.array([v]) for p, v in base.params.items()}, price)
    kept, resampled, chosen = table.filter("kept"), {}, {}
    for name, (_, unit, _) in words.OUTCOMES.items():
        low, _, high = np.nanquantile(drawn[name], tails(level))
        resampled[name] = Estimate(float(best[name][0]), float(low), float(high), level, unit)
        chosen[name] = Estimate.of(kept[name].to_numpy() if len(kept) else np.array([np.nan]), level, unit)
    moved = _moved(chosen)
    answer = _answer(table.filter(form=described.name), resampled["a"], moved)
    moves = influence(table)
    numbers = {f"{words.OUTCOMES[name][0]}, resampling the runs": resampled[name] for name in MATTERS}
    numbers |= {f"{words.OUTCOMES[name][0]}, over choices": chosen[name] for name in MATTERS}
    return Verdict(
        question=QUESTION,
        topic="audit",
        answers=(ROBUST, FRAGILE, CANNOT_TELL),
        answer=answer,
        sentence=words.sentence(answer, described.name, len(frame), table, moves, moved, chosen, resampled),
        numbers=numbers,
        evidence={"specifications": table, "influence": moves},
        would_change=words.doubts(base, table, moves, one_seed=not _repeated(frame)),
        next_runs=tuple(words.CHOICES[choice][1] for choice in moves["choice"].head(1)),
        identifiable=answer != CANNOT_TELL,
        reach=Reach.of(frame.with_columns(C=pl.Series(price.C))),
        data_hash=base.data_hash,
        seed=seed,
    )


@framed("table")
def influence(table: pl.DataFrame, outcome: str = "a") -> pl.DataFrame:
    """How much each choice moves an outcome, most first.

        share = (RSS without the choice - RSS of all choices) / total sum of squares

    of least squares on one level per column, over the rows that are kept; in a complete crossing it is the main
    effect's share of the variance, and what all shares leave to one is interaction. Tokens per parameter enter by their
    logarithm.

    Args:
        table: as `multiverse` returns it.
        outcome: one of `OUTCOMES`.

    Returns:
        One row per choice with two levels or more: choice, levels, share, largest_change (between two rows that differ
        in this choice alone; a factor for tokens per parameter), low, high (the levels of these two rows).

    Raises:
        MissingColumns: no such outcome.
    """
    require_columns([outcome], list(OUTCOMES), "Name one of these outcomes.")
    require_columns(("kept", *CHOICES, outcome), table.columns, "Pass the table of a multiverse.")
    kept = table.filter("kept")
    log = outcome == "tokens_per_parameter"
    y = kept[outcome].log() if log else kept[outcome]
    varied = [name for name in CHOICES if kept[name].n_unique() > 1]
    spread = float(((y - y.mean()) ** 2).sum()) if len(kept) else 0.0
    rows = []
    for choice in varied:
        others = [name for name in varied if name != choice]
        share = (_rest(kept, y, others) - _rest(kept, y, varied)) / spread if spread > 0 else 0.0
        at = pl.col("_y")
        pairs = (
            kept.with_columns(_y=y)
            .group_by([name for name in CHOICES if name != choice], maintain_order=True)
            .agg(
                change=at.max() - at.min(),
                low=pl.col(choice).get(at.arg_min()),
                high=pl.col(choice).get(at.arg_max()),
            )
            .sort("change", descending=True, maintain_order=True)
        )
        change = float(pairs["change"][0])
        change = float(np.exp(change)) if log else change
        rows.append((choice, kept[choice].n_unique(), share, change, pairs["low"][0], pairs["high"][0]))
    schema = {
        "choice": pl.String, "levels": pl.Int64, "share": pl.Float64, "largest_change": pl.Float64,
        "low": pl.String, "high": pl.String,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row").sort("share", descending=True)


def _rest(kept: pl.DataFrame, y: pl.Series, choices: list[str]) -> float:
    """Residual sum of squares of an outcome on one level per column."""
    design = np.ones((len(kept), 1))
    if choices:
        design = np.hstack([design, kept.select(choices).to_dummies(drop_first=True).to_numpy()])
    wanted = y.to_numpy()
    fitted, *_ = np.linalg.lstsq(design.astype(float), wanted, rcond=None)
    return float(((wanted - design @ fitted) ** 2).sum())


def _moved(chosen: Mapping[str, Estimate]) -> list[str]:
    """Outcomes that choices move by as much as matters."""
    widths = {name: chosen[name].high / chosen[name].low for name in MATTERS}
    widths["a"] = chosen["a"].high - chosen["a"].low
    return [name for name, width in widths.items() if width >= MATTERS[name]]


def _answer(own: pl.DataFrame, a: Estimate, moved: Sequence[str]) -> str:
    if not a.high - a.low < WIDEST or not words.most(own["converged"]):
        return CANNOT_TELL
    return FRAGILE if moved or not words.most(own["kept"]) else ROBUST


def _repeated(frame: pl.DataFrame) -> bool:
    """Whether some point was trained more than once."""
    if "seed" in frame.columns and frame["seed"].n_unique() == 1:
        return False
    same = [name for name in ("N", "D", "unique_tokens", "peak_lr") if name in frame.columns]
    return bool(frame.select(same).is_duplicated().any())
