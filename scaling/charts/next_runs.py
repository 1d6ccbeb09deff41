"""Proposed runs: what they would leave of the doubt at each budget, and where they lie."""

from __future__ import annotations

from typing import Any

import altair as alt

from scaling.charts import theme
from scaling.charts.parts import finish, log_x, log_y, of, stacked
from scaling.design.propose import Proposal


def proposed(proposal: Proposal) -> Any:
    """The share of the width that is left against FLOPs, a rule at the budget; below, the runs by size and tokens."""
    above = _left(proposal)
    return stacked(above, _places(proposal)) if any(lot.budgets for lot in proposal.lots) else above


def _left(proposal: Proposal) -> alt.LayerChart:
    rows = proposal.path.with_columns(percent=100 * proposal.path["left"])
    x = log_x("flops", "FLOPs of further runs", *(float(rows["flops"][i]) for i in (0, -1)))
    what = "interval's width" if proposal.now else "answer's standard deviation"
    y = alt.Y("percent:Q", title=f"left of the {what}, %").scale(domainMin=0)
    tooltip = [alt.Tooltip("flops:Q", format=".2e"), alt.Tooltip("percent:Q", format=".0f", title="left, %")]
    line = (
        of(rows)
        .mark_line(point=alt.OverlayMarkDef(size=60), color=theme.COLOURS[0])
        .encode(x=x, y=y, tooltip=tooltip)
    )
    budget = of([{"flops": proposal.budget}]).mark_rule(strokeDash=[3, 3], opacity=0.6).encode(x=x)
    said = f"{'Stop' if proposal.stop else 'Go on'} after these: a decade more would shrink it by "
    heading = alt.TitleParams(
        f"Next runs for {proposal.about}",
        subtitle=f"{said}{100 * proposal.next_decade:.0f} %; dashes: the budget",
    )
    return finish(alt.layer(budget, line).properties(title=heading), 200)


def _places(proposal: Proposal) -> alt.LayerChart:
    rows = [
        {
            "N": lot.N,
            "D": tokens,
            "seeds": len(lot.seeds),
            "trunk": f"{i}",
            "last": tokens == max(lot.budgets),
        }
        for i, lot in enumerate(proposal.lots)
        for tokens in lot.budgets
    ]
    D, N = ([float(row[name]) for row in rows] for name in ("D", "N"))
    x = log_x("D", "training tokens D", min(D) / 1.3, max(D) * 1.3, labels="counts")
    y = log_y("parameters N", min(N) / 1.3, max(N) * 1.3, labels="counts")("N")
    size = alt.Size(
        "seeds:Q", legend=alt.Legend(title="seeds", values=sorted({row["seeds"] for row in rows})[:4])
    )
    trunks = of(rows).mark_line(opacity=0.3, color=theme.COLOURS[0]).encode(x=x, y=y, detail="trunk:N")
    dots = (
        of(rows)
        .mark_circle(color=theme.COLOURS[0])
        .encode(x=x, y=y, size=size, tooltip=["N:Q", "D:Q", "seeds:Q"])
    )
    return finish(alt.layer(trunks, dots), 220)
