"""Silence: how strongly so many months without a better model speak for a plateau, under each null."""

from __future__ import annotations

import altair as alt
import polars as pl

from scaling.charts.parts import finish, log_y, of, series
from scaling.verdict import Verdict


def draw(verdict: Verdict) -> alt.LayerChart:
    """Bayes factors by null, the slider at the months that were asked about."""
    return bayes_factors(verdict.evidence["nulls"], verdict.evidence["silence"]["months"][0])


def bayes_factors(nulls: pl.DataFrame, months: float, *, enough: float = 3.0) -> alt.LayerChart:
    """Bayes factor for a plateau against months of silence, a line for each null, and a slider for the months.

    Args:
        nulls: columns null, months, bayes_factor, one row a month and null.
        months: where the slider starts.
        enough: factor from which evidence is more than a bare mention.
    """
    last = float(nulls["months"].to_numpy().max())
    base = of(nulls.select("null", "months", "bayes_factor"))
    order = nulls["null"].unique(maintain_order=True).to_list()
    colour = series("null", order)
    x = alt.X("months:Q", title="silence, months without a better model").scale(domain=[0, last], nice=False)
    top = float(nulls["bayes_factor"].to_numpy().clip(max=100.0).max())
    y = log_y("Bayes factor for a plateau, to 1", 0.95, 1.1 * top)("bayes_factor")
    level = of([{"bayes_factor": enough}]).mark_rule(strokeDash=[4, 3], opacity=0.6)
    line = base.mark_line(strokeWidth=2, clip=True)
    here = "datum.months==round(months_of_silence)"
    dot = base.mark_point(filled=True, size=80, opacity=1, clip=True).transform_filter(here)
    row = alt.Y("row:O", axis=None).scale(range=[8, 8 + 20 * len(order)])
    said = (
        base.mark_text(align="left", baseline="top", fontWeight=600, fontSize=alt.expr("width<420?11:13"))
        .transform_filter(here)
        .transform_window(row="row_number()")
        .transform_calculate(label="datum.null+': '+format(datum.bayes_factor,'.3~g')")
        .encode(x=alt.value(12), y=row, text="label:N", color=colour)
    )
    curves = alt.layer(
        level.encode(y=y), line.encode(x=x, y=y, color=colour), dot.encode(x=x, y=y, color=colour)
    )
    bind = alt.binding_range(min=0, max=last, step=1, name="months of silence")
    both = alt.layer(curves, said).resolve_scale(y="independent")
    return finish(both.add_params(alt.param(name="months_of_silence", value=months, bind=bind)), 340)
