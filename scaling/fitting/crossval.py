"""Laws judged by many held-out parts of the runs rather than one, and how much weight each deserves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling import show
from scaling.errors import BadOption, FitError, MissingColumns
from scaling.fitting.data import Table, as_frame, compute, read, with_weights
from scaling.fitting.estimate import fit
from scaling.fitting.evidence import NothingHeldOut, curve, distinct_names, several
from scaling.fitting.options import whole
from scaling.fitting.resample import clusters
from scaling.laws.base import describe

Array = NDArray[np.float64]

_AHEAD = 0.5  # decades that each origin of an expanding window predicts
_ROUNDS = 500


@dataclass(frozen=True)
class _Fold:
    fitted: NDArray[np.bool_]
    held: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CrossValidation:
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

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        header = ["law", "free", "held out, rms %", "held out, bias %", "weight"]
        rows = [
            [law, str(free), f"{rms:.3g}", f"{bias:+.2g}", f"{weight:.2f}"]
            for law, free, rms, bias, weight in self.table.iter_rows()
        ]
        return header, rows

    def _caption(self) -> str:
        lost = f" ({self.skipped} left out: too little remained to fit)" if self.skipped else ""
        return f"{self.folds} folds, {self.held_rows} runs predicted unseen: {self.words}{lost}"

    def __str__(self) -> str:
        return f"{self._caption()}\n{show.table(*self._cells())}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return show.html_table(*self._cells(), self._caption())


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
    chosen = several(laws)
    frame, weights = with_weights(as_frame(runs), options.get("weights"))
    target = options.get("target", "loss")
    if how == "clusters":
        data = read(describe(chosen[0]), frame, target=target, weights=weights)
        groups = clusters(data, cluster)
        labels = np.empty(data.rows, np.int64)
        labels[data.order] = groups.labels
        folds = [_Fold(labels != k, labels == k) for k in range(groups.count)]
        words = f"each of {groups.words} left out once"
        if groups.words == "rows":
            words = "each row left out once"
    elif how == "expanding":
        folds, words = _windows(frame, origins)
    else:
        raise BadOption("how", how, "'clusters' or 'expanding'")
    names = distinct_names([describe(law).name for law in chosen])
    options = {"bootstrap": 0, **options, "seed": seed, "weights": weights}
    counted: list[Array] = []
    misses: dict[str, list[Array]] = {name: [] for name in names}
    free: dict[str, int] = {}
    used = 0
    for fold in folds:
        held = frame.filter(fold.held)
        own = np.ones(len(held)) if weights is None else weights
        try:
            found = [fit(law, frame.filter(fold.fitted), **options) for law in chosen]
            unseen = [read(describe(law), held, target=target, weights=own) for law in chosen]
        except FitError:
            continue
        used += 1
        counted.append(unseen[0].weights)
        for name, one, there in zip(names, found, unseen, strict=True):
            misses[name].append(np.log(curve(one, there) / there.target))
            free[name] = len(one.free)
    if not used:
        raise NothingHeldOut(
            words, int(folds[0].fitted.sum()) if folds else 0, int(folds[0].held.sum()) if folds else 0
        )
    together = {name: np.concatenate(parts) for name, parts in misses.items()}
    rows_count = np.concatenate(counted)
    shares = stacking_weights(np.stack(list(together.values())), rows_count)
    rows = []
    for name, share in zip(names, shares, strict=True):
        percent = 100.0 * np.expm1(together[name])
        rms, bias = show.weighted_rms(percent, rows_count), float(np.average(percent, weights=rows_count))
        rows.append((name, free[name], rms, bias, float(share)))
    header = ["law", "free", "held_out_percent", "held_out_bias_percent", "weight"]
    table = pl.DataFrame(rows, schema=header, orient="row").sort("held_out_percent")
    held = len(next(iter(together.values())))
    return CrossValidation(table, together, used, held, words, len(folds) - used)


def stacking_weights(misses: Array, counted: Array | None = None) -> Array:
    """Weights of the laws in the mixture with the highest likelihood of held-out misses.

    Args:
        misses: shape (laws, rows).
        counted: what each row counts, shape (rows,); one unless given.

    Returns:
        Shape (laws,), summing to one: the fixed point of expectation maximisation from equal weights, with a Laplace
        density for each law whose scale is the mean absolute miss.
    """
    scale = np.average(np.abs(misses), axis=1, weights=counted)[:, None] + 1e-300
    log_density = -np.abs(misses) / scale - np.log(2.0 * scale)
    density = np.exp(log_density - log_density.max(axis=0))
    weights = np.full(len(misses), 1.0 / len(misses))
    for _ in range(_ROUNDS):
        share = weights[:, None] * density
        weights = np.average(share / share.sum(axis=0), axis=1, weights=counted)
    return weights


def _windows(frame: pl.DataFrame, origins: int) -> tuple[list[_Fold], str]:
    flops = compute(frame)
    if flops is None:
        raise MissingColumns(["C"], frame.columns, "An expanding window needs C, or N and D.")
    origins = whole("origins", origins, "a whole number, 1 or more", least=1)
    log_C, name = np.log10(flops[0]), flops[1]
    low, high = float(log_C.min()), float(log_C.max())
    starts = np.linspace(low + (high - low) / 3.0, high - _AHEAD, origins)
    folds = []
    for start in starts:
        held = (log_C > start + 1e-9) & (log_C <= start + _AHEAD + 1e-9)
        if held.any():
            folds.append(_Fold(log_C <= start + 1e-9, held))
    return folds, f"fitted up to each of {len(folds)} origins, the next half decade of {name} predicted"
