"""Anybody's runs in: a file, a folder or a frame, understood column by column, each guess and each loss in words."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scaling.errors import (
    BadOption,
    MissingColumns,
    RecordError,
    check_forked,
    did_you_mean,
    require_columns,
    require_kind,
)
from scaling.intake.cells import (
    BadCell,
    Marks,
    advice_on,
    as_numbers,
    is_missing,
    mark_of_column,
    mark_of_table,
)
from scaling.intake.convert import (
    COUNTED,
    Unit,
    UnitTwice,
    bare_name,
    bracketed,
    converted,
    count_in_name,
    is_loss,
    loss_in_name,
    suffixed,
    unit_in_name,
    unit_of,
)
from scaling.intake.doubts import Doubt, doubts, names_summary, summary_rows
from scaling.intake.formats import read_file
from scaling.intake.frames import of_frame
from scaling.intake.raw import ColumnTwice, NotATable, Raw
from scaling.intake.trackers import STEPS, is_held_out
from scaling.laws import LAWS, describe
from scaling.records import Evaluation, Run
from scaling.units import counted

_MOST_IN_UNITS = {
    "C": 1e12
}  # in millions, PFLOPs and so on; a larger number is the count itself, tokens from 1e5 on
_TOO_FEW = 1e3  # no model has so few parameters, nor a training so few tokens
_LEAST_BUDGET = 1e3  # from which on the number in "loss@1B" is a budget, and no seed


class WideTable(RecordError):
    """A table with a column for each budget or size, where a row for each run is wanted."""

    source: str
    columns: list[str]

    def __str__(self) -> str:
        return (
            f"{self.source} is wide: its columns {', '.join(self.columns[:4])} are named by numbers, and none is the "
            "loss. Make one row for each run, e.g. frame.unpivot(index='N', variable_name='D', value_name='loss')."
        )


@dataclass(frozen=True, eq=False)
class Reading:
    """What a table was understood to be."""

    source: str
    kind: str
    frame: pl.DataFrame
    notes: tuple[str, ...]
    """What was left out, taken for something or is missing, in words."""
    names: Mapping[str, str]
    """The table's own name of each column that has another now."""
    units: Mapping[str, str]
    """The unit that a column was in, where one was said."""
    missing: Mapping[str, int]
    """Empty cells of each column."""
    doubts: tuple[Doubt, ...]
    places: tuple[str, ...]
    """Of each row, in words."""

    def words(self) -> tuple[str, ...]:
        """The notes, and the rows that are doubtful."""
        return *self.notes, *(
            f"doubtful: {self._rows(d.rows)} in column {d.column}: {d.words}" for d in self.doubts
        )

    def _rows(self, rows: tuple[int, ...]) -> str:
        first = "; ".join(self.places[r] for r in rows[:3])
        return first if len(rows) <= 3 else f"{len(rows)} rows ({first}; …)"


