"""Synthetic text: what each generation gains over real text alone, an arm a colour."""

from __future__ import annotations

import altair as alt

from scaling.charts.parts import finish, of, series, spans
from scaling.verdict import Verdict


def draw(verdict: Verdict) -> alt.LayerChart:
    """Gains on the mean over sizes with their intervals, by generation."""
    table = verdict.evidence["generations"]
    names = table["arm"].unique(maintain_order=True).to_list()
    rows = table.select("arm", "generation", "mean", "low", "high")
    unit = next((n.unit for name, n in verdict.numbers.items() if name.startswith("gain")), "")
    title = f"gain over real text alone, {unit}"
    x = alt.X("generation:O", title="generations of models, number", axis=alt.Axis(labelAngle=0))
    x = x.scale(paddingInner=0.7, paddingOuter=0.35)
    y, colour, apart = (
        alt.Y("mean:Q", title=title),
        series("arm", names, columns=3),
        alt.XOffset("arm:N", sort=names),
    )
    base = of(rows)
    bars = spans(base, y, x=x, xOffset=apart, color=colour)
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=x, xOffset=apart, y=y, color=colour, tooltip=["arm:N", "generation:O", "mean:Q", "low:Q", "high:Q"]
    )
    zero = of([{"mean": 0}]).mark_rule(strokeDash=[4, 3]).encode(y=y)
    return finish(alt.layer(zero, bars, dots), 300)
