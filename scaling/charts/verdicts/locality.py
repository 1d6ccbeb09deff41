"""Locality: how many held-out requests each arm got right, by what was read before."""

from __future__ import annotations

import altair as alt
import polars as pl

from scaling.charts.parts import finish, of, series
from scaling.verdict import Verdict


def draw(verdict: Verdict) -> alt.LayerChart:
    """Shares of the largest models with their intervals, an arm a row."""
    table = verdict.evidence["arms"]
    return shares(table.filter(pl.col("N") == table["N"].max()))


def shares(arms: pl.DataFrame) -> alt.LayerChart:
    """A dot and its interval for each arm and pre-training.

    Args:
        arms: columns pretrained, arm, share, low, high.
    """
    order = arms["arm"].unique(maintain_order=True).to_list()
    names = arms["pretrained"].unique(maintain_order=True).to_list()
    base = of(arms.select("pretrained", "arm", "share", "low", "high"))
    y = alt.Y("arm:N", title=None, sort=order)
    apart = alt.YOffset("pretrained:N", sort=names)
    colour = series("pretrained", names, title="had read")
    title = "share of requests done right, as run"
    x = alt.X("share:Q", title=title, axis=alt.Axis(format="%")).scale(domain=[0, 1])
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(x=x, y=y, yOffset=apart, color=colour)
    bars = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=title), x2="high:Q", y=y, yOffset=apart, color=colour
    )
    return finish(alt.layer(bars, dots), 40 * len(order))
