"""Tables on disk: the fields of records as columns, and beside committed tables their check sums."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from scaling.files import NotWritten, sha256_of, written_whole
from scaling.records import DomainLoss, Evaluation, Measurement, Run, UnreadableTable, reading_table

SUMS = "SHA256SUMS"
"""Holds a line for each committed table of its folder: its SHA-256 and its name. `sha256sum -c` reads it too."""
_MANY_ROWS = 1_000_000
_T = TypeVar("_T")


class ChangedTable(UnreadableTable):
    """A table that is not the one that was committed: a bit has turned over, or somebody has written to it."""

    expected: str
    got: str

    def __str__(self) -> str:
        return (
            f"{self.path} cannot be read as it was committed ({self.reason}): its SHA-256 is {self.got}, but {SUMS} "
            f"beside it says {self.expected}. Restore it from version control: git checkout -- {Path(self.path).parent}"
        )


_POLARS = {
    int: pl.Int64, float: pl.Float64, str: pl.String, dict: pl.String,
    dict[str, float] | None: pl.String, dict[str, int] | None: pl.String,
    int | None: pl.Int64, float | None: pl.Float64, str | None: pl.String,
}  # fmt: skip


def _schema(record: type) -> dict[str, Any]:
    """Polars types of a record's fields; dictionaries are kept as JSON text, because their keys differ between rows."""
    hints, columns = typing.get_type_hints(record), {}
    for name in (f.name for f in dataclasses.fields(record)):
        origin = typing.get_origin(hints[name])
        if origin is list:
            columns[name] = pl.List(pl.Struct(_schema(DomainLoss)))
        else:
            columns[name] = _POLARS[hints[name] if origin in (None, types.UnionType) else origin]
    return columns


SCHEMAS = {"run": _schema(Run), "evaluation": _schema(Evaluation), "measurement": _schema(Measurement)}
"""Columns and types of each kind of rows."""


def read_parquet(
    path: Path, shape: Callable[[pl.LazyFrame], pl.LazyFrame] = lambda rows: rows
) -> pl.DataFrame:
    """A parquet file as a frame, in the shape that is asked for: rows left out there are not held in memory.

    Raises:
        ChangedTable: there are check sums beside it, and it is not the file they are of.
        UnreadableTable: it is cut short or damaged.
    """
    return _steady(path, lambda: pl.scan_parquet(path, glob=False).pipe(shape).collect(engine="streaming"))


def read_metadata(path: Path) -> dict[str, str]:
    """What a parquet file says of itself; raises as `read_parquet`."""
    return _steady(path, lambda: pl.read_parquet_metadata(path))


def write_parquet(table: pl.DataFrame, path: Path, metadata: dict[str, str]) -> None:
    """Put a table in its place, and its check sum beside it.

    The new sum is there before the table is, beside that of the old one, so a kill in between leaves what can be read.

    Raises:
        DiskFull, NotWritten: the old table is whole.
    """
    level = (
        19 if table.height <= _MANY_ROWS else 3
    )  # smallest in version control, or hours for a few per cent
    with written_whole(path, "rows") as scratch:
        before = {sha256_of(path)} if path.exists() else set()
        try:
            table.write_parquet(scratch, compression="zstd", compression_level=level, metadata=metadata)
        except pl.exceptions.PolarsError as problem:  # which does not always say what the system said
            raise NotWritten("rows", path, str(problem)) from problem
        now = sha256_of(scratch)
        _write_sums(path, before | {now})
    _write_sums(path, {now})


def _steady(path: Path, read: Callable[[], _T]) -> _T:
    """What is read of a table that is one file from first to last: another process may put a new one in its place."""
    with reading_table(path):
        while True:
            before = _file(path)
            try:
                _check(path)
                value = read()
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
                if _file(path) == before:
                    raise
            else:
                if _file(path) == before:
                    return value


def _file(path: Path) -> tuple[int, int, int]:
    about = path.stat()
    return about.st_ino, about.st_mtime_ns, about.st_size


def _check(path: Path) -> None:
    """Nothing, where a table is to its last bit one that was committed, or there is no check sum of it."""
    expected, before = _expected(path), None
    while expected and (got := sha256_of(path)) not in expected:
        if expected == before:
            raise ChangedTable(path, "it has changed since", expected[-1], got)
        expected, before = _expected(path), expected  # another process may have committed meanwhile


def _expected(path: Path) -> list[str]:
    return [digest for digest, name in _sums(path.parent) if name == path.name]


def _sums(folder: Path) -> list[tuple[str, str]]:
    file = folder / SUMS
    lines = file.read_text(errors="replace").splitlines() if file.exists() else []
    return [(digest, name.lstrip(" *")) for digest, _, name in (line.partition(" ") for line in lines)]


def _write_sums(path: Path, digests: set[str]) -> None:
    """Note which contents a table may have, and leave the lines of others."""
    with written_whole(path.with_name(SUMS), "check sums") as scratch:
        others = [(digest, name) for digest, name in _sums(path.parent) if name != path.name]
        lines = [f"{digest}  {name}\n" for digest, name in (*others, *((d, path.name) for d in digests))]
        scratch.write_text("".join(sorted(lines, key=lambda line: line.partition("  ")[::-1])))
