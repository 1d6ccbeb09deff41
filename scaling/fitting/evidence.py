"""Which law to believe: which could have made the runs, and how well each predicts runs that it was not fitted to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling import show
from scaling.arguments import checked
from scaling.errors import BadOption, MissingColumns
from scaling.fitting.contest import Contest, Fold, NothingHeldOut, curve, expanding, largest_sizes
from scaling.fitting.data import Data, Table, compute
from scaling.fitting.plausible import IMPLAUSIBLE, Plausibility, plausibility
from scaling.fitting.predictive import Unseen, unseen
from scaling.fitting.result import Fit

_TOP = 0.5  # decades of compute that "top_compute" holds out
_ORIGINS = 5
_CLEARLY = 2.0  # standard errors by which a law predicts better than another
_CRITERIA = {"aicc": "AICc", "bic": "BIC"}


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(show.Shown):
    """Laws side by side on the same runs."""

    table: pl.DataFrame
    """One row per law, smallest held-out error first: law, free (parameters), rms_percent (of the fit to all runs),
    held_out_percent (root mean square miss of the held-out runs), held_out_bias_percent (their mean of
    predicted/observed - 1), difference (of the log predictive density of unseen runs to that of the law that predicts
    them best, nats, zero or less), difference_stderr (over clusters), p (how often runs that the law made would speak
    as much against it; null for a law without rivals,
    as those that it contains are none), decades (how far beyond the fit in compute the held-out runs reach, null
    where that is not known) and, where the objective is a likelihood, aicc and bic of the fit to all runs."""
    fits: dict[str, Fit]
    """Each law fitted to all runs."""
    held_out_fits: dict[str, Fit]
    """Each law fitted without the held-out runs."""
    holdout: str
    """What was held out, in words."""
    fitted_rows: int
    held_rows: int
    decades: float
    """From the largest compute that was fitted to the largest that was predicted; NaN where compute is not known."""
    ranking: tuple[str, ...]
    """Names of the laws: the answer first, if there is one, then by held-out error as in the table."""
    decided: bool
    sentence: str
    """The answer in words, and what it rests on."""
    scored: str
    """What the predictive density was measured on, in words."""

    @property
    def answer(self) -> Fit | None:
        """The law that the runs decide for, fitted to all of them; None where they cannot tell.

        It is the simplest of the laws that could have made the runs, where every other such law contains it. Where none
        could, it is the one that predicts unseen runs better than each other by two standard errors, from every origin.
        """
        return self.best if self.decided else None

    @property
    def best(self) -> Fit:
        """The answer, or where the runs cannot tell, the law with the smallest held-out error; fitted to all runs."""
        return self.fits[self.ranking[0]]

    def row(self, law: str) -> dict[str, Any]:
        """What the table says of one law."""
        return self.table.row(by_predicate=pl.col("law") == law, named=True)

    def shown(self) -> Iterator[str | show.Table]:
        header = ["law", "free", "in sample, rms %", "held out, rms %", "held out, bias %"]
        header += ["log density, difference", "p"]
        header += [words for name, words in _CRITERIA.items() if name in self.table.columns]
        caption = (
            f"in sample: fitted to all {self.fitted_rows + self.held_rows} runs; held out: fitted to "
            f"{self.fitted_rows} of them, and judged by the other {self.held_rows}, {self.holdout}"
        )
        if np.isfinite(self.decades):
            caption += f", {self.decades:.2f} decades of compute beyond the fit"
        yield show.Table(header, [self._cells(law) for law in self.ranking], caption)
        yield self.scored
        yield self.sentence

    def _cells(self, law: str) -> list[str]:
        row = self.row(law)
        cells = [law, str(row["free"]), f"{row['rms_percent']:.3g}", f"{row['held_out_percent']:.3g}"]
        p = "–" if row["p"] is None else f"{row['p']:.2f}"
        cells += [f"{row['held_out_bias_percent']:+.2g}", _difference(row), p]
        return cells + [f"{row[name]:.1f}" for name in _CRITERIA if name in row]


def _difference(row: Mapping[str, Any]) -> str:
    if row["difference"] is None:
        return "–"
    if row["difference"] == 0.0:
        return "0"
    stderr = row["difference_stderr"]
    return show.with_error(row["difference"], np.nan if stderr is None else stderr)


@checked
def compare(
    laws: Callable[..., Any] | Iterable[Callable[..., Any]],
    runs: Table,
    *,
    holdout: str | NDArray[np.bool_] = "top_compute",
    seed: int = 0,
    **options: Any,
) -> Comparison:
    """Laws fitted to the same runs, judged by which could have made them and by how well each predicts unseen ones.

    The runs may be too few or too noisy to decide: then `Comparison.answer` is None, and the sentence says so. A law is
    refuted where it seldom makes runs that speak as much against it (`fitting.plausible`), and a larger law says no
    more than a smaller one whose curve it copies. Beside that stands the log predictive density of unseen runs
    (`fitting.predictive`): fitted up to five origins in compute they predict the next half decade, and fitted without
    the one, two and three largest sizes they predict those; or what `holdout` names.

    Args:
        laws: functions, as for `fit`; or a single one.
        runs: as for `fit`.
        holdout: "top_compute" (the largest half decade of C, or of 6ND where there is no C), the name of a
            true/false column, or an array of true and false, true for what is held out.
        seed: of the starts and of the simulated runs.
        **options: passed on to `fit`, e.g. objective="squares_log"; `weights` weigh the held-out misses too, and
            `cluster` says which runs share noise.

    Returns:
        A `Comparison`; print it.

    Raises:
        NothingHeldOut: no runs left to fit or to predict.
        FitError: as `fit`, for the law and the runs it concerns.
    """
    contest = Contest.of(laws, runs, {**options, "seed": seed})
    frame = contest.frame
    held, words = _held_out(frame, holdout)
    there = contest.data()  # refuses runs that some law cannot read
    if not held.any() or held.all():
        raise NothingHeldOut(words, int((~held).sum()), int(held.sum()))
    whole, fitted, beyond = contest.fits(), contest.fits(~held), contest.data(held)
    groups = contest.groups(there, options.get("cluster", "auto"))
    folds, scored = _folds(frame, holdout, held, words)
    scores = unseen(contest, whole, folds, groups)
    plausible = plausibility(contest, whole, groups, seed)
    answer, sentence = _decide(plausible, scores)
    flops = compute(frame)
    decades = np.nan if flops is None else float(np.log10(flops[0].max() / flops[0][~held].max()))
    table = pl.DataFrame(
        [
            _held_row(name, every, fitted[name], beyond[name])
            | _scores(name, scores, plausible)
            | {"decades": decades if np.isfinite(decades) else None}
            | ({c: getattr(every, c) for c in _CRITERIA} if every.log_likelihood is not None else {})
            for name, every in whole.items()
        ],
        schema_overrides=dict.fromkeys(("difference", "difference_stderr", "p", "decades"), pl.Float64),
    ).sort("held_out_percent")
    ranking = sorted(table["law"], key=lambda name: name != answer)
    return Comparison(
        table, whole, fitted, words, int((~held).sum()), int(held.sum()), decades, tuple(ranking),
        answer is not None, sentence, _scored(scores, scored),
    )  # fmt: skip


def _held_row(name: str, every: Fit, fitted: Fit, beyond: Data) -> dict[str, Any]:
    miss = 100.0 * (curve(fitted, beyond) / beyond.target - 1.0)
    return {
        "law": name,
        "free": len(every.free),
        "rms_percent": every.rms_percent,
        "held_out_percent": show.weighted_rms(miss, beyond.weights),
        "held_out_bias_percent": float(np.average(miss, weights=beyond.weights)),
    }


def _scores(name: str, scores: Unseen | None, plausible: Plausibility) -> dict[str, float | None]:
    difference = stderr = None
    if scores:
        total = scores.total()
        difference, stderr, _ = scores.difference(name, max(total, key=lambda law: total[law]))
    known = {"difference": difference, "difference_stderr": stderr, "p": plausible.p[name]}
    return {key: None if value is None or np.isnan(value) else value for key, value in known.items()}


def _folds(
    frame: pl.DataFrame, holdout: str | NDArray[np.bool_], held: NDArray[np.bool_], words: str
) -> tuple[list[Fold], str]:
    if not isinstance(holdout, str) or holdout != "top_compute":
        return [Fold(~held, held)], words
    sizes = largest_sizes(frame)
    words = "the half decade of compute after each of several origins"
    return expanding(frame, _ORIGINS)[0] + sizes, words + " and the largest sizes" * bool(sizes)


def _scored(scores: Unseen | None, words: str) -> str:
    if scores is None:
        return "log density: no part of the runs determines every law"
    return (
        f"log density: of {scores.runs} runs predicted unseen in {scores.folds} parts, {words}; nats, ± its standard "
        f"error over {scores.groups.words}"
    )


def _decide(plausible: Plausibility, scores: Unseen | None) -> tuple[str | None, str]:
    """The answer, None where the runs cannot tell, and a sentence."""
    names = tuple(plausible.p)
    if len(names) == 1:
        return names[0], f"{names[0]} is the only law here."
    left, refuted = plausible.left, [name for name in names if name not in plausible.left]
    against = f"{_listed(refuted)} would seldom make such runs (p ≤ {IMPLAUSIBLE:g})" if refuted else ""
    ahead = [name for name in names if all(_clearly(scores, name, other) for other in names if other != name)]
    if not left:
        none = f"None of these laws would often make such runs (p ≤ {IMPLAUSIBLE:g} each)"
        if ahead:
            return ahead[0], f"{none}; {ahead[0]} predicts unseen runs best, clearly and from every origin."
        return None, f"{none}, and the runs cannot tell which predicts best."
    name = plausible.simplest
    if name is None:
        return None, f"The runs cannot tell {_listed(left, 'from')}{'; ' * bool(against)}{against}."
    better = [other for other in names if other != name and _clearly(scores, other, name)]
    if better:
        doubt = f"{name} could have made them, but {_listed(better)} clearly predicts unseen runs better"
        return None, f"The runs cannot tell: {doubt}."
    reasons = [against] * bool(against)
    if contain := [other for other in left if other != name]:
        reasons.append(f"{_listed(contain)} can copy it on these runs, and more parameters gain nothing")
    return name, f"Of these laws the runs speak for {name}: {'; '.join(reasons)}."


def _clearly(scores: Unseen | None, first: str, second: str) -> bool:
    """Whether one law predicts unseen runs better than another beyond doubt."""
    if scores is None:
        return False
    difference, stderr, agree = scores.difference(first, second)
    return bool(difference > _CLEARLY * stderr and agree == 1.0)


def _listed(names: Iterable[str], last: str = "and") -> str:
    *others, end = names
    return f"{', '.join(others)} {last} {end}" if others else end


def _held_out(frame: pl.DataFrame, holdout: str | NDArray[np.bool_]) -> tuple[NDArray[np.bool_], str]:
    if not isinstance(holdout, str):
        held = np.asarray(holdout)
        if held.dtype != bool or held.shape != (len(frame),):
            wanted = f"one true or false for each of {len(frame)} runs"
            raise BadOption("holdout", f"an array of {held.dtype}", wanted)
        return held, "rows that were named"
    if holdout == "top_compute":
        flops = compute(frame)
        if flops is None:
            hint = "Holding out by compute needs C, or N and D; or pass holdout=array."
            raise MissingColumns(["C"], frame.columns, hint)
        values, name = flops
        return values > values.max() / 10**_TOP * (1 + 1e-9), f"the largest half decade of {name}"
    if holdout not in frame.columns or frame[holdout].dtype != pl.Boolean:
        wanted = "'top_compute', a true/false column, or an array of true and false"
        raise BadOption("holdout", holdout, wanted)
    return frame[holdout].fill_null(False).to_numpy(), f"rows where {holdout}"
