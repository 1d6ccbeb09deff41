"""Rows, leases and working files of one study."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from scaling.errors import StudyError
from scaling.files import written_whole
from scaling.leases import Held, claim
from scaling.records import ROW_KEYS, MissingRuns, Run, local_folder, read_rows, reading_table
from scaling.store.tables import SCHEMAS, merged, read_metadata, read_parquet, write_parquet
from scaling.study import Study
from scaling.study.identity import difference, spell_out

_SHOWN = 3
"""Lines of a kind, gone or new, of a difference that are printed: a changed default is one of each for every trunk."""


class StudyChanged(StudyError):
    """A study file edited after it has run."""

    name: str
    difference: str

    def __str__(self) -> str:
        lines = self.difference.splitlines()
        shown = [line for sign in "-+" for line in [line for line in lines if line[0] == sign][:_SHOWN]]
        more = f"… and {len(lines) - len(shown)} more lines\n" if len(lines) > len(shown) else ""
        return (
            f"study {self.name!r} has rows that were made from another study file; the difference is\n"
            + "".join(f"{line}\n" for line in shown)
            + more
            + "Undo the edit, or give the changed study a name (and folder) of its own; grids and seeds may be added."
        )


_TABLES = {"run": "runs.parquet", "evaluation": "evaluations.parquet", "measurement": "measurements.parquet"}


@dataclass(frozen=True)
class Store:
    """Rows, leases and working files of one study."""

    study: Study

    @property
    def local(self) -> Path:
        """Folder of this machine's own rows."""
        return local_folder(self.study.folder)

    # --- what was asked ----------------------------------------------------------------------------

    def check_unchanged(self) -> None:
        """Refuse a study file that lacks what its rows were made from; one that asks for more goes on from them.

        Raises:
            StudyChanged: shows the difference.
            UnreadableTable: the system does not give what was asked before, or it is damaged.
        """
        asked, now = self.local / "asked", spell_out(self.study)
        with reading_table(asked):
            before = [asked.read_text()] if asked.exists() and any(self.local.glob("rows/*.jsonl")) else []
            committed = self.study.folder / _TABLES["run"]
            if committed.exists():
                before.append(read_metadata(committed).get("asked", now))
        for text in before:
            self.refuse_if_lost(text)

    def refuse_if_lost(self, before: str) -> None:
        """Refuse a study that asks no longer for all that a spelled-out one did: StudyChanged."""
        changed = difference(before, spell_out(self.study))
        if changed.startswith("-"):
            raise StudyChanged(self.study.name, changed)

    def remember_study(self) -> None:
        """Note what is being asked, before the first row."""
        with written_whole(self.local / "asked", "the study") as scratch:
            scratch.write_text(spell_out(self.study))

    # --- rows --------------------------------------------------------------------------------------

    def rows(self, kind: str, origin: str, only: pl.Expr | None = None) -> pl.DataFrame:
        """All rows of a kind of `ROW_KEYS` and an origin ("local", "committed"), in the schema's columns.

        Args:
            kind, origin: of the rows.
            only: a condition on them; committed rows that do not fulfil it are passed over as the table is read.
        """
        shape = partial(_in_schema, kind=kind, only=only)
        path = self.study.folder / _TABLES[kind]
        with reading_table(path if origin == "committed" else self.local):
            if origin == "committed" and path.exists():
                return read_parquet(path, shape)
            rows = self._local(kind) if origin == "local" else pl.DataFrame(schema=SCHEMAS[kind])
            return shape(rows.lazy()).collect()

    def _local(self, kind: str) -> pl.DataFrame:
        files = sorted(self.local.glob("rows/*.jsonl"))
        rows = [
            {k: json.dumps(v, sort_keys=True) if isinstance(v, dict) else v for k, v in row.items()}
            for path in files
            for row in read_rows(path, kind)
        ]
        frame = pl.DataFrame(rows, schema=SCHEMAS[kind], strict=False)
        return frame.unique(ROW_KEYS[kind], keep="last", maintain_order=True)

    def finished(self, *, here: bool = False, trunks: Iterable[str] | None = None) -> set[str]:
        """Run ids that need no training; with `here`, or of a few trunks, only those whose rows this machine has."""
        if trunks is not None:
            files = (self.local / "rows" / f"{trunk}.jsonl" for trunk in trunks)
            return {row["run_id"] for file in files for row in read_rows(file, "run")}
        origins = ("local",) if here else ("local", "committed")
        return {i for origin in origins for i in self.rows("run", origin)["run_id"]}

    def commit(self) -> tuple[int, int]:
        """Compact local and committed rows into the study's folder, each table with its check sum.

        Returns:
            Rows in the table now, and how many of them are this machine's.

        Raises:
            MissingRuns: this machine has no rows of the study.
            StudyChanged: its rows were made from another study file.
            ChangedTable, UnreadableTable: the committed rows are damaged; nothing is written over them.
        """
        self.check_unchanged()
        local = {kind: self.rows(kind, "local") for kind in _TABLES}
        mine = local.pop("run")
        if mine.is_empty():
            raise MissingRuns(self.local, run_first(self.study))
        theirs = ~pl.col("run_id").is_in(pl.concat([mine["run_id"], mine["trunk_id"]]).implode())
        runs = pl.concat([self.rows("run", "committed", theirs), mine])
        runs = runs.sort("corpus_hash", "N", "D", "run_id")
        tables = {}
        for kind, rows in local.items():
            path = self.study.folder / _TABLES[kind]
            if kind != "measurement" or path.exists() or not rows.is_empty():
                new = rows.sort(ROW_KEYS[kind])
                tables[path.name] = merged(path, new, "run_id", partial(_in_schema, kind=kind, only=theirs))
        tables[_TABLES["run"]] = runs.lazy()  # the last: of a run that it has, all is there
        for name, table in tables.items():
            write_parquet(table, self.study.folder / name, {"asked": spell_out(self.study)})
        return runs.height, mine.height

    # --- leases ------------------------------------------------------------------------------------

    def claim(self, *works: str) -> Held | None:
        """A lease of all these pieces of work; None, and none of them, while another living process holds one."""
        return claim(self.local / "leases", works)

    # --- with other machines -----------------------------------------------------------------------

    def bring(self, stack: str, runs: Iterable[str]) -> None:
        """Have here what a stack goes on from: its checkpoints, and the weights of these runs."""

    def send(self, stack: str, trunks: Iterable[str], runs: Iterable[str], *, done: bool) -> Future[None]:
        """Let others have what was made of a stack: the rows of its trunks, its state, the weights of its runs.

        Args:
            stack: its id, as `trunks` and `runs` are ids.
            done: it is finished, and must reach them.
        """
        sent: Future[None] = Future()
        sent.set_result(None)  # others see the same folder
        return sent


def _in_schema(rows: pl.LazyFrame, kind: str, only: pl.Expr | None) -> pl.LazyFrame:
    """Rows of a table that fulfil a condition, in today's columns: one that came after it was written is empty."""
    there = rows.collect_schema().names()
    shaped = rows.select(
        (pl.col(name) if name in there else pl.lit(None, t)).cast(t).alias(name)
        for name, t in SCHEMAS[kind].items()
    )
    if kind == "run":
        shaped = shaped.with_columns(pl.col("stage").fill_null(Run.stage))
    return shaped if only is None else shaped.filter(only)


def run_first(study: Study) -> str:
    """What to do where a study has no rows."""
    return f"Run the sweep first: scaling sweep {study.folder}/study.toml"
