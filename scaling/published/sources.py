"""What is known of others' results: `catalogue.toml` and `files.toml` read, and how each table becomes runs."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from scaling.published.scores import benchmark_scores, time_horizons
from scaling.records import UnreadableTable


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

    def read_raw(self, folder: Path) -> pl.DataFrame:
        """The tidy table, made from the fetched files in a folder.

        Raises:
            UnreadableTable: a file is not the table that it should be.
        """
        if self.name in _FROM_RAW:
            return _FROM_RAW[self.name](folder)
        return read_csv(folder / self.raw[0].path)

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


def read_csv(path: Path, *, strings: bool = False) -> pl.DataFrame:
    """A CSV file, each column as what all its values are; with `strings`, as they are written.

    Raises:
        UnreadableTable: not a table.
    """
    try:
        return pl.read_csv(path, infer_schema_length=0 if strings else None)
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise UnreadableTable(path, str(problem).splitlines()[0]) from problem


# --- from the raw files to the tidy table ----------------------------------------------------------


def _chinchilla(folder: Path) -> pl.DataFrame:
    N, C = pl.col("Model Size"), pl.col("Training FLOP")
    raw = read_csv(folder / "data" / "svg_extracted_data.csv")
    return raw.select(params_N=N, tokens_D=C / (6.0 * N), flops_C=C, loss="loss")


def _schedules(folder: Path) -> pl.DataFrame:
    parts = []
    for path in sorted(folder.glob("loss_curve_repo/csv_*/*.csv")):
        fitted = path.stem in ("constant_24000", "cosine_24000", "wsdcon_9")
        named = {
            "size_M": int(path.parent.name.removeprefix("csv_")),
            "schedule": path.stem,
            "split": "train" if fitted else "test",
        }
        curve = read_csv(path).select("step", "lr", "loss")
        parts.append(curve.with_columns(pl.lit(value).alias(column) for column, value in named.items()))
    return pl.concat(parts).with_columns(pl.col("size_M").cast(pl.Int64))


def _mixtures(folder: Path) -> pl.DataFrame:
    parts = []
    for split, size in (("train", "1m"), ("test", "1m"), ("test", "60m"), ("test", "1B")):
        shares = read_csv(folder / "data" / f"{split}_mixture_{size}.csv")
        losses = read_csv(folder / "data" / f"{split}_pile_loss_{size}.csv")
        shares = shares.rename(lambda name: name.replace("train_the_pile_", "w_"))
        losses = losses.rename(
            lambda name: name.replace("metric/the_pile_", "loss_").removesuffix("_val_loss")
        )
        both = shares.join(losses, on="index", how="inner")
        parts.append(both.with_columns(split=pl.lit(split), size=pl.lit(size)))
    return pl.concat(parts, how="vertical_relaxed")


def _read_strings(path: Path) -> pl.DataFrame:
    return read_csv(path, strings=True)


_FROM_RAW: dict[str, Callable[[Path], pl.DataFrame]] = {
    "chinchilla": _chinchilla,
    "mixtures": _mixtures,
    "schedules": _schedules,
    "schedule-curves": _schedules,
    "benchmarks": lambda folder: benchmark_scores(folder, _read_strings),
    "horizons": lambda folder: time_horizons(folder, _read_strings),
}
"""Sources of which the raw file is not the tidy table yet."""


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
    "schedules": _points,
    "schedule-curves": _curves,
    "scores": _models,
}
"""Sources of which renamed columns are not the schema yet."""


# --- the catalogue ---------------------------------------------------------------------------------


def _catalogue() -> dict[str, Source]:
    listed, files = (_toml(name) for name in ("catalogue", "files"))
    raw = {name: _remote_files(**where) for name, where in files.items()}
    return {
        name: Source(name=name, raw=raw.get(about.pop("files", name), ()), **about)
        for name, about in listed.items()
    }


def _remote_files(repository: str, commit: str, files: str) -> tuple[RemoteFile, ...]:
    base = f"https://raw.githubusercontent.com/{repository}/{commit}"
    rows = (line.split() for line in files.strip().splitlines())
    return tuple(RemoteFile(f"{base}/{path}", path, int(size), sha256) for sha256, size, path in rows)


def _toml(name: str) -> dict[str, dict[str, Any]]:
    return tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text())


SOURCES: dict[str, Source] = _catalogue()
"""Every source by its name."""