def read_runs(
    path: Any,
    *,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    n_convention: str | None = None,
    decimal: str | None = None,
) -> pl.DataFrame:
    """Anybody's table of runs, brought into the run schema.

    Args:
        path: a CSV file and its kin, JSON, JSON lines, parquet, a workbook, each compressed or not; what Weights &
            Biases, Hugging Face, TensorBoard, Lightning or MLflow wrote, a file or their folder; a frame of polars or
            pandas, or a dictionary of columns.
        columns: the schema's name for each of the table's columns that is called otherwise, e.g.
            `{"params": "N", "tokens": "D", "val_loss": "loss"}`.
        units: the unit of a column where it is not the schema's. For counts "k", "M", "B", "T", "Ki" …, for C also
            "PFLOPs" or "PF-days"; for losses "bits/token", "perplexity", or "bits/byte" where the table has a column
            `bytes_per_token`; for dates their form, "%d.%m.%Y". Cells such as "85M" and names such as "tokens (B)" say
            it themselves.
        n_convention: what the table's N counts, e.g. "total" or "no embedding"; kept in every row.
        decimal: "." or ",", where the numbers leave it open.

    Returns:
        The table with its columns renamed and in the schema's units, `n_convention` beside them. What was left out,
        taken for something or looks wrong is printed.

    Raises:
        MissingRuns, UnreadableTable, NotATable, MissingPackage: no such file, or none that can be read.
        MissingColumns: a column named in `columns` or `units` is not in the table.
        ColumnTwice: two columns would bear one name.
        BadCell, AmbiguousNumber, UnstatedDates: a cell that is no number, or that can be read in two ways.
        UnknownUnit, UnitTwice: a unit that cannot be converted, or that the column says itself.
        WideTable: a column for each budget.
    """
    require_kind("n_convention", n_convention, (str, type(None)), "a few words, e.g. 'no embedding'")
    reading = understand(path, columns=columns, units=units, decimal=decimal)
    _say(reading)
    frame = reading.frame
    if n_convention is None and "n_convention" in frame.columns:
        return frame
    return frame.with_columns(pl.lit(n_convention or "not stated").alias("n_convention"))


