"""Figures for paper: SVG and PDF with text as text, the same bytes for the same data. Everything here is matplotlib."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scaling.budget import allocate
from scaling.fit import Fit
from scaling.plot import theme, words
from scaling.plot.series import residual_percent, size_names

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
    with matplotlib.rc_context(theme.print_style()):
        figure = Figure(figsize=(WIDTH, 3.1))
        left, right = figure.subplots(1, 2, width_ratios=(1.75, 1))
        _frontier(left, found, runs, level)
        _residuals(right, found, runs)
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
    for i, ((N,), of_size) in enumerate(runs.sort("N").group_by("N", maintain_order=True)):
        mean = of_size.group_by("C").agg(pl.col("loss").mean()).sort("C")
        axes.plot(mean["C"], mean["loss"], color=theme.colour(i), linewidth=0.9, alpha=0.7)
        _scatter(axes, i, of_size["C"], of_size["loss"])
        label = names[N] if i else f"N = {names[N]}"
        at = (mean["C"][0], mean["loss"][0])
        above = 4 + 9 * (i % 2)  # neighbours at two heights, so that close sizes do not overprint
        axes.annotate(label, at, (2, above), textcoords="offset points", color=theme.colour(i), weight="bold")
    bottom, top = float(best.loss.low[-1]) * 0.86, float(loss.max()) * 1.08
    axes.set(xscale="log", yscale="log", xlim=(C[0], C[-1]), ylim=(bottom, top))
    axes.set(xlabel="training compute, FLOPs", ylabel="held-out loss, nats/token")
    ticks = words.log_ticks(bottom, top)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    powers = range(int(np.ceil(low)), int(np.floor(high)) + 1)
    axes.set_xticks([10.0**p for p in powers], [f"10{str(p).translate(words.SUPERSCRIPT)}" for p in powers])
    axes.set_xticks([], minor=True)
    name, end = f"best for its compute, {level:.0%} interval", (C[-1], float(best.loss.low[-1]))
    axes.annotate(name, end, (-2, -5), textcoords="offset points", ha="right", va="top")
    axes.set_title("Loss against compute")


def _residuals(axes: Axes, found: Fit, runs: pl.DataFrame) -> None:
    missed = residual_percent(found, runs)
    for i, ((_,), of_size) in enumerate(
        runs.with_columns(pl.Series("residual", missed)).sort("N").group_by("N", maintain_order=True)
    ):
        _scatter(axes, i, of_size["D"], of_size["residual"])
    axes.axhline(0, color="black", linewidth=0.8)
    reach = 1.15 * float(np.abs(missed).max())
    axes.set(xscale="log", ylim=(-reach, reach), xlabel="training tokens D", ylabel="loss above the law, %")
    tokens = runs["D"].to_numpy()
    ticks = words.log_ticks(float(tokens.min()), float(tokens.max()), 4)
    axes.set_xticks(ticks, [words.count(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_title(f"Misses {np.sqrt(np.mean(missed**2)):.1f} % rms")


def _scatter(axes: Axes, index: int, x: pl.Series, y: pl.Series) -> None:
    marker = theme.MARKERS[index % len(theme.MARKERS)]
    axes.scatter(x, y, s=14, marker=marker, color=theme.colour(index), linewidth=0, alpha=0.9, zorder=3)
