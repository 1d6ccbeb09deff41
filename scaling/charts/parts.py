"""What charts for the screen share: rows as data, axes with their units, colours of series, bands, runs as points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl
from polars import selectors as cs

from scaling.charts import theme, words
from scaling.charts.offline import enable_alone
from scaling.charts.series import repeated, size_names, tooltips
from scaling.verdict import PLACES

Chart = alt.LayerChart | alt.FacetChart  # what altair says that layers make; they make a LayerChart
Axis = Callable[[str], alt.Y]
"""An axis for any field: the median, the ends of its interval, a mean."""


def of(rows: pl.DataFrame | Iterable[Mapping[str, Any]]) -> alt.Chart:
    """A chart of rows, which the page carries along; dates become text."""
    frame = isinstance(rows, pl.DataFrame)
    values = rows.with_columns(cs.date().dt.to_string("iso")).to_dicts() if frame else list(map(dict, rows))
    return alt.Chart(alt.InlineData(values=values))


def _log(low: float, high: float, labels: str, wanted: int) -> dict[str, Any]:
    """Scale and axis between two ends, with round numbers, counts (85k) or powers of ten as labels."""
    ticks, log10 = words.log_ticks(low, high, wanted), "log(datum.value)*LOG10E"
    power = words.vega_power_of_ten(log10)
    if labels == "powers" and len(powers := words.powers(low, high)) > 1:
        ticks, power = powers, words.vega_exponent(f"round({log10})")
    shown: dict[str, Any] = {
        "numbers": {"format": "~g"},
        "counts": {"labelExpr": words.vega_count("datum.value")},
        "powers": {"labelExpr": power},
    }[labels]
    return {
        "type": "quantitative",
        "scale": alt.Scale(type="log", domain=[low, high], nice=False),
        "axis": alt.Axis(values=ticks, **shown),
    }


def log_x(
    field: str, title: str, low: float, high: float, *, labels: str = "numbers", wanted: int = 5
) -> alt.X:
    """A logarithmic axis from left to right; labels are "numbers", "counts" or "powers" of ten."""
    return alt.X(field, title=title, **_log(low, high, labels, wanted))


def log_y(title: str, low: float, high: float, *, labels: str = "numbers") -> Axis:
    """A logarithmic axis from bottom to top, for any field."""
    return lambda field: alt.Y(field, title=title, **_log(low, high, labels, 5))


_ABOVE: dict[str, Any] = {"title": None, "orient": "top"}


def series(field: str, names: Sequence[str], **legend: Any) -> alt.Color:
    """A colour for each name, in their order; with a legend above the chart where options of one are given."""
    shown = alt.Legend(**_ABOVE | legend) if legend else None
    scale = alt.Scale(domain=list(names), range=[theme.colour(i) for i in range(len(names))])
    return alt.Color(field, type="nominal", legend=shown, scale=scale)


INK = alt.value(theme.INK)


def band(base: alt.Chart, x: alt.X, y: Axis, name: str = "", colour: Any = INK) -> list[alt.Chart]:
    """The interval of a curve and its middle, from the fields low, mid and high (loss_low, … for a name)."""
    low, mid, high = (f"{name}_{end}".lstrip("_") for end in ("low", "mid", "high"))
    area, line = base.mark_area(opacity=0.16, clip=True), base.mark_line(strokeWidth=2, clip=True)
    return [
        area.encode(x=x, y=y(low), y2=f"{high}:Q", color=colour),
        line.encode(x=x, y=y(mid), color=colour),
    ]


def readout() -> list[alt.Chart]:
    """The fields headline and readout as text in the upper right corner."""
    corner = {"x": alt.value("width"), "y": alt.value(4)}
    head = alt.Chart().mark_text(align="right", baseline="top", fontSize=15, fontWeight=600)
    said = alt.Chart().mark_text(align="right", baseline="top", dy=22, lineHeight=18, opacity=0.85)
    return [head.encode(**corner, text="headline:N"), said.encode(**corner, text="readout:N")]


def whiskers(
    base: alt.Chart, x: alt.X, y: Axis, mid: str = "mid", *, tooltip: Sequence[Any] = (), **mark: Any
) -> list[alt.Chart]:
    """A mark for each row with a line from the field low to the field high."""
    line = base.mark_rule(strokeWidth=2.5, opacity=0.5).encode(x=x, y=y("low"), y2="high:Q")
    style: dict[str, Any] = {"filled": True, "size": 60, "opacity": 1, "color": theme.INK} | mark
    return [line, base.mark_point(**style).encode(x=x, y=y(mid), tooltip=list(tooltip))]


def intervals(rows: Sequence[Mapping[str, Any]], x: alt.X, name: str, **encoded: Any) -> list[alt.Chart]:
    """One line a row from low to high with a mark at its middle, rows of one name below that name.

    Names stand inside, where charts above one another leave an axis no room for them.

    Args:
        rows: fields low, mid and high, the name, and what is encoded.
        x: the axis of the field mid.
        name: the field of the names, which keep the order of the rows.
        encoded: further channels of lines and marks, e.g. color; tooltip is that of the mark.
    """
    base, tooltip = of(rows), encoded.pop("tooltip", alt.Undefined)
    order = list(dict.fromkeys(row[name] for row in rows))
    band = alt.Scale(type="band", paddingInner=0.4, paddingOuter=0.4)
    y = alt.Y(name, type="nominal", axis=None, sort=order, scale=band)
    line = base.mark_rule(strokeWidth=2.5, opacity=0.5).transform_calculate(mid="datum.low")
    dot = base.mark_point(filled=True, size=80, opacity=1, color=theme.COLOURS[0])
    text = of({name: each} for each in order).mark_text(align="left", baseline="bottom", dy=2, fontWeight=500)
    return [
        line.encode(x=x.copy(), x2="high:Q", y=y, **encoded),
        dot.encode(x=x, y=y, tooltip=tooltip, **encoded),
        text.encode(x=alt.value(0), y=y.bandPosition(0), text=f"{name}:N"),
    ]


def styled(chart: Any) -> Any:
    """A whole chart in the suite's own look, which draws without a network."""
    enable_alone()
    return chart.configure(**theme.live_config())


