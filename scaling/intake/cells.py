"""Cells as people write them: numbers with suffixes, thousands and decimal commas; words for nothing; dates."""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

from scaling.errors import RecordError
from scaling.units import UnknownUnit, parse_count


class BadCell(RecordError):
    """A cell of a column of numbers that holds none."""

    source: str
    column: str
    place: str
    text: object
    bad: int
    rows: int
    wanted: str
    hint: str = ""

    def __str__(self) -> str:
        return (
            f"{self.source}: column {self.column} must hold {self.wanted}, but {self.bad} of {self.rows} cells "
            f"{'does' if self.bad == 1 else 'do'} not ({self.place}: {self.text!r}). {self.hint}Correct the cell, or "
            "leave it empty where nothing was measured."
        )


class AmbiguousNumber(RecordError):
    """A number that may have thousands or a fraction, and nothing that tells which."""

    source: str
    column: str
    text: str

    def __str__(self) -> str:
        mark = "," if "," in self.text else "."
        return (
            f"{self.source}: column {self.column} has {self.text!r}, which is {self.text.replace(mark, '')} where "
            f"{mark!r} sets thousands apart, and {self.text.replace(mark, '.')} where it is the decimal mark. Say "
            f"which mark is decimal, e.g. read_runs(..., decimal={mark!r})."
        )


class UnstatedDates(RecordError):
    """Dates as text in a form that is not the stated one, or in none that is stated."""

    column: str
    row: int
    text: str
    wanted: str

    def __str__(self) -> str:
        return (
            f"column {self.column} must hold dates as {self.wanted}, but row {self.row} has {self.text!r}. State the "
            f'form when the table is read, e.g. read_runs(..., units={{{self.column!r}: "%d.%m.%Y"}}).'
        )


MISSING = frozenset((
    "", "-", "--", "---", "–", "—", "?", ".", "n/a", "na", "n.a.", "null", "none", "nil", "nat", "<na>", "missing",
    "undefined", "#n/a", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!",
))  # fmt: skip
"""What stands in a cell where nothing was measured, in small letters; "nan" is a number that is none."""

_NOUN = re.compile(r"\s*(tokens?|params?|parameters?|flops?|nats?|steps?)\s*$", re.IGNORECASE)
_EUROPEAN = re.compile(r"(\d{1,3}(?:\.\d{3})+|[\d\s'’_]+)(,\d*)?((?:[eE][+-]?\d+)?\s*[A-Za-z]*)")

# What tells the decimal mark of a column: cells that only one reading fits, and cells that both fit.
_GROUPS = r"\d{{1,3}}(?:{}\d{{3}})".format
_SIGNED, _END = r"^\s*[+-]?", r"(?:[eE][+-]?\d+)?\s*[A-Za-z]*\s*%?\s*$"
_GROUPED = {mark: rf"{_SIGNED}[1-9]\d{{0,2}}{re.escape(mark)}\d{{3}}{_END}" for mark in ".,"}
_FRACTION = {
    mark: rf"{_SIGNED}(?:(?:\d*|{_GROUPS(other)}+){re.escape(mark)}\d+|{_GROUPS(other)}{{2,}}){_END}"
    for mark, other in ((",", r"\."), (".", ","))
}


@dataclass(frozen=True)
class Marks:
    """Which decimal marks a column of text gives evidence of, and which it leaves open."""

    certain: frozenset[str]
    open: frozenset[str]

    @staticmethod
    def of(text: pl.Series) -> Marks:
        """Those of a column of text."""
        kinds = {m: text.str.contains(_FRACTION[m]).fill_null(False) for m in ".,"}
        both = {m: text.str.contains(_GROUPED[m]).fill_null(False) for m in ".,"}
        return Marks(
            frozenset(m for m in ".," if (kinds[m] & ~both[m]).any()),
            frozenset(m for m in ".," if both[m].any()),
        )


def mark_of_table(columns: list[Marks], delimiter: str) -> str:
    """The decimal mark of a table whose columns may not say: a comma only between semicolons or tabs."""
    commas = any("," in c.certain for c in columns) or (
        delimiter == ";" and any("," in c.open for c in columns)
    )
    points = any("." in c.certain for c in columns)
    return "," if delimiter in (";", "\t") and commas and not points else "."


