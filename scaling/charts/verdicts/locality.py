"""Locality: held-out requests done right by each arm, against labels of the tool itself, and the index against size."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from scaling.charts.parts import Chart, extent, finish, log_x, of, series, spans, stacked, styled, whiskers
from scaling.corpora.flags import CHOICES
from scaling.verdict import Verdict

_LINE = {"strokeWidth": 2, "opacity": 1}


def draw(verdict: Verdict) -> Any:
    """Shares of the largest models, an arm a row; what labels add to them; and the locality index by size."""
    table, index = verdict.evidence["arms"], verdict.evidence["index"]
    largest = table.filter(pl.col("N") == table["N"].max())
    return stacked(shares(largest), labels(largest), against_size(index))


def shares(arms: pl.DataFrame) -> Chart:
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
    axis = alt.Axis(format="%", tickCount=5)
    x = alt.X("share:Q", title="share of requests done right, as run", axis=axis).scale(domain=[0, 1])
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(x=x, y=y, yOffset=apart, color=colour)
    bars = spans(base, x, _LINE, y=y, yOffset=apart, color=colour)
    return finish(alt.layer(bars, dots), 40 * len(order))


def labels(arms: pl.DataFrame) -> Chart:
    """Shares against documents of labels of the tested tools, a line for each pre-training; at none, labels of others.

    Args:
        arms: of one size, columns pretrained, arm, documents, share, low, high.
    """
    tuned = arms.filter((pl.col("documents") > 0) | (pl.col("arm") == "labels of others"))
    names = arms["pretrained"].unique(maintain_order=True).to_list()
    ticks = tuned["documents"].unique().sort().to_list()
    x = alt.X("documents:Q", title="documents of labels of the tools themselves")
    x = x.scale(type="symlog", constant=4).axis(values=ticks)
    y = alt.Y("share:Q", title="share done right", axis=alt.Axis(format="%")).scale(domain=[0, 1])
    base, colour = of(tuned.drop("N")), series("pretrained", names, title="had read")
    told = ["pretrained:N", "documents:Q", "share:Q", "low:Q", "high:Q"]
    line = base.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour)
    bar = spans(base, y, x=x, color=colour)
    dot = base.mark_point(filled=True, size=60, opacity=1).encode(x=x, y=y, color=colour, tooltip=told)
    return finish(alt.layer(line, bar, dot), 240)


def against_size(index: pl.DataFrame) -> Chart:
    """The locality index by N, a colour for each pre-training; intervals end where the axis does.

    Args:
        index: columns pretrained, N, locality, low, high; what is not defined is left out.
    """
    names = index["pretrained"].unique(maintain_order=True).to_list()
    spread = {name: 1.06 ** (place - (len(names) - 1) / 2) for place, name in enumerate(names)}
    rows = [
        {
            "pretrained": row["pretrained"],
            "N": row["N"] * spread[row["pretrained"]],  # beside one another
            "mid": row["locality"],
            "low": row["low"],
            "high": row["high"],
        }
        for row in index.drop_nans("locality").iter_rows(named=True)
    ]
    sizes = index["N"].to_list()
    x = log_x("N", "parameters N", min(sizes) * 0.8, max(sizes) * 1.25, labels="counts")

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title="locality index").scale(domain=[-0.5, 1.5])

    lines = of([{"mid": 0}, {"mid": 1}]).mark_rule(strokeDash=[3, 3], opacity=0.5).encode(y=y("mid"))
    line, dot = whiskers(of(rows), x, y, tooltip=["pretrained:N", "mid:Q"])
    colour = series("pretrained", names, title="had read")
    return finish(alt.layer(lines, line.encode(color=colour), dot.encode(color=colour)), 240)


def flags(known: pl.DataFrame) -> alt.FacetChart:
    """A dot and its interval for what was read and for known and held-out programs, a panel for each way of asking.

    Args:
        known: of one size, as `questions.flags_known` has it; a line marks chance.
    """
    columns = ["read", "programs", "share", "low", "high", "seeds", "questions"]
    panels = known.with_columns(asked=pl.format("{} flags, as a {} says it", "flags", "asked"))
    programs, names = ["known", "held out"], known["read"].unique(maintain_order=True).to_list()
    y, apart = alt.Y("read:N", title=None, sort=names), alt.YOffset("programs:N", sort=programs)
    colour = series("programs", programs, title="programs")
    title = "share right, one of eight by chance"
    most = max(2 / CHOICES, extent(panels["share"], panels["high"])[1])
    ends = (pl.col(end).fill_nan(pl.col("share")).clip(0.0, most) for end in ("low", "high"))
    base = of(panels.select("asked", *columns).with_columns(*ends, chance=pl.lit(1 / CHOICES)))
    x = alt.X("share:Q", title=title, axis=alt.Axis(format="%", tickCount=5)).scale(
        domain=[0, most], nice=True
    )
    told = [f"{name}:{'N' if name in ('read', 'programs') else 'Q'}" for name in columns]
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=x, y=y, yOffset=apart, color=colour, tooltip=told
    )
    bars = spans(base, x, _LINE, y=y, yOffset=apart, color=colour)
    by_chance = base.mark_rule(strokeDash=[3, 3], opacity=0.5).encode(x=alt.X("chance:Q", title=title))
    panel = alt.layer(by_chance, bars, dots).properties(width=260, height=150)
    shared = panel.facet(alt.Facet("asked:N", title=None), columns=2)
    return styled(shared.resolve_axis(x="independent", y="independent"))
