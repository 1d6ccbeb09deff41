"""Which law to believe: how far each misses runs that it was not fitted to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling import show
from scaling.errors import BadOption, FitError, MissingColumns
from scaling.fitting.data import Data, Table, as_frame, compute, read, with_weights
from scaling.fitting.estimate import fit
from scaling.fitting.result import Fit
from scaling.laws.base import describe


class NothingHeldOut(FitError):
    """A held-out check with nothing to fit or nothing to predict."""

    asked: str
    fitted: int
    held: int

    def __str__(self) -> str:
        return (
            f"holding out {self.asked} leaves {self.fitted} runs to fit and {self.held} to predict. "
            "Add runs over more than half a decade of compute, or name a column of true and false as holdout=."
        )


_TOP = 0.5  # decades of compute that "top_compute" holds out


_CRITERIA = {"aicc": "AICc", "bic": "BIC"}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Laws side by side on the same runs."""

    table: pl.DataFrame
    """One row per law, best held-out error first: law, free (parameters), rms_percent (of the fit to all runs),
    held_out_percent (root mean square miss of the held-out runs), held_out_bias_percent (their mean of
    predicted/observed - 1), decades (how far beyond the fit in compute they reach, null where that is not known) and,
    where the objective is a likelihood, aicc and bic of the fit to all runs."""
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

    @property
    def best(self) -> Fit:
        """The law with the smallest held-out error, fitted to all runs."""
        return self.fits[self.table["law"][0]]

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        header = ["law", "free", "in sample, rms %", "held out, rms %", "held out, bias %"]
        header += [words for name, words in _CRITERIA.items() if name in self.table.columns]
        rows = [
            [
                law,
                str(free),
                f"{rms:.3g}",
                f"{held:.3g}",
                f"{bias:+.2g}",
                *(f"{value:.1f}" for value in criteria),
            ]
            for law, free, rms, held, bias, _, *criteria in self.table.iter_rows()
        ]
        return header, rows

    def _caption(self) -> str:
        every = self.fitted_rows + self.held_rows
        words = f"in sample: fitted to all {every} runs; held out: fitted to {self.fitted_rows} of them, and judged by "
        words += f"the other {self.held_rows}, {self.holdout}"
        if np.isfinite(self.decades):
            words += f", {self.decades:.2f} decades of compute beyond the fit"
        return words

    def __str__(self) -> str:
        return f"{self._caption()}\n{show.table(*self._cells())}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return show.html_table(*self._cells(), self._caption())


def compare(
    laws: Callable[..., Any] | Iterable[Callable[..., Any]],
    runs: Table,
    *,
    holdout: str | NDArray[np.bool_] = "top_compute",
    seed: int = 0,
    **options: Any,
) -> Comparison:
    """Laws fitted to the same runs and judged by runs that none of them saw.

    Args:
        laws: functions, as for `fit`; or a single one.
        runs: as for `fit`.
        holdout: "top_compute" (the largest half decade of C, or of 6ND where there is no C), the name of a
            true/false column, or an array of true and false, true for what is held out.
        seed: of the starts.
        **options: passed on to `fit`, e.g. objective="squares_log"; `weights` weigh the held-out misses too.

    Returns:
        A `Comparison`; print it.

    Raises:
        NothingHeldOut: no runs left to fit or to predict.
        FitError: as `fit`, for the law and the runs it concerns.
    """
    chosen = several(laws)
    frame, weights = with_weights(as_frame(runs), options.get("weights"))
    held, words = _held_out(frame, holdout)
    options = {"bootstrap": 0, **options, "seed": seed, "weights": weights}
    target = options.get("target", "loss")
    described = [describe(law) for law in chosen]
    for law in described:
        read(law, frame, target=target, weights=weights)
    if not held.any() or held.all():
        raise NothingHeldOut(words, int((~held).sum()), int(held.sum()))
    names = distinct_names([law.name for law in described])
    whole = {name: fit(law, frame, **options) for name, law in zip(names, chosen, strict=True)}
    fitted = {name: fit(law, frame.filter(~held), **options) for name, law in zip(names, chosen, strict=True)}
    flops = compute(frame)
    decades = np.nan if flops is None else float(np.log10(flops[0].max() / flops[0][~held].max()))
    rows = []
    for name, law in zip(names, described, strict=True):
        counted = np.ones(int(held.sum())) if weights is None else weights
        unseen = read(law, frame.filter(held), target=target, weights=counted)
        miss = 100.0 * (curve(fitted[name], unseen) / unseen.target - 1.0)
        found = whole[name]
        scored = found.log_likelihood is not None
        rows.append(
            {
                "law": name,
                "free": len(found.free),
                "rms_percent": found.rms_percent,
                "held_out_percent": show.weighted_rms(miss, unseen.weights),
                "held_out_bias_percent": float(np.average(miss, weights=unseen.weights)),
                "decades": decades if np.isfinite(decades) else None,
                **({criterion: getattr(found, criterion) for criterion in _CRITERIA} if scored else {}),
            }
        )
    table = pl.DataFrame(rows, schema_overrides={"decades": pl.Float64}).sort("held_out_percent")
    return Comparison(table, whole, fitted, words, int((~held).sum()), int(held.sum()), decades)


def several(laws: Callable[..., Any] | Iterable[Callable[..., Any]]) -> list[Callable[..., Any]]:
    """The laws as a list, where one may come alone.

    Raises:
        BadOption: none, or something that is no function.
    """
    chosen = [laws] if callable(laws) else list(laws) if isinstance(laws, Iterable) else []
    if not chosen or not all(map(callable, chosen)):
        raise BadOption("laws", laws if chosen else [], "one law or more, e.g. [chinchilla, kaplan]")
    return chosen


@np.errstate(all="ignore")
def curve(found: Fit, data: Data) -> NDArray[np.float64]:
    """The fitted curve at each row."""
    return np.broadcast_to(found.law(*data.columns.values(), **found.params), data.target.shape)


def _held_out(frame: pl.DataFrame, holdout: str | NDArray[np.bool_]) -> tuple[NDArray[np.bool_], str]:
    if not isinstance(holdout, str):
        held = np.asarray(holdout)
        if held.dtype != bool or held.shape != (len(frame),):
            raise BadOption(
                "holdout", f"an array of {held.dtype}", f"one true or false for each of {len(frame)} runs"
            )
        return held, "rows that were named"
    if holdout == "top_compute":
        flops = compute(frame)
        if flops is None:
            raise MissingColumns(
                ["C"], frame.columns, "Holding out by compute needs C, or N and D; or pass holdout=array."
            )
        values, name = flops
        return values > values.max() / 10**_TOP * (1 + 1e-9), f"the largest half decade of {name}"
    if holdout not in frame.columns or frame[holdout].dtype != pl.Boolean:
        raise BadOption(
            "holdout", holdout, "'top_compute', a true/false column, or an array of true and false"
        )
    return frame[holdout].fill_null(False).to_numpy(), f"rows where {holdout}"


def distinct_names(names: list[str]) -> list[str]:
    """Names that differ, the second of a kind numbered."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out
