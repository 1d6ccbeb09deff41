"""Charts for the screen: hover on every run, sliders that the browser evaluates. Everything here is altair.

The frontier is not a picture of numbers worked out beforehand. The page carries the bootstrap draws of the fit and the
law's own formula (`vega.trace`), finds the optimum of each draw at each budget (`optimum`), and does so again
whenever a slider moves.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import polars as pl

from scaling.charts import words
from scaling.charts.offline import Bundle, embed, enable
from scaling.charts.optimum import optimum, quantiles
from scaling.charts.parts import Chart, Runs, band, finish, log_x, log_y, readout
from scaling.charts.series import check_columns, repeated, starts
from scaling.charts.theme import INK
from scaling.charts.vega import trace
from scaling.design.allocation import (
    Frontier,
    allocate,
    flops_per_token,
    parameter_draws,
    with_unique_tokens,
)
from scaling.fitting import Fit

__all__ = ["Bundle", "embed", "enable", "loss_against_compute"]

DRAWS_MARKED, DRAWS_BAND = 1000, 100
"""Bootstrap draws that the readout of one budget and the band over all budgets are made of."""

BUDGETS = 26
"""Budgets at which the frontier is drawn."""

HEIGHT = 440

_APART = 0.25
"""Decades between the budgets at which a draw says what model discrepancy does to its loss."""

_MOVED = " "


def _moved_at(node: int) -> str:
    """Field of ln of that factor; no parameter has a space in its name."""
    return f"{_MOVED}{node}"


def loss_against_compute(fitted: Fit, runs: pl.DataFrame, *, level: float = 0.8) -> Chart:
    """Every run, curves by size, and the compute-optimal frontier with its interval, under two sliders.

    One slider is the training compute: it marks the best N and D for that budget and reads out their loss. The other
    is the unique tokens on offer: below what the optimum wants, tokens repeat and the frontier bends. A click on a run
    leaves its trunk alone on the chart, a click beside the runs brings the others back.

    Args:
        fitted: a `Fit` of a law of N and D.
        runs: the runs to show, columns N, D, C and loss at least.
        level: of the interval.

    Raises:
        MissingColumns: the runs lack one of N, D, C and loss.
        NotALaw: the law does not read N and D.
        NotTraceable: it cannot run in the browser.
    """
    check_columns(runs)
    picture = _Picture(fitted, runs, level)
    chart = alt.layer(picture.frontier(), *picture.runs(), picture.marked())
    return finish(chart.add_params(*picture.sliders()), HEIGHT)


class _Picture:
    """A fit and its runs on axes from the smallest run to beyond ten times the compute of the largest."""

    def __init__(self, fitted: Fit, runs: pl.DataFrame, level: float):
        self.fitted, self.given, self.level = fitted, runs, level
        C, loss = runs["C"].to_numpy(), runs["loss"].to_numpy()
        self.low, self.largest = float(np.log10(C.min())) - 0.25, float(np.log10(C.max()))
        self.high = self.largest + 1.15
        goal = allocate(fitted, runs, 10**self.high, level=level)
        self.most_tokens = float(goal.D.band[1][0])
        self.x = log_x("C", words.COMPUTE, 10**self.low, 10**self.high, labels="powers")
        self.y = log_y(words.LOSS, float(goal.loss.band[0][0]) * 0.88, float(loss.max()) * 1.08)
        draws = parameter_draws(fitted)
        self.nodes = np.arange(self.largest - 0.35, self.high + _APART, _APART)
        moved = Frontier(fitted, flops_per_token(runs)).beyond(10**self.nodes)
        draws = draws | dict(zip(map(_moved_at, range(len(self.nodes))), moved.T, strict=True))
        self.drawn = fitted.drawn
        columns = {
            name: [float(f"{v:.{4 if _MOVED in name else 7}g}") for v in draws[name][:DRAWS_MARKED]]
            for name in draws
        }
        # the same rows for every layer, so that the page carries them once
        self.draws = alt.InlineData(values=pl.DataFrame(columns).with_row_index("draw").to_dicts())

    def sliders(self) -> list[alt.Parameter]:
        """The two sliders, in powers of ten, and the words that stand beside them. They start at ten times the largest
        run, with more unique tokens than it takes."""
        step = 0.05
        tenfold = round(self.largest + 1, 4)
        least = round(tenfold - step * int((tenfold - self.low - 0.25) / step), 4)
        widest = round(float(np.log10(self.most_tokens)) + 0.1, 1)
        most = round(tenfold + 2 * step, 4)
        compute = alt.binding_range(min=least, max=most, step=step, name="training compute")
        unique = alt.binding_range(
            min=round(widest - 3, 1), max=widest, step=step, name="unique tokens on offer"
        )
        return [
            alt.param(name="log_compute", value=tenfold, bind=compute),
            alt.param(name="log_unique", value=widest, bind=unique),
            alt.param(name="unique_tokens", expr="pow(10,log_unique)"),
            alt.param(name="log_compute_words", expr=words.vega_power_of_ten("log_compute") + "+' FLOPs'"),
            alt.param(name="log_unique_words", expr=words.vega_count("unique_tokens")),
        ]

    def best_at(self, compute: str, polish: int) -> list[dict[str, Any]]:
        """Transforms that find each draw's optimum at a budget, for the unique tokens on the slider."""
        chain = optimum(
            with_unique_tokens(self.fitted.law),
            list(self.fitted.params),
            flops_per_token=flops_per_token(self.given),
            compute=compute,
            unique_tokens="unique_tokens",
            polish=polish,
        )
        if not self.drawn:
            return chain
        moved = {f"moved_{i}": f"datum[{_moved_at(i)!r}]" for i in range(len(self.nodes))}
        # first, so that no slider but that of C makes the page work it out again
        factor = trace(self._factor, "factor", C=compute, **moved)
        return [*factor, *chain, {"calculate": "datum.loss*datum.factor", "as": "loss"}]

    def _factor(self, C: Any, **moved: Any) -> Any:
        """What discrepancy multiplies a loss by, between the nodes in a straight line on its logarithm."""
        x = np.minimum(np.maximum(np.log10(C), self.nodes[0]), self.nodes[-1])
        hats = (
            m * np.maximum(1.0 - np.absolute(x - at) / _APART, 0.0)
            for m, at in zip(moved.values(), self.nodes, strict=True)
        )
        return np.exp(sum(hats))

    def frontier(self) -> Chart:
        step = (self.high - self.low) / (BUDGETS - 1)
        name = alt.Chart().mark_text(align="right", dy=18, fontWeight=500, opacity=alt.expr("width<400?0:1"))
        group = alt.layer(
            *band(alt.Chart(), self.x, self.y, "loss"),
            name.encode(x=alt.datum(10 ** (self.largest + 0.95)), y=self.y("loss_low"))
            .encode(text=alt.value(words.best_for_its_compute(self.drawn, self.level)))
            .transform_filter(f"datum.C > {10 ** (self.high - step / 2)}"),
            data=self.draws,
        )
        group.transform = [
            {"filter": f"datum.draw < {DRAWS_BAND}"},
            {"calculate": f"sequence({self.low},{self.high + step / 2},{step})", "as": "log_C"},
            {"flatten": ["log_C"]},
            {"calculate": "pow(10,datum.log_C)", "as": "C"},
            *self.best_at("datum.C", polish=1),
            *quantiles(["loss"], self.level, ["C"]),
        ]
        return group

    def marked(self) -> Chart:
        rule = alt.Chart().mark_rule(strokeWidth=1, strokeDash=[2, 3], opacity=0.6)
        whisker = alt.Chart().mark_rule(strokeWidth=2.5)
        dot = alt.Chart().mark_point(filled=True, size=110, color=INK, opacity=1)
        group = alt.layer(
            rule.encode(x=self.x, y=self.y("loss_mid"), y2=alt.value("height")),
            whisker.encode(x=self.x, y=self.y("loss_low"), y2="loss_high:Q"),
            dot.encode(x=self.x, y=self.y("loss_mid")),
            *readout(narrow="height-106"),
            data=self.draws,
        )

        def said(field: str, form: str) -> str:
            low, mid, high = (form.format(f"datum.{field}_{end}") for end in ("low", "mid", "high"))
            return f"{mid}+' ['+{low}+', '+{high}+']'" if self.drawn else f"{mid}+''"

        N, D = (said(field, words.vega_count("{}")) for field in "ND")
        unique = words.vega_count("unique_tokens")
        epochs = f"format(datum.D_mid/unique_tokens,'.1f')+' epochs over '+{unique}+' unique tokens'"
        group.transform = [
            *self.best_at("pow(10,log_compute)", polish=2),
            *quantiles(["loss", "N", "D"], self.level),
            {"calculate": "pow(10,log_compute)", "as": "C"},
            {"calculate": "'loss '+" + said("loss", "format({},'.3f')"), "as": "headline"},
            {
                "calculate": f"[{words.vega_power_of_ten('log_compute')}+' FLOPs', {N}+' parameters', {D}+' tokens',"
                f" datum.D_mid>unique_tokens?{epochs}:'none seen twice']",
                "as": "readout",
            },
        ]
        return group

    def runs(self) -> list[alt.Chart]:
        runs, shown, x, y = self.given, Runs(self.given), self.x, self.y("loss")
        if shown.many:
            return [shown.points(x, y, isolate="trunk")]
        named = [
            shown.named(starts(runs)[odd::2], x, y, align="left", dx=3, dy=dy, fontWeight=600)
            # neighbours at two heights on a narrow screen, so that close sizes do not overprint
            for odd, dy in ((0, alt.expr("width<560?-23:-10")), (1, -10))
        ]
        if any(repeated(runs)):
            last = runs.filter(pl.Series(repeated(runs))).sort("N", "C", "loss").row(-1, named=True)
            end = {"C": last["C"], "loss": last["loss"], "size": shown.names[last["N"]]}
            end["label"] = "repeated text"
            named.append(shown.named([end], x, y, align="left", dx=8, fontStyle="italic"))
        return [shown.means("C", "loss", x, self.y("mean")), shown.points(x, y, isolate="trunk"), *named]
