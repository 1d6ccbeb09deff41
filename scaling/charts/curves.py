"""Learning curves as they come: one line for each trunk and each of its cooled-down ends."""

from __future__ import annotations

import altair as alt
import polars as pl

from scaling.charts import theme, words
from scaling.charts.parts import Chart, finish, log_x, log_y, of, series
from scaling.units import print_count

HEIGHT = 420


def learning(curves: pl.DataFrame) -> Chart:
    """Loss against tokens, a line for each curve in the colour of its size, and a mark where a run has ended.

    Args:
        curves: `curve`, `N` (empty where it is not known yet), `tokens`, `loss` and `ended`, one row for each point.
    """
    sizes = sorted(curves["N"].drop_nulls().unique())
    names = (
        {N: print_count(N) for N in sizes} | {None: "size not known yet"} if len(sizes) < theme.SERIES else {}
    )
    shown = curves.with_columns(
        size=pl.Series([names.get(N, "") for N in curves["N"]], dtype=pl.String),
        said=pl.Series([print_count(tokens) for tokens in curves["tokens"]], dtype=pl.String),
    )
    low, high = float(shown["tokens"].min()), float(shown["tokens"].max())  # type: ignore[arg-type]
    x = log_x("tokens", "training tokens", low, max(high, 1.01 * low), labels="counts")
    y = log_y(words.LOSS, 0.98 * float(shown["loss"].min()), 1.02 * float(shown["loss"].max()))("loss")  # type: ignore[arg-type]
    used = [name for name in dict.fromkeys(names.values()) if name in set(shown["size"])]
    colour = (
        series("size", used, title="parameters") if names else alt.Color("N:Q", scale=alt.Scale(type="log"))
    )
    tips = [
        alt.Tooltip("size:N", title="parameters"),
        alt.Tooltip("said:N", title="tokens"),
        alt.Tooltip("loss:Q", title="nats/token", format=".4~g"),
    ]
    base = of(shown.select("curve", "N", "tokens", "loss", "ended", "size", "said")).encode(
        x=x, y=y, color=colour
    )
    lines = base.mark_line(strokeWidth=1.2, opacity=0.55, clip=True).encode(
        detail="curve:N", order="tokens:Q"
    )
    ends = base.transform_filter("datum.ended").mark_point(filled=True, size=36, opacity=0.9, clip=True)
    return finish(alt.layer(lines, ends.encode(tooltip=tips)), HEIGHT)
