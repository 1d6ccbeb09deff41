"""A fit that follows its reader: runs left out with the pointer, another law, objective or window, fitted at once.

The page draws and listens (`refit.js`); the kernel fits, so the numbers are those of `scaling.fit` and of the line of
Python that stands below them. While runs move nothing is resampled; when they rest, the bootstrap follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl
from anywidget import AnyWidget
from traitlets import Dict, Float, Int, List, Tuple, Unicode, observe, validate

from scaling import laws as known
from scaling.charts import words
from scaling.charts.offline import library
from scaling.charts.parts import Chart, Runs, band, finish, log_x, log_y, of
from scaling.charts.series import check_columns, residual_percent, size_names
from scaling.charts.theme import SERIES
from scaling.design.allocation import allocate
from scaling.errors import ScalingError
from scaling.fitting import Fit, fit
from scaling.fitting.data import counts_of
from scaling.laws.base import NotALaw, describe
from scaling.units import power_of_ten

OBJECTIVES = ("huber_log", "huber_likelihood", "squares_log", "squares", "quantile_log")
"""Of `scaling.fit`, those that need no option of their own."""

BUDGETS, STEPS = 40, 24
"""Points of the frontier, and of the law's curve of one size."""

_HERE = Path(__file__).parent


class Refit(AnyWidget):
    """Runs and a law fitted to those of them that are not left out; every choice can be read and set in Python too."""

    _esm = _HERE / "refit.js"
    _css = _HERE / "refit.css"

    law = Unicode().tag(sync=True)
    """Name of the law that is fitted."""
    objective = Unicode(OBJECTIVES[0]).tag(sync=True)
    window = Tuple(Float(), Float()).tag(sync=True)
    """Smallest and largest training compute that counts, as powers of ten."""
    left_out = List(Int()).tag(sync=True)
    """Rows of the table that count nothing, from 0."""
    asked = Int(0).tag(sync=True)
    """Which move of the page this is."""
    page = Dict().tag(sync=True)
    """What the page is made of: charts, and the choices there are."""
    state = Dict().tag(sync=True)
    """What the page shows now."""

    def __init__(
        self, runs: pl.DataFrame, law: Callable[..., Any], laws: Sequence[Callable[..., Any]], **options: Any
    ):
        check_columns(runs)
        self._laws = {describe(one).name: one for one in (law, *laws)}
        for one in self._laws.values():
            reads = describe(one).column_names
            if not {"N", "D"} <= set(reads):
                raise NotALaw(
                    describe(one).name, f"it reads {', '.join(reads)}, and the curves drawn are of N and D"
                )
        self.given, self.seed, self.bootstrap = runs, options.pop("seed"), options.pop("bootstrap")
        self.fitted: Fit | None = None
        C = counts_of(runs, "C")
        self._ends = float(np.log10(C.min())), float(np.log10(C.max()))
        self._ready = False
        super().__init__(law=describe(law).name, window=self._ends, **options)
        self.rest()  # which raises what is wrong with runs or options, before anything is shown
        self._ready = True
        self.on_msg(self._hear)
        choices = {"laws": list(self._laws), "objectives": list(OBJECTIVES), "ends": self._ends}
        self.page = choices | {"charts": [chart.to_dict() for chart in self._charts(brushed=True)]}

    @property
    def runs(self) -> pl.DataFrame:
        """The runs that count."""
        return self.given.filter(~pl.Series(self._out()))

    @property
    def line(self) -> str:
        """The Python that makes the same fit of the table `runs`."""
        law = self._laws[self.law]
        name = f"scaling.laws.{self.law}" if getattr(known, self.law, None) is law else self.law
        kept, runs = self._filters(), "runs"
        if any("row" in test for test in kept):
            runs = 'runs.with_row_index("row")'
        filtered = f"{runs}.filter({', '.join(kept)})" if kept else runs
        return (
            f"scaling.fit({name}, {filtered}, objective={self.objective!r}, seed={self.seed}, "
            f"bootstrap={self.bootstrap})"
        )

    def rest(self) -> None:
        """Resample the fit as it stands, so that its numbers have intervals."""
        self.state = self._fit(self.bootstrap)

    def __repr__(self) -> str:
        return f"live refit of {len(self.given)} runs, now {self.line}"

    def _repr_mimebundle_(self, **_: Any) -> Any:
        """The widget; and for pages without a kernel the charts, numbers and line as they stand."""
        made = super()._repr_mimebundle_()
        data, about = made if made is not None else ({}, {})
        drawn: Any = self._charts()
        charts = "".join(chart._repr_mimebundle_()["text/html"] for chart in drawn)
        table = self.fitted._repr_html_() if self.fitted else escape(self.state["error"])
        page = f"{charts}{table}<pre tabindex='0'><code>{escape(self.line)}</code></pre>"
        return data | {"text/html": page, "text/plain": repr(self)}, about

    # --- what is asked -----------------------------------------------------------------------------

    @validate("law")
    def _known(self, proposal: Any) -> str:
        if proposal["value"] not in self._laws:
            raise known.UnknownLaw(proposal["value"], tuple(self._laws))
        return proposal["value"]

    @observe("law", "objective", "window", "left_out")
    def _moved(self, _: Any) -> None:
        if self._ready:
            self.state = self._fit(0)

    def _hear(self, _: Any, message: dict[str, Any], __: Any) -> None:
        if message.get("ask") == "rest":
            self.rest()
        elif message.get("ask") == "vega":
            self.send({"vega": library()})

    def _budget(self, end: int) -> float | None:
        """An end of the window in FLOPs, in three digits; None where it leaves nothing out."""
        at, inside = self.window[end], (1, -1)[end]
        return float(f"{10**at:.3g}") if inside * (at - self._ends[end]) > 1e-9 else None

    def _out(self) -> np.ndarray:
        low, high = self._budget(0), self._budget(1)
        C, out = self.given["C"].to_numpy(), np.zeros(len(self.given), bool)
        out[self.left_out] = True
        return out | ((low or 0.0) > C) | ((high or np.inf) < C)

    def _filters(self) -> list[str]:
        """The tests of polars that a run which counts has passed."""
        low, high = self._budget(0), self._budget(1)
        tests = [f'pl.col("C") >= {low!r}'] if low else []
        tests += [f'pl.col("C") <= {high!r}'] if high else []
        if self.left_out:
            named = "run_id" in self.given.columns and self.given["run_id"].is_unique().all()
            ids = self.given["run_id"][self.left_out].to_list() if named else list(self.left_out)
            tests.append(f'~pl.col("{"run_id" if named else "row"}").is_in({ids!r})')
        return tests

    # --- what is shown -----------------------------------------------------------------------------

    def _fit(self, bootstrap: int) -> dict[str, Any]:
        """Fit, and what the page then shows."""
        out, runs = self._out(), self.runs
        said: dict[str, Any] = {
            "asked": self.asked,
            "draws": bootstrap,
            "line": self.line,
            "out": out.tolist(),
        }
        said["said"] = f"{len(runs)} of {len(self.given)} runs"
        try:
            law, how = self._laws[self.law], {"seed": self.seed, "bootstrap": bootstrap}
            self.fitted = fit(law, runs, objective=self.objective, **how)
        except ScalingError as problem:
            self.fitted = None
            if not self._ready:
                raise
            return said | {"error": str(problem)}
        ahead, frontier = self._frontier(self.fitted)
        return said | {
            "said": f"{said['said']}; {ahead}",
            "frontier": frontier,
            "curves": self._curves(self.fitted),
            "residual": residual_percent(self.fitted, self.given).tolist(),
            "table": self.fitted._repr_html_(),
        }

    def _frontier(self, fitted: Fit) -> tuple[str, list[dict[str, float]]]:
        """What ten times the compute of the largest run would buy, and the best loss of each budget: of the law itself,
        in an interval that allows for what it may miss."""
        C = np.geomspace(10 ** self._ends[0], 10 ** (self._ends[1] + 1), BUDGETS)
        law = allocate(fitted, self.given, C, discrepancy=False).loss.median
        said = f"if the law holds, the best loss at {power_of_ten(C[-1])} FLOPs is {law[-1]:.3f} nats/token"
        low = high = law
        if fitted.drawn:
            likely = allocate(fitted, self.given, C).loss
            low, high = likely.low, likely.high
            said += (
                f"; with what it may miss so far out {likely.median[-1]:.3f} [{low[-1]:.3f}, {high[-1]:.3f}]"
            )
        columns = (end.tolist() for end in (C, low, law, high))
        names = ("C", "loss_low", "loss_mid", "loss_high")
        return said, [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def _curves(self, fitted: Fit) -> list[dict[str, Any]]:
        """The law for each size over the data that it saw, unless there are too many sizes to tell apart."""
        reads, rows = describe(fitted.law).column_names, []
        for N, (size, D, C) in self._sizes.items():
            at = {"N": np.full(STEPS, float(N)), "D": D, "unique_tokens": D}
            loss = fitted.law(*(at[name] for name in reads), **fitted.params)
            rows += [
                {"size": size, "C": c, "loss": y} for c, y in zip(C.tolist(), loss.tolist(), strict=True)
            ]
        return rows

    @cached_property
    def _sizes(self) -> dict[int, tuple[str, np.ndarray, np.ndarray]]:
        """Name, tokens and compute of the curve of each size, by its N; none where there are too many."""
        names = size_names(self.given)
        sizes = {}
        for N, size in names.items() if len(names) <= SERIES else ():
            of_size = self.given.filter(pl.col("N") == N).sort("D")
            D = np.geomspace(of_size["D"][0], of_size["D"][-1], STEPS)
            sizes[N] = size, D, D * of_size["C"][-1] / of_size["D"][-1]
        return sizes

    def _charts(self, *, brushed: bool = False) -> tuple[Chart, ...]:
        """Loss against compute, and below it what the law misses of each run; brushed, runs can be marked."""
        if self.fitted is None:
            return ()  # what went wrong is said in words
        state, runs = self.state, self.given
        more = {"row": range(len(runs)), "out": state["out"], "residual": state["residual"]}
        shown = Runs(runs, **more)
        shown.base.data.name = "runs"
        there = alt.condition("datum.out", alt.value(0.25), alt.value(1))
        low, high = self._ends
        x = log_x("C", words.COMPUTE, 10 ** (low - 0.1), 10 ** (high + 1), labels="powers")
        floor = min(row["loss_mid"] for row in state["frontier"])
        y = log_y(words.LOSS, floor * 0.9, float(runs["loss"].to_numpy().max()) * 1.08)
        frontier, curves = of(state["frontier"]), of(state["curves"])
        frontier.data.name, curves.data.name = "frontier", "curves"
        points = shown.points(x, y("loss")).encode(opacity=there)
        line = curves.mark_line(strokeWidth=1.5, opacity=0.7).encode(x=x, y=y("loss"), color=shown.colour)
        if brushed:
            points = points.add_params(alt.selection_interval(name="brush", zoom=False, encodings=["x", "y"]))
        above = alt.layer(*band(frontier, x, y, "loss"), line, points)
        span = [float(end(runs["D"].to_numpy())) for end in (np.min, np.max)]
        x = log_x("D", "training tokens D", span[0] * 0.85, span[1] * 1.18, labels="counts", wanted=4)
        missed = alt.Y("residual:Q", title="loss above the law, %").axis(tickCount=5).scale(padding=8)
        zero = of([{"residual": 0}]).mark_rule(strokeWidth=1.5).encode(y=missed)
        below = alt.layer(zero, shown.points(x, missed).encode(opacity=there))
        return finish(above, 340), finish(below, 180)
