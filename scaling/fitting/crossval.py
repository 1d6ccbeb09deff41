"""Laws judged by many held-out parts of the runs rather than one, and how much weight each deserves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from scaling import show
from scaling.arguments import checked
from scaling.errors import BadOption, FitError, require_kind
from scaling.fitting.contest import Contest, Fold, NothingHeldOut, curve, expanding
from scaling.fitting.data import Array, Table
from scaling.fitting.predictive import stacking_weights


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation(show.Shown):
    """Laws side by side, each row of the runs predicted by fits that did not see it."""

    table: pl.DataFrame
    """One row per law, best first: law, free, held_out_percent (root mean square miss), held_out_bias_percent (mean of
    predicted/observed - 1), weight (of the law in the mixture that predicts best)."""
    misses: dict[str, Array]
    """ln(predicted/observed) of each held-out row, in the order in which they were held out."""
    folds: int
    held_rows: int
    words: str
    skipped: int
    """Folds left out because some law could not be fitted without them."""

    def shown(self) -> Iterator[show.Table]:
        header = ["law", "free", "held out, rms %", "held out, bias %", "weight"]
        rows = [
            [law, str(free), f"{rms:.3g}", f"{bias:+.2g}", f"{weight:.2f}"]
            for law, free, rms, bias, weight in self.table.iter_rows()
        ]
        lost = f" ({self.skipped} left out: too little remained to fit)" if self.skipped else ""
        caption = f"{self.folds} folds, {self.held_rows} runs predicted unseen: {self.words}{lost}"
        yield show.Table(header, rows, caption)


@checked
def cross_validate(
    laws: Callable[..., Any] | Iterable[Callable[..., Any]],
    runs: Table,
    *,
    how: str = "clusters",
    cluster: str = "auto",
    origins: int = 5,
    seed: int = 0,
    **options: Any,
) -> CrossValidation:
    """Laws scored on runs that they were not fitted to, over many splits.

    Args:
        laws: functions, as for `fit`; or a single one.
        runs: as for `fit`.
        how: "clusters" leaves each cluster out once (how well a law interpolates); "expanding" fits all runs up to an
            origin in compute and predicts the next half decade, for several origins (how well it extrapolates).
        cluster: as for `fit`.
        origins: of the expanding window, evenly spaced in log compute over the upper two thirds of its range.
        seed: of the starts.
        **options: passed on to `fit`; `weights` weigh the held-out misses too.

    Returns:
        A `CrossValidation`; print it. Its weights maximise the mean log density of the held-out runs under a mixture
        of the laws, each with a Laplace density of its own mean absolute miss (stacking).

    Raises:
        NothingHeldOut: no fold in which every law can be fitted.
        BadOption, MissingColumns: as they say.
    """
    require_kind("how", how, str, "'clusters' or 'expanding'")
    contest = Contest.of(laws, runs, {**options, "seed": seed})
    if how == "clusters":
        folds, words = _clusters(contest, cluster)
    elif how == "expanding":
        folds, words = expanding(contest.frame, origins)
    else:
        raise BadOption("how", how, "'clusters' or 'expanding'")
    counted: list[Array] = []
    parts: dict[str, list[Array]] = {name: [] for name in contest.laws}
    free: dict[str, int] = {}
    for fold in folds:
        try:
            fits, unseen = contest.fits(fold.fitted), contest.data(fold.held)
        except FitError:
            continue
        counted.append(next(iter(unseen.values())).weights)
        for name, fitted in fits.items():
            parts[name].append(np.log(curve(fitted, unseen[name]) / unseen[name].target))
            free[name] = len(fitted.free)
    if not counted:
        sizes = (int(folds[0].fitted.sum()), int(folds[0].held.sum())) if folds else (0, 0)
        raise NothingHeldOut(words, *sizes)
    misses = {name: np.concatenate(each) for name, each in parts.items()}
    weights = np.concatenate(counted)
    each = np.abs(np.stack(list(misses.values())))
    scale = np.average(each, axis=1, weights=weights)[:, None] + 1e-300  # of a Laplace density
    shares = stacking_weights(-each / scale - np.log(2.0 * scale), weights)
    rows = []
    for (name, missed), share in zip(misses.items(), shares, strict=True):
        percent = 100.0 * np.expm1(missed)
        rms, bias = show.weighted_rms(percent, weights), float(np.average(percent, weights=weights))
        rows.append((name, free[name], rms, bias, float(share)))
    header = ["law", "free", "held_out_percent", "held_out_bias_percent", "weight"]
    table = pl.DataFrame(rows, schema=header, orient="row").sort("held_out_percent")
    return CrossValidation(table, misses, len(counted), len(weights), words, len(folds) - len(counted))


def _clusters(contest: Contest, cluster: str) -> tuple[list[Fold], str]:
    groups = contest.groups(contest.data(), cluster)
    words = "each row left out once" if groups.words == "rows" else f"each of {groups.words} left out once"
    return [Fold(groups.labels != k, groups.labels == k) for k in range(groups.count)], words
