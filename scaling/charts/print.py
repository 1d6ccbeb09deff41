"""Figures for paper: SVG and PDF with text as text, the same bytes for the same data. Everything here is matplotlib."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scaling.charts import theme, words
from scaling.charts.series import check_columns, repeated, residual_ends, residual_percent, starts
from scaling.design.allocation import allocate
from scaling.errors import BadOption
from scaling.fitting import Fit, Forecast
from scaling.units import power_of_ten, print_count

WIDTH, COLUMN = 7.0, 3.35
"""Inches: the text width of a page with ordinary margins, and one column of two on it."""


@dataclass(frozen=True)
class Printed:
    """A finished figure: shown as SVG in a notebook, which also carries the PDF along for `scaling.report`."""

    svg: str
    pdf: bytes

    def save(self, stem: str | Path) -> tuple[Path, Path]:
        """Write `stem`.svg and `stem`.pdf; the folder must exist."""
        svg, pdf = Path(f"{stem}.svg"), Path(f"{stem}.pdf")
        svg.write_text(self.svg, encoding="utf-8")
        pdf.write_bytes(self.pdf)
        return svg, pdf

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {
            "image/svg+xml": self.svg,
            "application/pdf": base64.b64encode(self.pdf).decode(),
            "text/plain": repr(self),
        }

    def __repr__(self) -> str:
        return f"figure: SVG of {len(self.svg) / 1e3:.0f} kB, PDF of {len(self.pdf) / 1e3:.0f} kB"


def loss_against_compute(fitted: Fit, runs: pl.DataFrame, *, level: float = 0.8, columns: int = 2) -> Printed:
    """Runs by size with the compute-optimal frontier and its interval; beside it, how far the law misses each run.

    Args:
        fitted: a `Fit` of a law of N and D.
        runs: columns N, D, C and loss, and whatever else the law reads.
        level: of the interval.
        columns: of a two-column page that the figure takes; in one the two parts stand above one another.

    Raises:
        BadOption: columns other than 1 or 2.
    """
    if columns not in (1, 2):
        raise BadOption("columns", columns, "1 or 2, of a two-column page")
    check_columns(runs)
    with matplotlib.rc_context(theme.print_style()):
        if columns == 2:
            figure = Figure(figsize=(WIDTH, 3.1))
            left, right = figure.subplots(1, 2, width_ratios=(1.75, 1))
        else:
            figure = Figure(figsize=(COLUMN, 4.6))
            left, right = figure.subplots(2, 1, height_ratios=(1.75, 1))
        _frontier(left, fitted, runs, level)
        _residuals(right, fitted, runs)
        return _finish(figure)


def loss_by_year(ahead: Forecast) -> Printed:
    """The fan of a forecast, shaded where it lies beyond the runs.

    Args:
        ahead: as `forecast` returns it.
    """
    with matplotlib.rc_context(theme.print_style()):
        figure = Figure(figsize=(0.62 * WIDTH, 2.8))
        axes = figure.subplots()
        axes.fill_between(ahead.years, ahead.low, ahead.high, color="black", alpha=0.14, linewidth=0)
        axes.plot(ahead.years, ahead.median, color="black", linewidth=1.4, marker="o", markersize=2.5)
        first, last = float(ahead.years[0]), float(ahead.years[-1])
        if ahead.leaves_support is not None and ahead.leaves_support < last:
            leaves = max(ahead.leaves_support, first)
            axes.axvspan(leaves, last, color=theme.COLOURS[1], alpha=0.08, linewidth=0)
            axes.annotate(
                f"beyond the runs, {ahead.decades[-1]:.1f} decades at the end", (last, 0.96),
                (-3, 0), xycoords=("data", "axes fraction"), textcoords="offset points", ha="right", va="top",
            )  # fmt: skip
        axes.set(xlim=(first, last), xlabel="year", ylabel=words.LOSS)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_title(f"Loss by year, {100 * ahead.level:.3g} % interval")
        return _finish(figure)


def _finish(figure: Figure) -> Printed:
    svg, pdf = io.StringIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None})
    figure.savefig(pdf, format="pdf", metadata={"CreationDate": None})
    # A reader's own sans serif instead of matplotlib's: anchors, not widths, place the text of an SVG.
    named = svg.getvalue().replace(f"'{theme.PRINT_FONT}'", theme.FONT)
    return Printed(named, pdf.getvalue())


def _frontier(axes: Axes, fitted: Fit, runs: pl.DataFrame, level: float) -> None:
    spent, loss = runs["C"].to_numpy(), runs["loss"].to_numpy()
    C = np.geomspace(float(spent.min()) / 10**0.25, float(spent.max()) * 10, 60)
    best = allocate(fitted, runs, C, level=level)
    low, high = best.loss.band
    axes.fill_between(C, low, high, color="black", alpha=0.14, linewidth=0)
    axes.plot(C, best.loss.median, color="black", linewidth=1.4)
    sizes = runs["N"].n_unique()
    for i, of_size in enumerate(_by_size(runs)):
        _scatter(axes, i, of_size, "C", "loss", sizes)
        for again, cell in of_size.group_by("again") if sizes <= theme.SERIES else ():
            mean = cell.group_by("C").agg(pl.col("loss").mean()).sort("C")
            dashes, strength = ((0, (2, 2)), 0.4) if again[0] else ("-", 0.7)
            line = {"color": theme.colour(i), "lw": 0.9, "alpha": strength, "linestyle": dashes}
            axes.plot(mean["C"], mean["loss"], **line)
    for i, row in enumerate(starts(runs) if sizes <= theme.SERIES else ()):
        above = (2, 4 + 9 * (i % 2))  # neighbours at two heights, so that close sizes do not overprint
        named: dict[str, Any] = {"textcoords": "offset points", "color": theme.colour(i), "weight": "bold"}
        axes.annotate(row["label"], (row["C"], row["loss"]), above, **named)
    bottom, top = float(low[-1]) * 0.86, float(loss.max()) * 1.08
    axes.set(xscale="log", yscale="log", xlim=(C[0], C[-1]), ylim=(bottom, top))
    axes.set(xlabel=words.COMPUTE, ylabel=words.LOSS, title="Loss against compute")
    _label(axes.yaxis, words.log_ticks(bottom, top), "{:g}".format)
    _label(axes.xaxis, words.powers(C[0], C[-1]), lambda power: power_of_ten(power, 0))
    name = words.best_for_its_compute(fitted.drawn, level)
    end = (C[-1], float(low[-1]))
    axes.annotate(name, end, (-2, -5), textcoords="offset points", ha="right", va="top")


def _residuals(axes: Axes, fitted: Fit, runs: pl.DataFrame) -> None:
    missed, tokens = residual_percent(fitted, runs), runs["D"].to_numpy()
    for i, of_size in enumerate(_by_size(runs.with_columns(pl.Series("residual", missed)))):
        _scatter(axes, i, of_size, "D", "residual", runs["N"].n_unique())
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(
        xscale="log", ylim=residual_ends(missed), xlabel="training tokens D", ylabel="loss above the law, %"
    )
    _label(axes.xaxis, words.log_ticks(float(tokens.min()), float(tokens.max()), 4), print_count)
    axes.set_title(f"Missed by {np.sqrt(np.mean(missed**2)):.1f} % rms")


def _label(axis: Axis, ticks: list[float], form: Callable[[float], str]) -> None:
    axis.set_ticks(ticks, [form(tick) for tick in ticks])
    axis.set_ticks([], minor=True)


def _by_size(runs: pl.DataFrame) -> list[pl.DataFrame]:
    marked = runs.with_columns(pl.Series("again", repeated(runs)))
    return marked.sort("N", "again").partition_by("N", maintain_order=True)


def _scatter(axes: Axes, index: int, runs: pl.DataFrame, x: str, y: str, sizes: int) -> None:
    """One mark a run, pale where tokens repeat; of many sizes, the larger the brighter."""
    if sizes > theme.SERIES:
        marker, colour = "o", matplotlib.colormaps["viridis"](index / (sizes - 1))
    else:
        marker, colour = theme.MARKERS[index % len(theme.MARKERS)], theme.colour(index)
    for again, strength in ((True, 0.3), (False, 0.9)):
        shown = runs.filter(pl.col("again") == again)
        axes.scatter(
            shown[x], shown[y], s=14, marker=marker, color=[colour], linewidth=0, alpha=strength, zorder=3
        )
