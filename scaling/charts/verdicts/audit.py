"""The audit: an outcome of every way to fit the same runs, sorted, above the choices that made it."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import polars as pl

from scaling.charts import theme
from scaling.charts.parts import finish, of, series, stacked
from scaling.errors import PlotError, require_columns
from scaling.show import plain
from scaling.verdict import Verdict


class NothingToDraw(PlotError):
    """A figure without a single mark."""

    figure: str
    rows: str

    def __str__(self) -> str:
        return (
            f"asked to draw {self.figure}, but there are {self.rows}. Look at the table itself, or add runs until "
            "some do."
        )


_MOST = 240  # specifications that a reader can tell apart as columns of ticks
_NAMES = 235
"""Points that the names of the choices take at most."""

TITLES = {
    "a": "exponent a of the best N in compute",
    "tokens_per_parameter": "best tokens per parameter",
    "loss_10x": "loss at 10 times the compute, nats/token",
    "loss_100x": "loss at 100 times the compute, nats/token",
}
"""Outcomes in the words of an axis; others go by their column."""


def draw(verdict: Verdict) -> alt.VConcatChart:
    """The exponent of the best N in compute under every specification."""
    return specification_curve(verdict.evidence["specifications"])


def specification_curve(table: pl.DataFrame, outcome: str = "a") -> alt.VConcatChart:
    """The outcome of each specification in ascending order; below it, one row of ticks for each level of each choice.

    Where the ticks of a level crowd at one end, that choice moves the outcome. Of many specifications, 240 evenly
    spaced in rank are shown, the lowest and the highest among them.

    Args:
        table: one row per specification: text columns are choices, `outcome` a number, and `kept`, where it is there,
            says which rows count.
        outcome: a column of numbers.

    Raises:
        MissingColumns: no such column.
        NothingToDraw: no row that counts.

    Source:
        Simonsohn et al. 2020, "Specification curve analysis", figure 2.
    """
    require_columns([outcome], table.columns, "Name a column of numbers as outcome.")
    kept = table.filter("kept") if "kept" in table.columns else table
    if not len(kept):
        raise NothingToDraw("a specification curve", f"{len(table)} specifications, none of which counts")
    kept = kept.sort(outcome)
    shown = kept[np.unique(np.linspace(0, len(kept) - 1, _MOST).round().astype(int))].with_row_index("rank")
    choices = [name for name, kind in kept.schema.items() if kind == pl.String and kept[name].n_unique() > 1]
    x = alt.X("rank:Q", title=None, scale=alt.Scale(domain=[-1, len(shown)], nice=False))
    x = x.axis(labels=False, grid=False)
    y = alt.Y(f"{outcome}:Q", title=TITLES.get(outcome, plain(outcome))).scale(zero=False).axis(tickCount=5)
    points = of(shown.select("rank", outcome, *choices)).mark_point(
        filled=True, size=14, color=theme.INK, opacity=0.9
    )
    points = points.encode(x=x, y=y, tooltip=[f"{outcome}:Q", *(f"{name}:N" for name in choices)])
    long = shown.select("rank", *choices).unpivot(index="rank", variable_name="choice", value_name="level")
    order = [
        f"{name.replace('_', ' ')}: {plain(level)}"
        for name in choices
        for level in kept[name].unique().sort()
    ]
    said = {level: plain(level) for level in long["level"].unique()}
    row = pl.col("choice").str.replace("_", " ") + ": " + pl.col("level").replace_strict(said)
    ticks = of(long.select("rank", "choice", row=row)).mark_tick(thickness=1.5, size=9, opacity=0.9)
    names = alt.Y("row:N", title=None, sort=order).axis(labelLimit=_NAMES, labelFontSize=11, labelOpacity=1)
    ticks = ticks.encode(x=x, y=names, color=series("choice", choices))
    height: Any = alt.Step(13)
    return stacked(finish(points, 170), finish(ticks, height), spacing=6, axis=_NAMES + 20)