def read_table(
    path: Any, *, columns: Mapping[str, str] | None = None, units: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """A table of runs as a frame, for those that are in the run schema already; else as `read_runs`.

    Raises:
        As `read_runs`.
    """
    reading = understand(path, columns=columns, units=units)
    _say(reading)
    return reading.frame


def _say(reading: Reading) -> None:
    for words in reading.words():
        print(f"{reading.source}: {words}")


def understand(
    path: Any,
    *,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    decimal: str | None = None,
) -> Reading:
    """What a table is understood to be; arguments and errors as of `read_runs`."""
    check_forked()
    for option, given, example in (("columns", columns, {"params": "N"}), ("units", units, {"D": "B"})):
        if given is not None:
            require_kind(option, given, Mapping, f"a dictionary, e.g. {example}")
            if not all(
                isinstance(one, str) for one in (*given, *(given.values() if option == "columns" else ()))
            ):
                raise BadOption(option, dict(given), f"a dictionary of names, e.g. {example}")
    require_kind("decimal", decimal, (str, type(None)), "'.' or ',', or left out")
    if decimal not in (None, ".", ","):
        raise BadOption("decimal", decimal, "'.' or ',', or left out")
    raw = read_file(path) if isinstance(path, str | Path) else of_frame(path)
    units = dict(units or {})
    if raw.frame.is_empty():
        raise NotATable(raw.source, "it has no rows", "Write a row for each run below the names.")
    raw, names = _renamed(_without_names_again(raw), dict(columns or {}), units)
    require_columns(units, raw.frame.columns, "Name units by the schema's names.")
    raw = _with_loss(raw)
    if "loss" not in raw.frame.columns:
        wide = [c for c in raw.frame.columns if _is_count(c)]
        if len(wide) > 2:
            raise WideTable(raw.source, wide)
    raw, units = _loss_by_name(raw, names, units)
    raw, units = _counts_by_name(raw, names, units)
    chosen = _units(raw, names, units)
    frame, kept = _typed(raw, chosen, decimal)
    raw = raw.noting(*kept, *_partly_suffixed(raw, frame))
    if summaries := summary_rows(raw, frame):
        words = (f"left out: {raw.place(row)}, {why}" for row, why in sorted(summaries.items()))
        kept = [i for i in range(frame.height) if i not in summaries]
        raw, frame = raw.without(summaries).noting(*words), frame[kept]
    frame = frame.with_columns(converted(frame, c, u).alias(c) for c, u in chosen.items())
    if raw.log and "loss" in frame.columns and 0 < (empty := frame["loss"].null_count()) < frame.height:
        words = f"left out: {empty} of {frame.height} rows, which log no loss"
        gone = np.flatnonzero(frame["loss"].is_null().to_numpy()).tolist()
        raw, frame = raw.without(gone).noting(words), frame.filter(pl.col("loss").is_not_null())
    notes = (*raw.notes, *_absent(raw, frame))
    return Reading(
        raw.source,
        raw.kind,
        frame,
        notes,
        names,
        {c: u if isinstance(u, str) else u.name for c, u in chosen.items()},
        {c: frame[c].null_count() for c in frame.columns},
        doubts(frame),
        tuple(raw.place(i) for i in range(frame.height)),
    )


def _renamed(raw: Raw, columns: dict[str, str], units: Mapping[str, str]) -> tuple[Raw, dict[str, str]]:
    """The table under the schema's names, and its own name of each column."""
    given = raw.frame.columns
    if missing := [c for c in columns if c not in given]:
        hint = did_you_mean(missing[0], given) + "Left of each colon stands the table's own name."
        raise MissingColumns(missing, given, hint)
    for name in given:  # "tokens (B)" is D where columns says so, "D (B)" is D without a word
        bare = bare_name(name)
        if name not in columns and bare != name and bare in read_columns() and unit_in_name(name, bare):
            columns[name] = bare
    step = next((n for n in STEPS if n in given), None)
    if (
        raw.log
        and step
        and step != "step"
        and step not in columns
        and "step" not in {*given, *columns.values()}
    ):
        columns[step] = "step"
    after: dict[str, list[str]] = {}
    for name in given:
        after.setdefault(columns.get(name, name), []).append(name)
    for name, own in after.items():
        if len(own) > 1:
            mapped = [o for o in own if o in columns]
            spare = next((o for o in own if o not in columns), own[0])
            other = f"train_{spare}" if spare == "loss" else f"{spare}_2"
            wanted = {m: columns[m] for m in mapped if m != spare} | {spare: other}
            raise ColumnTwice(
                raw.source, name, tuple(own), f"Give the other a name too, e.g. columns={wanted}."
            )
    renamed = {own: new for own, new in columns.items() if own != new}
    return dataclasses.replace(raw, frame=raw.frame.rename(renamed)), {
        new: own for own, new in renamed.items()
    }


def _without_names_again(raw: Raw) -> Raw:
    """The table without rows that repeat its line of names, as files that were appended to each other have."""
    if any(kind != pl.String for kind in raw.frame.dtypes):
        return raw
    again = raw.frame.select(pl.all_horizontal(pl.col(n).str.strip_chars() == n for n in raw.frame.columns))
    rows = np.flatnonzero(again.to_series().fill_null(False).to_numpy()).tolist()
    if not rows:
        return raw
    repeat = f"repeat{'s' * (len(rows) == 1)} the names ({raw.place(rows[0])})"
    return raw.without(rows).noting(f"left out: {counted(len(rows), 'row')} that {repeat}")


def _partly_suffixed(raw: Raw, frame: pl.DataFrame) -> Iterable[str]:
    """Counts that have a unit in some cells, and are too small to be counts in others."""
    for column in COUNTED:
        cells = raw.frame[column] if column in raw.frame.columns else pl.Series()
        if cells.dtype == pl.String and (said := suffixed(cells)).any():
            bare = ~said & (frame[column] < _TOO_FEW).fill_null(False)
            if bare.any():
                row = int(bare.arg_max() or 0)
                one, other = cells.filter(said)[0], f"{cells[row]!r} in {raw.place(row)}"
                yield f"column {column} says {one!r} in one row and {other}: is a unit missing there?"


def _with_loss(raw: Raw) -> Raw:
    """A log whose only held-out loss is called so."""
    held_out = [c for c in raw.frame.columns if is_held_out(c)]
    if not raw.log or "loss" in raw.frame.columns or len(held_out) != 1:
        return raw
    return raw.noting(f"{held_out[0]!r} is taken as loss", frame=raw.frame.rename({held_out[0]: "loss"}))


def _loss_by_name(
    raw: Raw, names: Mapping[str, str], units: Mapping[str, str]
) -> tuple[Raw, Mapping[str, str]]:
    """The unit of a loss that the table calls "ppl", "bpb" and the like, unless one is stated; said in a note."""
    name = names.get("loss", "loss")
    unit = loss_in_name(name)
    if unit is None or "loss" in units:
        return raw, units
    if unit.per_byte and "bytes_per_token" not in raw.frame.columns:
        words = (
            f"{name!r} is {unit.name} by its name, and stays so: for nats/token add a column bytes_per_token and "
            f"units={{'loss': {unit.name!r}}}"
        )
        return raw.noting(words), units
    return raw.noting(f"{name!r} is {unit.name} by its name: loss is what it is in nats/token"), {
        **units,
        "loss": unit.name,
    }


def _counts_by_name(
    raw: Raw, names: Mapping[str, str], units: Mapping[str, Any]
) -> tuple[Raw, Mapping[str, Any]]:
    """The unit of a count that the table calls "params_millions" and the like, unless one is stated; said in a note.

    Numbers too large to be in such a unit, and brackets that name none, are taken as they are, and that is said too.
    """
    for column, name in names.items():
        if column not in COUNTED or column in units or unit_in_name(name, column):
            continue
        cells = raw.frame[column]
        if cells.dtype == pl.String and suffixed(cells).any():
            continue
        numbers = as_numbers(cells)[0] if cells.dtype == pl.String else cells
        largest = numbers.cast(pl.Float64).max() if numbers.dtype.is_numeric() else None
        unit, said = count_in_name(name, column), bracketed(name)
        if unit and isinstance(largest, float) and largest <= _MOST_IN_UNITS.get(column, 1e5):
            words, units = f"{column} is {unit.factor:.3g} times its numbers", {**units, column: unit}
            raw = raw.noting(f"{name!r} is in {unit.name} by its name: {words}")
        elif unit:
            words = f"has {largest or 0:.3g}: its numbers are taken as they are"
            raw = raw.noting(f"{name!r} is in {unit.name} by its name, and {words}")
        elif any(letter.isdigit() for letter in said):
            words = "which is no unit known here: its numbers are taken as they are"
            raw = raw.noting(f"{name!r} says {said!r}, {words}")
    return raw, units


def _units(raw: Raw, names: Mapping[str, str], units: Mapping[str, Any]) -> dict[str, Unit | str]:
    """The unit of each column that has one, said in the call or in the column's own name, and not in its cells too."""
    chosen: dict[str, Unit | str] = {}
    for column in raw.frame.columns:
        stated = units.get(column)
        if isinstance(stated, str) and "%" in stated:
            chosen[column] = stated
            continue
        own = unit_in_name(names.get(column, column), column)
        unit = own if stated is None else stated if isinstance(stated, Unit) else unit_of(column, stated)
        if unit is None:
            continue
        if stated is not None and own is not None and unit_factor(own) != unit_factor(unit):
            raise UnitTwice(column, repr(names.get(column, column)), str(stated))
        cells = raw.frame[column]
        if cells.dtype == pl.String and unit.factor != 1.0 and (said := suffixed(cells)).any():
            if stated is not None or (~said & ~is_missing(cells)).any():
                raise UnitTwice(column, repr(cells.filter(said)[0]), str(stated or unit.name))
            continue
        chosen[column] = unit
    return chosen


def unit_factor(unit: Unit) -> tuple[float, bool, bool]:
    """What tells two units apart, whatever they are called."""
    return unit.factor, unit.per_byte, unit.logarithm


@functools.cache
def read_columns() -> frozenset[str]:
    """Columns that some law reads or predicts, which must hold numbers."""
    laws = {c.name for law in LAWS.values() for c in describe(law).columns}
    return frozenset(
        laws
        | {"loss", "loss_stderr", "entropy", "epochs", "bytes_per_token", "step", "score", "error", "gain"}
    )


@functools.cache
def _text_columns() -> frozenset[str]:
    """Columns of names and hashes, which stay text whatever they look like."""
    hints = {
        name: hint for record in (Run, Evaluation) for name, hint in typing.get_type_hints(record).items()
    }
    fields = {f.name for record in (Run, Evaluation) for f in dataclasses.fields(record)}
    text = {
        n
        for n in fields
        if not any(kind in str(hints[n]) for kind in ("int", "float")) or "dict" in str(hints[n])
    }
    return frozenset(
        text | {"run", "run_name", "id", "label", "model", "Run", "Name", "Run ID", "tags", "Tags", "index"}
    )


def _typed(raw: Raw, chosen: Mapping[str, Unit | str], decimal: str | None) -> tuple[pl.DataFrame, list[str]]:
    """The table with numbers where its text holds numbers, and what stays text although most of it are numbers.

    Raises:
        BadCell: a column that must hold numbers has a cell that is none.
    """
    texts = [
        c
        for c, kind in raw.frame.schema.items()
        if kind == pl.String and c not in _text_columns() and not isinstance(chosen.get(c), str)
    ]
    needed = read_columns() | {c for c, unit in chosen.items() if isinstance(unit, Unit)}
    notes: list[str] = []
    table = decimal or mark_of_table([Marks.of(raw.frame[c]) for c in texts], raw.delimiter)
    frame = raw.frame.with_columns(
        pl.col(c).cast(pl.Float64) for c, k in raw.frame.schema.items() if k.is_decimal()
    )
    for column in texts:
        text = frame[column]
        mark = decimal or mark_of_column(text, table, loss=is_loss(column), source=raw.source)
        values, bad = as_numbers(text, mark)
        bad &= ~names_summary(text)
        empty = is_missing(text)
        if not bad.any():
            if not empty.all() or column in needed:
                frame = frame.with_columns(values)
        elif column in needed:
            row = int(bad.arg_max() or 0)
            raise BadCell(
                raw.source,
                column,
                raw.place(row),
                text[row],
                int(bad.sum()),
                len(text),
                "numbers",
                advice_on(text[row]),
            )
        elif text.filter(~empty).str.to_lowercase().is_in(["true", "false"]).all():
            frame = frame.with_columns(
                text.str.to_lowercase().replace_strict({"true": True, "false": False}, default=None)
            )
        elif 2 * bad.sum() < (~empty).sum():
            row = int(bad.arg_max() or 0)
            notes.append(
                f"column {column} stays text: {bad.sum()} of {len(text)} cells are no numbers "
                f"({raw.place(row)}: {text[row]!r})"
            )
    return frame, notes


def _absent(raw: Raw, frame: pl.DataFrame) -> Iterable[str]:
    """Where a column that laws read has no finite number, counted and by its first row."""
    for column in frame.columns:
        values = frame[column]
        if column not in read_columns() or not values.dtype.is_numeric():
            continue
        for what, mask in (
            ("is empty", values.is_null()),
            ("is not finite", ~values.cast(pl.Float64).is_finite().fill_null(True)),
        ):
            count = int(mask.sum())
            if 0 < count < frame.height or (count and what == "is not finite"):
                row = int(mask.arg_max() or 0)
                written = raw.frame[column][row] if column in raw.frame.columns else values[row]
                yield f"column {column} {what} in {count} of {frame.height} rows ({raw.place(row)}: {written!r})"


def _is_count(name: str) -> bool:
    budget = re.sub(r"^(?i:(?:val|eval|test)?[ _/]?loss)[\W_]*(?i:at)?[\W_]*", "", name)
    values, bad = as_numbers(pl.Series([budget]))
    return not bad[0] and values[0] is not None and (budget == name or float(values[0]) >= _LEAST_BUDGET)
