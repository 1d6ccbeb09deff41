"""The index: every model's capability on one scale, and the records among them."""

from __future__ import annotations

import altair as alt
import polars as pl

from scaling.charts import theme
from scaling.charts.parts import finish, of, whiskers
from scaling.verdict import Verdict


def draw(verdict: Verdict) -> alt.LayerChart:
    """Models by release date with their standard errors, and the record as a line of steps."""
    ends = {"low": pl.col("capability") - pl.col("stderr"), "high": pl.col("capability") + pl.col("stderr")}
    models, records = (
        verdict.evidence[name].sort("release_date").with_columns(**ends) for name in ("models", "records")
    )
    x = alt.X("release_date:T", title="release date")

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title="capability, logits of the anchor").scale(zero=False)

    step = of(records).mark_line(strokeWidth=2, interpolate="step-after", color=theme.COLOURS[0])
    told = ["model:N", "release_date:T", alt.Tooltip("capability:Q", format=".2f")]
    each = whiskers(of(models), x, y, "capability", tooltip=told, size=36, opacity=0.7)
    return finish(alt.layer(step.encode(x=x, y=y("capability")), *each), 320)
