"""Laws to fit to some rows of a table, and to judge by others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.arguments import whole
from scaling.errors import BadOption, FitError, MissingColumns
from scaling.fitting.data import Array, Data, Table, as_frame, compute, read, with_weights
from scaling.fitting.estimate import fit
from scaling.fitting.resample import Clusters, clusters
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


_AHEAD = 0.5  # decades that each origin of an expanding window predicts
_SIZES = 3  # of the largest ones, how many are held out at most


@dataclass(frozen=True)
class Fold:
    """Runs to fit, and others to predict."""

    fitted: NDArray[np.bool_]
    held: NDArray[np.bool_]


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
        several = isinstance(laws, Iterable) and getattr(
            laws, "ndim", 1
        )  # an array of no dimension has no elements
        chosen = [laws] if callable(laws) else list(laws) if several else []
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

    def groups(self, data: Mapping[str, Data], cluster: str) -> Clusters:
        """Runs that are not independent, labelled in the order of the table; `cluster` as for `fit`."""
        first = next(iter(data.values()))
        groups = clusters(first, cluster)
        labels = np.empty(first.rows, np.int64)
        labels[first.order] = groups.labels
        return Clusters(labels, groups.count, groups.words)


@np.errstate(all="ignore")
def curve(fitted: Fit, data: Data) -> Array:
    """The fitted curve at each row."""
    return np.broadcast_to(fitted.law(*data.columns.values(), **fitted.params), data.target.shape)


def expanding(frame: pl.DataFrame, origins: int) -> tuple[list[Fold], str]:
    """Runs up to each origin in compute, which predict those of the next half decade; and what that is in words.

    Raises:
        MissingColumns: neither C nor N and D.
        BadOption: no number of origins.
    """
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
            folds.append(Fold(log_C <= start + 1e-9, held))
    return folds, f"fitted up to each of {len(folds)} origins, the next half decade of {name} predicted"


def largest_sizes(frame: pl.DataFrame) -> list[Fold]:
    """The largest size held out, the two largest, the three largest, while three remain; none without a column N."""
    if "N" not in frame.columns or not frame["N"].dtype.is_numeric():
        return []
    sizes = frame["N"].unique().sort(descending=True).to_list()[: -3 or None][:_SIZES]
    held = [(frame["N"] >= size).to_numpy() for size in sizes]
    return [Fold(~rows, rows) for rows in held]


def distinct_names(names: list[str]) -> list[str]:
    """Names that differ, the second of a kind numbered."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out
