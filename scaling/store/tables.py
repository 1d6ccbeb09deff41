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
Shape = Callable[[pl.LazyFrame], pl.LazyFrame]
"""What is asked of a table's rows before any is held in memory."""


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


def read_parquet(path: Path, shape: Shape = lambda rows: rows) -> pl.DataFrame:
    """A parquet file as a frame, in the shape that is asked for: rows left out there are not held in memory.

    Raises:
        ChangedTable: there are check sums beside it, and it is not the file they are of.
        UnreadableTable: it is cut short or damaged.
    """
    return _steady(path, lambda: pl.scan_parquet(path, glob=False).pipe(shape).collect(engine="streaming"))


def read_metadata(path: Path) -> dict[str, str]:
    """What a parquet file says of itself; raises as `read_parquet`."""
    return _steady(path, lambda: pl.read_parquet_metadata(path))


def merged(path: Path, rows: pl.DataFrame, key: str, shape: Shape) -> pl.LazyFrame:
    """Rows among those of a parquet file, if there is one, in order of a column by which they are sorted.

    Never all of them in memory where the file is sorted too; both may not hold the same value of the column.

    Raises:
        ChangedTable, UnreadableTable: as `read_parquet`.
    """
    if not path.exists():
        return rows.lazy()
    late = read_parquet(path, lambda t: shape(t).select((pl.col(key) < pl.col(key).shift()).any())).item()
    kept = shape(pl.scan_parquet(path, glob=False))
    return (kept.sort(key, maintain_order=True) if late else kept).merge_sorted(rows.lazy(), key)


def write_parquet(table: pl.LazyFrame, path: Path, metadata: dict[str, str]) -> None:
    """Put a table, which may be made of the one that is there, in its place, and its check sum beside it.

    The new sum is there before the table is, beside that of the old one, so a kill in between leaves what can be read.

    Raises:
        DiskFull, NotWritten: the old table is whole.
    """
    with written_whole(path, "rows") as scratch:

        def write() -> None:
            many = table.select(pl.len()).collect(engine="streaming").item() > _MANY_ROWS
            level = 3 if many else 19  # smallest in version control, or hours for a few per cent
            table.sink_parquet(scratch, compression="zstd", compression_level=level, metadata=metadata)

        before = {sha256_of(path)} if path.exists() else set()
        try:
            _unmoved(path, write) if before else write()
        except (
            pl.exceptions.PolarsError,
            pl.exceptions.PanicException,
        ) as problem:  # which does not always say what the system said
            raise NotWritten("rows", path, str(problem)) from problem
        now = sha256_of(scratch)
        _write_sums(path, before | {now})
    _write_sums(path, {now})


def _steady(path: Path, read: Callable[[], _T]) -> _T:
    """What is read of a table that is one file, and the one that was committed, from first to last."""

    def checked() -> _T:
        _check(path)
        return read()

    with reading_table(path):
        return _unmoved(path, checked)


def _unmoved(path: Path, read: Callable[[], _T]) -> _T:
    """What is read while a file stays where it is: another process may put a new one in its place."""
    while True:
        before = _file(path)
        try:
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
