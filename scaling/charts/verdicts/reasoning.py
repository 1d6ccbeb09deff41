"""Reasoning: learning curves of a target by what was read first, sizes above one another."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from scaling.charts.parts import finish, log_x, of, series, stacked, whiskers
from scaling.units import print_count
from scaling.verdict import Verdict


def draw(verdict: Verdict) -> Any:
    """Means over seeds with their standard errors."""
    curves = verdict.evidence["curves"]
    names = curves["read"].unique(maintain_order=True).to_list()
    unit = next((n.unit for name, n in verdict.numbers.items() if name.startswith("gain")), "")
    return stacked(
        *(_size(curves.filter(N=N), names, unit, print_count(N, 2)) for N in curves["N"].unique().sort())
    )


def _size(curves: pl.DataFrame, names: list[str], unit: str, size: str) -> alt.LayerChart:
    error = pl.col("stderr").fill_null(0.0)
    rows = curves.select("read", "D", mid="value", low=pl.col("value") - error, high=pl.col("value") + error)
    tokens = rows["D"].to_numpy()
    x = log_x(
        "D", "tokens of the target", float(tokens.min()) * 0.9, float(tokens.max()) * 1.1, labels="counts"
    )

    def y(field: str) -> alt.Y:
        return alt.Y(field, type="quantitative", title=f"{size} parameters: {unit}").scale(zero=False)

    colour, base = series("read", names, title="had read", columns=2), of(rows)
    line = base.mark_line(strokeWidth=2).encode(x=x, y=y("mid"), color=colour)
    points = [mark.encode(color=colour) for mark in whiskers(base, x, y, tooltip=["read:N", "D:Q", "mid:Q"])]
    return finish(alt.layer(line, *points), 260)
