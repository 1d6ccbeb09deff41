"""Charts for the screen: hover on every run, sliders that the browser evaluates. Everything here is altair.

The frontier is not a picture of numbers worked out beforehand. The page carries the bootstrap draws of the fit and the
law's own formula (`vega.trace`), finds the optimum of each draw at each budget (`optimum`), and does so again
whenever a slider moves.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import polars as pl

from scaling.charts import theme, words
from scaling.charts.offline import Bundle, embed, enable
from scaling.charts.optimum import optimum, quantiles
from scaling.charts.series import check_columns, repeated, size_names, tooltips
from scaling.design.allocation import allocate, flops_per_token, parameter_draws, with_unique_tokens
from scaling.fitting import Fit
from scaling.verdict import PLACES

__all__ = ["Bundle", "embed", "enable", "loss_against_compute"]

DRAWS_MARKED, DRAWS_BAND = 1000, 100
"""Bootstrap draws that the readout of one budget and the band over all budgets are made of."""

BUDGETS = 26
"""Budgets at which the frontier is drawn."""

HEIGHT = 440

Chart = alt.LayerChart | alt.FacetChart  # what altair says that layers make; they make a LayerChart


def loss_against_compute(found: Fit, runs: pl.DataFrame, *, level: float = 0.8) -> Chart:
    """Every run, curves by size, and the compute-optimal frontier with its interval, under two sliders.

    One slider is the training compute: it marks the best N and D for that budget and reads out their loss. The other
    is the unique tokens on offer: below what the optimum wants, tokens repeat and the frontier bends.

    Args:
        found: a `Fit` of a law of N and D.
        runs: the runs to show, columns N, D, C and loss at least.
        level: of the interval.

    Raises:
        MissingColumns: the runs lack one of N, D, C and loss.
        NotALaw: the law does not read N and D.
        NotTraceable: it cannot run in the browser.
    """
    check_columns(runs)
    axes = _Axes(found, runs, level)
    chart = alt.layer(
        *_frontier(found, runs, level, axes),
        *_runs(runs, axes),
        *_marked(found, runs, level, axes),
    )
    return finish(chart.add_params(*_sliders(axes)), HEIGHT)


class _Axes:
    """The axes that all layers share: from the smallest run to beyond ten times the compute of the largest."""

    def __init__(self, found: Fit, runs: pl.DataFrame, level: float):
        C, loss = runs["C"].to_numpy(), runs["loss"].to_numpy()
        self.low, self.largest = float(np.log10(C.min())) - 0.25, float(np.log10(C.max()))
        self.high = self.largest + 1.15
        goal = allocate(found, runs, 10**self.high, level=level)
        self.most_tokens = float(goal.D.high[0])
        self.bottom, self.top = float(goal.loss.low[0]) * 0.88, float(loss.max()) * 1.08

    def x(self, field: str = "C") -> alt.X:
        ticks = [10.0**p for p in range(int(np.ceil(self.low)), int(np.floor(self.high)) + 1)]
        power = words.vega_exponent("round(log(datum.value)*LOG10E)")
        return alt.X(field, type="quantitative").title("training compute, FLOPs").scale(
            type="log", domain=[10**self.low, 10**self.high], nice=False
        ).axis(values=ticks, labelExpr=power)  # fmt: skip

    def y(self, field: str = "loss") -> alt.Y:
        return alt.Y(field, type="quantitative").title("held-out loss, nats/token").scale(
            type="log", domain=[self.bottom, self.top], nice=False
        ).axis(values=words.log_ticks(self.bottom, self.top), format="~g")  # fmt: skip


def _sliders(axes: _Axes) -> list[alt.Parameter]:
    """The two sliders, in powers of ten, and the words that stand beside them. They start at ten times the largest run,
    with more unique tokens than it takes."""
    step = 0.05
    tenfold = round(axes.largest + 1, 4)
    least = round(tenfold - step * int((tenfold - axes.low - 0.25) / step), 4)
    widest = round(float(np.log10(axes.most_tokens)) + 0.1, 1)
    compute = alt.binding_range(
        min=least, max=round(tenfold + 2 * step, 4), step=step, name="training compute"
    )
    unique = alt.binding_range(min=round(widest - 3, 1), max=widest, step=step, name="unique tokens on offer")
    return [
        alt.param(name="log_compute", value=tenfold, bind=compute),
        alt.param(name="log_unique", value=widest, bind=unique),
        alt.param(name="log_compute_words", expr=words.vega_power_of_ten("log_compute") + "+' FLOPs'"),
        alt.param(name="log_unique_words", expr=words.vega_count("pow(10,log_unique)")),
    ]


def _draws(found: Fit) -> alt.InlineData:
    """Bootstrap draws as rows, numbered, the same object for every layer so that the page carries them once."""
    draws = parameter_draws(found)
    columns = {name: [float(f"{v:.7g}") for v in draws[name][:DRAWS_MARKED]] for name in draws}
    return alt.InlineData(values=pl.DataFrame(columns).with_row_index("draw").to_dicts())


def _drawn(found: Fit) -> bool:
    return len(next(iter(parameter_draws(found).values()))) > 1


def _best_at(found: Fit, runs: pl.DataFrame, compute: str, polish: int) -> list[dict[str, Any]]:
    """Transforms that find each draw's optimum at a budget, for the unique tokens on the slider."""
    return optimum(
        with_unique_tokens(found.law),
        list(found.params),
        flops_per_token=flops_per_token(runs),
        compute=compute,
        unique_tokens="pow(10,log_unique)",
        polish=polish,
    )


