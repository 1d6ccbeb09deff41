"""Charts of results other than verdicts, for the screen: fits, laws side by side, allocations, forecasts, profiles."""

from __future__ import annotations

import textwrap
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from scaling.charts import theme, words
from scaling.charts.parts import Runs, band, extent, finish, log_x, log_y, of, series, styled, whiskers
from scaling.charts.series import check_columns, residual_ends, residual_percent
from scaling.design.allocation import Allocation, parameter_draws
from scaling.fitting import (
    Agreement,
    Comparison,
    Contour,
    CrossValidation,
    Envelope,
    Fit,
    Forecast,
    IsoFlop,
    Prediction,
    Profile,
)
from scaling.laws.base import describe
from scaling.show import named_ends
from scaling.units import power_of_ten


def residuals(fitted: Fit, runs: pl.DataFrame) -> alt.LayerChart:
    """How far the law misses each run, in percent, against the tokens it was trained on.

    A law of the right form leaves a cloud around zero. A slope or a bend that one size
    shows from seed to seed says that the form is wrong, not the runs.

    Args:
        fitted: a `Fit`.
        runs: columns N, D, C and loss, and whatever else the law reads.
    """
    check_columns(runs)
    missed = residual_percent(fitted, runs)
    shown = Runs(runs, residual=list(missed))
    least, most = (float(end) for end in (runs["D"].to_numpy().min(), runs["D"].to_numpy().max()))
    x = log_x("D", "training tokens D", least * 0.85, most * 1.18, labels="counts", wanted=4)

    def y(field: str) -> alt.Y:
        scale = alt.Scale(domain=residual_ends(missed), nice=False)
        return alt.Y(f"{field}:Q", title="loss above the law, %", scale=scale).axis(tickCount=5)

    zero = of([{"residual": 0}]).mark_rule(strokeWidth=1.5).encode(y=y("residual"))
    lines = [] if shown.many else [shown.means("D", "residual", x, y("mean"))]
    return finish(alt.layer(zero, *lines, shown.points(x, y("residual"))), 260)


def parameters(fitted: Fit) -> alt.FacetChart:
    """How the bootstrap draws of each fitted parameter spread; the line is the best fit.

    Two narrow humps say more than two standard errors; a heap at one end says that the runs do not hold the parameter.
    """
    draws, units = parameter_draws(fitted), {p.name: p.quantity.unit for p in describe(fitted.law).parameters}
    titles = {name: f"{name}, {units[name]}" if units.get(name) else name for name in fitted.free}
    rows: list[dict[str, Any]] = []
    for name in fitted.free:
        middle = np.quantile(draws[name], [0.01, 0.99])  # one draw in a hundred is cut off on either side
        counts, edges = np.histogram(draws[name], bins=30, range=(middle[0], middle[1]))
        bars = {
            "parameter": titles[name],
            "from": edges[:-1],
            "to": edges[1:],
            "share": counts / counts.max(),
        }
        rows += pl.DataFrame(bars | {"none": 0}).to_dicts()
        rows.append({"parameter": titles[name], "best": fitted.params[name]})
    number = f"datum.value>=1e4?{words.vega_count('datum.value')}:format(datum.value,'.3~r')"
    x = alt.X("from:Q", title=None).scale(zero=False, nice=False)
    x = x.axis(tickCount=3, labelExpr=number, grid=False)
    flat = alt.Axis(labels=False, title=None, grid=False)
    bars = alt.Chart().mark_bar(color=theme.COLOURS[0], opacity=0.75)
    best = alt.Chart().mark_rule(strokeWidth=2).encode(x="best:Q")
    header = alt.Header(title=None, labelFontSize=13, labelFontWeight=600, labelColor=theme.INK)
    bars = bars.encode(x=x, x2="to:Q", y=alt.Y("share:Q", axis=flat), y2="none:Q")
    both = alt.layer(bars, best, data=alt.InlineData(values=rows)).properties(width=150, height=90)
    facet = alt.Facet("parameter:N", sort=list(titles.values()), header=header)
    return styled(both.facet(facet=facet, columns=3).resolve_scale(x="independent"))


