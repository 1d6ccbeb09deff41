"""Small charts for the screen: misses, laws side by side, the spread of parameters, an allocation, a forecast."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import polars as pl

from scaling.charts import theme, words
from scaling.charts.live import Runs, finish
from scaling.charts.series import check_columns, residual_percent
from scaling.design.allocation import Allocation, parameter_draws
from scaling.fitting import Comparison, Fit, Forecast


def residuals(found: Fit, runs: pl.DataFrame) -> alt.LayerChart:
    """How far the law misses each run, in percent, against the tokens it was trained on.

    A law of the right form leaves a cloud around zero. A slope or a bend that one size
    shows from seed to seed says that the form is wrong, not the runs.

    Args:
        found: a `Fit`.
        runs: columns N, D, C and loss, and whatever else the law reads.
    """
    check_columns(runs)
    missed = residual_percent(found, runs)
    shown = Runs(runs, residual=list(missed))
    bottom, top = min(-1.0, 1.15 * float(missed.min())), max(1.0, 1.15 * float(missed.max()))
    least, most = (float(end) for end in (runs["D"].to_numpy().min(), runs["D"].to_numpy().max()))
    x = alt.X("D", type="quantitative", title="training tokens D")
    x = x.scale(type="log", domain=[least * 0.85, most * 1.18], nice=False)
    x = x.axis(values=words.log_ticks(least, most, 4), labelExpr=words.vega_count("datum.value"))

    def y(field: str) -> alt.Y:
        within, axis = alt.Scale(domain=[bottom, top], nice=False), alt.Axis(tickCount=5)
        return alt.Y(field, type="quantitative", title="loss above the law, %", scale=within, axis=axis)

    zero = alt.Chart(alt.InlineData(values=[{"residual": 0}])).mark_rule(strokeWidth=1.5)
    lines = [] if shown.many else [shown.means("D", "residual", x, y("mean"))]
    return finish(alt.layer(zero.encode(y=y("residual")), *lines, shown.points(x, y("residual"))), 260)


def comparison(found: Comparison) -> alt.LayerChart:
    """How far each law misses: the runs that it was fitted to (hollow), and those held out (filled), rms in percent."""
    rows = [
        {"law": law, "miss": miss, "kind": kind, "words": f"{miss:.1f} %"}
        for law, seen, unseen in found.table.select("law", "rms_percent", "held_out_percent").iter_rows()
        for kind, miss in (("in sample", seen), ("held out", unseen))
    ]
    data, order = alt.InlineData(values=rows), found.table["law"].to_list()
    x = alt.X("miss:Q", title="miss, rms % of the loss").scale(domainMin=0).axis(tickCount=6)
    y = alt.Y("law:N", title=None, sort=order).axis(labelFontSize=13, labelOpacity=1, grid=False)
    solid = alt.condition("datum.kind=='held out'", alt.value(1), alt.value(1e-4))
    line = alt.Chart(data).mark_line(color=theme.INK, opacity=0.3, strokeWidth=2)
    dots = alt.Chart(data).mark_point(
        size=120, color=theme.COLOURS[0], fill=theme.COLOURS[0], strokeWidth=2, opacity=1
    )
    named = [
        alt.Chart(data)
        .mark_text(dy=dy)
        .encode(x=x, y=y, text="label:N")
        .transform_filter(f"datum.kind=={kind!r}")
        .transform_calculate(label="datum.kind+' '+datum.words")
        for kind, dy in (("held out", -14), ("in sample", 17))
    ]
    return finish(
        alt.layer(
            line.encode(x=x, y=y, detail="law:N"),
            dots.encode(x=x, y=y, fillOpacity=solid, tooltip=["law:N", "kind:N", "words:N"]),
            *named,
        ),
        70 + 56 * len(order),
    )


def parameters(found: Fit) -> alt.FacetChart:
    """How the bootstrap draws of each fitted parameter spread; the line is the best fit.

    Two narrow humps say more than two standard errors; a heap at one end says that the runs do not hold the parameter.
    """
    draws = parameter_draws(found)
    rows: list[dict[str, Any]] = []
    for name in found.free:
        middle = np.quantile(draws[name], [0.01, 0.99])  # one draw in a hundred is cut off on either side
        counts, edges = np.histogram(draws[name], bins=30, range=(middle[0], middle[1]))
        rows += [
            {"parameter": name, "from": float(a), "to": float(b), "share": float(n / counts.max()), "none": 0}
            for n, a, b in zip(counts, edges[:-1], edges[1:], strict=True)
        ]
        rows.append({"parameter": name, "best": found.params[name]})
    number = f"datum.value>=1e4?{words.vega_count('datum.value')}:format(datum.value,'.3~r')"
    flat = alt.Axis(labels=False, title=None, grid=False)
    x = (
        alt.X("from:Q", title=None)
        .scale(zero=False, nice=False)
        .axis(tickCount=3, labelExpr=number, grid=False)
    )
    bars = (
        alt.Chart()
        .mark_bar(color=theme.COLOURS[0], opacity=0.75)
        .encode(x=x, x2="to:Q", y=alt.Y("share:Q", axis=flat), y2="none:Q")
    )
    best = alt.Chart().mark_rule(strokeWidth=2).encode(x="best:Q")
    header = alt.Header(title=None, labelFontSize=13, labelFontWeight=600, labelColor=theme.INK)
    return (
        alt.layer(bars, best, data=alt.InlineData(values=rows))
        .properties(width=150, height=90)
        .facet(facet=alt.Facet("parameter:N", sort=list(found.free), header=header), columns=3)
        .resolve_scale(x="independent")
        .configure(**theme.live_config())
    )


def allocation(found: Allocation) -> alt.LayerChart:
    """The best size and the best data for each budget, with their intervals, on one logarithmic axis of counts."""
    rows = [
        {
            "C": float(C),
            "what": what,
            "mid": float(e.median[i]),
            "low": float(e.low[i]),
            "high": float(e.high[i]),
        }
        for what, e in (("tokens D", found.D), ("parameters N", found.N))
        for i, C in enumerate(found.C)
    ]
    low, high = float(found.C.min()), float(found.C.max())
    powers = [
        10.0**p for p in range(int(np.ceil(np.log10(low) - 1e-9)), int(np.floor(np.log10(high) + 1e-9)) + 1)
    ]
    power = words.vega_exponent("round(log(datum.value)*LOG10E)")
    x = (
        alt.X("C:Q", title="training compute, FLOPs")
        .scale(type="log", nice=False)
        .axis(values=powers, labelExpr=power)
    )
    bottom, top = min(row["low"] for row in rows), max(row["high"] for row in rows)
    axis = alt.Axis(labelExpr=words.vega_count("datum.value"), values=words.log_ticks(bottom, top))

    def y(field: str) -> alt.Y:
        scale = alt.Scale(type="log", domain=[bottom, top * 1.4], nice=False)
        return alt.Y(field, type="quantitative", title="parameters or tokens", scale=scale, axis=axis)

    colour = alt.Color("what:N", legend=None).scale(
        domain=["tokens D", "parameters N"], range=list(theme.COLOURS[:2])
    )
    data = alt.InlineData(values=rows)
    ends = alt.InlineData(values=[row for row in rows if row["C"] == high])
    band = alt.Chart(data).mark_area(opacity=0.2).encode(x=x, y=y("low"), y2="high:Q", color=colour)
    line = alt.Chart(data).mark_line(strokeWidth=2).encode(x=x, y=y("mid"), color=colour)
    name = alt.Chart(ends).mark_text(align="right", dx=-6, dy=-16, fontWeight=600)
    named = name.encode(x=x, y=y("mid"), text="what:N", color=colour)
    return finish(alt.layer(band, line, named), 300)


def fan(found: Forecast) -> alt.LayerChart:
    """Loss by year with its interval, and the year from which the law speaks of compute that no run has had."""
    rows = [
        {
            "year": float(year),
            "mid": float(found.median[i]),
            "low": float(found.low[i]),
            "high": float(found.high[i]),
            "training compute": f"{words.power_of_ten(found.compute[i])} FLOPs",
            "loss": f"{found.median[i]:.3f} [{found.low[i]:.3f}, {found.high[i]:.3f}] nats/token",
            "beyond the runs": f"{found.decades[i]:.1f} decades",
        }
        for i, year in enumerate(found.years)
    ]
    first, last = float(found.years[0]), float(found.years[-1])
    bottom, top = float(found.low.min()) * 0.98, float(found.high.max()) * 1.02
    data = alt.InlineData(values=rows)
    x = alt.X("year:Q", title="year").scale(domain=[first, last], nice=False).axis(format="d", grid=False)
    axis = alt.Axis(values=words.log_ticks(bottom, top), format="~g")

    def y(field: str) -> alt.Y:
        scale = alt.Scale(type="log", domain=[bottom, top], nice=False)
        return alt.Y(field, type="quantitative", title="held-out loss, nats/token", scale=scale, axis=axis)

    band = alt.Chart(data).mark_area(color=theme.INK, opacity=0.14).encode(x=x, y=y("low"), y2="high:Q")
    line = alt.Chart(data).mark_line(color=theme.INK, strokeWidth=2).encode(x=x, y=y("mid"))
    told = ["year:Q", "loss:N", "training compute:N", "beyond the runs:N"]
    dots = alt.Chart(data).mark_point(filled=True, size=46, color=theme.INK, opacity=1)
    layers = [band, line, dots.encode(x=x, y=y("mid"), tooltip=told)]
    leaves = found.leaves_support
    if leaves is not None and leaves < last:
        edge = alt.InlineData(values=[{"year": max(leaves, first), "label": "beyond the runs →"}])
        layers += [
            alt.Chart(edge).mark_rule(strokeWidth=1, strokeDash=[2, 3], opacity=0.6).encode(x=x),
            alt.Chart(edge).mark_text(align="left", dx=6, fontWeight=500).encode(x=x, y=alt.value(10), text="label:N"),
        ]  # fmt: skip
    return finish(alt.layer(*layers), 320)