def finish(chart: Any, height: int) -> Any:
    """A chart as wide as its page, in the suite's own look."""
    fitted = alt.AutoSizeParams(type="fit-x", contains="padding")
    return styled(chart.properties(width="container", height=height, autosize=fitted))


def stacked(*charts: Any) -> Any:
    """Finished charts above one another, each with scales of its own; a single one as it is."""
    if len(charts) == 1:
        return charts[0]
    bare = [chart.copy(deep=False) for chart in charts]
    for chart in bare:  # what only the whole may have
        chart.config = chart.autosize = alt.Undefined
    together = alt.vconcat(*bare, spacing=28)
    return styled(together.resolve_scale(x="independent", y="independent", color="independent"))


class Runs:
    """Runs as points: colour and shape by size; faint where tokens repeat; hollow where others are this machine's.

    More than `SERIES` sizes are a scale and no series: one ramp of colour with a legend, no lines between them.
    """

    def __init__(self, runs: pl.DataFrame, **more: Sequence[Any]):
        self.names, said = size_names(runs), tooltips(runs)
        place = said.get("origin", ["committed"] * len(runs))
        size = [self.names[N] for N in runs["N"]]
        trunk = runs["trunk_id"].cast(pl.String) if "trunk_id" in runs.columns else pl.Series(size)
        columns = {"size": size, "place": place, "again": repeated(runs), "trunk": trunk, **said, **more}
        read = runs.select(name for name in ("N", "D", "C", "loss") if name in runs.columns)
        self.base = of(read.with_columns(**{name: pl.Series(values) for name, values in columns.items()}))
        self.many = len(self.names) > theme.SERIES
        self.colour: Any = self._ramp() if self.many else series("size", list(self.names.values()))
        self.shape: Any = alt.ShapeValue("circle")
        if not self.many:
            shapes = [theme.SHAPES[i % len(theme.SHAPES)] for i in range(len(self.names))]
            scale = alt.Scale(domain=list(self.names.values()), range=shapes)
            self.shape = alt.Shape("size:N", legend=None, scale=scale)
        self.tooltip = [alt.Tooltip(name, type="nominal") for name in said]
        here, both = PLACES["local"], len(set(place)) > 1
        self.solid = alt.condition(
            f"datum.place=={here!r}", alt.value(0.85), alt.value(1e-4 if both else 0.85)
        )

    def _ramp(self) -> alt.Color:
        ticks = words.log_ticks(float(min(self.names)), float(max(self.names)), wanted=4)
        legend = alt.Legend(
            title="parameters N",
            orient="top",
            gradientLength=180,
            values=ticks,
            labelExpr=words.vega_count("datum.value"),
        )
        return alt.Color("N:Q", scale=alt.Scale(type="log", scheme="viridis", nice=False), legend=legend)

    def points(self, x: alt.X, y: alt.Y, *, isolate: str = "") -> alt.Chart:
        """One mark a run; point at it for its numbers.

        Args:
            x, y: axes.
            isolate: name of the selection that a click makes: the other trunks fade until a click beside the marks.
        """
        fill = alt.Fill.from_dict(self.colour.to_dict())
        faint: list[dict[str, Any]] = [{"test": "datum.again", "value": 0.35}]
        drawn = self.base.mark_point(size=24 if self.many else 46, strokeWidth=1.4, clip=True)
        if isolate:
            drawn = drawn.add_params(alt.selection_point(name=isolate, fields=["trunk"], toggle=False))
            faint.insert(0, {"test": {"not": {"param": isolate}}, "value": 0.07})
        return (
            drawn.encode(x=x, y=y, color=self.colour, fill=fill, shape=self.shape)
            .encode(fillOpacity=self.solid, tooltip=self.tooltip)
            .encode(opacity=alt.OpacityValue(1, condition=faint))
        )

    def means(self, across: str, value: str, x: alt.X, y: alt.Y) -> alt.Chart:
        """A line for each size through the mean of `value` over its seeds; `y` reads the field "mean"."""
        mean = alt.AggregatedFieldDef(op="mean", field=value, **{"as": "mean"})
        return (
            self.base.mark_line(strokeWidth=1.5, clip=True)
            .encode(x=x, y=y, color=self.colour, detail=["place:N", "again:N"])
            .encode(
                strokeDash=alt.condition("datum.again", alt.value([3, 3]), alt.value([1, 0])),
                opacity=alt.condition("datum.again", alt.value(0.45), alt.value(0.75)),
            )
            .transform_aggregate([mean], groupby=["size", "place", "again", across])
        )

    def named(self, rows: Iterable[Mapping[str, Any]], x: alt.X, y: alt.Y, **mark: Any) -> alt.Chart:
        """Labels in the colour of their size, from the fields of both axes, size and label."""
        return of(rows).mark_text(**mark).encode(x=x, y=y, text="label:N", color=self.colour)
