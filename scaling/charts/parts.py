"""What charts for the screen share: rows as data, axes with their units, colours of series, bands, runs as points."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import polars as pl
from polars import selectors as cs

from scaling.charts import theme, words
from scaling.charts.offline import AXIS, enable_alone
from scaling.charts.series import repeated, size_names, tooltips
from scaling.verdict import PLACES

Chart = alt.LayerChart | alt.FacetChart  # what altair says that layers make; they make a LayerChart
Axis = Callable[[str], alt.Y]
"""An axis for any field: the median, the ends of its interval, a mean."""


def of(rows: pl.DataFrame | Iterable[Mapping[str, Any]]) -> alt.Chart:
    """A chart of rows, which the page carries along; dates become text."""
    frame = isinstance(rows, pl.DataFrame)
    values = rows.with_columns(cs.date().dt.to_string("iso")).to_dicts() if frame else list(map(dict, rows))
    return alt.Chart(alt.InlineData(values=[{k: _told(v) for k, v in row.items()} for row in values]))


def _told(value: Any) -> Any:
    """A value as JSON can say it: none that is not a number, endless as the largest number."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else math.copysign(_ENDLESS, value)


_ENDLESS = 1e300
_FAR = 3.0
"""Times the width of what an axis shows that an interval may reach beyond it; what goes further ends at its edge."""


def extent(
    mids: Iterable[float | None], ends: Iterable[float | None] = (), *, log: bool = False
) -> list[float]:
    """The two ends of an axis that has room for middles and for the ends of their intervals, unless these lie far out.

    Args:
        mids: values that are marks of their own.
        ends: of intervals; any may be endless or no number, and on a logarithmic axis none or less.
        log: the axis is logarithmic.
    """
    inner, outer = (np.array([v for v in values if v is not None], dtype=float) for values in (mids, ends))
    known = [v[(np.abs(v) < _ENDLESS) & (v > 0 if log else True)] for v in (inner, np.append(inner, outer))]
    inner, outer = (np.log10(v) if log else v for v in known)
    if not len(inner):
        return [1.0, 10.0] if log else [0.0, 1.0]
    low, high = float(inner.min()), float(inner.max())
    beyond = np.maximum(np.maximum(low - outer, outer - high), 0.0)
    usual = float(np.quantile(beyond[beyond > 0], 0.25, method="lower")) if beyond.any() else 0.0
    width = _FAR * max(high - low, usual)
    both = max(float(outer.min()), low - width), min(float(outer.max()), high + width)
    return [10.0**end if log else end for end in both]


def spans(base: alt.Chart, axis: alt.X | alt.Y, style: Mapping[str, Any] = {}, **encoded: Any) -> alt.Chart:
    """A line for each row from the field low to the field high; what lies far outside ends at the edge of the chart.

    Args:
        base: of rows; those of which an end is not known have no line.
        axis: of what lies in the middle; without ends of its own it gets those of `extent`.
        style: of the lines.
        encoded: channels of the lines.
    """
    rows: Any = base.data.values  # type: ignore[union-attr]  of `of`
    along: Any = axis.copy()
    middle = str(along["shorthand"]).partition(":")[0]
    given = along["scale"]
    scale: dict[str, Any] = (
        {"nice": True}
        if given is alt.Undefined
        else dict(given.to_dict() if hasattr(given, "to_dict") else given)
    )
    if "domain" not in scale:
        both = [row[end] for row in rows for end in ("low", "high")]
        scale["domain"] = extent([row[middle] for row in rows], both, log=scale.get("type") == "log")
    low, high = scale["domain"]
    if scale.get("type") == "log":  # half the axis further, where the clip cuts them
        low, high = low * (low / high) ** 0.5, high * (high / low) ** 0.5
    else:
        low, high = low - (high - low) / 2, high + (high - low) / 2
    known = [row for row in rows if row["low"] is not None and row["high"] is not None]
    cut = [row | {end: min(max(row[end], low), high) for end in ("low", "high")} for row in known]
    along.shorthand, along.type, along.scale = "low", "quantitative", alt.Scale(**scale)
    shown: dict[str, Any] = {"strokeWidth": 2.5, "opacity": 0.5} | dict(style)
    channel = "x" if isinstance(axis, alt.X) else "y"
    mark = (base if cut == rows else of(cut)).mark_rule(**shown)
    return mark.encode(**{channel: along, f"{channel}2": "high:Q"} | encoded)


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


