"""The plateau: the points with the rival curves that are weighed, and how often simulated worlds are misjudged."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import altair as alt
import polars as pl

from scaling.charts import theme, words
from scaling.charts.parts import finish, log_x, log_y, of, series, stacked, whiskers
from scaling.verdict import Verdict


def draw(verdict: Verdict) -> Any:
    """The points and the rivals, above the rates of error where worlds were simulated."""
    tables = verdict.evidence
    curve = frontier(tables["points"], tables.get("curves"))
    return stacked(curve, error_rates(tables["worlds"])) if "worlds" in tables else curve


def frontier(
    points: pl.DataFrame, curves: pl.DataFrame | None = None, *, level: float = 0.8
) -> alt.LayerChart:
    """Loss against compute as a plateau is sought in it; hollow points lie at the ends of the grid.

    Args:
        points: C, loss, stderr, runs and, for a grid, edge.
        curves: of the rivals: name, C and loss; without them the points are joined.
        level: of the whiskers.
    """
    wide = NormalDist().inv_cdf(0.5 + level / 2)
    edge = pl.col("edge").fill_null(False) if "edge" in points.columns else pl.lit(False)
    shown = points.sort("C").select("C", "loss", "runs", edge.alias("edge"), spread=wide * pl.col("stderr"))
    shown = shown.with_columns(low=pl.col("loss") - pl.col("spread"), high=pl.col("loss") + pl.col("spread"))
    x = log_x("C", words.COMPUTE, shown["C"][0] * 0.8, shown["C"][-1] * 1.25, labels="powers")
    ends = shown.select("low", "high").to_numpy()
    y = log_y(words.LOSS, float(ends.min()) * 0.98, float(ends.max()) * 1.02)
    ink = theme.COLOURS[0] if curves is None else theme.INK
    if curves is None:
        line = of(shown).mark_line(strokeWidth=1.5, color=ink, opacity=0.6).encode(x=x, y=y("loss"))
    else:
        names = curves["name"].unique(maintain_order=True).to_list()
        line = of(curves.select("name", "C", "loss")).mark_line(strokeWidth=1.5, clip=True)
        line = line.encode(x=x, y=y("loss"), color=series("name", names, columns=3, labelLimit=260))
    whisker, dot = whiskers(
        of(shown), x, y, "loss", tooltip=["C:Q", "loss:Q", "runs:Q"], filled=False, color=ink, fill=ink
    )
    inside = alt.condition("datum.edge", alt.value(1e-4), alt.value(1))
    return finish(alt.layer(line, whisker, dot.encode(fillOpacity=inside)), 320)


def error_rates(worlds: pl.DataFrame) -> alt.LayerChart:
    """How often simulated worlds are called flat: by decades of the plateau that were seen; crosses have none.

    Args:
        worlds: name, onset_decades (null: no plateau), said_flat.
    """
    rows = worlds.select(world="name", decades="onset_decades", flat="said_flat").sort("decades")
    within, without = rows.filter(pl.col("decades").is_not_null()), rows.filter(pl.col("decades").is_null())
    order = within["world"].unique(maintain_order=True).to_list()
    x = alt.X("decades:Q", title="plateau that the runs have seen, decades of compute")
    y = alt.Y("flat:Q", title="share called flat").scale(domain=[0, 1]).axis(format=".0%", tickCount=5)
    said = ["world:N", alt.Tooltip("flat:Q", format=".1%")]
    lines = of(within).mark_line(point={"size": 60, "filled": True, "opacity": 1}, strokeWidth=2)
    alarms = of(without.with_columns(decades=0.0)).mark_point(
        size=60, shape="cross", filled=True, opacity=0.8
    )
    colour = series("world", order, title="a plateau that is a")
    return finish(
        alt.layer(
            lines.encode(x=x, y=y, color=colour, tooltip=said),
            alarms.encode(x=x, y=y, color=alt.value(theme.INK), tooltip=said),
        ),
        280,
    )
