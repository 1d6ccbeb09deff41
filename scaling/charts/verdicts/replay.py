"""The replay: what a rule said at each date, with what was known then, and what came after."""

from __future__ import annotations

import json

import altair as alt
import polars as pl

from scaling.charts import theme
from scaling.charts.parts import finish, of
from scaling.verdict import Verdict


def draw(verdict: Verdict) -> alt.LayerChart:
    """The rates of the record at each date and the calls, under a slider for the date."""
    return replayed(verdict.evidence["dates"])


def replayed(dates: pl.DataFrame) -> alt.LayerChart:
    """What a rule said at each date, and what came after: rates of the record as known then and as known now.

    Args:
        dates: columns date, rate_last, called, later_after, plateau, models; one row a date.
    """
    known = pl.col("called").is_not_null() & pl.col("plateau").is_not_null()
    right = pl.col("called") == pl.col("plateau")
    base = of(
        dates.select(
            "date",
            pl.when("called").then(pl.lit("plateau called")).otherwise(pl.lit("no plateau called")).alias("call"),
            pl.when(~known).then(pl.lit("not known yet")).when(right).then(pl.lit("right")).otherwise(pl.lit("wrong"))
            .alias("outcome"),
            "models", last="rate_last", after="later_after",
        )
    )  # fmt: skip
    bind = alt.binding_range(min=0, max=len(dates) - 1, step=1, name="date")
    said = [f"{day:%B %Y}" for day in dates["date"]]
    x = alt.X("date:T", title="date").axis(format="%b %Y", tickCount=6)
    when = "datum.label=='last'?'known then: the year before':'known now: the year after'"
    legend = alt.Legend(
        title=None, orient="top", labelExpr=when, labelLimit=260, columns=alt.ExprRef("width<480?1:2")
    )
    scale = alt.Scale(domain=["last", "after"], range=list(theme.COLOURS[:2]))
    lines = (
        base.mark_line(strokeWidth=2)
        .transform_fold(["last", "after"], as_=["what", "rate"])
        .transform_filter("isValid(datum.rate)")
        .encode(x=x, y=alt.Y("rate:Q", title="rise of the record, logits per year"))
        .encode(color=alt.Color("what:N", scale=scale, legend=legend))
    )
    tints = [theme.INK, theme.COLOURS[2], theme.COLOURS[4]]
    scale = alt.Scale(domain=["right", "wrong", "not known yet"], range=tints)
    outcome = {"field": "outcome", "type": "nominal", "legend": None, "scale": scale}
    called = alt.condition("datum.call=='plateau called'", alt.value(1), alt.value(1e-4))
    calls = (
        base.mark_point(size=70, opacity=1, strokeWidth=2)
        .encode(x=x, y=alt.value(316), color=alt.Color(**outcome), fill=alt.Fill(**outcome))
        .encode(fillOpacity=called, tooltip=["date:T", "models:Q", "call:N", "outcome:N"])
    )
    here = base.transform_window(row="row_number()").transform_filter("datum.row==round(as_of)+1")
    rule = here.mark_rule(strokeDash=[2, 3], opacity=0.7).encode(x=x)
    text = here.mark_text(align="right", baseline="top", fontSize=alt.expr("width<420?11:14"), fontWeight=600)
    text = text.transform_calculate(label="datum.models+' models: '+datum.call+', '+datum.outcome")
    text = text.encode(x=alt.value("width"), y=alt.value(2), text="label:N")
    chart = alt.layer(lines, calls, rule, text).resolve_scale(color="independent")
    as_of = alt.param(name="as_of", value=len(dates) // 2, bind=bind)
    words = alt.param(name="as_of_words", expr=f"{json.dumps(said)}[round(as_of)]")
    return finish(chart.add_params(as_of, words), 330)
