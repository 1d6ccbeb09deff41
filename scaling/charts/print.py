"""Figures for paper: SVG and PDF with text as text, the same bytes for the same data. Everything here is matplotlib."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scaling.charts import theme, words
from scaling.charts.series import check_columns, repeated, residual_percent, size_names
from scaling.design.allocation import allocate
from scaling.fitting import Fit, Forecast

WIDTH = 7.0
"""Inches: the text width of a page with ordinary margins."""


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


def loss_against_compute(found: Fit, runs: pl.DataFrame, *, level: float = 0.8) -> Printed:
    """Runs by size with the compute-optimal frontier and its interval; beside it, how far the law misses each run.

    Args:
        found: a `Fit` of a law of N and D.
        runs: columns N, D, C and loss, and whatever else the law reads.
        level: of the interval.
    """
    check_columns(runs)
    with matplotlib.rc_context(theme.print_style()):
        figure = Figure(figsize=(WIDTH, 3.1))
        left, right = figure.subplots(1, 2, width_ratios=(1.75, 1))
        _frontier(left, found, runs, level)
        _residuals(right, found, runs)
        return _finish(figure)


def loss_by_year(found: Forecast) -> Printed:
    """The fan of a forecast, shaded where it lies beyond the runs.

    Args:
        found: as `forecast` returns it.
    """
    with matplotlib.rc_context(theme.print_style()):
        figure = Figure(figsize=(0.62 * WIDTH, 2.8))
        axes = figure.subplots()
        axes.fill_between(found.years, found.low, found.high, color="black", alpha=0.14, linewidth=0)
        axes.plot(found.years, found.median, color="black", linewidth=1.4, marker="o", markersize=2.5)
        first, last = float(found.years[0]), float(found.years[-1])
        if found.leaves_support is not None and found.leaves_support < last:
            leaves = max(found.leaves_support, first)
            axes.axvspan(leaves, last, color=theme.COLOURS[1], alpha=0.08, linewidth=0)
            axes.annotate(
                f"beyond the runs, {found.decades[-1]:.1f} decades at the end", (last, 0.96),
                (-3, 0), xycoords=("data", "axes fraction"), textcoords="offset points", ha="right", va="top",
            )  # fmt: skip
        axes.set(xlim=(first, last), xlabel="year", ylabel="held-out loss, nats/token")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_title(f"Loss by year, {100 * found.level:.3g} % interval")
        return _finish(figure)


def _finish(figure: Figure) -> Printed:
    svg, pdf = io.StringIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None})
    figure.savefig(pdf, format="pdf", metadata={"CreationDate": None})
    # A reader's own sans serif instead of matplotlib's: anchors, not widths, place the text of an SVG.
    named = svg.getvalue().replace(f"'{theme.PRINT_FONT}'", theme.FONT)
    return Printed(named, pdf.getvalue())


def _frontier(axes: Axes, found: Fit, runs: pl.DataFrame, level: float) -> None:
    spent, loss = runs["C"].to_numpy(), runs["loss"].to_numpy()
    low, high = float(np.log10(spent.min())) - 0.25, float(np.log10(spent.max())) + 1.0
    C = np.logspace(low, high, 60)
    best = allocate(found, runs, C, level=level)
    axes.fill_between(C, best.loss.low, best.loss.high, color="black", alpha=0.14, linewidth=0)
    axes.plot(C, best.loss.median, color="black", linewidth=1.4)
    names = size_names(runs)
    for i, ((N,), of_size) in enumerate(_by_size(runs)):
        if len(names) > theme.SERIES:  # a scale and no series: neither lines nor names
            _scatter(axes, i, of_size, "C", "loss", len(names))
            continue
        for again, cell in of_size.group_by("again"):
            mean = cell.group_by("C").agg(pl.col("loss").mean()).sort("C")
            dashes, strength = ((0, (2, 2)), 0.4) if again[0] else ("-", 0.7)
            axes.plot(
                mean["C"], mean["loss"], color=theme.colour(i), lw=0.9, alpha=strength, linestyle=dashes
            )
        _scatter(axes, i, of_size, "C", "loss", len(names))
        first = of_size.filter(pl.col("C") == pl.col("C").min())
        label = names[N] if i else f"N = {names[N]}"
        above = 4 + 9 * (i % 2)  # neighbours at two heights, so that close sizes do not overprint
        at = (float(first["C"][0]), float(first["loss"].to_numpy().max()))
        axes.annotate(label, at, (2, above), textcoords="offset points", color=theme.colour(i), weight="bold")
    bottom, top = float(best.loss.low[-1]) * 0.86, float(loss.max()) * 1.08
    axes.set(xscale="log", yscale="log", xlim=(C[0], C[-1]), ylim=(bottom, top))
    axes.set(xlabel="training compute, FLOPs", ylabel="held-out loss, nats/token")
    ticks = words.log_ticks(bottom, top)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    powers = range(int(np.ceil(low)), int(np.floor(high)) + 1)
    axes.set_xticks([10.0**p for p in powers], [words.power_of_ten(10.0**p, 0) for p in powers])
    axes.set_xticks([], minor=True)
    name, end = (
        words.best_for_its_compute(best.loss.low[-1] < best.loss.high[-1], level),
        (C[-1], float(best.loss.low[-1])),
    )
    axes.annotate(name, end, (-2, -5), textcoords="offset points", ha="right", va="top")
    axes.set_title("Loss against compute")


def _residuals(axes: Axes, found: Fit, runs: pl.DataFrame) -> None:
    missed = residual_percent(found, runs)
    for i, (_, of_size) in enumerate(_by_size(runs.with_columns(pl.Series("residual", missed)))):
        _scatter(axes, i, of_size, "D", "residual", runs["N"].n_unique())
    axes.axhline(0, color="black", linewidth=0.8)
    bottom, top = min(-1.0, 1.15 * float(missed.min())), max(1.0, 1.15 * float(missed.max()))
    axes.set(xscale="log", ylim=(bottom, top), xlabel="training tokens D", ylabel="loss above the law, %")
    tokens = runs["D"].to_numpy()
    ticks = words.log_ticks(float(tokens.min()), float(tokens.max()), 4)
    axes.set_xticks(ticks, [words.count(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_title(f"Missed by {np.sqrt(np.mean(missed**2)):.1f} % rms")


def _by_size(runs: pl.DataFrame) -> Iterable[tuple[Any, pl.DataFrame]]:
    marked = runs.with_columns(pl.Series("again", repeated(runs)))
    return marked.sort("N", "again").group_by("N", maintain_order=True)


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
