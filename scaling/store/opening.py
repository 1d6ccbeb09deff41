"""What readers open: runs, learning curves and measurements of a study, and tables of runs."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from scaling.arguments import checked
from scaling.errors import BadOption, RecordError, check_forked
from scaling.intake import is_named_as_table, read_table
from scaling.records import ROW_KEYS, MissingRuns
from scaling.store.rows import Store, run_first
from scaling.store.shared import open_shared
from scaling.store.tables import SCHEMAS, read_parquet
from scaling.study import Study, read_study


class BadCondition(RecordError):
    """A condition on rows that cannot be carried out."""

    where: str
    reason: str
    columns: list[str]

    def __str__(self) -> str:
        return (
            f"asked for rows where {self.where!r}, but that is no condition on these columns ({self.reason}). "
            f'Write SQL with the columns {", ".join(self.columns)}, e.g. "epochs = 1".'
        )


@checked
def open_runs(
    where: str | Path | Study,
    *,
    kind: str = "annealed",
    status: str = "done",
    origin: str | None = None,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Runs that a fit may use, one row each.

    Args:
        where: a study's folder or file, a table of anybody's, "published:NAME", or a study in a shared store by its
            URL, e.g. "s3://bucket/prefix/quickstart".
        kind: "annealed", "average", "ensemble", "curve" or "all".
        status: "done", "diverged" or "all".
        origin: "committed" or "local" rows only; both by default, this machine's own where both have a run.
        columns, units: of a table whose names or units are others, as for `read_runs`.

    Returns:
        The fields of `records.Run`, `origin`, and for each domain `loss_<domain>`, `loss_stderr_<domain>` and
        `loss_bits_per_byte_<domain>`. What was left out is printed with its count.

    Raises:
        MissingRuns: there are none.
        StoreUnreachable: a shared store that cannot be read.
        UnreadableTable: a file is cut short or not a table; `ChangedTable` where it is not what was committed.
        RecordError: whatever else `read_runs` raises, of a table of somebody's.
        BadOption: there is no such origin; columns or units of what is in the schema already.
    """
    check_forked()
    _check_origin(origin)
    _check_where(where)
    there = isinstance(where, str | Path) and Path(where).is_file() and Path(where).suffix != ".toml"
    absent = isinstance(where, str | Path) and is_named_as_table(where) and not Path(where).exists()
    table = there or absent
    if (columns or units) and not table:
        raise BadOption(
            "columns" if columns else "units", columns or units, "left out, as only tables need it"
        )
    if str(where).startswith("published:"):
        from scaling.published import open_published

        return open_published(str(where).removeprefix("published:"))
    if isinstance(where, str | Path) and table:
        committed = there and Path(where).suffix == ".parquet"  # which may have its check sum beside it
        frame = read_table(read_parquet(Path(where)) if committed else where, columns=columns, units=units)
    else:
        frame = _open_study(_store(where), origin)
    left_out: dict[str, int] = {}
    for column, wanted in (("status", status), ("kind", kind)):
        if wanted != "all" and column in frame.columns:
            others = frame[column].filter(frame[column].ne_missing(wanted)).fill_null(f"without a {column}")
            left_out |= dict(others.value_counts().iter_rows())
            frame = frame if others.is_empty() else frame.filter(pl.col(column) == wanted)
    if left_out:
        print("left out: " + ", ".join(f"{count} {value}" for value, count in sorted(left_out.items())))
    if frame.is_empty():
        raise MissingRuns(
            where, f"Only rows of another kind or status are there: {left_out or 'none at all'}."
        )
    return frame


@checked
def open_evaluations(
    where: str | Path | Study, *, origin: str | None = None, only: str | None = None
) -> pl.DataFrame:
    """Learning curves and per-domain losses of a study, one row for each run or trunk, step and domain.

    Args:
        where: a study's folder or file.
        origin: as of `open_runs`.
        only: an SQL condition on the columns, e.g. "step = 2560"; of a table of any size the rows that fulfil it are
            all that is held in memory.

    Returns:
        The fields of `records.Evaluation`.

    Raises:
        MissingRuns: there are none.
        UnreadableTable: a file is cut short; `ChangedTable` where it is not what was committed.
        BadOption: there is no such origin.
        BadCondition: the condition cannot be read, or names a column that is not there.
    """
    return _open_rows("evaluation", where, origin, only)


