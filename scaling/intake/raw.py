"""A table as its owner wrote it: columns of text or of typed values, before anything is made of them."""

from __future__ import annotations

import datetime
import decimal
import numbers
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from scaling.errors import RecordError
from scaling.intake.cells import is_missing


class NotATable(RecordError):
    """A file or an object of somebody that cannot be read as a table."""

    source: str
    reason: str
    way: str = "Save it again as CSV, one row for each run, names in the first line."

    def __str__(self) -> str:
        return f"{self.source} cannot be read as a table ({self.reason}). {self.way}"


class ColumnTwice(RecordError):
    """Two columns of one name."""

    source: str
    name: str
    columns: tuple[str, ...]
    way: str

    def __str__(self) -> str:
        return (
            f"{self.source}: two columns would be called {self.name!r}: {' and '.join(map(repr, self.columns))}. "
            f"{self.way}"
        )


@dataclass(frozen=True, eq=False)
class Raw:
    """A table before its cells are understood; a column of text is `pl.String`, whatever it stands for."""

    source: str
    """Name of the file, for people."""
    kind: str
    """What it is, in words: "CSV", "wandb chart, a column for each run"."""
    frame: pl.DataFrame
    lines: tuple[int, ...] | None = None
    """Line of the file on which each row ends; None where rows were made from others."""
    delimiter: str = ","
    notes: tuple[str, ...] = ()
    """What was left out or taken for something on the way, in words."""
    log: bool = False
    """Whether rows are points of learning curves, as a tracker writes them."""

    def noting(self, *words: str, **changes: Any) -> Raw:
        """The same with changes, and words on them."""
        return replace(self, notes=(*self.notes, *words), **changes)

    def place(self, row: int) -> str:
        """Where a row stands, in words: "row 7, line 9"."""
        return f"row {row}" if self.lines is None else f"row {row}, line {self.lines[row]}"

    def without(self, rows: Iterable[int]) -> Raw:
        """The table without some rows."""
        gone = set(rows)
        kept = [i for i in range(self.frame.height) if i not in gone]
        lines = None if self.lines is None else tuple(self.lines[i] for i in kept)
        return replace(self, frame=self.frame[kept], lines=lines)


def table_of(source: str, names: Sequence[object], columns: Sequence[Sequence[Any]]) -> pl.DataFrame:
    """A frame of columns of cells; spaces around names are dropped.

    Raises:
        ColumnTwice: two of one name.
    """
    clean = [
        " ".join(str(name).replace("\ufeff", "").split()) or f"Unnamed: {i}" for i, name in enumerate(names)
    ]
    for i, name in enumerate(clean):
        if name in clean[:i]:
            places = tuple(f"column {j + 1}" for j, other in enumerate(clean) if other == name)
            raise ColumnTwice(source, name, places, "Rename one of them in the table.")
    return pl.DataFrame([column_of(n, c) for n, c in zip(clean, columns, strict=True)])


def spelled_out(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame whose categories are text, as in any other column of names or of counts such as "85M"."""
    return frame.cast({pl.Categorical: pl.String, pl.Enum: pl.String})  # type: ignore[dict-item]


def rows_of(source: str, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """A frame of rows that are dictionaries; a key that comes late is empty before, nested ones get a dotted name."""
    flat = [flattened(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    return table_of(source, names, [[row.get(name) for row in flat] for name in names])


def flattened(row: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """A dictionary without dictionaries in it: {"val": {"loss": 3}} becomes {"val.loss": 3}."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        whole = f"{above}{name}"
        flat |= flattened(value, f"{whole}.") if isinstance(value, Mapping) else {whole: value}
    return flat


def column_of(name: str, cells: Sequence[Any]) -> pl.Series:
    """A column of Python values: whole numbers where all fit 64 bits, else fractions; text where any cell is text."""
    given = [_plain(cell) for cell in cells]
    kinds = {type(cell) for cell in given} - {type(None)}
    if not kinds:
        return pl.Series(name, given, pl.String)
    if kinds <= {bool}:
        return pl.Series(name, given, pl.Boolean)
    if kinds <= {int, float, bool}:
        whole = float not in kinds and all(c is None or -(2**63) <= c < 2**63 for c in given)
        kind = pl.Int64 if whole else pl.Float64
        return pl.Series(name, [None if c is None else int(c) if whole else float(c) for c in given], kind)
    if kinds <= {datetime.date, datetime.datetime} or kinds <= {list, dict}:
        try:
            return pl.Series(name, given, strict=False)
        except (TypeError, pl.exceptions.PolarsError):
            pass
    return pl.Series(name, [None if c is None or c != c else str(c) for c in given], pl.String)


def _plain(cell: Any) -> Any:
    """A value of Python's own kinds; None for what pandas writes where nothing is."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(cell, bool | int | float | str | list | dict):
        return cell
    if hasattr(cell, "item") and getattr(cell, "shape", None) == ():  # a scalar of numpy
        return _plain(cell.item())
    if hasattr(cell, "to_pydatetime"):
        return cell.to_pydatetime()
    if isinstance(cell, decimal.Decimal | numbers.Rational):
        return float(cell)
    if isinstance(cell, tuple) or hasattr(cell, "tolist"):
        return [_plain(c) for c in typing.cast(Any, cell)]
    return cell if isinstance(cell, datetime.date) else str(cell)


def without_index(raw: Raw) -> Raw:
    """The table without the nameless column that pandas and spreadsheets write first; `index` where it says more."""
    frame, notes = raw.frame, []
    for name in frame.columns:
        values = frame[name]
        if not name.startswith(("Unnamed: ", "__index_level_")):
            continue
        if values.dtype == pl.String and is_missing(values).all():
            frame = frame.drop(name)
            continue
        counted = values.cast(pl.Int64, strict=False)
        if counted.null_count() == 0 and counted.n_unique() == len(counted):
            frame = frame.drop(name)
            notes.append(f"left out: a column without a name that numbers the rows ({values[0]}, …)")
        else:
            kept = "index" if "index" not in frame.columns else "row_label"
            frame = frame.rename({name: kept})
            notes.append(f"a column without a name is kept as {kept!r} ({values[0]}, …)")
    return raw.noting(*notes, frame=frame)
