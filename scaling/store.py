"""The run store: what every study asked for and what came out.

    runs/<study>/study.toml            what was asked
    runs/<study>/runs.parquet          what came out, committed; its metadata holds the study spelled out
    runs/<study>/evaluations.parquet   learning curves and per-domain losses, committed
    .store/<study>/rows/*.jsonl        the same rows as this machine made them, not committed
    .store/<study>/{asked,leases,checkpoints,logs}

A row is known by `run_id`: configuration, seed, budget and corpus. Where this machine has made a committed row again,
its own row is the one that is read.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from scaling.errors import BadOption, RecordError, StudyError
from scaling.files import written_whole
from scaling.intake import read_table
from scaling.leases import Lease, claim
from scaling.records import DomainLoss, Evaluation, MissingRuns, Run, UnreadableTable, read_rows
from scaling.study import Study, difference, read_study


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


class StudyChanged(StudyError):
    """A study file edited after it has run."""

    name: str
    difference: str

    def __str__(self) -> str:
        return (
            f"study {self.name!r} has rows that were made from another study file; the difference is\n"
            f"{self.difference}\n"
            "Undo the edit, or give the changed study a name (and folder) of its own."
        )


_TABLES = {"run": "runs.parquet", "evaluation": "evaluations.parquet"}
_POLARS = {
    int: pl.Int64, float: pl.Float64, str: pl.String, dict: pl.String,
    dict[str, float] | None: pl.String, int | None: pl.Int64, float | None: pl.Float64, str | None: pl.String,
}  # fmt: skip


def _schema(record: type) -> dict[str, Any]:
    """Polars types of a record's fields; dictionaries are kept as JSON text, because their keys differ between rows."""
    columns: dict[str, Any] = {}
    for name, hint in typing.get_type_hints(record).items():
        if name not in {f.name for f in dataclasses.fields(record)}:
            continue
        if typing.get_origin(hint) is list:
            columns[name] = pl.List(pl.Struct(_schema(DomainLoss)))
        else:
            origin = typing.get_origin(hint)
            columns[name] = _POLARS[hint if origin in (None, types.UnionType) else origin]
    return columns


_SCHEMAS = {"run": _schema(Run), "evaluation": _schema(Evaluation)}


@dataclass(frozen=True)
class Store:
    """Rows, leases and working files of one study."""

    study: Study

    @property
    def local(self) -> Path:
        """Folder of this machine's own rows: `.store/<study>` beside `runs/`, or inside a study folder elsewhere."""
        folder = self.study.folder.resolve()
        root = folder.parent.parent if folder.parent.name == "runs" else folder
        return root / ".store" / self.study.name

    # --- what was asked ----------------------------------------------------------------------------

    def check_unchanged(self) -> None:
        """Refuse a study file that is not the one its rows were made from.

        Raises:
            StudyChanged: shows the difference.
        """
        asked = self.local / "asked"
        before = [asked.read_text()] if asked.exists() and any(self.local.glob("rows/*.jsonl")) else []
        committed = self.study.folder / _TABLES["run"]
        if committed.exists():
            before.append(_metadata(committed).get("asked", self.study.asked))
        for text in before:
            if text != self.study.asked:
                raise StudyChanged(self.study.name, difference(text, self.study.asked))

    def remember_study(self) -> None:
        """Note what is being asked, before the first row."""
        with written_whole(self.local / "asked", "the study") as scratch:
            scratch.write_text(self.study.asked)

    # --- rows --------------------------------------------------------------------------------------

    def rows(self, kind: str, origin: str) -> pl.DataFrame:
        """All rows of a kind ("run", "evaluation") and an origin ("local", "committed"), in the schema's columns."""
        if origin == "committed":
            path = self.study.folder / _TABLES[kind]
            frame = _read_parquet(path) if path.exists() else pl.DataFrame(schema=_SCHEMAS[kind])
            return frame.select(  # a column that came after the file was written is empty
                (pl.col(c) if c in frame.columns else pl.lit(None, t)).cast(t).alias(c)
                for c, t in _SCHEMAS[kind].items()
            )
        rows: list[dict[str, Any]] = []
        for path in sorted(self.local.glob("rows/*.jsonl")):
            rows += [_flat(row) for row in read_rows(path, kind)]
        frame = pl.DataFrame(rows, schema=_SCHEMAS[kind], strict=False)
        key = ["run_id"] if kind == "run" else ["run_id", "step", "domain"]
        return frame.unique(key, keep="last", maintain_order=True)

    def finished(self, *, here: bool = False) -> set[str]:
        """Run ids that need no training; with `here`, only those that this machine has trained."""
        origins = ("local",) if here else ("local", "committed")
        return {i for origin in origins for i in self.rows("run", origin)["run_id"]}

    def commit(self) -> tuple[int, int]:
        """Compact local and committed rows into the study's folder.

        Returns:
            Rows in the table now, and how many of them are this machine's.

        Raises:
            MissingRuns: this machine has no rows of the study.
            StudyChanged: its rows were made from another study file.
        """
        self.check_unchanged()
        local = self.rows("run", "local")
        if local.is_empty():
            raise MissingRuns(
                self.local, f"Run the sweep first: scaling sweep {self.study.folder}/study.toml"
            )
        mine = pl.concat([local["run_id"], local["trunk_id"]]).unique()
        total = 0
        for kind, name in _TABLES.items():
            kept = self.rows(kind, "committed").filter(~pl.col("run_id").is_in(mine.implode()))
            order = (
                ["run_id", "step", "domain"] if kind == "evaluation" else ["corpus_hash", "N", "D", "run_id"]
            )
            table = pl.concat([kept, self.rows(kind, "local")]).sort(order)
            with written_whole(self.study.folder / name, "rows") as scratch:
                table.write_parquet(
                    scratch, compression="zstd", compression_level=19, metadata={"asked": self.study.asked}
                )
            total = table.height if kind == "run" else total
        return total, local.height

    # --- leases ------------------------------------------------------------------------------------

    def claim(self, *works: str) -> Lease | None:
        """A lease of all these pieces of work; None, and none of them, while another living process holds one."""
        return claim(self.local / "leases", works)


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
        where: a study's folder or file, a table of anybody's, or "published:NAME".
        kind: "annealed", "average", "ensemble", "curve" or "all".
        status: "done", "diverged" or "all".
        origin: "committed" or "local" rows only; both by default, this machine's own where both have a run.
        columns, units: of a table whose names or units are others, as for `read_runs`.

    Returns:
        The fields of `records.Run`, `origin`, and for each domain `loss_<domain>`, `loss_stderr_<domain>` and
        `loss_bits_per_byte_<domain>`. What was left out is printed with its count.

    Raises:
        MissingRuns: there are none.
        UnreadableTable: a file is cut short or not a table; of a table of somebody's also what `read_runs` raises.
        BadOption: columns or units of what is in the schema already.
    """
    table = isinstance(where, str | Path) and Path(where).is_file() and Path(where).suffix != ".toml"
    if (columns or units) and not table:
        raise BadOption(
            "columns" if columns else "units", columns or units, "left out, as only tables need it"
        )
    if str(where).startswith("published:"):
        from scaling.published import open_published

        return open_published(str(where).removeprefix("published:"))
    if isinstance(where, Study):
        frame = _open_study(Store(where), origin)
    elif table:
        frame = read_table(where, columns=columns, units=units)
    else:
        frame = _open_study(Store(read_study(where)), origin)
    left_out = {}
    for column, wanted in (("status", status), ("kind", kind)):
        if wanted != "all" and column in frame.columns:
            left_out |= dict(frame.filter(pl.col(column) != wanted)[column].value_counts().iter_rows())
            frame = frame.filter(pl.col(column) == wanted)
    if left_out:
        print("left out: " + ", ".join(f"{count} {value}" for value, count in sorted(left_out.items())))
    if frame.is_empty():
        raise MissingRuns(
            where, f"Only rows of another kind or status are there: {left_out or 'none at all'}."
        )
    return frame


def select_rows(runs: pl.DataFrame, where: str) -> pl.DataFrame:
    """The rows that fulfil an SQL condition on their columns, e.g. "epochs = 1 AND width >= 32".

    Raises:
        BadCondition: the condition cannot be read, or names a column that is not there.
    """
    try:
        return runs.filter(pl.sql_expr(where))
    except pl.exceptions.PolarsError as problem:
        raise BadCondition(where, _first_line(problem), runs.columns) from None


def ceiling_share(runs: pl.DataFrame) -> float | None:
    """What runs reached of a plain product's FLOP/s on their device, the median; None where none was measured."""
    share = (runs["flops_per_second"] / runs["ceiling"]).median()
    return None if share is None else float(typing.cast(float, share))


