"""The trend of the record: one line, and two that meet."""

from __future__ import annotations

import altair as alt

from scaling.charts import theme
from scaling.charts.parts import finish, of, series
from scaling.verdict import Verdict


def draw(verdict: Verdict) -> alt.LayerChart:
    """The records by date, with the straight trend and the broken one through them."""
    records = verdict.evidence["records"].sort("release_date")
    base = of(records)
    x = alt.X("release_date:T", title="release date")
    title = "capability of the record, logits"
    lines = (
        base.mark_line(strokeWidth=2)
        .transform_fold(["straight", "broken"], as_=["trend", "fitted"])
        .encode(x=x, y=alt.Y("fitted:Q", title=title))
        .encode(color=series("trend", ["straight", "broken"], title="trend"))
    )
    dots = base.mark_point(filled=True, size=60, color=theme.INK, opacity=1)
    y = alt.Y("capability:Q", title=title).scale(zero=False)
    return finish(alt.layer(lines, dots.encode(x=x, y=y, tooltip=["release_date:T", "capability:Q"])), 300)
