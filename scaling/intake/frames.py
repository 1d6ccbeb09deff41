"""Frames and dictionaries that are handed over in place of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from scaling.intake.raw import NotATable, Raw, column_of, rows_of, spelled_out, table_of, without_index
from scaling.intake.trackers import understood


def of_frame(table: Any) -> Raw:
    """The table in a frame of polars, pandas or pyarrow, a dictionary of columns or a list of rows.

    An index of pandas that has a name, or holds text, becomes a column; one of numbers without a name is left out.

    Raises:
        NotATable: neither of these.
        ColumnTwice: two columns of one name.
    """
    if isinstance(table, pl.LazyFrame):
        table = table.collect()
    kind = type(table).__module__.partition(".")[0]
    if isinstance(table, pl.DataFrame):
        raw = Raw("the frame", "polars frame", table)
    elif kind == "pandas" and hasattr(table, "columns"):
        raw = _of_pandas(table)
    elif isinstance(table, Mapping) and table and all(np.ndim(v) == 1 for v in table.values()):
        lengths = {len(v) for v in table.values()}
        if len(lengths) > 1:
            raise NotATable(
                "the dictionary", f"its columns have {sorted(lengths)} cells", "Give all the same number."
            )
        raw = Raw(
            "the dictionary", "dictionary", table_of("it", list(table), [list(v) for v in table.values()])
        )
    elif isinstance(table, Sequence) and table and all(isinstance(row, Mapping) for row in table):
        raw = Raw("the list", "list of rows", rows_of("the list", list(table)))
    elif hasattr(table, "__arrow_c_stream__"):
        raw = Raw("the table", f"table of {kind}", pl.DataFrame(table))
    else:
        raise NotATable(
            "the argument",
            f"it is a {type(table).__name__}",
            "Hand over a path, a frame, or a dictionary of columns.",
        )
    return understood(without_index(raw.noting(frame=spelled_out(raw.frame))))


def _of_pandas(table: Any) -> Raw:
    """A frame of pandas, with what its index says."""
    notes, columns = [], {}
    index = table.index
    levels = [index.get_level_values(i) for i in range(index.nlevels)]
    for level in levels:
        values = level.tolist()
        if level.name is None and (values == list(range(len(values))) or _whole(values)):
            if values != list(range(len(values))):
                notes.append(f"left out: the index of the frame, which has no name ({values[0]}, …)")
            continue
        name = str(level.name if level.name is not None else "index")
        columns[name] = values
        notes.append(f"the index of the frame is kept as column {name!r} ({values[0] if values else ''}, …)")
    names = ["/".join(map(str, n)) if isinstance(n, tuple) else str(n) for n in table.columns]
    cells = [table.iloc[:, i] for i in range(len(names))]
    frame = table_of(
        "the frame", [*columns, *names], [*columns.values(), *(list(c.astype(object)) for c in cells)]
    )
    return Raw("the frame", "pandas frame", frame, notes=tuple(notes))


def _whole(values: list[Any]) -> bool:
    return column_of("", values).dtype == pl.Int64
