"""Charts of what the questions answer with: passes over a text, levers, silence, a replay, a plateau."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import altair as alt
import numpy as np
import polars as pl

from scaling.charts import theme, words
from scaling.charts.live import Runs, finish
from scaling.charts.series import check_columns, size_names
from scaling.fitting import Fit
from scaling.laws.base import describe

__all__ = ["bayes_factors", "error_rates", "frontier", "levers", "passes", "replayed"]

_CURVE = 80


def passes(runs: pl.DataFrame, fits: Sequence[Fit] = (), *, pool: int | None = None) -> alt.LayerChart:
    """Loss against the number of passes over one pool of text, a line for each size, and what laws say of it.

    Args:
        runs: columns N, D, C, loss, epochs and unique_budget.
        fits: laws of N, D and unique_tokens; drawn dashed, the first one darkest.
        pool: distinct tokens on offer; by default the pool that was repeated most.
    """
    check_columns(runs)
    repeated = runs.filter(pl.col("epochs").max().over("unique_budget") > 1.5)
    if pool is None:
        pool = int(repeated.sort("epochs")["unique_budget"][-1])
    chosen = repeated.filter(pl.col("unique_budget") == pool)
    shown, names = Runs(chosen.drop("epochs"), passes=list(chosen["epochs"])), size_names(chosen)
    most = float(chosen["epochs"].to_numpy().max())
    x = alt.X("passes:Q", title=f"passes over {words.count(pool)} tokens").scale(
        type="log", domain=[0.93, most * 1.07], nice=False
    ).axis(values=[2**k for k in range(12) if 2**k <= most])  # fmt: skip
    bottom, top = (float(f(chosen["loss"].to_numpy())) for f in (np.min, np.max))

    def y(field: str) -> alt.Y:
        scale = alt.Scale(type="log", domain=[bottom * 0.96, top * 1.04], nice=False)
        axis = alt.Axis(values=words.log_ticks(bottom, top), format="~g")
        return alt.Y(field, type="quantitative", title="held-out loss, nats/token", scale=scale, axis=axis)

    epochs = np.geomspace(1.0, most, _CURVE)
    lines = []
    for i, found in enumerate(fits):
        columns = {"D": epochs * pool, "unique_tokens": np.full(_CURVE, float(pool))}
        rows = [
            {"passes": float(e), "fitted": float(loss), "size": names[N]}
            for N in names
            for e, loss in zip(epochs, _at(found, float(N), columns), strict=True)
        ]
        curve = alt.Chart(alt.InlineData(values=rows)).mark_line(
            strokeDash=[5, 3], strokeWidth=1.5, opacity=0.9 / (1 + i), clip=True
        )
        lines.append(curve.encode(x=x, y=y("fitted"), color=shown.colour))
    ends = chosen.group_by("N").agg(pl.col("epochs").max(), pl.col("loss").sort_by("epochs").last())
    labels = [
        {"passes": e, "loss": loss, "size": names[N], "label": f"N = {names[N]}"}
        for N, e, loss in ends.iter_rows()
    ]
    named = alt.Chart(alt.InlineData(values=labels)).mark_text(align="right", dy=-12, fontWeight=600)
    text = named.encode(x=x, y=y("loss"), text="label:N", color=shown.colour)
    measured = [shown.means("passes", "loss", x, y("mean"))] if not fits else []
    return finish(alt.layer(*measured, *lines, shown.points(x, y("loss")), text), 380)


def _at(found: Fit, N: float, columns: dict[str, np.ndarray]) -> np.ndarray:
    read = {"N": np.full(_CURVE, N)} | columns
    return np.asarray(found.law(*(read[c] for c in describe(found.law).column_names), **found.params))


def levers(table: pl.DataFrame) -> alt.LayerChart:
    """How many times the data each lever is worth, by size: `questions.levers`.

    Args:
        table: columns lever, N, pool, multiplier, low, high, at_least.
    """
    pools = table["pool"].n_unique() > 1
    rows = [
        {
            "lever": row["lever"] + (f", {words.count(row['pool'])} tokens" if pools else ""),
            "size": f"{words.count(row['N'], 2)} parameters",
            "worth": row["multiplier"],
            "low": row["low"] if math.isfinite(row["low"]) else row["multiplier"],
            "high": row["high"] if math.isfinite(row["high"]) else row["multiplier"],
            "said": ("more than " if row["at_least"] else "") + f"{row['multiplier']:.2f} times the data",
        }
        for row in table.sort("pool", "lever", "N").iter_rows(named=True)
    ]
    data = alt.InlineData(values=rows)
    order = list(dict.fromkeys(row["lever"] for row in rows))
    x = (
        alt.X("worth:Q", title="worth, times the data")
        .scale(type="log", nice=True)
        .axis(format="~g", tickCount=6)
    )
    y = alt.Y("lever:N", title=None, sort=order).axis(
        labelFontSize=12.5, labelOpacity=1, labelLimit=320, grid=False
    )
    apart = alt.YOffset("size:N")
    sizes = list(dict.fromkeys(row["size"] for row in sorted(rows, key=lambda row: row["worth"])))
    colour = alt.Color("size:N", sort=sizes, legend=alt.Legend(title=None, orient="top"))
    whisker = alt.Chart(data).mark_rule(strokeWidth=2.5, opacity=0.5)
    dot = alt.Chart(data).mark_point(filled=True, size=80, opacity=1)
    none = alt.Chart(alt.InlineData(values=[{"worth": 1}])).mark_rule(strokeDash=[3, 3], opacity=0.6)
    return finish(
        alt.layer(
            none.encode(x=x),
            whisker.encode(x=x.copy(), x2="high:Q", y=y, yOffset=apart, color=colour).transform_calculate(
                worth="datum.low"
            ),
            dot.encode(x=x, y=y, yOffset=apart, color=colour, tooltip=["lever:N", "size:N", "said:N"]),
        ),
        60 + 44 * len(order),
    )


def bayes_factors(evidence: pl.DataFrame, months: float, *, enough: float = 3.0) -> alt.LayerChart:
    """Bayes factor for a plateau against months of silence, a line for each null, and a slider for the months.

    Args:
        evidence: columns null, months, bayes_factor, one row a month and null.
        months: where the slider starts.
        enough: factor from which evidence is more than a bare mention.
    """
    last = float(evidence["months"].to_numpy().max())
    bind = alt.binding_range(min=0, max=last, step=1, name="months of silence")
    data = alt.InlineData(values=evidence.select("null", "months", "bayes_factor").to_dicts())
    order = evidence["null"].unique(maintain_order=True).to_list()
    colour = alt.Color("null:N", legend=None).scale(
        domain=order, range=[theme.colour(i) for i in range(len(order))]
    )
    x = alt.X("months:Q", title="months without a better model").scale(domain=[0, last], nice=False)
    top = float(evidence["bayes_factor"].to_numpy().clip(max=100.0).max())
    y = alt.Y("bayes_factor:Q", title="Bayes factor for a plateau").scale(
        type="log", domain=[0.95, 1.1 * top], nice=False
    ).axis(values=[1, 2, 3, 5, 10, 20, 50, 100], format="~g")  # fmt: skip
    line = alt.Chart(data).mark_line(strokeWidth=2, clip=True).encode(x=x, y=y, color=colour)
    level = alt.Chart(alt.InlineData(values=[{"bayes_factor": enough}])).mark_rule(
        strokeDash=[4, 3], opacity=0.6
    )
    here = "datum.months==round(months_of_silence)"
    dot = alt.Chart(data).mark_point(filled=True, size=80, opacity=1, clip=True).transform_filter(here)
    said = (
        alt.Chart(data)
        .mark_text(align="left", baseline="top", fontWeight=600)
        .transform_filter(here)
        .transform_window(row="row_number()")
        .transform_calculate(label="format(datum.bayes_factor,'.3~g')+'  '+datum.null")
        .encode(
            x=alt.value(12), y=alt.Y("row:O", axis=None).scale(range=[8, 8 + 20 * len(order)]), text="label:N"
        )
        .encode(color=colour)
    )
    curves = alt.layer(level.encode(y=y), line, dot.encode(x=x, y=y, color=colour))
    both = alt.layer(curves, said).resolve_scale(y="independent")
    return finish(both.add_params(alt.param(name="months_of_silence", value=months, bind=bind)), 340)


def replayed(table: pl.DataFrame) -> alt.LayerChart:
    """What a rule said at each date, and what came after: rates of the record as known then and as known now.

    Args:
        table: columns date, rate_before, rate_last, called, later_after, plateau, models; one row a date.
    """
    rows = []
    for row in table.iter_rows(named=True):
        right = None if row["plateau"] is None or row["called"] is None else row["called"] == row["plateau"]
        rows.append(
            {
                "date": row["date"].isoformat(),
                "before": row["rate_before"],
                "last": row["rate_last"],
                "after": row["later_after"],
                "call": "plateau called" if row["called"] else "no plateau called",
                "outcome": {None: "not known yet", True: "right", False: "wrong"}[right],
                "models": row["models"],
            }
        )
    data = alt.InlineData(values=rows)
    bind = alt.binding_range(min=0, max=len(rows) - 1, step=1, name="date")
    x = alt.X("date:T", title=None)
    legend = alt.Legend(
        title=None,
        orient="top",
        labelExpr="datum.label=='last'?'known then: the year before':'known now: the year after'",
    )
    scale = alt.Scale(domain=["last", "after"], range=list(theme.COLOURS[:2]))
    lines = (
        alt.Chart(data)
        .mark_line(strokeWidth=2)
        .transform_fold(["last", "after"], as_=["what", "rate"])
        .transform_filter("isValid(datum.rate)")
        .encode(x=x, y=alt.Y("rate:Q", title="rise of the record, logits per year"))
        .encode(color=alt.Color("what:N", scale=scale, legend=legend))
    )
    tints = alt.Scale(
        domain=["right", "wrong", "not known yet"], range=[theme.INK, theme.COLOURS[2], theme.COLOURS[4]]
    )
    outcome = {"field": "outcome", "type": "nominal", "legend": None, "scale": tints}
    called = alt.condition("datum.call=='plateau called'", alt.value(1), alt.value(1e-4))
    calls = (
        alt.Chart(data)
        .mark_point(size=70, opacity=1, strokeWidth=2)
        .encode(
            x=x, y=alt.value(316), color=alt.Color(**outcome), fill=alt.Fill(**outcome), fillOpacity=called
        )
        .encode(tooltip=["date:T", "models:Q", "call:N", "outcome:N"])
    )
    here = alt.Chart(data).transform_window(row="row_number()")
    here = here.transform_filter("datum.row==round(as_of)+1")
    rule = here.mark_rule(strokeDash=[2, 3], opacity=0.7).encode(x=x)
    text = here.mark_text(align="right", baseline="top", fontSize=14, fontWeight=600).transform_calculate(
        label="timeFormat(toDate(datum.date),'%B %Y')+', '+datum.models+' models: '+datum.call+', '+datum.outcome"
    )
    said = text.encode(x=alt.value("width"), y=alt.value(2), text="label:N")
    chart = (
        alt.layer(*lines, calls.resolve_scale(), rule, said) if False else alt.layer(lines, calls, rule, said)
    )
    chart = chart.resolve_scale(color="independent")
    return finish(chart.add_params(alt.param(name="as_of", value=len(rows) // 2, bind=bind)), 330)


def frontier(evidence: pl.DataFrame, *, level: float = 0.8) -> alt.LayerChart:
    """The curve of loss against compute that a plateau is sought in; hollow points lie at the ends of the grid.

    Args:
        evidence: of `questions.plateau`; rows with part "point": C, loss, stderr, runs and, for a grid, edge.
        level: of the whiskers.
    """
    points = evidence.filter(pl.col("part") == "point").sort("C")
    wide = NormalDist().inv_cdf(0.5 + level / 2)
    edge = (
        points["edge"].fill_null(False)
        if "edge" in points.columns
        else pl.repeat(False, len(points), eager=True)
    )
    rows = [
        {
            "C": C,
            "loss": loss,
            "low": loss - wide * error,
            "high": loss + wide * error,
            "runs": runs,
            "edge": at_end,
        }
        for (C, loss, error, runs), at_end in zip(
            points.select("C", "loss", "stderr", "runs").iter_rows(), edge, strict=True
        )
    ]
    data = alt.InlineData(values=rows)
    low, high = (math.log10(row["C"]) for row in (rows[0], rows[-1]))
    powers = [10.0**p for p in range(math.ceil(low), math.floor(high) + 1)]
    x = alt.X("C:Q", title="training compute, FLOPs").scale(
        type="log", domain=[10 ** (low - 0.1), 10 ** (high + 0.1)], nice=False
    ).axis(values=powers, labelExpr=words.vega_exponent("round(log(datum.value)*LOG10E)"))  # fmt: skip
    bottom, top = min(row["low"] for row in rows), max(row["high"] for row in rows)

    def y(field: str) -> alt.Y:
        scale = alt.Scale(type="log", domain=[bottom * 0.98, top * 1.02], nice=False)
        axis = alt.Axis(values=words.log_ticks(bottom, top), format="~g")
        return alt.Y(field, type="quantitative", title="held-out loss, nats/token", scale=scale, axis=axis)

    line = (
        alt.Chart(data)
        .mark_line(strokeWidth=1.5, color=theme.COLOURS[0], opacity=0.6)
        .encode(x=x, y=y("loss"))
    )
    whisker = alt.Chart(data).mark_rule(strokeWidth=2, opacity=0.5).encode(x=x, y=y("low"), y2="high:Q")
    inside = alt.condition("datum.edge", alt.value(1e-4), alt.value(1))
    dot = alt.Chart(data).mark_point(size=60, opacity=1, color=theme.COLOURS[0], fill=theme.COLOURS[0])
    told = dot.encode(x=x, y=y("loss"), fillOpacity=inside, tooltip=["C:Q", "loss:Q", "runs:Q"])
    return finish(alt.layer(line, whisker, told), 320)


def error_rates(evidence: pl.DataFrame) -> alt.LayerChart:
    """How often simulated worlds are called flat: by decades of the plateau that were seen; crosses have none.

    Args:
        evidence: of `questions.plateau`; rows with part "world": name, onset_decades (null: no plateau), said_flat.
    """
    worlds = evidence.filter(pl.col("part") == "world").sort("onset_decades", nulls_last=False)
    rows = [
        {"world": name, "decades": decades, "flat": flat, "kind": "no plateau" if decades is None else name}
        for name, decades, flat in worlds.select("name", "onset_decades", "said_flat").iter_rows()
    ]
    without = [row | {"decades": 0.0} for row in rows if row["decades"] is None]
    within = alt.InlineData(values=[row for row in rows if row["decades"] is not None])
    order = list(dict.fromkeys(row["world"] for row in rows if row["decades"] is not None))
    colour = alt.Color("world:N", legend=alt.Legend(title="a plateau that is a", orient="top")).scale(
        domain=order, range=[theme.colour(i) for i in range(len(order))]
    )
    x = alt.X("decades:Q", title="decades of the plateau that the runs have seen")
    y = alt.Y("flat:Q", title="share called flat").scale(domain=[0, 1]).axis(format=".0%", tickCount=5)
    lines = alt.Chart(within).mark_line(point={"size": 60, "filled": True, "opacity": 1}, strokeWidth=2)
    alarms = alt.Chart(alt.InlineData(values=without)).mark_point(
        size=60, shape="cross", filled=True, opacity=0.8
    )
    said = ["world:N", alt.Tooltip("flat:Q", format=".1%")]
    return finish(
        alt.layer(
            lines.encode(x=x, y=y, color=colour, tooltip=said),
            alarms.encode(x=x, y=y, color=alt.value(theme.INK), tooltip=said),
        ),
        280,
    )