def open_evaluations(where: str | Path | Study, *, origin: str | None = None) -> pl.DataFrame:
    """Learning curves and per-domain losses of a study, one row for each run or trunk, step and domain.

    Raises:
        MissingRuns: there are none.
        UnreadableTable: a file is cut short.
    """
    store = Store(where if isinstance(where, Study) else read_study(where))
    origins = [origin] if origin else ["committed", "local"]
    frame = pl.concat([store.rows("evaluation", o) for o in origins])
    if frame.is_empty():
        raise MissingRuns(where, _run_first(store))
    return frame.unique(["run_id", "step", "domain"], keep="last", maintain_order=True)


def _open_study(store: Store, origin: str | None) -> pl.DataFrame:
    origins = [origin] if origin else ["local", "committed"]
    parts = [store.rows("run", o).with_columns(pl.lit(o).alias("origin")) for o in origins]
    both = pl.concat(parts)
    frame = both.unique("run_id", keep="first", maintain_order=True)
    if twins := both.height - frame.height:
        print(f"left out: {twins} committed rows that this machine has made again")
    if frame.is_empty():
        raise MissingRuns(store.study.folder, _run_first(store))
    return _with_domain_columns(frame)


def _run_first(store: Store) -> str:
    return f"Run the sweep first: scaling sweep {store.study.folder}/study.toml"


def _with_domain_columns(frame: pl.DataFrame) -> pl.DataFrame:
    names = frame["domains"].explode().drop_nulls().struct.field("domain").unique().sort()
    columns = []
    for name in names:
        chosen = pl.col("domains").list.eval(pl.element().filter(pl.element().struct.field("domain") == name))
        columns += [
            chosen.list.first().struct.field(field).alias(f"{field}_{name}")
            for field in ("loss", "loss_stderr", "loss_bits_per_byte")
        ]
    return frame.with_columns(columns)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {k: json.dumps(v, sort_keys=True) if isinstance(v, dict) else v for k, v in row.items()}


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise UnreadableTable(path, _first_line(problem)) from None


def _metadata(path: Path) -> dict[str, str]:
    try:
        return pl.read_parquet_metadata(path)
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise UnreadableTable(path, _first_line(problem)) from None


def _first_line(problem: BaseException) -> str:
    return (str(problem) or type(problem).__name__).splitlines()[0]


def studies(root: str | Path = "runs") -> list[Study]:
    """Every study under a folder, by name."""
    return [read_study(file) for file in sorted(Path(root).glob("*/study.toml"))]
