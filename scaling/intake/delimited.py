"""Text with a delimiter: CSV and its kin, whatever the comma, the encoding and the lines above the names."""

from __future__ import annotations

import csv
import io
import re

from scaling.intake.cells import MISSING
from scaling.intake.raw import NotATable, Raw, table_of

_NAMES = {
    ",": "CSV",
    ";": "CSV with semicolons",
    "\t": "tab-separated text",
    "|": "text with bars",
    " ": "text with spaces",
}
_NUMBER = re.compile(r"[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?")


def read_delimited(source: str, data: bytes) -> Raw:
    """A table of text, its delimiter told from its first lines.

    Raises:
        NotATable: no text, a web page, lines of different lengths, no line of names.
        ColumnTwice: two columns of one name.
    """
    text, notes = decoded(source, data), []
    start = text[:200].lstrip().lower()
    if start.startswith(("<!doctype", "<html", "<?xml")):
        raise NotATable(source, "it is a web page", "Download the file itself, not the page that shows it.")
    if start.startswith("version https://git-lfs"):
        raise NotATable(source, "it is a pointer of Git LFS", "Get the file by git lfs pull.")
    lines = list(io.StringIO(text if "\n" in text else text.replace("\r", "\n"), newline=""))
    above = _above(lines)
    told = re.fullmatch(r'"?sep=(.)"?\s*', lines[above - 1]) if above else None
    delimiter = told[1] if told else _delimiter(lines[above : above + 50])
    comments = [line.lstrip("#% ").strip() for line in lines[:above] if line.startswith(("#", "%"))]
    if delimiter == " ":  # in a file of numpy's savetxt the names are a comment
        lines = [line.strip() + "\n" for line in lines]
    reader = csv.reader(io.StringIO("".join(lines[above:])), delimiter=delimiter, skipinitialspace=True)
    try:
        rows = [(above + reader.line_num, row) for row in reader]
    except csv.Error as problem:
        raise NotATable(source, f"line {above + reader.line_num}: {problem}") from None
    rows = [(line, row) for line, row in rows if any(cell.strip() for cell in row)]
    while len(rows) > 1 and rows[-1][1][0].startswith("#") and not any(rows[-1][1][1:]):
        notes.append(f"left out: line {rows.pop()[0]}, a comment below the table")
    if not rows:
        raise NotATable(source, "it is empty")
    while len(rows) > 1 and _filled_cells(rows[0][1]) == 1 < _filled_cells(rows[1][1]):
        number, title = rows.pop(0)
        notes.append(f"left out: line {number}, a title above the names ({' '.join(title).strip()[:60]})")
    (line, names), body = rows[0], rows[1:]
    if all(_NUMBER.fullmatch(cell.strip()) for cell in names):
        named = next(csv.reader(comments[-1:], delimiter=delimiter, skipinitialspace=True), [])
        if len(named) != len(names):
            raise NotATable(
                source, f"line {line} holds numbers where names should stand: {', '.join(names[:5])}",
                "Write the names of the columns above it.",
            )  # fmt: skip
        names, body = named, rows
        comments.pop()
    if comments:
        notes.append(f"left out: {len(comments)} lines of comment above the names")
    body = [(n, _filled(source, n, row, len(names))) for n, row in body]
    columns = [[row[i] for _, row in body] for i in range(len(names))]
    frame = table_of(source, *_without_empty(names, columns))
    return Raw(
        source, _NAMES.get(delimiter, "text"), frame, tuple(n for n, _ in body), delimiter, tuple(notes)
    )


def decoded(source: str, data: bytes) -> str:
    """Text of a file: UTF-8 or UTF-16 by its mark, else what western spreadsheets write.

    Raises:
        NotATable: it is no text.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp1252"] if b"\0" not in data[:4096] else []
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise NotATable(
        source, "it is no text", "Check what it is, and name it by its format, e.g. .parquet or .xlsx."
    )


def _above(lines: list[str]) -> int:
    """How many lines stand above the names: empty ones, comments, and the note on the delimiter that Excel reads."""
    for number, line in enumerate(lines):
        if line.strip() and not line.startswith(("#", "%")) and not re.fullmatch(r'"?sep=.?"?\s*', line):
            return number
    return len(lines)


def _delimiter(lines: list[str]) -> str:
    """The sign that cuts most of the first lines into equally many cells, and into the most."""
    best = (0.0, 1, ",")
    for sign in (",", ";", "\t", "|", " "):
        cut = csv.reader(
            [line.strip(" ") for line in lines if line.strip()], delimiter=sign, skipinitialspace=True
        )
        try:
            counts = [len(row) for row in cut]
        except csv.Error:
            continue
        most = max(counts, key=counts.count, default=0)  # not the first's, which may be a title
        alike = counts.count(most) / max(len(counts), 1)
        if most > 1 and alike > 0.5:
            best = max(best, (round(alike, 1), most if sign != " " else 0, sign))
    return best[2]


def _filled_cells(row: list[str]) -> int:
    return sum(bool(cell.strip()) for cell in row)


def _filled(source: str, line: int, row: list[str], width: int) -> list[str]:
    """A row of the table's width; the empty cells that a spreadsheet leaves off or adds at the end do not count."""
    extra = row[width:]
    if len(row) < width or any(cell.strip() for cell in extra):
        raise NotATable(
            source, f"line {line} has {len(row)} cells, the line of names {width}",
            "Complete that line, or put cells that hold the delimiter between quotes.",
        )  # fmt: skip
    return row[:width]


def _without_empty(names: list[str], columns: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Without the columns that have neither a name nor a cell."""
    kept = [
        i
        for i, n in enumerate(names)
        if n.strip() or any(c.strip().lower() not in MISSING for c in columns[i])
    ]
    return [names[i] for i in kept], [columns[i] for i in kept]
