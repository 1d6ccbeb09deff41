"""Duplicates: the share of a document that is memorised by how often it was seen, a colour for each size."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from scaling.charts.parts import finish, log_x, of, series
from scaling.charts.series import size_names
from scaling.verdict import Verdict


def draw(verdict: Verdict) -> Any:
    """Solid what can only be memorised, dashed what follows from a rule."""
    cells = verdict.evidence["cells"]
    names = size_names(cells, "params_total")
    rows = cells.select(
        "times", "share", "kind", size=pl.col("params_total").replace_strict(names, return_dtype=pl.String)
    )
    times = rows["times"].to_numpy()
    x = log_x("times", "epochs, times that it is seen", float(times.min()) * 0.9, float(times.max()) * 1.1)
    y = alt.Y("share", type="quantitative", title="share of the bits on offer that is memorised").axis(
        format="%"
    )
    y = y.scale(domain=[0, 1])
    kinds = ["without a rule", "with a rule"]
    dash = alt.StrokeDash("kind", type="nominal", legend=alt.Legend(title=None, orient="top"), sort=kinds)
    dash = dash.scale(domain=kinds, range=[[1, 0], [4, 3]])
    base, colour = of(rows), series("size", [*names.values()], columns=3, title="parameters")
    line = base.mark_line(strokeWidth=1.5, clip=True).encode(x=x, y=y, color=colour, strokeDash=dash)
    dot = base.mark_point(filled=True, size=46, opacity=1, clip=True)
    told = ["size:N", "kind:N", "times:Q", "share:Q"]
    return finish(alt.layer(line, dot.encode(x=x, y=y, color=colour, tooltip=told)), 300)