def comparison(compared: Comparison | CrossValidation) -> alt.LayerChart:
    """How far each law misses the runs held out (filled) and those that it was fitted to (hollow), rms in percent.

    Above a `Comparison` stands what it decides.
    """
    table = compared.table
    kinds = {"held_out_percent": "held out", "rms_percent": "in sample"}
    rows = [
        {"law": row["law"], "miss": row[column], "kind": kind, "words": f"{row[column]:.1f} %"}
        for row in table.iter_rows(named=True)
        for column, kind in kinds.items()
        if row.get(column) is not None
    ]
    base = of(rows)
    order = list(compared.ranking) if isinstance(compared, Comparison) else table["law"].to_list()
    x = alt.X("miss:Q", title="miss, rms % of the loss").scale(domainMin=0).axis(tickCount=6)
    y = alt.Y("law:N", title=None, sort=order).axis(labelFontSize=13, labelOpacity=1, grid=False)
    solid = alt.condition("datum.kind=='held out'", alt.value(1), alt.value(1e-4))
    colour = theme.COLOURS[0]
    dots = base.mark_point(size=120, color=colour, fill=colour, strokeWidth=2, opacity=1)
    named = [
        base.mark_text(dy=dy)
        .encode(x=x, y=y, text="label:N")
        .transform_filter(f"datum.kind=={kind!r}")
        .transform_calculate(label="datum.kind+' '+datum.words")
        for kind, dy in (("held out", -14), ("in sample", 17))
    ]
    drawn = finish(
        alt.layer(
            base.mark_line(color=theme.INK, opacity=0.3, strokeWidth=2).encode(x=x, y=y, detail="law:N"),
            dots.encode(x=x, y=y, fillOpacity=solid, tooltip=["law:N", "kind:N", "words:N"]),
            *named,
        ),
        70 + 56 * len(order),
    )
    if isinstance(compared, Comparison):
        said = textwrap.wrap(compared.sentence, 90)
        drawn = drawn.properties(title=alt.TitleParams(said, fontSize=13, fontWeight=400))
    return drawn


def allocation(allocated: Allocation) -> alt.LayerChart:
    """The best size and the best data for each budget, with their intervals: `budgets`."""
    columns = {"C": allocated.C}
    for name in "ND":
        number = getattr(allocated, name)
        ends = (
            np.where(np.isinf(end), number.median, end) for end in number.band
        )  # endless ones are not drawn
        columns |= named_ends(name, (number.median, *ends))
    return budgets(pl.DataFrame(columns))


def budgets(table: pl.DataFrame) -> alt.LayerChart:
    """The best size and the best data for each budget, with their intervals, on one logarithmic axis of counts.

    Args:
        table: C (FLOPs), N, N_low, N_high, D, D_low and D_high.
    """
    what = {"D": "tokens D", "N": "parameters N"}
    rows = pl.concat(
        table.sort("C").select(
            "C", pl.lit(said).alias("what"), low=f"{name}_low", mid=name, high=f"{name}_high"
        )
        for name, said in what.items()
    )
    first, last = rows["C"][0], rows["C"][-1]
    x = log_x("C", words.COMPUTE, first, last, labels="powers")
    low, high = extent(rows["mid"], [*rows["low"], *rows["high"]], log=True)
    y = log_y("parameters or tokens", low, high * 1.4, labels="counts")
    colour = series("what", list(what.values()))
    name = of(rows.filter(C=last)).mark_text(align="right", dx=-6, dy=-16, fontWeight=600)
    named = name.encode(x=x, y=y("mid"), text="what:N", color=colour)
    return finish(alt.layer(*band(of(rows), x, y, colour=colour), named), 300)


def fan(ahead: Forecast) -> alt.LayerChart:
    """Loss by year with its interval, and the year from which the law speaks of compute that no run has had."""
    ends = zip(ahead.median, ahead.low, ahead.high, strict=True)
    rows = pl.DataFrame(
        {
            "year": ahead.years,
            "low": ahead.low,
            "mid": ahead.median,
            "high": ahead.high,
            "training compute": [f"{power_of_ten(C)} FLOPs" for C in ahead.compute],
            "loss": [f"{mid:.3f} [{low:.3f}, {high:.3f}] nats/token" for mid, low, high in ends],
            "beyond the runs": [f"{decades:.1f} decades" for decades in ahead.decades],
        }
    )
    first, last = float(ahead.years[0]), float(ahead.years[-1])
    x = alt.X("year:Q", title="year").scale(domain=[first, last], nice=False).axis(format="d", grid=False)
    low, high = extent(ahead.median, [*ahead.low, *ahead.high], log=True)
    y = log_y(words.LOSS, low * 0.98, high * 1.02)
    dots = of(rows).mark_point(filled=True, size=46, color=theme.INK, opacity=1)
    told = ["year:Q", "loss:N", "training compute:N", "beyond the runs:N"]
    layers = [*band(of(rows), x, y), dots.encode(x=x, y=y("mid"), tooltip=told)]
    leaves = ahead.leaves_support
    if leaves is not None and leaves < last:
        edge = of([{"year": max(leaves, first), "label": "beyond the runs →"}])
        text = edge.mark_text(align="left", dx=6, fontWeight=500)
        layers += [
            edge.mark_rule(strokeWidth=1, strokeDash=[2, 3], opacity=0.6).encode(x=x),
            text.encode(x=x, y=alt.value(10), text="label:N"),
        ]
    return finish(alt.layer(*layers), 320)


