"""Runs as a figure needs them: named by size, with the words of a tooltip, with their distance from a law."""

from __future__ import annotations

import numpy as np
import polars as pl

from scaling.charts import words
from scaling.errors import MissingColumns
from scaling.fitting import Fit
from scaling.laws.base import describe
from scaling.verdict import PLACES


def check_columns(runs: pl.DataFrame) -> None:
    """Raise `MissingColumns` unless the runs have N, D, C and loss."""
    if missing := [name for name in ("N", "D", "C", "loss") if name not in runs.columns]:
        raise MissingColumns(
            missing, runs.columns, "Where compute is not known, 6ND may stand in: C = 6.0 * N * D."
        )


def size_names(runs: pl.DataFrame) -> dict[int, str]:
    """What each N is called, smallest first, in as few digits as keep them apart."""
    sizes = sorted(runs["N"].unique().to_list())
    for digits in (2, 3, 4, 5):
        names = {N: words.count(N, digits) for N in sizes}
        if len(set(names.values())) == len(sizes):
            return names
    return {N: str(N) for N in sizes}


def repeated(runs: pl.DataFrame) -> list[bool]:
    """Which runs have seen tokens more than once; none, where the table does not say."""
    return [e > 1.005 for e in runs["epochs"]] if "epochs" in runs.columns else [False] * len(runs)


def tooltips(runs: pl.DataFrame) -> dict[str, list[str]]:
    """What is said about each run when a reader points at it."""
    said = {
        "model": [f"{words.count(N)} parameters" for N in runs["N"]],
        "data": [f"{words.count(D)} tokens" for D in runs["D"]],
        "compute": [f"{words.power_of_ten(C)} FLOPs" for C in runs["C"]],
        "held-out loss": [f"{loss:.3f} nats/token" for loss in runs["loss"]],
    }
    if "epochs" in runs.columns:
        said["epochs"] = [f"{epochs:.2f}" for epochs in runs["epochs"]]
    if "seed" in runs.columns:
        said["seed"] = [str(seed) for seed in runs["seed"]]
    if "device" in runs.columns:
        said["trained on"] = [str(device) for device in runs["device"]]
    if "origin" in runs.columns:
        said["origin"] = [PLACES.get(origin, str(origin)) for origin in runs["origin"]]
    return said


def residual_percent(found: Fit, runs: pl.DataFrame) -> np.ndarray:
    """How far each run's loss lies above the law, in percent of what the law says."""
    columns = {name: runs[name].to_numpy().astype(float) for name in describe(found.law).column_names}
    return 100 * (runs["loss"].to_numpy() / found.law(**columns, **found.params) - 1)