def mark_of_column(text: pl.Series, table: str, *, loss: bool, source: str) -> str:
    """The decimal mark of a column.

    Args:
        text: its cells.
        table: the mark of the table it is from, which decides where the cells do not.
        loss: whether a thousand would be absurd, so that a cell of two readings has to be asked about.
        source: what is read, for the error.

    Raises:
        AmbiguousNumber: "3,250" as a loss in a table of decimal points.
    """
    marks = Marks.of(text)
    if marks.certain or not marks.open:
        return "," if marks.certain == {","} else "."
    against = "," if table == "." else "."
    if loss and against in marks.open:
        cell = text.filter(text.str.contains(_GROUPED[against]).fill_null(False))[0]
        raise AmbiguousNumber(source, text.name, cell.strip())
    return table


def is_missing(text: pl.Series) -> pl.Series:
    """Which cells of text say that nothing was measured."""
    return text.is_null() | text.str.strip_chars().str.to_lowercase().is_in(list(MISSING))


def as_numbers(text: pl.Series, mark: str = ".") -> tuple[pl.Series, pl.Series]:
    """Numbers of cells of text, null where there is none; and which cells hold something that is no number.

    Whole numbers stay whole where all of them fit 64 bits. Percent are hundredths where every cell has the sign; beside
    plain numbers they are refused, as 50 % beside 50 would be two things.
    """
    missing = is_missing(text)
    cells = text.str.strip_chars().set(missing, None)
    if (given := cells.drop_nulls()).len() and given.str.ends_with("%").all():
        shares, bad = as_numbers(text.str.strip_chars().str.strip_chars_end("%"), mark)
        return shares / 100.0, bad
    if mark == ".":
        whole = cells.cast(pl.Int64, strict=False)
        if whole.null_count() == cells.null_count():
            return whole, missing & ~missing
        values = cells.cast(pl.Float64, strict=False)
    else:
        values = pl.Series(text.name, [None] * len(text), pl.Float64)
    rest = cells.filter(values.is_null()).drop_nulls().unique().to_list()
    if rest:
        values = values.fill_null(
            cells.replace_strict({t: _number(t, mark) for t in rest}, default=None, return_dtype=pl.Float64)
        )
    return values, values.is_null() & ~missing


def _number(text: str, mark: str) -> float | None:
    """What a cell says; None where it is no number."""
    text = _NOUN.sub("", text.replace("−", "-").replace("\N{MULTIPLICATION X}", "×"))
    sign, digits = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if mark == ",":
        if not (parts := _EUROPEAN.fullmatch(digits)):
            return float(text) if text.lower().lstrip("-") in ("nan", "inf", "infinity") else None
        digits = parts[1].replace(".", "") + (parts[2] or "").replace(",", ".") + parts[3]
    try:
        return sign * parse_count(digits)
    except UnknownUnit:
        return None


def advice_on(text: str) -> str:
    """What `parse_count` would offer in place of a cell, and a space; nothing where it knows no better."""
    if re.fullmatch(r"\s*[(\[].*[)\]]\s*", text):
        return "A unit stands in the name, e.g. 'N (M)', and not in a row of its own. "
    if text.rstrip().endswith("%"):
        return "Write percent in every cell of the column, or hundredths in all. "
    try:
        parse_count(text)
    except UnknownUnit as problem:
        return f"{problem.hint} " if problem.hint else ""
    return ""


_FIRST_YEAR = 1900
_ISO = r"^\s*(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[T ].*)?\s*$"


def as_dates(column: pl.Series, form: str | None = None) -> pl.Series:
    """Dates of a column of dates, of times, or of text.

    Args:
        column: text is read as year-month-day, or in the stated form.
        form: of text, in the signs of `strptime`, e.g. "%d.%m.%Y".

    Raises:
        UnstatedDates: text in another form. To sort or to guess it would mix days and months.
    """
    if column.dtype in (pl.Date, pl.Datetime):
        return column.cast(pl.Date)
    text = column.cast(pl.String).str.strip_chars()
    if form:
        dates = text.str.to_date(form, strict=False)
    else:
        dates = text.str.replace(_ISO, "$1-$2-$3").str.to_date("%Y-%m-%d", strict=False)
    early = (dates.dt.year() < _FIRST_YEAR).fill_null(False)  # "22-11-05" is no year 22
    bad = (dates.is_null() | early) & ~is_missing(text)
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise UnstatedDates(column.name, row, text[row], form or "year-month-day")
    return dates
