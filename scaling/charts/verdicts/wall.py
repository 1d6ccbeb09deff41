"""The data wall: sliders for what could move it, the date's density and the loss it costs, redrawn at once.

The page carries draws of the forecast and the formulas that made it (`vega.trace`): a thousand draws meet their wall
again whenever a slider moves, and the law finds the best model for each budget on the text that is then on offer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from scaling.charts import theme
from scaling.charts.optimum import optimum, quantiles
from scaling.charts.parts import Chart, band, finish, intervals, log_x, of, readout, stacked
from scaling.charts.vega import trace
from scaling.laws.base import describe
from scaling.laws.optimal import FLOPS_PER_PARAMETER_TOKEN
from scaling.laws.repetition import MUENNIGHOFF_2023, with_repeats
from scaling.laws.wall import text_on_offer, wall_year, worth_of_repeats
from scaling.verdict import Verdict

__all__ = ["DRAWS", "data_wall"]

DRAWS, BAND = 1000, 30
"""Draws on the page behind the density of the date, which stand for all of the forecast's, and behind the interval of
the loss."""

BUDGETS = 19
HEIGHT = 300
_YEARS_SHOWN = 16
_ENDLESS = "1e60"

_SPREAD_OF_TEXT = {
    "synthetic": "(1+synthetic)",
    "multimodal": "multimodal*1e12",
    "efficiency": "pow(2,log2_efficiency)",
}


def draw(verdict: Verdict) -> alt.VConcatChart:
    """The page of sliders, above the months that each intervention buys: of a `Wall`."""
    wall: Any = verdict  # a Wall, of a room that this one does not import
    return data_wall(
        wall.sample, wall.law, start=wall.inputs.start, by=wall.by, level=wall.level,
        moved=wall.evidence["interventions"],
    )  # fmt: skip


def data_wall(
    draws: pl.DataFrame,
    law: Callable[..., Any],
    *,
    start: float,
    by: float = 2030.0,
    level: float = 0.8,
    moved: pl.DataFrame | None = None,
) -> alt.VConcatChart:
    """When the wall comes and what it costs, under eight sliders: the date's density above, loss against compute below.

    Args:
        draws: of the forecast, columns text (distinct tokens at the start), text_growth, repeats (their worth over
            one epoch), demand (tokens at the start), demand_growth, compute (FLOPs at the start), compute_growth.
        law: of N and D, or N, D and unique_tokens, with every parameter set; the slider of R_D starts at its own.
        start: year of the draws' levels.
        by: year that a probability is read out for.
        level: of the intervals.
        moved: what each intervention buys, drawn below as `interventions` does.

    Raises:
        NotALaw: the law reads other columns.
        NotTraceable: the law cannot run in the browser.
    """
    law, held = _with_efold(law)
    rows = draws.head(DRAWS)
    spread = rows["repeats"] / rows["repeats"].median()
    rows = rows.with_columns(spread.alias("repeats"))
    data = alt.InlineData(values=[{k: float(f"{v:.6g}") for k, v in row.items()} for row in rows.to_dicts()])
    params = _sliders(draws, held["R_D"])
    when, cost = _density(data, start, by, level), _loss(data, law, held, level)
    below = [interventions(moved)] if moved is not None and len(moved) else []
    return stacked(when, cost, *below).add_params(*params)


def interventions(table: pl.DataFrame) -> alt.LayerChart:
    """By how many months each intervention delays the wall, in the same draw.

    Args:
        table: intervention, months, low and high.
    """
    rows = table.select("intervention", "low", "high", mid="months").sort("mid", descending=True)
    x = alt.X("mid:Q", title="delay of the wall, months").axis(tickCount=8)
    told = ["intervention:N", alt.Tooltip("mid:Q", title="months", format=".0f")]
    marks = intervals(rows.to_dicts(), x, "intervention", tooltip=told)
    none = of([{"mid": 0}]).mark_rule(strokeDash=[3, 3], opacity=0.6).encode(x=x)
    return finish(alt.layer(none, *marks), 40 + 40 * len(rows))


def _with_efold(law: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, float]]:
    """The bare law with R_D among its parameters, and what they are set to."""
    held = dict(describe(law).held)
    bare = law.func if isinstance(law, partial) else law
    if "R_D" in held:
        return bare, held
    return with_repeats(bare), held | {"R_D": MUENNIGHOFF_2023.keywords["R_D"]}


def _sliders(draws: pl.DataFrame, R_D: float) -> list[alt.Parameter]:
    """They start where the forecast does: the epochs at those that are worth its median repeats."""
    repeats, growth = (float(np.median(draws[name].to_numpy())) for name in ("repeats", "demand_growth"))
    grid, growth = np.geomspace(1.0, 1e4, 100_001), round(growth, 2)
    epochs = round(float(np.interp(repeats, worth_of_repeats(grid, R_D), grid)), 2)
    most = max(40.0, math.ceil(epochs))

    def slider(name: str, what: str, value: float, low: float, high: float, step: float) -> alt.Parameter:
        bind = alt.binding_range(min=low, max=high, step=step, name=what)
        return alt.param(name=name, value=value, bind=bind)

    return [
        slider("log2_stock", "text on offer, doublings of today's estimate", 0, -3, 5, 0.05),
        slider("growth", "training sets grow, times a year", growth, 1.05, 6, 0.01),
        slider("epochs", "epochs allowed", epochs, 1, most, 0.01),
        slider("r_star", "repeats until a token is worth 1/e", round(R_D, 2), 1, 60, 0.01),
        slider("log2_over", "over-training, doublings of tokens per parameter", 0, -3, 7, 0.05),
        slider("log2_efficiency", "what a token is worth, doublings", 0, 0, 5, 0.05),
        slider("synthetic", "synthetic tokens for each human one", 0, 0, 5, 0.05),
        slider("multimodal", "tokens of images, sound and video, trillions", 0, 0, 1000, 5),
        alt.param(name="usual_growth", value=growth),
    ]


def _text(field: str, grown: str = "1") -> list[dict[str, str]]:
    """Distinct tokens on offer, after some years of growth."""
    return trace(text_on_offer, field, text=f"(datum.text*pow(2,log2_stock)*{grown})", **_SPREAD_OF_TEXT)


def dates(start: float) -> list[dict[str, str]]:
    """Vega-Lite transforms that add the year of the wall to draws, as the sliders stand."""
    return [
        *_text("distinct"),
        *trace(worth_of_repeats, "worth", epochs="epochs", R_D="r_star"),
        {"calculate": "datum.distinct*max(1,datum.worth*datum.repeats)", "as": "stock"},
        {"calculate": "datum.demand*pow(2,log2_over/2)", "as": "asked"},
        *trace(
            wall_year, "year", stock="datum.stock", demand="datum.asked", start=start,
            stock_growth="datum.text_growth", demand_growth="(datum.demand_growth*growth/usual_growth)",
        ),
    ]  # fmt: skip


def _density(data: alt.InlineData, start: float, by: float, level: float) -> Chart:
    end = start + _YEARS_SHOWN
    x = alt.X("value:Q", title="year of the wall").scale(domain=[start, end], nice=False)
    x = x.axis(format="d", tickCount=8)
    y = alt.Y("density:Q", title="probability per year").scale(domainMin=0).axis(tickCount=4)
    area = alt.Chart().mark_area(
        fill=theme.COLOURS[0], fillOpacity=0.2, line={"color": theme.COLOURS[0]}, clip=True
    )
    density = area.encode(x=x, y=y)
    shown = {"density": "year", "extent": [start, end], "steps": 120, "bandwidth": 0.35}
    density.transform = [{**shown, "as": ["value", "density"]}]  # type: ignore[assignment]
    said = alt.layer(*readout())
    far = f"datum.year_{{0}}>{end + 84}?'later':format(datum.year_{{0}},'.1f')"
    said.transform = [
        {"calculate": f"datum.year<{by}?1:0", "as": "sooner"},
        {"joinaggregate": [{"op": "mean", "field": "sooner", "as": "chance"}]},
        *quantiles(["year"], level, ["chance"]),
        {"calculate": f"'wall in '+({far.format('mid')})", "as": "headline"},
        {
            "calculate": f"['{100 * level:.3g} % ['+({far.format('low')})+', '+({far.format('high')})+']',"
            f"format(100*datum.chance,'.0f')+' % before {by:.0f}']",
            "as": "readout",
        },
    ]
    both = alt.layer(density, said, data=data)
    both.transform = dates(start)  # type: ignore[assignment]
    return finish(both, HEIGHT)


def _loss(
    data: alt.InlineData, law: Callable[..., Any], parameters: Mapping[str, float], level: float
) -> Chart:
    held = {name: value for name, value in parameters.items() if name != "R_D"}

    def loss_of(N: Any, D: Any, unique_tokens: Any, R_D: Any) -> Any:
        return law(N, D, unique_tokens, R_D=R_D, **held)

    def within(N: Any, D: Any, unique_tokens: Any, R_D: Any, over: Any, most: Any) -> Any:
        """The loss of the optimum's budget spent on so many times the tokens, no text seen more often than allowed."""
        tokens = np.minimum(D * np.sqrt(over), most * unique_tokens)
        return loss_of(N * D / tokens, tokens, unique_tokens, R_D)

    def best(unique: str, field: str) -> list[dict[str, Any]]:
        return [
            *optimum(
                loss_of, ["R_D"], flops_per_token=lambda N: FLOPS_PER_PARAMETER_TOKEN * N, compute="datum.C",
                unique_tokens=unique,
            ),
            *trace(
                within, field, N="datum.N", D="datum.D", unique_tokens=unique, R_D="r_star",
                over="pow(2,log2_over)", most="epochs",
            ),
        ]  # fmt: skip

    low, high = 24, 30
    step = (high - low) / (BUDGETS - 1)
    x = log_x("C", "training compute of the largest run, FLOPs", 10.0**low, 10.0**high, labels="powers")

    def y(field: str) -> alt.Y:
        return alt.Y(field, type="quantitative", title="loss, nats/token").scale(zero=False).axis(tickCount=5)

    budgets: list[dict[str, Any]] = [
        {"calculate": f"sequence({low},{high + step / 2},{step})", "as": "log_C"},
        {"flatten": ["log_C"]},
        {"calculate": "pow(10,datum.log_C)", "as": "C"},
        {"calculate": "r_star", "as": "R_D"},
    ]
    limited = alt.layer(*band(alt.Chart(), x, y, "loss", alt.value(theme.COLOURS[0])), data=data)
    years = "log(datum.C/datum.compute)/log(datum.compute_growth)"
    limited.transform = [
        {"window": [{"op": "row_number", "as": "draw"}]},
        {"filter": f"datum.draw <= {BAND}"},
        *budgets,
        *_text("unique", f"pow(datum.text_growth,{years})"),
        *best("datum.unique", "loss"),
        *quantiles(["loss"], level, ["C"]),
    ]  # type: ignore[assignment]
    one = of([{"one": 1}])
    endless = one.mark_line(color=theme.INK, strokeWidth=1.5, strokeDash=[4, 3], clip=True)
    ideal = endless.encode(x=x, y=y("loss"))
    ideal.transform = [*budgets, *best(_ENDLESS, "loss")]  # type: ignore[assignment]
    legend = (
        (f"with the text there is, {100 * level:.3g} %", theme.COLOURS[0]),
        ("with endless text", theme.INK),
    )
    named = [
        one.mark_text(align="right", baseline="top", fontWeight=500, color=colour).encode(
            x=alt.value("width"), y=alt.value(4 + 20 * i), text=alt.value(said)
        )
        for i, (said, colour) in enumerate(legend)
    ]
    return finish(alt.layer(limited, ideal, *named), HEIGHT)
