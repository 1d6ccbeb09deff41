"""Runs as a figure needs them: named by size, with the words of a tooltip, with their distance from a law."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from scaling.errors import require_columns
from scaling.fitting import Fit
from scaling.laws.base import describe
from scaling.units import power_of_ten, print_count
from scaling.verdict import PLACES


def check_columns(runs: pl.DataFrame) -> None:
    """Raise `MissingColumns` unless the runs have N, D, C and loss."""
    hint = "Where compute is not known, 6ND may stand in: C = 6.0 * N * D."
    require_columns(("N", "D", "C", "loss"), runs.columns, hint)


def size_names(runs: pl.DataFrame, column: str = "N") -> dict[int, str]:
    """What each size is called, smallest first, in as few digits as keep them apart."""
    sizes = sorted(runs[column].unique().to_list())
    for digits in (2, 3, 4, 5):
        names = {N: print_count(N, digits) for N in sizes}
        if len(set(names.values())) == len(sizes):
            return names
    return {N: str(N) for N in sizes}


def repeated(runs: pl.DataFrame) -> list[bool]:
    """Which runs have seen tokens more than once; none, where the table does not say."""
    return [e > 1.005 for e in runs["epochs"]] if "epochs" in runs.columns else [False] * len(runs)


def tooltips(runs: pl.DataFrame) -> dict[str, list[str]]:
    """What is said about each run when a reader points at it."""
    forms: dict[str, tuple[str, Callable[[Any], str]]] = {
        "run": ("name", str),
        "model": ("N", lambda N: f"{print_count(N)} parameters"),
        "data": ("D", lambda D: f"{print_count(D)} tokens"),
        "compute": ("C", lambda C: f"{power_of_ten(C)} FLOPs"),
        "held-out loss": ("loss", lambda loss: f"{loss:.3f} nats/token"),
        "epochs": ("epochs", lambda epochs: f"{epochs:.2f}"),
        "seed": ("seed", str),
        "trained on": ("device", str),
        "origin": ("origin", lambda origin: PLACES.get(origin, str(origin))),
    }
    return {
        name: [form(value) for value in runs[column]]
        for name, (column, form) in forms.items()
        if column in runs.columns
    }


def starts(runs: pl.DataFrame) -> list[dict[str, Any]]:
    """Where each size begins, smallest first: C and loss of its cheapest runs, its name (size), and a label."""
    names = size_names(runs)
    first = runs.filter(pl.col("C") == pl.col("C").min().over("N")).group_by("N")
    rows = first.agg(pl.col("C").first(), pl.col("loss").max()).sort("N").iter_rows()
    return [
        {"C": C, "loss": loss, "size": names[N], "label": names[N] if i else f"N = {names[N]}"}
        for i, (N, C, loss) in enumerate(rows)
    ]


def residual_ends(missed: np.ndarray) -> tuple[float, float]:
    """The ends of an axis of residuals in percent; one percent either way at least."""
    return min(-1.0, 1.15 * float(missed.min())), max(1.0, 1.15 * float(missed.max()))


def residual_percent(fitted: Fit, runs: pl.DataFrame) -> np.ndarray:
    """How far each run's loss lies above the law, in percent of what the law says."""
    columns = {name: runs[name].to_numpy().astype(float) for name in describe(fitted.law).column_names}
    return 100 * (runs["loss"].to_numpy() / fitted.law(**columns, **fitted.params) - 1)
