"""A proposed blend: the share of each domain beside that of the best run, and what it gains."""

from __future__ import annotations

from typing import Any

import altair as alt

from scaling.charts import theme
from scaling.charts.parts import finish, intervals, of, stacked
from scaling.design.blending import Blend

_LEAST = 0.005  # domains of less than this in every blend shown are left out


def proposed(blend: Blend) -> Any:
    """The shares with their intervals, a ring at the best run's and a rule at equal ones; below, the gains."""
    return stacked(_shares(blend), _gains(blend))


def _shares(blend: Blend) -> alt.LayerChart:
    rows = [
        {"domain": d, "mid": 100 * mid, "low": 100 * low, "high": 100 * high, "best": 100 * blend.best[d]}
        for d, mid, low, high in zip(
            blend.domains, blend.shares.median, blend.shares.low, blend.shares.high, strict=True
        )
        if max(mid, high, blend.best[d]) >= _LEAST
    ]
    rows.sort(key=lambda row: -row["mid"])
    x = alt.X("mid:Q", title="share of the training tokens, %").scale(domainMin=0)
    ends = f"{100 * blend.shares.level:.3g} %: "
    for row in rows:
        row["said"] = f"{row['mid']:.1f} %, {ends}{row['low']:.1f} to {row['high']:.1f} %"
    marks = intervals(rows, x, "domain", tooltip=["domain:N", "said:N", alt.Tooltip("best:Q", format=".1f")])
    order = [row["domain"] for row in rows]
    y = alt.Y("domain:N", axis=None, sort=order).scale(type="band", paddingInner=0.4, paddingOuter=0.4)
    ring = (
        of(rows)
        .mark_point(size=90, strokeWidth=2, color=theme.COLOURS[1])
        .transform_calculate(mid="datum.best")
    )
    equal = of([{"mid": 100 / len(blend.domains)}]).mark_rule(strokeDash=[3, 3], opacity=0.6).encode(x=x)
    heading = alt.TitleParams(
        f"Proposed for the loss on {', '.join(blend.target)}: {blend.answer}",
        subtitle="dot: proposed; ring: the best run; dashes: equal shares",
    )
    return finish(
        alt.layer(equal, *marks, ring.encode(x=x, y=y)).properties(title=heading), 50 + 40 * len(rows)
    )


def _gains(blend: Blend) -> alt.LayerChart:
    named = {"than with equal shares": blend.over_uniform, "than the best run's blend": blend.over_best}
    rows = [
        {
            "what": what,
            "mid": float(gain.median),
            "low": float(gain.low),
            "high": float(gain.high),
            "said": gain.words("{:.4g}".format),
        }
        for what, gain in named.items()
    ]
    x = alt.X("mid:Q", title="how much lower the loss on the target is, in its unit")
    none = of([{"mid": 0}]).mark_rule(strokeDash=[3, 3], opacity=0.6).encode(x=x)
    return finish(alt.layer(none, *intervals(rows, x, "what", tooltip=["what:N", "said:N"])), 120)
