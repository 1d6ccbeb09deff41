"""Files of every format that tables come in, as columns of cells: which it is, its first bytes say before its name."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from scaling.errors import MissingPackage, did_you_mean
from scaling.intake import trackers
from scaling.intake.delimited import decoded, read_delimited
from scaling.intake.raw import NotATable, Raw, rows_of, spelled_out, table_of, without_index
from scaling.records import MissingRuns, UnreadableTable, reading_table

_TEXT = (".csv", ".tsv", ".tab", ".txt", ".dat")
_JSON = (".json", ".jsonl", ".ndjson")
_BINARY = (".parquet", ".pq", ".feather", ".arrow", ".ipc")
_EXCEL = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
}
_MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
_KNOWN = (*_TEXT, *_JSON, *_BINARY, *_EXCEL)


def is_named_as_table(where: str | Path) -> bool:
    """Whether a name ends as a table's does, compressed or not."""
    endings = [s.lower() for s in Path(where).suffixes[-2:] if s.lower() not in (*_PACKED, ".zip")]
    return endings[-1:] != [] and endings[-1] in _KNOWN


def read_file(path: str | Path) -> Raw:
    """The table in a file, or in the folder that a tracker wrote.

    Raises:
        MissingRuns: there is no such file.
        UnreadableTable: its name ends in none of the known formats.
        NotATable: it is cut short, or not what its name says.
        MissingPackage: a workbook or event files, without the package that reads them.
    """
    if "://" in str(path):
        raise MissingRuns(path, "A table is read from a disk: download it, and name the file.")
    path = Path(path)
    if path.is_dir():
        return without_index(trackers.read_folder(path, read_file))
    if not path.is_file():
        near = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise MissingRuns(path, did_you_mean(path.name, near) + "Check the path.")
    if trackers.is_event_file(path):
        return trackers.read_events(path)
    try:
        return without_index(_of_bytes(path, path.read_bytes()))
    except OSError as problem:
        raise NotATable(
            path.name, problem.strerror or str(problem), "Check the file and its rights."
        ) from None


def _of_bytes(path: Path, data: bytes) -> Raw:
    """The table in the bytes of a file."""
    endings = [s.lower() for s in path.suffixes]
    for ending, unpack in _PACKED.items():
        if endings[-1:] == [ending] or (ending == ".gz" and data.startswith(b"\x1f\x8b")):
            try:
                return _of_bytes(path.with_suffix("") if endings[-1:] == [ending] else path, unpack(data))
            except (OSError, EOFError, lzma.LZMAError, zlib.error) as problem:
                way = "Get the file again: it is cut short."
                if not data.startswith(_MAGIC):
                    way = f"Take {ending} off its name, if it was never compressed."
                raise NotATable(path.name, str(problem), way) from None
    ending = endings[-1] if endings else ""
    if ending == ".zip":
        return _of_zip(path, data)
    if ending in _EXCEL:
        return _of_workbook(path, data)
    if ending in _BINARY or data.startswith((b"PAR1", b"ARROW1")):
        return Raw(path.name, "Parquet" if data.startswith(b"PAR1") else "Arrow", _of_columns(path, data))
    if ending in _JSON:
        return _of_json(path, decoded(path.name, data))
    if ending in _TEXT:
        return trackers.understood(read_delimited(path.name, data))
    raise UnreadableTable(
        path, f"its name must end in {', '.join(_KNOWN)}, .gz, .bz2, .xz or .zip after them too"
    )


def _of_columns(path: Path, data: bytes) -> pl.DataFrame:
    if not data:
        raise NotATable(path.name, "it is empty")
    parquet = data.startswith(b"PAR1") or path.suffix in (".parquet", ".pq")
    if not data.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        way = "Give it the ending of what it is, e.g. .csv, or get it again."
        raise NotATable(path.name, f"it does not begin as {path.suffix} does", way)
    with reading_table(path):
        return spelled_out((pl.read_parquet if parquet else pl.read_ipc)(io.BytesIO(data)))


def _of_zip(path: Path, data: bytes) -> Raw:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            inside = [n for n in packed.namelist() if not n.endswith("/") and not n.startswith("__MACOSX")]
            if len(inside) != 1:
                raise NotATable(
                    path.name, f"it holds {len(inside)} files", "Unpack it, and name one of them."
                )
            return _of_bytes(Path(inside[0]), packed.read(inside[0]))
    except (zipfile.BadZipFile, RuntimeError) as problem:
        raise NotATable(path.name, str(problem), "Get the file again, or unpack it.") from None


