"""The plateau: the points with the rival curves that are weighed, and how often simulated worlds are misjudged."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from scaling.charts import theme, words
from scaling.charts.parts import Chart, band, extent, finish, log_x, log_y, of, series, stacked, whiskers
from scaling.verdict import Verdict

_LEGEND: dict[str, Any] = {
    "columns": alt.ExprRef("width<500?1:3"), "labelLimit": 260, "symbolOpacity": 1, "symbolStrokeWidth": 2,
}  # fmt: skip


def draw(verdict: Verdict) -> Any:
    """The points and the rivals, what each rival misses, and the rates of error where worlds were simulated."""
    tables = verdict.evidence
    if "curves" not in tables:
        return frontier(tables["points"])
    points, curves = tables["points"], tables["curves"]
    judged = frontier(points, curves, next_runs=tables["next_runs"])
    return stacked(judged, misses(points, curves), error_rates(tables["worlds"]))


def frontier(
    points: pl.DataFrame,
    curves: pl.DataFrame | None = None,
    *,
    next_runs: pl.DataFrame | None = None,
    level: float = 0.8,
    enough: float = 0.2,
) -> alt.LayerChart:
    """Loss against compute as a plateau is sought in it; hollow points lie at the ends of the grid.

    The rivals' curves, given all points, go on beyond them as far as the next runs would; the rule stands at the first
    of these that leaves few plateaus missed, with how far apart the rivals are there.

    Args:
        points: C, loss, stderr, runs and, for a grid, edge.
        curves: of the rivals: name, given, C, loss, low and high; without them the points are joined.
        next_runs: C and wrong, the share of plateaus missed once a run there is added.
        level: of the whiskers.
        enough: share of missed plateaus from which a next run is marked.
    """
    wide = NormalDist().inv_cdf(0.5 + level / 2)
    edge = pl.col("edge").fill_null(False) if "edge" in points.columns else pl.lit(False)
    shown = points.sort("C").select("C", "loss", "runs", edge.alias("edge"), spread=wide * pl.col("stderr"))
    shown = shown.with_columns(low=pl.col("loss") - pl.col("spread"), high=pl.col("loss") + pl.col("spread"))
    given = None if curves is None else curves.filter(given=pl.col("given").max())
    ends = pl.concat(each.select("C", "low", "high") for each in (shown, given) if each is not None)
    C, *both = ends.to_numpy().astype(float).T
    mids = [shown["loss"], *([] if given is None else [given["loss"]])]
    bottom, top = extent(np.concatenate(mids), np.concatenate(both), log=True)
    x = log_x("C", words.COMPUTE, C.min() * 0.8, C.max() * 1.25, labels="powers")
    y = log_y(words.LOSS, bottom * 0.98, top * 1.02)
    ink, layers = theme.COLOURS[0] if given is None else theme.INK, []
    if given is None:
        layers = [of(shown).mark_line(strokeWidth=1.5, color=ink, opacity=0.6).encode(x=x, y=y("loss"))]
    else:
        names = given["name"].unique(maintain_order=True).to_list()
        rows = of(given.select("name", "C", "low", "high", mid="loss"))
        layers = [
            _held_out(shown, x),
            *band(rows, x, y, colour=series("name", names, **_LEGEND)),
        ]
        if next_runs is not None:
            layers += _next_run(given, next_runs, enough, x)
    whisker, dot = whiskers(
        of(shown), x, y, "loss", tooltip=["C:Q", "loss:Q", "runs:Q"], filled=False, color=ink, fill=ink
    )
    inside = alt.condition("datum.edge", alt.value(1e-4), alt.value(1))
    return finish(alt.layer(*layers, whisker, dot.encode(fillOpacity=inside)), 340)


def misses(points: pl.DataFrame, curves: pl.DataFrame) -> alt.LayerChart:
    """How far each point lies above each rival that was given the points below the last decade alone, in percent; the
    band is that of the rival.

    Args:
        points: C and loss.
        curves: of the rivals: name, given, C, loss, low and high.
    """
    least, seen = curves.filter(given=pl.col("given").min()), points.sort("C")["loss"]
    rivals = least.sort("C").partition_by(
        "name", maintain_order=True
    )  # each begins with the points themselves
    rows = pl.concat(
        rival.head(len(seen)).select(
            "name", "C", mid=100 * (seen / pl.col("loss") - 1),
            low=100 * (pl.col("low") / pl.col("loss") - 1), high=100 * (pl.col("high") / pl.col("loss") - 1),
        )
        for rival in rivals
    )  # fmt: skip
    names = curves["name"].unique(maintain_order=True).to_list()
    C = points["C"].to_numpy().astype(float)
    x = log_x("C", words.COMPUTE, C.min() * 0.8, C.max() * 1.25, labels="powers")
    ends = extent([0.0, *rows["mid"]], [*rows["low"], *rows["high"]])

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title="loss above the rival, %", scale=alt.Scale(domain=ends, nice=True))

    colour, base = series("name", names, **_LEGEND), of(rows)
    zero = of([{"mid": 0}]).mark_rule(strokeWidth=1.5).encode(y=y("mid"))
    area = base.mark_area(opacity=0.08, clip=True).encode(x=x, y=y("low"), y2="high:Q", color=colour)
    line = base.mark_line(strokeWidth=1.5, point={"size": 46, "filled": True, "opacity": 1}, clip=True)
    told = ["name:N", alt.Tooltip("mid:Q", format="+.2f", title="%")]
    return finish(
        alt.layer(_held_out(points, x), area, zero, line.encode(x=x, y=y("mid"), color=colour, tooltip=told)),
        220,
    )


def _held_out(points: pl.DataFrame, x: alt.X) -> Chart:
    """The last decade of compute, shaded."""
    last = float(points["C"].to_numpy().max())
    rows = of([{"C": last / 10, "end": last, "label": "last decade: held out"}])
    shade = rows.mark_rect(color=theme.INK, opacity=0.05).encode(x=x, x2="end:Q")
    name = rows.mark_text(align="right", baseline="bottom", dx=-4, dy=-4, opacity=0.75)
    return alt.layer(shade, name.encode(x="end:Q", y=alt.value("height"), text="label:N"))


def _next_run(curves: pl.DataFrame, next_runs: pl.DataFrame, enough: float, x: alt.X) -> list[alt.Chart]:
    """A rule at the run that would tell the rivals apart."""
    few = next_runs.sort("C").filter(pl.col("wrong") <= enough)
    row = (few if len(few) else next_runs.sort("C").tail(1)).row(0, named=True)
    at = curves.with_columns(away=(pl.col("C") / row["C"]).log().abs()).sort("away").group_by("name").first()
    loss = at["loss"].to_numpy()
    apart = 100 * (loss.max() / loss.min() - 1)
    label = [
        "a run here misses",
        f"{100 * row['wrong']:.0f} % of plateaus;",
        f"rivals are {apart:.0f} % apart",
    ]
    rule = of([{"C": row["C"], "label": label}])
    text = rule.mark_text(align="right", baseline="top", dx=-6, lineHeight=16)
    return [
        rule.mark_rule(strokeDash=[2, 3], opacity=0.7).encode(x=x),
        text.encode(x=x, y=alt.value(4), text="label:N"),
    ]


def error_rates(worlds: pl.DataFrame) -> alt.LayerChart:
    """How often simulated worlds are called flat: by decades of the plateau that were seen; crosses have none.

    Args:
        worlds: name, onset_decades (null: no plateau), said_flat.
    """
    rows = worlds.select(world="name", decades="onset_decades", flat="said_flat").sort("decades")
    within, without = rows.filter(pl.col("decades").is_not_null()), rows.filter(pl.col("decades").is_null())
    order = within["world"].unique(maintain_order=True).to_list()
    x = alt.X("decades:Q", title="plateau that was seen, decades")
    x = x.axis(values=within["decades"].unique().sort().to_list(), format="~g")
    y = alt.Y("flat:Q", title="share called flat").scale(domain=[0, 1]).axis(format=".0%", tickCount=5)
    said = ["world:N", alt.Tooltip("flat:Q", format=".1%")]
    lines = of(within).mark_line(point={"size": 60, "filled": True, "opacity": 1}, strokeWidth=2)
    alarms = of(without.with_columns(decades=0.0)).mark_point(
        size=60, shape="cross", filled=True, opacity=0.8
    )
    colour = series("world", order, **_LEGEND)
    return finish(
        alt.layer(
            lines.encode(x=x, y=y, color=colour, tooltip=said),
            alarms.encode(x=x, y=y, color=alt.value(theme.INK), tooltip=said),
        ),
        280,
    )