@checked
def open_measurements(
    where: str | Path | Study, *, origin: str | None = None, only: str | None = None
) -> pl.DataFrame:
    """What the probes of a study measured, one row for each run or trunk, step, probe and group.

    Returns:
        The fields of `records.Measurement`.

    Raises:
        MissingRuns: there are none; a study asks for them with e.g. probes = ["position"].
        UnreadableTable, BadOption, BadCondition: as `open_evaluations`.
    """
    return _open_rows("measurement", where, origin, only)


def select_rows(runs: pl.DataFrame, where: str) -> pl.DataFrame:
    """The rows that fulfil an SQL condition on their columns, e.g. "epochs = 1 AND width >= 32".

    Raises:
        BadCondition: the condition cannot be read, or names a column that is not there.
    """
    try:
        return runs.filter(pl.sql_expr(where))
    except pl.exceptions.PolarsError as problem:
        raise BadCondition(where, str(problem).splitlines()[0], runs.columns) from None


def ceiling_share(runs: pl.DataFrame) -> float | None:
    """What runs reached of a plain product's FLOP/s on their device, the median; None where none was measured."""
    share = (runs["flops_per_second"] / runs["ceiling"]).median()
    return None if share is None else float(typing.cast(float, share))


def _check_where(where: str | Path | Study) -> None:
    if not isinstance(where, str | Path | Study):
        wanted = 'a path, "published:NAME" or a study; a table in memory goes to fit as it is, or through read_runs'
        raise BadOption("where", type(where).__name__, wanted)


def _store(where: str | Path | Study) -> Store:
    _check_where(where)
    if isinstance(where, str) and "://" in where:
        return open_shared(where)
    return Store(where if isinstance(where, Study) else read_study(where))


def _check_origin(origin: str | None) -> None:
    if origin not in (None, "committed", "local"):
        raise BadOption("origin", origin, "'committed', 'local', or None for both")


def _rows(
    store: Store, kind: str, origin: str | None, only: str | None = None
) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Committed rows that this machine has not made again, its own rows, and how many committed ones it has."""
    nothing = pl.DataFrame(schema=SCHEMAS[kind])
    if only is not None:
        select_rows(nothing, only)
    condition = None if only is None else pl.sql_expr(only)
    committed = nothing if origin == "local" else store.rows(kind, "committed", condition)
    local = nothing if origin == "committed" else store.rows(kind, "local")
    kept = committed
    if not (committed.is_empty() or local.is_empty()):
        kept = committed.join(local, on=ROW_KEYS[kind], how="anti", maintain_order="left")
    return kept, local if condition is None else local.filter(condition), committed.height - kept.height


def _open_study(store: Store, origin: str | None) -> pl.DataFrame:
    committed, local, twins = _rows(store, "run", origin)
    if twins:
        print(f"left out: {twins} committed rows that this machine has made again")
    if committed.is_empty() and local.is_empty():
        raise MissingRuns(store.study.folder, run_first(store.study))
    parts = {"local": local, "committed": committed}
    frame = _joined([rows.with_columns(pl.lit(name).alias("origin")) for name, rows in parts.items()])
    return _with_domain_columns(frame)


def _open_rows(kind: str, where: str | Path | Study, origin: str | None, only: str | None) -> pl.DataFrame:
    _check_origin(origin)
    store = _store(where)
    frame = _joined([*_rows(store, kind, origin, only)[:2]])
    if frame.is_empty():
        ask = 'Ask for them in the study file, e.g. probes = ["position"]. ' if kind == "measurement" else ""
        picked = "" if only is None else f"Asked for were those where {only}. "
        raise MissingRuns(where, picked + ask + run_first(store.study))
    return frame


def _joined(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Tables below each other, without a copy where only one has rows."""
    return pl.concat([part for part in parts if not part.is_empty()] or parts[:1])


def _with_domain_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """The losses of each domain in columns of their own, whatever its place in a row's list."""
    names = frame["domains"].explode().drop_nulls().struct.field("domain").unique().sort()
    most = typing.cast(int, frame["domains"].list.len().max() or 0)
    places = [pl.col("domains").list.get(i, null_on_oob=True).struct for i in range(most)]
    columns = [
        pl.coalesce(
            pl.when(place.field("domain") == name).then(place.field(field)) for place in places
        ).alias(f"{field}_{name}")
        for name in names
        for field in ("loss", "loss_stderr", "loss_bits_per_byte")
    ]
    return frame.with_columns(columns)


def studies(root: str | Path = "runs") -> list[Study]:
    """Every study under a folder, by name."""
    return [read_study(file) for file in sorted(Path(root).glob("*/study.toml"))]
