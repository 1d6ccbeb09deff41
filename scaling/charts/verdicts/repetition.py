"""Repetition: the loss of models that see a text again, with the law's curves, and what interventions are worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from scaling.charts import theme, words
from scaling.charts.parts import Runs, finish, intervals, log_x, log_y, of, series, stacked
from scaling.charts.series import check_columns, residual_ends, size_names
from scaling.fitting import Fit
from scaling.laws.base import describe
from scaling.units import print_count
from scaling.verdict import Verdict

_CURVE = 80
_SMALL: dict[str, Any] = {"fontSize": alt.expr("width<300?9:12")}
_NAMED = 5
"""Cells at most that words stand for."""
_LINE = 16


def draw(verdict: Verdict) -> Any:
    """Loss against epochs with the law that answers, what it misses of every cell, and the worth of interventions."""
    tables = verdict.evidence
    budget = _most_repeated(tables["points"])
    points, curves = (tables[name].filter(unique_budget=budget) for name in ("points", "curves"))
    charts = [_against_epochs(points, [curves], budget), misfits(tables["points"])]
    if len(tables["interventions"]):
        charts.append(interventions(tables["interventions"]))
    return stacked(*charts)


def repetitions(
    runs: pl.DataFrame, fits: Sequence[Fit] = (), *, unique_budget: int | None = None
) -> alt.LayerChart:
    """Loss against the epochs over one unique-token budget, a line for each size, and what laws say of it.

    Args:
        runs: columns N, D, C, loss, epochs and unique_budget.
        fits: laws of N, D and unique_tokens; drawn dashed, the first one darkest.
        unique_budget: distinct tokens on offer; by default those that were repeated most.
    """
    check_columns(runs)
    budget = _most_repeated(runs) if unique_budget is None else unique_budget
    chosen = runs.filter(pl.col("epochs").max().over("unique_budget") > 1.5, unique_budget=budget)
    return _against_epochs(chosen, [_curves(fitted, chosen, budget) for fitted in fits], budget)


def misfits(points: pl.DataFrame) -> alt.LayerChart:
    """How far the mean loss of every cell lies above the law, in percent, against epochs: a line for each unique-token
    budget, a colour for each size; what is missed by much is named, and at least what is missed most.

    Args:
        points: N, unique_budget, D, epochs, loss, law (its loss), missed_percent and missed_much.
    """
    names = size_names(points)
    size = pl.col("N").replace_strict(names, return_dtype=pl.String)
    rows = points.select(
        "epochs", "loss", "law", size=size, missed="missed_percent", much="missed_much",
        budget=pl.col("unique_budget").map_elements(print_count, return_dtype=pl.String),
    )  # fmt: skip
    most = float(points["epochs"].to_numpy().max())
    x = log_x("epochs", "epochs", 0.93, most * 1.07)
    x = x.axis(values=[2**k for k in range(12) if 2**k <= most], format="~g")
    low, high = residual_ends(points["missed_percent"].to_numpy())
    worst = rows.sort(pl.col("missed").abs(), descending=True)
    named = worst.filter(pl.col("much") | (pl.col("missed") == worst["missed"][0])).head(_NAMED)
    height = 240 + _LINE * len(named)
    scale = alt.Scale(
        domain=[low, high + (high - low) * (height - 230) / 230], nice=False
    )  # room for words above
    y = alt.Y("missed:Q", title="loss above the law, %", scale=scale).axis(tickCount=5)
    colour = series("size", list(names.values()), title="parameters", symbolOpacity=1)
    told = ["size:N", "budget:N", alt.Tooltip("epochs:Q", format=".2g")]
    told += [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("loss", "law")]
    lines = of(rows).mark_line(strokeWidth=1.2, point={"size": 34, "filled": True, "opacity": 1}, opacity=0.8)
    zero = of([{"missed": 0}]).mark_rule(strokeWidth=1.5).encode(y=y)
    cells = [
        f"{cell['size']}, {cell['epochs']:.2g} × {cell['budget']} tokens: {cell['loss']:.2f}, {cell['law']:.2f}"
        for cell in named.iter_rows(named=True)
    ]
    rings = of(named).mark_point(size=160, color=theme.INK, opacity=1).encode(x=x, y=y)
    said = of([{"label": ["missed most (measured, by the law):", *cells]}])
    said = said.mark_text(
        align="left", baseline="top", fontWeight=500, lineHeight=_LINE, fontSize=alt.expr("width<420?11:12")
    )
    said = said.encode(x=alt.value(6), y=alt.value(4), text="label:N")
    lines = lines.encode(x=x, y=y, color=colour, detail="budget:N", tooltip=told)
    return finish(alt.layer(zero, lines, rings, said), height)


def _most_repeated(runs: pl.DataFrame) -> int:
    return int(runs.sort("epochs")["unique_budget"][-1])


def _curves(fitted: Fit, runs: pl.DataFrame, budget: int) -> pl.DataFrame:
    """N, epochs and loss as a law has it, from one epoch to the most there were."""
    epochs = np.geomspace(1.0, float(runs["epochs"].to_numpy().max()), _CURVE)
    seen = pl.DataFrame({"epochs": epochs, "D": epochs * budget, "unique_tokens": float(budget)})
    rows = runs.select(pl.col("N").unique().sort()).join(seen, how="cross")
    read = (rows[name].to_numpy().astype(float) for name in describe(fitted.law).column_names)
    return rows.select("N", "epochs", loss=np.asarray(fitted.law(*read, **fitted.params)))


def _against_epochs(runs: pl.DataFrame, curves: Sequence[pl.DataFrame], budget: int) -> alt.LayerChart:
    shown = Runs(runs.drop("epochs"), seen=list(runs["epochs"]))
    most = float(runs["epochs"].to_numpy().max())
    x = log_x(
        "seen", f"epochs over {print_count(budget)} tokens", 0.93, most * 2.2
    )  # names stand on the right
    x = x.axis(values=[2**k for k in range(12) if 2**k <= most], format="~g")
    bottom, top = (float(end(runs["loss"].to_numpy())) for end in (np.min, np.max))
    y = log_y(words.LOSS, bottom * 0.96, top * 1.04)
    size = pl.col("N").replace_strict(shown.names, return_dtype=pl.String)
    dashed = [
        of(curve.select("loss", size.alias("size"), seen="epochs"))
        .mark_line(strokeDash=[5, 3], strokeWidth=1.5, opacity=0.9 / (1 + i), clip=True)
        .encode(x=x, y=y("loss"), color=shown.colour)
        for i, curve in enumerate(curves)
    ]
    ends = runs.group_by("N").agg(pl.col("epochs").max(), pl.col("loss").sort_by("epochs").last()).sort("N")
    labels = [
        {"seen": epochs, "loss": loss, "size": shown.names[N], "label": f"N = {shown.names[N]}"}
        for N, epochs, loss in ends.iter_rows()
    ]
    named = shown.named(labels, x, y("loss"), align="left", dx=8, baseline="middle", fontWeight=600, **_SMALL)
    measured = [] if curves else [shown.means("seen", "loss", x, y("mean"))]
    return finish(alt.layer(*measured, *dashed, shown.points(x, y("loss")), named), 380)


def interventions(table: pl.DataFrame) -> alt.LayerChart:
    """How many times the data each intervention is worth, by size.

    Args:
        table: columns intervention, N, unique_budget, multiplier, low, high, at_least.
    """
    several = table["unique_budget"].n_unique() > 1
    worth, drawn = pl.col("multiplier"), []
    rows = table.sort("unique_budget", "intervention", "N").with_columns(
        *(pl.when(pl.col(end).is_finite()).then(end).otherwise(worth).alias(end) for end in ("low", "high"))
    )
    for row in rows.iter_rows(named=True):
        mid, budget = row["multiplier"], f", {print_count(row['unique_budget'])} tokens" if several else ""
        said = f"{'more than ' if row['at_least'] else ''}{mid:.2f} times the data"
        named = {
            "intervention": row["intervention"] + budget,
            "size": f"{print_count(row['N'], 2)} parameters",
        }
        drawn.append(named | {"mid": mid, "low": row["low"], "high": row["high"], "said": said})
    sizes = [f"{print_count(N, 2)} parameters" for N in table["N"].unique().sort()]
    x = alt.X("mid:Q", title="worth, times the data").scale(type="log", nice=True)
    x = x.axis(format="~g", tickCount=6)
    responsive: dict[str, Any] = {"columns": alt.ExprRef("width<500?1:3"), "symbolOpacity": 1}
    colour = alt.Color("size:N", sort=sizes, legend=alt.Legend(title=None, orient="top", **responsive))
    told = ["intervention:N", "size:N", "said:N"]
    marks = intervals(
        drawn, x, "intervention", yOffset=alt.YOffset("size:N", sort=sizes), color=colour, tooltip=told
    )
    none = of([{"mid": 1}]).mark_rule(strokeDash=[3, 3], opacity=0.6).encode(x=x)
    return finish(alt.layer(none, *marks), 60 + 50 * len({row["intervention"] for row in drawn}))
