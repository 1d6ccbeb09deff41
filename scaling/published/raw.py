"""Benchmark scores and task horizons of public models, from the CSV files that Epoch AI publishes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import polars as pl

Read = Callable[[Path], pl.DataFrame]


class Scored(NamedTuple):
    """Which column of a file is the score of which benchmark."""

    benchmark: str
    column: str
    whole: float = 100.0
    """What the column says where the score is 1."""


EXTERNAL = {
    "aider_polyglot": Scored("Aider polyglot", "Percent correct"),
    "anli": Scored("ANLI", "Score"),
    "arc_agi": Scored("ARC-AGI", "Score"),
    "arc_ai2": Scored("ARC AI2", "Challenge score"),
    "balrog": Scored("Balrog", "Average progress"),
    "bbh": Scored("BBH", "Average"),
    "cadeval": Scored("CadEval", "Overall pass (%)"),
    "csqa2": Scored("CSQA2", "Score"),
    "cybench": Scored("Cybench", "Unguided % Solved"),
    "deepresearch": Scored("DeepResearch Bench", "Average score"),
    "factorio_learning_environment": Scored("Factorio learning environment", "Lab Success %"),
    "fictionlivebench": Scored("Fiction.LiveBench", "16k token score"),
    "geobench": Scored("GeoBench", "ACW Country %"),
    "gsm8k": Scored("GSM8K", "EM"),
    "gso_bench": Scored("GSO-Bench", "Score OPT@1"),
    "hellaswag": Scored("HellaSwag", "Overall accuracy"),
    "lambada": Scored("LAMBADA", "Score"),
    "lech_mazur_writing": Scored("Lech Mazur Writing", "Mean score", whole=10.0),
    "livebench": Scored("LiveBench", "Global average"),
    "mmlu": Scored("MMLU", "EM"),
    "openbookqa": Scored("OpenBookQA", "Accuracy"),
    "os_world": Scored("OSWorld", "Score"),
    "osuniverse": Scored("OSUniverse", "Weighted Score"),
    "piqa": Scored("PIQA", "Score"),
    "scienceqa": Scored("ScienceQA", "Score"),
    "simple_bench": Scored("SimpleBench", "Score (AVG@5)"),
    "superglue": Scored("SuperGLUE", "Score"),
    "terminal_bench": Scored("Terminal Bench", "Accuracy mean"),
    "the_agent_company": Scored("The Agent Company", "% Resolved"),
    "triviaqa": Scored("TriviaQA", "EM"),
    "videomme": Scored("VideoMME", "Overall (no subtitles)"),
    "vpct": Scored("VPCT", "Correct"),
    "weirdml": Scored("WeirdML", "Accuracy"),
    "winogrande": Scored("Winogrande", "Accuracy"),
}
"""Scores that others measured, by the end of their file's name."""


def benchmark_scores(folder: Path, read: Read) -> pl.DataFrame:
    """One row per score: benchmark, benchmark_release_date, model, model_name, release_date, performance, source.

    performance is a share, 0 to 1, as its source counts it: nothing is taken off for guessing. Rows without a model, a
    score or a source are left out, and so are the public samples of benchmarks whose private part is there.

    Args:
        folder: with the files `data/*.csv` of the repository.
        read: makes a frame of strings of a CSV file.
    """
    own = read(folder / "data" / "benchmarks_runs.csv").select(
        benchmark="task",
        model="model",
        performance=_number("Best score (across scorers)"),
        source=pl.lit("Epoch evaluations"),
    )
    parts = [own.filter(~pl.col("benchmark").str.ends_with("-Public"))]
    for name, scored in EXTERNAL.items():
        table = read(folder / "data" / f"external_benchmark_{name}.csv")
        source = pl.col("Source") if "Source" in table.columns else pl.lit("")
        share = _number(scored.column) / scored.whole
        parts.append(
            table.select(
                benchmark=pl.lit(scored.benchmark), model="Model version", performance=share, source=source
            )
        )
    scores = pl.concat(parts).drop_nulls(["model", "performance", "source"])
    released = read(folder / "data" / "benchmark_optim.csv").select("benchmark", "benchmark_release_date")
    named = scores.join(released, on="benchmark", how="left").join(
        _models(folder, read), on="model", how="left"
    )
    return named.select(
        "benchmark", "benchmark_release_date", "model", "model_name", "release_date", "performance", "source"
    )


def time_horizons(folder: Path, read: Read) -> pl.DataFrame:
    """One row per model: the length in minutes of the tasks that it does half of, with its interval, and its score.

    Args:
        folder, read: as for `benchmark_scores`.
    """
    table = read(folder / "data" / "external_benchmark_metr.csv").select(
        model="Model version",
        p50_horizon_min=_number("Time horizon"),
        CI_low=_number("CI_low"),
        CI_high=_number("CI_high"),
        average_score=_number("average_score"),
    )
    named = table.join(_models(folder, read), on="model", how="left")
    return named.select(
        "model", "model_name", "release_date", "p50_horizon_min", "CI_low", "CI_high", "average_score"
    )


def _models(folder: Path, read: Read) -> pl.DataFrame:
    versions = read(folder / "data" / "model_versions.csv")
    return versions.select(model="id", model_name="Model", release_date="Version release date").unique(
        "model", keep="first", maintain_order=True
    )


def _number(column: str) -> pl.Expr:
    """A column of "88.2", "88.2%" or "1,234" as numbers; what is none of these is null."""
    return pl.col(column).str.replace_all("[%,]", "").str.strip_chars().cast(pl.Float64, strict=False)
