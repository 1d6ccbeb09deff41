"""Which law to believe: how far each misses runs that it was not fitted to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling import show
from scaling.errors import BadOption, FitError, MissingColumns
from scaling.fitting.data import Array, Data, Table, as_frame, compute, read, with_weights
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


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(show.Shown):
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

    def shown(self) -> Iterator[show.Table]:
        header = ["law", "free", "in sample, rms %", "held out, rms %", "held out, bias %"]
        header += [words for name, words in _CRITERIA.items() if name in self.table.columns]
        rows = [
            [law, str(free), f"{rms:.3g}", f"{held:.3g}", f"{bias:+.2g}", *map("{:.1f}".format, criteria)]
            for law, free, rms, held, bias, _, *criteria in self.table.iter_rows()
        ]
        caption = (
            f"in sample: fitted to all {self.fitted_rows + self.held_rows} runs; held out: fitted to "
            f"{self.fitted_rows} of them, and judged by the other {self.held_rows}, {self.holdout}"
        )
        if np.isfinite(self.decades):
            caption += f", {self.decades:.2f} decades of compute beyond the fit"
        yield show.Table(header, rows, caption)


@dataclass(frozen=True, eq=False)
class Contest:
    """Laws to fit to some rows of a table, and to judge by others."""

    laws: dict[str, Callable[..., Any]]
    """Under names that differ."""
    frame: pl.DataFrame
    options: dict[str, Any]
    """Of `fit`; its weights, if any, are a column of the frame."""

    @staticmethod
    def of(
        laws: Callable[..., Any] | Iterable[Callable[..., Any]], runs: Table, options: dict[str, Any]
    ) -> Contest:
        """Of one law or more.

        Raises:
            BadOption: no law, or something that is no function.
        """
        chosen = [laws] if callable(laws) else list(laws) if isinstance(laws, Iterable) else []
        if not chosen or not all(map(callable, chosen)):
            raise BadOption("laws", laws if chosen else [], "one law or more, e.g. [chinchilla, kaplan]")
        frame, weights = with_weights(as_frame(runs), options.get("weights"))
        names = distinct_names([describe(law).name for law in chosen])
        return Contest(
            dict(zip(names, chosen, strict=True)), frame, {"bootstrap": 0, **options, "weights": weights}
        )

    def fits(self, rows: NDArray[np.bool_] | None = None) -> dict[str, Fit]:
        """Each law fitted to some of the rows, or to all."""
        runs = self.frame if rows is None else self.frame.filter(rows)
        return {name: fit(law, runs, **self.options) for name, law in self.laws.items()}

    def data(self, rows: NDArray[np.bool_] | None = None) -> dict[str, Data]:
        """What each law reads of some of the rows, which may repeat each other, or of all."""
        weights, target = self.options["weights"], self.options.get("target", "loss")
        runs = self.frame if rows is None else self.frame.filter(rows)
        if rows is not None and weights is None:
            weights = np.ones(len(runs))
        return {
            name: read(describe(law).columns, runs, target=target, weights=weights)
            for name, law in self.laws.items()
        }


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
    contest = Contest.of(laws, runs, {**options, "seed": seed})
    frame = contest.frame
    held, words = _held_out(frame, holdout)
    contest.data()  # refuses runs that some law cannot read
    if not held.any() or held.all():
        raise NothingHeldOut(words, int((~held).sum()), int(held.sum()))
    whole, fitted, unseen = contest.fits(), contest.fits(~held), contest.data(held)
    flops = compute(frame)
    decades = np.nan if flops is None else float(np.log10(flops[0].max() / flops[0][~held].max()))
    rows = []
    for name, every in whole.items():
        there = unseen[name]
        miss = 100.0 * (curve(fitted[name], there) / there.target - 1.0)
        scored = every.log_likelihood is not None
        rows.append(
            {
                "law": name,
                "free": len(every.free),
                "rms_percent": every.rms_percent,
                "held_out_percent": show.weighted_rms(miss, there.weights),
                "held_out_bias_percent": float(np.average(miss, weights=there.weights)),
                "decades": decades if np.isfinite(decades) else None,
                **({criterion: getattr(every, criterion) for criterion in _CRITERIA} if scored else {}),
            }
        )
    table = pl.DataFrame(rows, schema_overrides={"decades": pl.Float64}).sort("held_out_percent")
    return Comparison(table, whole, fitted, words, int((~held).sum()), int(held.sum()), decades)


@np.errstate(all="ignore")
def curve(fitted: Fit, data: Data) -> Array:
    """The fitted curve at each row."""
    return np.broadcast_to(fitted.law(*data.columns.values(), **fitted.params), data.target.shape)


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


def distinct_names(names: list[str]) -> list[str]:
    """Names that differ, the second of a kind numbered."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out
