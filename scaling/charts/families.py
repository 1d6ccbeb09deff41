"""Families of runs side by side: each parameter by itself, leaning on the others, and what they have in common."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from scaling.charts import theme
from scaling.charts.parts import Chart, finish, intervals, of, stacked
from scaling.fitting import Pooled
from scaling.laws.base import describe


def pooled(fitted: Pooled) -> Any:
    """A chart for each pooled parameter: families with their intervals, hollow what each says alone, a rule and a band
    at the middle of all families."""
    return stacked(*(_parameter(fitted, name) for name in fitted.pooled))


def _parameter(fitted: Pooled, name: str) -> Chart:
    rows = fitted.table.filter(parameter=name)
    drawn = rows.select("family", "runs", "alone", "from_others", "low", "high", mid="value")
    log = {p.name: p.quantity.log for p in describe(fitted.law).parameters}[name]
    x = alt.X("mid:Q", title=f"{name}, in the unit of the law; hollow: the family alone")
    x = x.scale(type="log", nice=True) if log else x.scale(zero=False, nice=True)
    x = x.axis(tickCount=5, format="~g")
    percent = alt.Tooltip("from_others:Q", format=".0%", title="from other families")
    told = [
        "family:N",
        "runs:Q",
        *(alt.Tooltip(f"{c}:Q", format=".4g") for c in ("mid", "low", "high")),
        percent,
    ]
    marks = intervals(drawn.to_dicts(), x, "family", tooltip=told)
    order = drawn["family"].to_list()
    y = alt.Y("family", type="nominal", axis=None, sort=order)
    y = y.scale(type="band", paddingInner=0.4, paddingOuter=0.4)
    alone = of(drawn.filter(pl.col("alone").is_not_null()).select("family", mid="alone"))
    hollow = alone.mark_point(filled=False, size=80, color=theme.INK, opacity=0.8, clip=True).encode(
        x=x.copy(), y=y
    )
    middle = fitted.means[name]
    common = of([{"mid": float(middle.median), "low": float(middle.low), "high": float(middle.high)}])
    band = common.mark_rect(color=theme.INK, opacity=0.07).encode(x=alt.X("low:Q"), x2="high:Q")
    rule = common.mark_rule(strokeDash=[4, 3], opacity=0.7).encode(x=x.copy())
    return finish(alt.layer(band, rule, *marks, hollow), 40 + 40 * len(order))
