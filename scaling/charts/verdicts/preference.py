"""Preferences: gold against the distance from the parent, with and without preferences about a domain."""

from __future__ import annotations

import altair as alt
import polars as pl

from scaling.charts.parts import extent, finish, log_x, of, series, spans, styled
from scaling.verdict import Verdict


def draw(verdict: Verdict) -> alt.FacetChart:
    """Gold of the best of n, a panel for each domain."""
    table = verdict.evidence["curves"]
    most = table.filter(pl.col("arm") == "all domains")["comparisons"].to_numpy().max()
    return gold(table.filter(pl.col("comparisons") == most))


def gold(curves: pl.DataFrame) -> alt.FacetChart:
    """A line for each arm in a panel for each domain: mean gold with its interval against √KL.

    Args:
        curves: columns arm, domain, distance, gold, low, high, as `questions.preference` has them.
    """
    panels = curves["domain"].unique().sort().to_list()
    arms = curves["arm"].unique(maintain_order=True).to_list()
    names = ("arm", "domain", "distance", "gold", "low", "high", "n")
    columns = [name for name in names if name in curves.columns]
    base = of(curves.select(columns))
    kinds = {"arm": "nominal", "domain": "nominal"}
    said = [alt.Tooltip(name, type=kinds.get(name, "quantitative")) for name in columns]  # type: ignore[arg-type]
    colour = series("arm", arms, title=None)
    x = alt.X("distance:Q", title="√KL from the parent, √nats")
    ends = extent(curves["gold"], [*curves["low"], *curves["high"]])
    scale = alt.Scale(domain=ends, nice=True)
    title = "worth by the checker, 0 to 1"
    low, mid = (alt.Y(f"{name}:Q", title=title, scale=scale) for name in ("low", "gold"))
    area = base.mark_area(opacity=0.15).encode(x=x, y=low, y2="high:Q", color=colour)
    line = base.mark_line(point=True, strokeWidth=2)
    line = line.encode(x=x, y=mid, color=colour, order="distance:Q", tooltip=said)
    facet = alt.Facet("domain:N", title=None, sort=panels)
    return styled(
        alt.layer(area, line)
        .properties(width=200, height=170)
        .facet(facet, columns=3)
        .resolve_axis(x="independent", y="independent")
    )


def ratios(transfer: pl.DataFrame) -> alt.LayerChart:
    """The ratio of gains without and with a domain's own preferences against their number, a line for each size.

    Args:
        transfer: columns N, comparisons, ratio, low, high, as `questions.preference` has them.
    """
    rows = transfer.drop_nans("ratio")
    sizes = [f"{n:,} weights" for n in rows["N"].unique().sort()]
    named = rows.with_columns(size=pl.Series([f"{n:,} weights" for n in rows["N"]], dtype=pl.String))
    base = of(named.select("size", "comparisons", "ratio", "low", "high"))
    asked = rows["comparisons"].to_list()
    x = log_x("comparisons", "comparisons", min(asked) * 0.8, max(asked) * 1.25, labels="counts")
    x = x.axis(values=sorted(set(asked)), format=",d", labelExpr=alt.Undefined)
    colour = series("size", sizes, title=None)
    y = alt.Y("ratio:Q", title="share of the gain that comes without")
    y = y.scale(domain=extent([0.0, 1.0, *rows["ratio"]], [*rows["low"], *rows["high"]]), nice=True)
    bars = spans(base, y, {"opacity": 0.6}, x=x, color=colour)
    dots = base.mark_line(point=True).encode(x=x, y=y, color=colour)
    return finish(alt.layer(bars, dots), 260)
