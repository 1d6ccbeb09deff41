"""What is known of others' results: `catalogue.toml` and `files.toml`, and how each tidy table becomes runs."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl


@dataclass(frozen=True)
class RemoteFile:
    """One file at a fixed commit."""

    url: str
    path: str
    """Inside the repository, and inside the cache folder of its source."""
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """One set of published results."""

    name: str
    title: str
    paper: str
    licence: str
    units: str
    """What its numbers count, and how its N and C were counted."""
    tidy: str
    """Its table inside the folder that SCALING_PUBLISHED names."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """What columns of the table are called in the schema of runs."""
    same: Mapping[str, str] = field(default_factory=dict)
    """Columns that are the same in every row."""
    raw: tuple[RemoteFile, ...] = ()
    """Files that can be fetched; none where the original is a notebook or a pickle."""

    def runs(self, tidy: pl.DataFrame) -> pl.DataFrame:
        """The tidy table in the schema of runs, as far as the source knows it."""
        frame = tidy.rename(self.columns)
        if self.name in _INTO_SCHEMA:
            frame = _INTO_SCHEMA[self.name](frame)
        frame = frame.with_columns(pl.lit(value).alias(column) for column, value in self.same.items())
        if self.same.get("kind") != "annealed":
            return frame
        frame = frame.with_columns(pl.col("N", "D", "C").cast(pl.Float64))
        if "unique_tokens" not in frame.columns:
            frame = frame.with_columns(unique_tokens=pl.col("D"))
        return frame.with_columns(epochs=pl.col("D") / pl.col("unique_tokens"))


# --- from the tidy table to the schema of runs -----------------------------------------------------

_WARMUP = 2160  # steps, of every learning-rate schedule of Luo et al.


def _fitted_and_not(frame: pl.DataFrame) -> pl.DataFrame:
    """The table also marks twelve twins on deduplicated text as fitted, which the authors' code skips."""
    frame = frame.with_columns(pl.col("in_published_fit") & ~pl.col("dedup_subset"))
    return frame.filter(pl.col("loss").is_not_null())


def _points(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(N=1e6 * pl.col("size_M"))


def _curves(frame: pl.DataFrame) -> pl.DataFrame:
    """A curve to a row, its steps in list columns."""
    return (
        _points(frame)
        .sort("size_M", "schedule", "step")
        .group_by("size_M", "schedule", "split", "N", maintain_order=True)
        .agg("step", lr_curve="lr", loss_curve="loss", loss=pl.col("loss").last())
        .with_columns(warmup_steps=pl.lit(_WARMUP))
    )


def _blends(frame: pl.DataFrame) -> pl.DataFrame:
    sizes = {"1m": 1e6, "60m": 6e7, "1B": 1e9}
    N = pl.col("size").replace_strict(sizes, return_dtype=pl.Float64)
    return frame.with_columns(N=N, loss=pl.col("loss_pile_cc"))


def _code_shares(frame: pl.DataFrame) -> pl.DataFrame:
    shares = {f"w_{name}": pl.col(f"{name}_pct") / 100 for name in ("c4", "python")}
    return frame.with_columns(loss_c4="loss", **shares)


def _code_tasks(frame: pl.DataFrame) -> pl.DataFrame:
    """A row for each blend, a column for each task."""
    missed = frame.with_columns(task="loss_" + pl.col("task"), missed=1 - pl.col("score") / 100)
    wide = missed.pivot("task", index=["N", "D", "base", "python_pct"], values="missed")
    python = pl.col("python_pct") / 100
    web = {f"w_{base}": pl.when(base=base).then(1 - python).otherwise(0.0) for base in ("c4", "oscar")}
    return wide.with_columns(w_python=python, **web)


def _models(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        N=1e9 * pl.col("Model Size (B)"),
        D=1e12 * pl.col("Pretraining Data Size (T)"),
        C=1e21 * pl.col("FLOPs (1E21)"),
    )


_INTO_SCHEMA: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "data-constrained": _fitted_and_not,
    "isoflop": lambda frame: frame.with_columns(n_convention=pl.col("param_count")),
    "overtraining": lambda frame: frame.with_columns(M=pl.col("D") / pl.col("N")),
    "ladder": lambda frame: frame.with_columns(
        loss=pl.col("eval.c4_en-validation.CrossEntropyLoss"), C=pl.col("flops_per_token") * pl.col("D")
    ),
    "mixtures": _blends,
    "code-shares": _code_shares,
    "code-tasks": _code_tasks,
    "schedules": _points,
    "schedule-curves": _curves,
    "scores": _models,
}
"""Sources of which renamed columns are not the schema yet."""


# --- the catalogue ---------------------------------------------------------------------------------


def _catalogue() -> dict[str, Source]:
    here = Path(__file__).parent
    listed, files = (tomllib.loads((here / name).read_text()) for name in ("catalogue.toml", "files.toml"))
    raw = {name: _remote_files(**where) for name, where in files.items()}
    return {
        name: Source(name=name, raw=raw.get(about.pop("files", name), ()), **about)
        for name, about in listed.items()
    }


def _remote_files(repository: str, commit: str, files: str) -> tuple[RemoteFile, ...]:
    base = f"https://raw.githubusercontent.com/{repository}/{commit}"
    rows = (line.split() for line in files.strip().splitlines())
    return tuple(RemoteFile(f"{base}/{path}", path, int(size), sha256) for sha256, size, path in rows)


SOURCES: dict[str, Source] = _catalogue()
"""Every source by its name."""