def _of_workbook(path: Path, data: bytes) -> Raw:
    """The first sheet of a workbook that holds a table, every cell as text."""
    try:
        import fastexcel
    except ImportError:
        raise MissingPackage("fastexcel", "excel") from None
    try:
        book = fastexcel.read_excel(data)
        sheets = {name: book.load_sheet(name, dtypes="string").to_polars() for name in book.sheet_names}
    except fastexcel.FastExcelError as problem:
        words = (str(problem) or type(problem).__name__).splitlines()[0]
        raise NotATable(path.name, words, "Open it, and save the sheet as CSV.") from None
    filled = {name: sheet for name, sheet in sheets.items() if sheet.height}
    if not filled:
        raise NotATable(path.name, "no sheet of it holds a table")
    (name, sheet), *others = filled.items()
    notes = [f"read: the sheet {name!r}; not read: {', '.join(n for n, _ in others)}"] if others else []
    names = ["" if n.startswith("__UNNAMED__") else n for n in sheet.columns]
    frame = table_of(path.name, names, [sheet[n].to_list() for n in sheet.columns])
    raw = Raw(path.name, "workbook", frame, tuple(range(2, sheet.height + 2)), notes=tuple(notes))
    empty = [i for i, row in enumerate(frame.iter_rows()) if not any(c and c.strip() for c in row)]
    return trackers.understood(raw.without(empty))


# --- JSON --------------------------------------------------------------------------------------------


def _of_json(path: Path, text: str) -> Raw:
    """A JSON document, or a document on each line; NaN and Infinity as Python writes them."""
    if not text.strip():
        raise NotATable(path.name, "it is empty")
    try:
        document = json.loads(text, object_pairs_hook=functools.partial(_once, path.name))
    except RecursionError:
        raise NotATable(path.name, "its brackets are nested too deep") from None
    except json.JSONDecodeError as problem:
        if "\n" not in text.strip():
            raise NotATable(path.name, f"line {problem.lineno}: {problem.msg}") from None
        return _of_lines(path.name, text)
    return _of_document(path, document)


def _once(source: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, whose names must differ: Python would take the last of two values."""
    row = dict(pairs)
    if len(row) < len(pairs):
        twice = next(name for name in row if sum(name == other for other, _ in pairs) > 1)
        raise NotATable(source, f"{twice!r} stands twice in one object", "Rename or remove one of them.")
    return row


def _of_lines(source: str, text: str) -> Raw:
    rows, numbers = [], []
    notes: list[str] = []
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, line in lines:
        try:
            row = json.loads(line, object_pairs_hook=functools.partial(_once, source))
        except json.JSONDecodeError as problem:
            if number == lines[-1][0] and rows:
                notes.append(f"left out: line {number}, the last, which is cut short")
                continue
            way = "Correct that line; JSON lines have one object each."
            raise NotATable(source, f"line {number}: {problem.msg}", way) from None
        if not isinstance(row, dict):
            raise NotATable(
                source, f"line {number} is no object", "Each line must be an object of names and values."
            )
        rows.append(row)
        numbers.append(number)
    raw = Raw(source, "JSON lines", rows_of(source, rows), tuple(numbers), notes=tuple(notes))
    return trackers.understood(raw)


def _of_document(path: Path, document: Any) -> Raw:
    """A table in one of the shapes that pandas, trackers and people write."""
    source = path.name
    if isinstance(document, dict) and isinstance(document.get("log_history"), list):
        return trackers.of_trainer(source, document)
    if isinstance(document, dict) and {"columns", "data"} <= set(document):
        names, rows = document["columns"], document["data"]
        if any(not isinstance(row, list) or len(row) != len(names) for row in rows):
            raise NotATable(source, f"a row of its data has not {len(names)} cells, as it has columns")
        columns = [[row[i] for row in rows] for i in range(len(names))]
        return Raw(source, "JSON of pandas", table_of(source, document["columns"], columns))
    if isinstance(document, dict) and trackers.is_harness(document):
        return trackers.of_harness(source, document)
    if isinstance(document, dict):
        lists = [v for v in document.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
        if len(lists) == 1:
            document = lists[0]
    if isinstance(document, list) and document and all(isinstance(row, dict) for row in document):
        return trackers.understood(Raw(source, "JSON", rows_of(source, document)))
    if not isinstance(document, dict) or not document:
        raise NotATable(
            source, "it holds neither rows nor columns", "Write it as a list of objects, one for each run."
        )
    values = list(document.values())
    if all(isinstance(v, list) for v in values) and len({len(v) for v in values}) == 1:
        return trackers.understood(Raw(source, "JSON", table_of(source, list(document), values)))
    if all(isinstance(v, dict) and v for v in values) and not trackers.is_config(document):
        return trackers.understood(Raw(source, "JSON", _of_nested(source, document)))
    return trackers.of_summary(path, document)


def _of_nested(source: str, document: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    """Columns of pandas, {"N": {"0": 1}}, or rows under their names, {"run-a": {"N": 1}}."""
    inner = list(dict.fromkeys(key for part in document.values() for key in part))
    if all(key.isdigit() for key in inner):
        return table_of(source, list(document), [[part.get(k) for k in inner] for part in document.values()])
    labelled = not all(name.isdigit() for name in document)
    return rows_of(source, [({"name": n} if labelled else {}) | dict(row) for n, row in document.items()])