def prediction(predicted: Prediction) -> alt.LayerChart:
    """Each predicted loss with its interval, in the order in which they were asked for."""
    low, mid, high = (np.atleast_1d(a).ravel() for a in (predicted.low, predicted.median, predicted.high))
    rows = pl.DataFrame({"low": low, "mid": mid, "high": high}).with_row_index("point", offset=1)
    x = alt.X("point:Q", title="points asked for, in their order")
    x = x.scale(domain=[0.5, len(rows) + 0.5], nice=False)
    x = x.axis(values=list(range(1, len(rows) + 1, 1 + len(rows) // 12)), format="d", grid=False)
    bottom, top = extent(mid, [*low, *high], log=True)
    y = log_y("predicted loss, nats/token", bottom * 0.98, top * 1.02)
    told = [alt.Tooltip(f"{name}:Q", format=".4g") for name in ("mid", "low", "high")]
    return finish(alt.layer(*whiskers(of(rows), x, y, tooltip=told)), 260)


def profile(profiled: Profile) -> alt.LayerChart:
    """How the log-likelihood falls on either side of the best value; below the dashed line lies the interval."""
    rows = pl.DataFrame({"value": profiled.values, "fall": profiled.excess})
    x = alt.X("value:Q", title=f"{profiled.parameter}, in the unit of the law").scale(zero=False, nice=False)
    y = alt.Y("fall:Q", title="fall of the log-likelihood, nats")
    level = of([{"fall": profiled.limit, "label": f"{100 * profiled.level:.3g} % interval"}])
    named = level.mark_text(align="right", dy=-8).encode(x=alt.value("width"), y=y, text="label:N")
    best = of([{"value": profiled.best}]).mark_rule(strokeWidth=2).encode(x=x)
    line = of(rows).mark_line(color=theme.COLOURS[0], strokeWidth=2).encode(x=x, y=y)
    return finish(
        alt.layer(level.mark_rule(strokeDash=[4, 3], opacity=0.6).encode(y=y), named, best, line), 240
    )


def contour(profiled: Contour) -> alt.LayerChart:
    """The regions of two parameters that go together, nested by level; the cross is the best fit."""
    from contourpy import contour_generator  # comes with matplotlib

    edges = contour_generator(*profiled.grid, profiled.excess.T)
    names = [f"{100 * level:.3g} %" for level in profiled.levels]
    rows = [
        {"x": float(x), "y": float(y), "level": name, "piece": f"{name} {piece}", "along": i}
        for name, level in zip(names, profiled.levels, strict=True)
        for piece, line in enumerate(edges.create_contour(profiled.rise.limit(level)))
        for i, (x, y) in enumerate(np.asarray(line))
    ]
    ends = [alt.Scale(domain=[float(values[0]), float(values[-1])], nice=False) for values in profiled.grid]
    titles = [f"{name}, in the unit of the law" for name in profiled.parameters]
    x, y = alt.X("x:Q", title=titles[0], scale=ends[0]), alt.Y("y:Q", title=titles[1], scale=ends[1])
    colours = alt.Scale(domain=names, range=[theme.colour(i) for i in range(len(names))])
    lines = of(rows).mark_line(strokeWidth=2, clip=True)
    lines = lines.encode(x=x, y=y, detail="piece:N", order="along:Q")
    lines = lines.encode(color=alt.Color("level:N", sort=names, title="region", scale=colours))
    best = of([{"x": profiled.best[0], "y": profiled.best[1]}])
    cross = best.mark_point(shape="cross", size=90, color=theme.INK, opacity=1).encode(x=x, y=y)
    return finish(alt.layer(lines, cross), 300)


def isoflop(read: IsoFlop) -> alt.LayerChart:
    """The best size at each budget with its standard error, and the power law N = G C^a through them."""
    table = read.table.sort("C")
    spread = table["ln_N_stderr"].fill_nan(0.0)
    rows = table.select("C", "N", "loss").with_columns(
        law=read.coefficient * table["C"] ** read.exponent,
        low=table["N"] * (-spread).exp(),
        high=table["N"] * spread.exp(),
    )
    first, last = float(table["C"][0]), float(table["C"][-1])
    x = log_x("C", words.COMPUTE, first / 1.3, last * 1.3, labels="powers")
    low, high = extent([*rows["N"], *rows["law"]], [*rows["low"], *rows["high"]], log=True)
    y = log_y("best size N, parameters", low / 1.2, high * 1.2, labels="counts")
    line = of(rows).mark_line(color=theme.INK, strokeWidth=2).encode(x=x, y=y("law"))
    read_off = whiskers(of(rows), x, y, "N", tooltip=["C:Q", "N:Q", "loss:Q"], color=theme.COLOURS[0])
    slope = of([{"label": f"exponent a = {read.exponent:.3f} ± {read.stderr:.1g}"}])
    named = slope.mark_text(align="left", baseline="top", fontWeight=600)
    text = named.encode(x=alt.value(8), y=alt.value(6), text="label:N")
    return finish(alt.layer(line, *read_off, text), 300)


def envelope(read: Envelope) -> alt.LayerChart:
    """Between which budgets each size is the best, and the power law N = G C^a through them."""
    table, a = read.table.sort("C_from"), read.exponent.median
    rows = table.select("N", "D", "loss", "C_from", "C_to", C=(pl.col("C_from") * pl.col("C_to")).sqrt())
    first, last = float(rows["C_from"].min()), float(rows["C_to"].max())  # pyright: ignore[reportArgumentType]
    law = [{"C": C, "N": read.coefficient * C**a} for C in (first, last)]
    ends = [row["N"] for row in law] + rows["N"].to_list()
    x = log_x("C", words.COMPUTE, first / 1.3, last * 1.3, labels="powers")
    y = log_y("best size N, parameters", min(ends) / 1.3, max(ends) * 1.3, labels="counts")("N")
    line = of(law).mark_line(color=theme.INK, strokeWidth=2, clip=True).encode(x=x, y=y)
    base, told = (
        of(rows),
        ["N:Q", *(alt.Tooltip(f"{c}:Q", format=".3g") for c in ("C_from", "C_to", "D", "loss"))],
    )
    bars = base.mark_rule(strokeWidth=5, color=theme.COLOURS[0], opacity=0.8)
    bars = bars.encode(
        x=log_x("C_from", words.COMPUTE, first / 1.3, last * 1.3, labels="powers"), x2="C_to:Q", y=y
    )
    dots = base.mark_point(filled=True, size=50, color=theme.COLOURS[0], opacity=1).encode(
        x=x, y=y, tooltip=told
    )
    low, high = read.exponent.low, read.exponent.high
    within = f", {100 * read.exponent.level:.3g} % [{low:.3f}, {high:.3f}]" if np.isfinite(low) else ""
    slope = of([{"label": f"exponent a = {a:.3f}{within}"}])
    named = slope.mark_text(align="left", baseline="top", fontWeight=600)
    return finish(
        alt.layer(line, bars, dots, named.encode(x=alt.value(8), y=alt.value(6), text="label:N")), 300
    )


def agreement(told: Agreement) -> alt.LayerChart:
    """How far each constant lies from its fitted value; above, whether all agree at once."""
    rows = told.table.select("parameter", "fitted", "constant", "away", "p_value")
    reach = max(3.0, 1.1 * float(rows["away"].abs().max()))  # pyright: ignore[reportArgumentType]
    x = (
        alt.X("away:Q", title="constant less fitted value, standard errors")
        .scale(domain=[-reach, reach])
        .axis(tickCount=6)
    )
    y = alt.Y("parameter:N", title=None, sort=rows["parameter"].to_list())
    y = y.axis(labelFontSize=13, labelOpacity=1, grid=False)
    base, numbers = (
        of(rows),
        (alt.Tooltip(f"{c}:Q", format=".4g") for c in ("fitted", "constant", "away", "p_value")),
    )
    line = (
        base.mark_rule(strokeWidth=2.5, opacity=0.5)
        .transform_calculate(none="0")
        .encode(x=x, x2="none:Q", y=y)
    )
    dots = base.mark_point(filled=True, size=80, color=theme.COLOURS[0], opacity=1)
    zero = of([{"away": 0}]).mark_rule(strokeWidth=1.5).encode(x=x)
    drawn = finish(
        alt.layer(zero, line, dots.encode(x=x, y=y, tooltip=["parameter:N", *numbers])), 50 + 30 * len(rows)
    )
    p = "below 0.0001" if told.p_value < 1e-4 else f"{told.p_value:.2g}"
    said = [
        f"{told.law} {'agrees' if told.agrees else 'does not agree'} with the constants",
        f"all at once: p = {p}",
    ]
    return drawn.properties(title=alt.TitleParams(said, fontSize=13, fontWeight=400))