_ABOVE: dict[str, Any] = {"title": None, "orient": "top", "symbolOpacity": 1, "labelLimit": 260}
_NARROW = (
    "(containerSize()[0]||480)<560"  # and a picture, which no page contains; asked of it once, unlike `width`
)
_LONG = 14  # letters of a name beside which a phone has no room for another


def series(field: str, names: Sequence[str], **legend: Any) -> alt.Color:
    """A colour for each name, in their order; with a legend above the chart where options of one are given."""
    narrow = alt.ExprRef(f"{_NARROW}?{1 if max(map(len, names), default=0) > _LONG else 2}:0")
    options: dict[str, Any] = _ABOVE | {"columns": narrow} | legend
    shown = alt.Legend(**options) if legend else None
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


def readout(*, narrow: str = "4") -> list[alt.Chart]:
    """The fields headline and readout as text in the upper right corner.

    Args:
        narrow: an expression, how far below the top they begin, on the left, where a chart is as narrow as a phone.
    """
    left = "width<400" if narrow != "4" else "false"
    corner = {"x": alt.value(alt.expr(f"{left}?6:width")), "y": alt.value(alt.expr(f"{left}?{narrow}:4"))}
    shown: dict[str, Any] = {"align": alt.expr(f"{left}?'left':'right'"), "baseline": "top"}
    head = alt.Chart().mark_text(fontSize=alt.expr("width<400?13:15"), fontWeight=600, **shown)
    said = alt.Chart().mark_text(dy=22, lineHeight=18, opacity=0.85, **shown)
    return [head.encode(**corner, text="headline:N"), said.encode(**corner, text="readout:N")]


def whiskers(
    base: alt.Chart, x: alt.X, y: Axis, mid: str = "mid", *, tooltip: Sequence[Any] = (), **mark: Any
) -> list[alt.Chart]:
    """A mark for each row with a line from the field low to the field high."""
    line = spans(base, y(mid), x=x)
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
    line = spans(base, x, y=y, **encoded)
    dot = base.mark_point(filled=True, size=80, opacity=1, color=theme.COLOURS[0])
    text = of({name: each} for each in order).mark_text(align="left", baseline="bottom", dy=2, fontWeight=500)
    return [
        line,
        dot.encode(x=x, y=y, tooltip=tooltip, **encoded),
        text.encode(x=alt.value(0), y=y.bandPosition(0), text=f"{name}:N"),
    ]


_CLIPPED = {"area", "bar", "line", "rect", "rule"}


def styled(chart: Any) -> Any:
    """A whole chart in the suite's own look, which draws without a network and no mark outside its axes."""
    enable_alone()
    for mark in _marks(chart):
        if mark.type in _CLIPPED and mark.clip is alt.Undefined and mark.point is alt.Undefined:
            mark.clip = True
    return chart.configure(**theme.live_config())


def _marks(chart: Any) -> Iterator[Any]:
    """Every mark of a chart and of the charts that it is made of."""
    for parts in ("layer", "vconcat", "hconcat"):
        for part in getattr(chart, parts, ()):
            yield from _marks(part)
    if hasattr(chart, "spec"):
        yield from _marks(chart.spec)
    if isinstance(getattr(chart, "mark", None), alt.MarkDef):
        yield chart.mark


def finish(chart: Any, height: int) -> Any:
    """A chart as wide as its page, in the suite's own look."""
    fitted = alt.AutoSizeParams(type="fit-x", contains="padding")
    return styled(chart.properties(width="container", height=height, autosize=fitted))


def stacked(*charts: Any, spacing: int = 28, axis: int = AXIS) -> Any:
    """Finished charts above one another, each with scales of its own; a single one as it is.

    Args:
        spacing: points between two of them.
        axis: points that the widest labels and title beside them take, of a page that they fill together.
    """
    if len(charts) == 1:
        return charts[0]
    bare = [chart.copy(deep=False) for chart in charts]
    for chart in bare:  # what only the whole may have
        chart.config = chart.autosize = alt.Undefined
    together = alt.vconcat(*bare, spacing=spacing, usermeta={"axis": axis})
    apart: dict[str, Any] = dict.fromkeys(("x", "y", "color", "strokeDash", "shape", "size"), "independent")
    return styled(together.resolve_scale(**apart))


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
