"""What a fit owes to single runs, sizes or clusters: how far a prediction moves without each."""

from __future__ import annotations

import altair as alt

from scaling.charts import theme
from scaling.charts.parts import finish, of
from scaling.fitting import Influence
from scaling.units import print_count

_MOST = 20


def moves(told: Influence) -> alt.LayerChart:
    """The move of the prediction without each part, for the parts that move the fit most; larger marks move it more."""
    rows = (
        told.table.head(_MOST).select("left_out", "runs", "cook", "move_percent", "miss_percent").to_dicts()
    )
    where = ", ".join(f"{name} = {print_count(value)}" for name, value in told.at.items())
    for row in rows:
        row["left_out"] = row["left_out"].replace("trunk_id", "trunk")
    base, order = of(rows), [row["left_out"] for row in rows]
    title = [f"move of the predicted {told.target} at {where},", f"% of the {told.target}"]
    x = alt.X("move_percent:Q", title=title).axis(tickCount=6)
    y = alt.Y("left_out:N", title=None, sort=order).axis(labelOpacity=1, labelLimit=260, grid=False)
    legend = alt.Legend(title="Cook's distance", orient="top", tickCount=4, direction="horizontal")
    size = alt.Size("cook:Q", legend=legend, scale=alt.Scale(range=[30, 400]))
    line = base.mark_rule(strokeWidth=2.5, opacity=0.5).encode(x=x, x2="none:Q", y=y)
    named = ["left_out:N", "runs:Q", *(alt.Tooltip(f"{c}:Q", format=".3g") for c in ("cook", "miss_percent"))]
    dots = base.mark_point(filled=True, opacity=1, color=theme.COLOURS[0])
    zero = of([{"move_percent": 0}]).mark_rule(strokeWidth=1.5).encode(x=x)
    return finish(
        alt.layer(zero, line.transform_calculate(none="0"), dots.encode(x=x, y=y, size=size, tooltip=named)),
        50 + 24 * len(order),
    )
