"""Memory: bits memorised against bits on offer with the line of capacity, above answers to seen and fresh documents."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from scaling.charts.parts import finish, log_x, log_y, of, series, stacked
from scaling.charts.series import size_names
from scaling.verdict import Verdict

_SEEN, _FRESH = "documents seen", "fresh documents"


def draw(verdict: Verdict) -> Any:
    """Bits for each parameter above, right answers below, a colour for each size."""
    cells = verdict.evidence["cells"]
    names = size_names(cells, "params_total")
    size = pl.col("params_total").replace_strict(names, return_dtype=pl.String)
    per_parameter = pl.col("on_offer", "memorised") / pl.col("params_total")
    rows = cells.with_columns(per_parameter, size=size)
    capacity = verdict.evidence["capacity"]["bits_per_parameter"].to_list()
    return stacked(_bits(rows, [*names.values()], capacity), _answers(rows, [*names.values()]))


def _ends(rows: pl.DataFrame) -> tuple[float, float]:
    offered = rows["on_offer"].to_numpy()
    return float(offered.min()) * 0.9, float(offered.max()) * 1.1


def _bits(rows: pl.DataFrame, sizes: list[str], capacity: list[float]) -> alt.LayerChart:
    low, high = _ends(rows)
    x = log_x("on_offer", "bits on offer for each parameter", low, high)
    stored = rows["memorised"].to_numpy().clip(min=1e-3)
    y = log_y(
        "bits memorised for each parameter", float(stored.min()) * 0.8, max(high, float(stored.max())) * 1.05
    )
    colour = series("size", sizes, columns=3, title="parameters")
    base = of(rows.select("size", "on_offer", "memorised"))
    all_of_it = of([{"on_offer": low, "memorised": low}, {"on_offer": high, "memorised": high}])
    marks = [
        all_of_it.mark_line(strokeDash=[2, 3], opacity=0.6, clip=True).encode(x=x, y=y("memorised")),
        base.mark_line(strokeWidth=1.5, clip=True).encode(x=x, y=y("memorised"), color=colour),
        base.mark_point(filled=True, size=46, opacity=1, clip=True).encode(
            x=x, y=y("memorised"), color=colour, tooltip=["size:N", "on_offer:Q", "memorised:Q"]
        ),
    ]
    if capacity:
        mean = sum(capacity) / len(capacity)
        said = [{"memorised": mean, "label": f"capacity, {mean:.2g} bits per parameter"}]
        marks += [
            of(said).mark_rule(strokeDash=[5, 3], strokeWidth=1.5).encode(y=y("memorised")),
            of(said)
            .mark_text(align="right", baseline="bottom", dy=-3)
            .encode(x=alt.value("width"), y=y("memorised"), text="label:N"),
        ]
    return finish(alt.layer(*marks), 300)


def _answers(rows: pl.DataFrame, sizes: list[str]) -> alt.LayerChart:
    low, high = _ends(rows)
    x = log_x("on_offer", "bits on offer for each parameter", low, high)
    y = alt.Y("right", type="quantitative", title="share of answers right").axis(format="%")
    y = y.scale(domain=[0, 1])
    both = pl.concat(
        rows.select("size", "on_offer", right=column, which=pl.lit(which))
        for column, which in (("seen", _SEEN), ("fresh", _FRESH))
    )
    dash = alt.StrokeDash(
        "which", type="nominal", legend=alt.Legend(title=None, orient="top"), sort=[_FRESH, _SEEN]
    )
    dash = dash.scale(domain=[_FRESH, _SEEN], range=[[1, 0], [4, 3]])
    base, colour = of(both), series("size", sizes)
    line = base.mark_line(strokeWidth=1.5, clip=True).encode(x=x, y=y, color=colour, strokeDash=dash)
    dot = base.mark_point(filled=True, size=30, opacity=1, clip=True)
    told = ["size:N", "which:N", "on_offer:Q", "right:Q"]
    return finish(alt.layer(line, dot.encode(x=x, y=y, color=colour, tooltip=told)), 260)