def _frontier(found: Fit, runs: pl.DataFrame, level: float, axes: _Axes) -> list[Chart]:
    step = (axes.high - axes.low) / (BUDGETS - 1)
    x = axes.x()
    band = alt.Chart().mark_area(color=theme.INK, opacity=0.14, clip=True)
    line = alt.Chart().mark_line(color=theme.INK, strokeWidth=2, clip=True)
    name = alt.Chart().mark_text(align="right", dy=18, fontWeight=500)
    group = alt.layer(
        band.encode(x=x, y=axes.y("loss_low"), y2="loss_high:Q"),
        line.encode(x=x, y=axes.y("loss_mid")),
        name.encode(x=alt.datum(10 ** (axes.largest + 0.95)), y=axes.y("loss_low"))
        .encode(text=alt.value(words.best_for_its_compute(_drawn(found), level)))
        .transform_filter(f"datum.C > {10 ** (axes.high - step / 2)}"),
        data=_draws(found),
    )  # fmt: skip
    group.transform = [
        {"filter": f"datum.draw < {DRAWS_BAND}"},
        {"calculate": f"sequence({axes.low},{axes.high + step / 2},{step})", "as": "log_C"},
        {"flatten": ["log_C"]},
        {"calculate": "pow(10,datum.log_C)", "as": "C"},
        *_best_at(found, runs, "datum.C", polish=1),
        *quantiles(["loss"], level, ["C"]),
    ]
    return [group]


def _marked(found: Fit, runs: pl.DataFrame, level: float, axes: _Axes) -> list[Chart]:
    x = axes.x()
    rule = alt.Chart().mark_rule(strokeWidth=1, strokeDash=[2, 3], opacity=0.6)
    whisker = alt.Chart().mark_rule(strokeWidth=2.5)
    dot = alt.Chart().mark_point(filled=True, size=110, color=theme.INK, opacity=1)
    corner = {"x": alt.value("width"), "y": alt.value(4)}
    head = alt.Chart().mark_text(align="right", baseline="top", fontSize=15, fontWeight=600, lineHeight=20)
    text = alt.Chart().mark_text(align="right", baseline="top", dy=22, lineHeight=18, opacity=0.85)
    group = alt.layer(
        rule.encode(x=x, y=axes.y("loss_mid"), y2=alt.value("height")),
        whisker.encode(x=x, y=axes.y("loss_low"), y2="loss_high:Q"),
        dot.encode(x=x, y=axes.y("loss_mid")),
        head.encode(**corner, text="headline:N"),
        text.encode(**corner, text="readout:N"),
        data=_draws(found),
    )
    interval = "' ['+{0}+', '+{1}+']'" if _drawn(found) else "''"
    N, D = (
        words.vega_count(f"datum.{f}_mid") + "+"
        + interval.format(words.vega_count(f"datum.{f}_low"), words.vega_count(f"datum.{f}_high"))
        for f in "ND"
    )  # fmt: skip
    unique = words.vega_count("pow(10,log_unique)")
    passes = f"format(datum.D_mid/pow(10,log_unique),'.1f')+' passes over '+{unique}+' unique'"
    group.transform = [
        *_best_at(found, runs, "pow(10,log_compute)", polish=2),
        *quantiles(["loss", "N", "D"], level),
        {"calculate": "pow(10,log_compute)", "as": "C"},
        {
            "calculate": "'loss '+format(datum.loss_mid,'.3f')+"
            + interval.format("format(datum.loss_low,'.3f')", "format(datum.loss_high,'.3f')"),
            "as": "headline",
        },
        {
            "calculate": f"[{words.vega_power_of_ten('log_compute')}+' FLOPs', {N}+' parameters', {D}+' tokens',"
            f" datum.D_mid>pow(10,log_unique)?{passes}:'none seen twice']",
            "as": "readout",
        },
    ]
    return [group]


