"""Documents from tables: JSON lines, Parquet files, Hugging Face datasets; a row is a document."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scaling.corpora.files import MissingFolder
from scaling.corpora.source import ONE_DOMAIN, CorpusSource
from scaling.corpora.write import HELD_OUT_EVERY, Document, is_held_out
from scaling.errors import CorpusError, check_installed


class UnreadableText(CorpusError):
    """A row of a table that is not what it should be."""

    path: str | Path
    row: int | None
    reason: str

    def __str__(self) -> str:
        where = self.path if self.row is None else f"row {self.row} of {self.path}"
        return f"{where} cannot be read as text ({self.reason}). Mend it, or take it out; no row is left out unsaid."


class MissingTextColumn(CorpusError):
    """A table without the column of text or of domains that was asked for."""

    where: str
    column: str
    columns: list[str]

    def __str__(self) -> str:
        there = ", ".join(map(repr, self.columns)) or "none"
        return (
            f"asked for the column {self.column!r}, but {self.where} has {there}. "
            "Name one of these as text_column (or domain_column) in the study file."
        )


class DatasetNotFound(CorpusError):
    """A Hugging Face dataset that cannot be had."""

    name: str
    split: str
    reason: str

    def __str__(self) -> str:
        return (
            f"asked for the split {self.split!r} of the dataset {self.name!r}, but it cannot be had ({self.reason}). "
            "Check name, subset, split and the network, or give a folder of files as the name."
        )


_ROWS_AT_ONCE = 1 << 17


class Table:
    """The rows of a source, one document each, in the order in which they lie.

    Raises:
        MissingFolder: `path` is not there, or there is no file of that kind under it.
        DatasetNotFound: the hub or the folder has no such dataset or split.
        MissingTextColumn: the table has no column of that name.
        UnreadableText: a row is not what it should be; no row is passed over.
        MissingPackage: `datasets` is not installed.
    """

    unreadable = "empty text"
    total = None
    """How many rows there are is not known before they are read."""
    left_out: Mapping[str, int] = {}

    def __init__(self, source: CorpusSource, *, progress: bool = True):
        self._source = source
        self._dataset = _load(source, progress) if source.source == "huggingface" else None
        self._paths = () if self._dataset is not None else _paths(source)

    @property
    def fingerprint(self) -> str:
        """Hash of every document and its domain; all rows are read once for it."""
        digest = hashlib.sha256(f"table {HELD_OUT_EVERY}\n".encode())
        for domain, text in self._rows():
            for part in (domain, text):
                data = part.encode(errors="surrogatepass")
                digest.update(len(data).to_bytes(8, "little") + data)
        return digest.hexdigest()[:16]

    @property
    def versions(self) -> dict[str, str]:
        """Of Python alone: the text of a row does not depend on what reads it."""
        return {"python": platform.python_version()}

    def __iter__(self) -> Iterator[Document]:
        for domain, text in self._rows():
            digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
            yield Document(is_held_out(digest), [(domain, text)] if text else ())

    def _rows(self) -> Iterator[tuple[str, str]]:
        source = self._source
        wanted = [c for c in (source.text_column, source.domain_column) if c]
        if self._dataset is not None:
            where = str(source.name)
            _check_columns(where, wanted, self._dataset.column_names)
            yield from _documents(source, where, enumerate(self._dataset.select_columns(wanted), 1))
        for path in self._paths:
            rows = _json_rows(path, wanted) if source.source == "jsonl" else _parquet_rows(path, wanted)
            yield from _documents(source, str(path), rows)


def _documents(
    source: CorpusSource, where: str, rows: Iterable[tuple[int, Mapping[str, Any]]]
) -> Iterator[tuple[str, str]]:
    """(domain, text) of every row; a row without text has an empty one, which the writer counts."""
    for number, row in rows:
        text = row[source.text_column]
        if text is not None and not isinstance(text, str):
            reason = f"column {source.text_column!r} holds a {type(text).__name__} and not text"
            raise UnreadableText(where, number, reason)
        domain = ONE_DOMAIN
        if source.domain_column:
            domain = row[source.domain_column]
            if domain is None or str(domain) == "":
                raise UnreadableText(where, number, f"column {source.domain_column!r} is empty")
        yield str(domain), text or ""


def _json_rows(path: Path, wanted: list[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as problem:
                raise UnreadableText(path, number, f"not JSON: {problem}") from None
            if not isinstance(row, dict):
                raise UnreadableText(path, number, f"a {type(row).__name__}, and not an object")
            _check_columns(f"line {number} of {path}", wanted, list(row))
            yield number, row


def _parquet_rows(path: Path, wanted: list[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import polars as pl  # here, because a worker opens a corpus without it

    try:
        table = pl.scan_parquet(path, glob=False)
        _check_columns(str(path), wanted, table.collect_schema().names())
        number = 0
        while rows := table.select(wanted).slice(number, _ROWS_AT_ONCE).collect().to_dicts():
            yield from enumerate(rows, number + 1)
            number += len(rows)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as problem:
        raise UnreadableText(path, None, str(problem).splitlines()[0]) from None


def _check_columns(where: str, wanted: list[str], columns: list[str]) -> None:
    for column in wanted:
        if column not in columns:
            raise MissingTextColumn(where, column, columns)


def _paths(source: CorpusSource) -> tuple[Path, ...]:
    root = Path(source.path or "")
    named = [root] if root.is_file() else sorted(root.rglob(f"*.{source.source}"))
    paths = tuple(path for path in named if path.is_file())
    if not paths:
        raise MissingFolder(root if not root.exists() else root / f"*.{source.source}")
    return paths


def _load(source: CorpusSource, progress: bool) -> Any:
    check_installed("text", "datasets")
    from datasets import Dataset, load_dataset
    from datasets.exceptions import DatasetsError
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hide = not progress and not are_progress_bars_disabled()
    if hide:
        disable_progress_bars()
    try:
        dataset = load_dataset(str(source.name), source.subset, split=source.split)
    except (OSError, ValueError, DatasetsError) as problem:
        raise DatasetNotFound(str(source.name), source.split, str(problem).splitlines()[0]) from None
    finally:
        if hide:
            enable_progress_bars()
    assert isinstance(dataset, Dataset)  # as it is for one split that is not streamed
    return dataset
