"""From the raw files of published results, as their authors put them on the network, to one tidy table each."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import polars as pl

from scaling.records import reading_table


def read_csv(path: Path, *, strings: bool = False) -> pl.DataFrame:
    """A CSV file, each column as what all its values are; with `strings`, as they are written.

    Raises:
        UnreadableTable: not a table.
    """
    with reading_table(path):
        return pl.read_csv(path, infer_schema_length=0 if strings else None)


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


def _benchmark_scores(folder: Path) -> pl.DataFrame:
    """One row per score: benchmark, benchmark_release_date, model, model_name, release_date, performance, source.

    performance is a share, 0 to 1, as its source counts it: nothing is taken off for guessing. Rows without a model, a
    score or a source are left out, and so are the public samples of benchmarks whose private part is there.
    """
    own = _strings(folder, "benchmarks_runs").select(
        benchmark="task",
        model="model",
        performance=_number("Best score (across scorers)"),
        source=pl.lit("Epoch evaluations"),
    )
    parts = [own.filter(~pl.col("benchmark").str.ends_with("-Public"))]
    listed = tomllib.loads(Path(__file__).with_name("scores.toml").read_text())
    for name, scored in listed.items():
        table = _strings(folder, f"external_benchmark_{name}")
        source = pl.col("Source") if "Source" in table.columns else pl.lit("")
        share = _number(scored["column"]) / scored.get("whole", 100.0)
        parts.append(
            table.select(
                benchmark=pl.lit(scored["benchmark"]), model="Model version", performance=share, source=source
            )
        )
    scores = pl.concat(parts).drop_nulls(["model", "performance", "source"])
    released = _strings(folder, "benchmark_optim").select("benchmark", "benchmark_release_date")
    named = scores.join(released, on="benchmark", how="left").join(_models(folder), on="model", how="left")
    return named.select(
        "benchmark", "benchmark_release_date", "model", "model_name", "release_date", "performance", "source"
    )


def _time_horizons(folder: Path) -> pl.DataFrame:
    """One row per model: the length in minutes of the tasks that it does half of, with its interval, and its score."""
    table = _strings(folder, "external_benchmark_metr").select(
        model="Model version",
        p50_horizon_min=_number("Time horizon"),
        CI_low=_number("CI_low"),
        CI_high=_number("CI_high"),
        average_score=_number("average_score"),
    )
    named = table.join(_models(folder), on="model", how="left")
    return named.select(
        "model", "model_name", "release_date", "p50_horizon_min", "CI_low", "CI_high", "average_score"
    )


def _models(folder: Path) -> pl.DataFrame:
    versions = _strings(folder, "model_versions")
    return versions.select(model="id", model_name="Model", release_date="Version release date").unique(
        "model", keep="first", maintain_order=True
    )


def _number(column: str) -> pl.Expr:
    """A column of "88.2", "88.2%" or "1,234" as numbers; what is none of these is null."""
    return pl.col(column).str.replace_all("[%,]", "").str.strip_chars().cast(pl.Float64, strict=False)


def _strings(folder: Path, name: str) -> pl.DataFrame:
    return read_csv(folder / "data" / f"{name}.csv", strings=True)


FROM_RAW: dict[str, Callable[[Path], pl.DataFrame]] = {
    "chinchilla": _chinchilla,
    "mixtures": _mixtures,
    "schedules": _schedules,
    "schedule-curves": _schedules,
    "scores": lambda folder: read_csv(folder / "eval_results" / "base_llm_benchmark_eval.csv"),
    "benchmarks": _benchmark_scores,
    "horizons": _time_horizons,
}
"""How the files in a folder become the tidy table, by the name of the source."""