class Runs:
    """Runs as points: colour and shape by size; faint where tokens repeat; hollow where others are this machine's.

    More than `SERIES` sizes are a scale and no series: one ramp of colour with a legend, no lines between them.
    """

    def __init__(self, runs: pl.DataFrame, **more: Any):
        names, said = size_names(runs), tooltips(runs)
        place = said.get("origin", ["committed"] * len(runs))
        columns = {
            "size": [names[N] for N in runs["N"]],
            "place": place,
            "again": repeated(runs),
            **said,
            **more,
        }
        table = runs.select("N", "D", "C", "loss").with_columns(
            **{k: pl.Series(v) for k, v in columns.items()}
        )
        self.data = alt.InlineData(values=table.to_dicts())
        self.many = len(names) > theme.SERIES
        if self.many:
            scale, ends = alt.Scale(type="log", scheme="viridis", nice=False), (min(names), max(names))
            legend = alt.Legend(
                title="parameters N",
                orient="top",
                gradientLength=180,
                values=words.log_ticks(*map(float, ends), wanted=4),
                labelExpr=words.vega_count("datum.value"),
            )
            self.colour, self.fill = (
                alt.Color("N:Q", scale=scale, legend=legend),
                alt.Fill("N:Q", scale=scale, legend=legend),
            )
            self.shape = alt.ShapeValue("circle")
        else:
            order, colours = list(names.values()), [theme.colour(i) for i in range(len(names))]
            shapes = [theme.SHAPES[i % len(theme.SHAPES)] for i in range(len(names))]
            scale = alt.Scale(domain=order, range=colours)
            self.colour, self.fill = (
                alt.Color("size:N", scale=scale, legend=None),
                alt.Fill("size:N", scale=scale, legend=None),
            )
            self.shape = alt.Shape("size:N", legend=None).scale(domain=order, range=shapes)
        self.tooltip = [alt.Tooltip(name, type="nominal") for name in said]
        here, both = PLACES["local"], len(set(place)) > 1
        self.solid = alt.condition(
            f"datum.place=={here!r}", alt.value(0.85), alt.value(1e-4 if both else 0.85)
        )

    def points(self, x: alt.X, y: alt.Y) -> alt.Chart:
        """One mark a run; point at it for its numbers."""
        return (
            alt.Chart(self.data)
            .mark_point(size=24 if self.many else 46, strokeWidth=1.4, clip=True)
            .encode(x=x, y=y, color=self.colour, fill=self.fill, shape=self.shape)
            .encode(fillOpacity=self.solid, tooltip=self.tooltip)
            .encode(opacity=alt.condition("datum.again", alt.value(0.35), alt.value(1)))
        )

    def means(self, across: str, value: str, x: alt.X, y: alt.Y) -> alt.Chart:
        """A line for each size through the mean of `value` over its seeds; `y` reads the field "mean"."""
        mean = alt.AggregatedFieldDef(op="mean", field=value, **{"as": "mean"})
        return (
            alt.Chart(self.data)
            .mark_line(strokeWidth=1.5, clip=True)
            .encode(x=x, y=y, color=self.colour, detail=["place:N", "again:N"])
            .encode(
                strokeDash=alt.condition("datum.again", alt.value([3, 3]), alt.value([1, 0])),
                opacity=alt.condition("datum.again", alt.value(0.45), alt.value(0.75)),
            )
            .transform_aggregate([mean], groupby=["size", "place", "again", across])
        )


def _runs(runs: pl.DataFrame, axes: _Axes) -> list[alt.Chart]:
    shown, names = Runs(runs), size_names(runs)
    x, y = axes.x(), axes.y()
    if shown.many:
        return [shown.points(x, y)]
    starts = runs.filter(pl.col("C") == pl.col("C").min().over("N")).group_by("N")
    starts = starts.agg(pl.col("C").first(), pl.col("loss").max()).sort("N")
    labels = [
        {"C": C, "loss": loss, "size": names[N], "label": names[N] if i else f"N = {names[N]}"}
        for i, (N, C, loss) in enumerate(starts.iter_rows())
    ]
    named = [
        alt.Chart(alt.InlineData(values=labels[odd::2]))
        .mark_text(align="left", dx=3, dy=dy, fontWeight=600)
        .encode(x=x, y=y, text="label:N", color=shown.colour)
        # neighbours at two heights on a narrow screen, so that close sizes do not overprint
        for odd, dy in ((0, alt.expr("width<560?-23:-10")), (1, -10))
    ]
    if any(repeated(runs)):
        last = runs.filter(pl.Series(repeated(runs))).sort("N", "C", "loss").row(-1, named=True)
        end = {"C": last["C"], "loss": last["loss"], "size": names[last["N"]]}
        label = alt.Chart(alt.InlineData(values=[end])).mark_text(align="left", dx=8, fontStyle="italic")
        named.append(label.encode(x=x, y=y, text=alt.value("repeated text"), color=shown.colour))
    return [shown.means("C", "loss", x, axes.y("mean")), shown.points(x, y), *named]


def finish(chart: alt.LayerChart | alt.FacetChart | alt.Chart, height: int) -> Any:
    """A chart as wide as its page, in the suite's own look."""
    fitted = chart.properties(width="container", height=height)
    return fitted.properties(autosize=alt.AutoSizeParams(type="fit-x", contains="padding")).configure(
        **theme.live_config()
    )
