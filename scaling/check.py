"""What a table of runs was understood to be, column by column, and what a fit of it could tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from scaling.errors import ScalingError
from scaling.fitting import fit
from scaling.intake import Reading, understand
from scaling.intake.convert import is_loss
from scaling.intake.guesses import guessed
from scaling.laws import LAWS, describe
from scaling.show import Shown, Table

_TARGETS = {"score_from_loss": "score", "score_from_compute": "score", "error_from_loss": "error"}
_TARGETS |= {"best_of_n_gain": "gain", "policy_gain": "gain"}
_ROWS = 2000  # as many as a look at what is identified needs


@dataclass(frozen=True, eq=False, repr=False)
class Checked(Shown):
    """A look at a table of runs: print it, or let a notebook show it."""

    reading: Reading
    suggested: Mapping[str, str]
    """Columns that the schema calls otherwise, by the look of their names: as `columns` of `read_runs` takes them."""
    laws: Mapping[str, str]
    """What a fit of each law tells that the columns can feed."""
    wanting: Mapping[str, tuple[str, ...]]
    """Columns that are not there, and the laws that need no others."""
    suggested_units: Mapping[str, str] = field(default_factory=dict)
    """Units that those names say, as `units` of `read_runs` takes them: "B" of "n_params_B"."""

    def shown(self) -> Iterator[str | Table]:
        """What it is; a row for each column; what is doubtful; a row for each law."""
        read = self.reading
        yield f"{read.source}: {read.kind}, {read.frame.height} rows, {read.frame.width} columns"
        yield Table(
            ["column", "in the table", "unit", "from", "to", "values", "empty"],
            [self._column(name) for name in read.frame.columns],
        )
        yield from read.words()
        if self.suggested:
            units = f", units={dict(self.suggested_units)}" if self.suggested_units else ""
            yield f"by their names these are others: columns={dict(self.suggested)}{units}"
        if self.laws:
            yield Table(["law", "a fit of it"], [[name, words] for name, words in self.laws.items()])
        else:
            yield "no law can be fitted: one needs loss, and N, D or C"
        for column, laws in self.wanting.items():
            yield f"with {column} too: {', '.join(laws)}"

    def _column(self, name: str) -> list[str]:
        """A line on a column: its own name, its unit, its ends, its values, and how many cells are empty."""
        values = self.reading.frame[name]
        unit = self.reading.units.get(
            name, "nats/token, assumed" if is_loss(name) and values.dtype.is_numeric() else ""
        )
        own = self.reading.names.get(name, "")
        low, high = self._ends(values)
        distinct = "" if values.dtype.is_nested() else str(values.drop_nulls().n_unique())
        return [name, own, unit, low, high, distinct, str(self.reading.missing[name] or "")]

    @staticmethod
    def _ends(values: pl.Series) -> tuple[str, str]:
        if values.dtype.is_numeric():
            finite = values.cast(pl.Float64).drop_nulls().to_numpy()
            finite = finite[np.isfinite(finite)]
            return (_number(finite.min()), _number(finite.max())) if len(finite) else ("", "")
        if values.dtype.is_nested():
            return "a list or struct", ""
        if values.null_count() == len(values):
            return "", ""
        ends = (str(values.drop_nulls().min()), str(values.drop_nulls().max()))
        return ends[0][:16], ends[1][:16]


def _number(value: float) -> str:
    """An end of a range: 0.018672, 131,072, 1.65e12."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.5g}".replace("e+", "e")


def check_runs(
    path: Any,
    *,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    decimal: str | None = None,
) -> Checked:
    """What `read_runs` makes of a table, what looks wrong in it, and what a fit of it could tell.

    Args:
        path, columns, units, decimal: as for `read_runs`.

    Returns:
        A `Checked`: each column with its own name, unit, range and empty cells; rows that seem to be in another unit,
        or sum up others; columns that the schema would call otherwise; and for each law that the columns can feed,
        which of its parameters these runs determine.

    Raises:
        RecordError: the table cannot be read, as for `read_runs`.
    """
    reading = understand(path, columns=columns, units=units, decimal=decimal)
    numeric = {n for n, kind in reading.frame.schema.items() if kind.is_numeric()}
    laws: dict[str, str] = {}
    wanting: dict[str, list[str]] = {}
    for name, law in LAWS.items():
        needed = {*describe(law).column_names, _TARGETS.get(name, "loss")}
        if missing := sorted(needed - numeric):
            if len(missing) == 1:
                wanting.setdefault(missing[0], []).append(name)
        else:
            laws[name] = _told(law, reading.frame, _TARGETS.get(name, "loss"))
    columns, units = guessed(reading.frame.columns)
    return Checked(reading, columns, laws, {c: tuple(names) for c, names in wanting.items()}, units)


def _told(law: Callable[..., Any], frame: pl.DataFrame, target: str) -> str:
    """Which parameters of a law these runs determine, or why none can be fitted."""
    read = [*describe(law).column_names, target]
    whole = frame.filter(
        pl.all_horizontal((pl.col(c).cast(pl.Float64).is_finite()).fill_null(False) for c in read)
    )
    left = (
        f" ({frame.height - whole.height} of {frame.height} rows have gaps)"
        if whole.height < frame.height
        else ""
    )
    if whole.height > _ROWS:
        whole = whole.sample(_ROWS, seed=0)
    try:
        fitted = fit(law, whole, bootstrap=0, target=target)
    except ScalingError as problem:
        return f"refused: {re.split(r'(?<=[a-z)])[.:] ', str(problem))[0]}{left}"
    loose = [f"{name} ({how})" for name, how in fitted.undetermined.items()]
    words = f"does not determine {', '.join(loose)}" if loose else f"determines {', '.join(fitted.params)}"
    return f"{words}; misses {fitted.rms_percent:.2g} % rms{left}"
