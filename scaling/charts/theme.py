"""Colours, shapes and type shared by the live and the print figures.

The six colours are matplotlib's petroff6 cycle, chosen by Petroff (2021, arXiv:2107.02270) to stay apart for
readers with colour-vision deficiencies; marker shapes repeat the distinction for those who print in grey.
"""

from __future__ import annotations

from typing import Any

COLOURS = ("#5790fc", "#f89c20", "#e42536", "#964a8b", "#9c9ca1", "#7a21dd")
"""petroff6, as matplotlib ships it; a test holds the two together."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
MARKERS = ("o", "s", "^", "D", "v", "P")
"""The same six shapes in Vega's words and in matplotlib's."""

SERIES = 10
"""Sizes that a reader can tell apart as series of their own; more are shown as a scale."""

INK = "currentColor"
"""Live figures take the text colour of the page they are on, so that a dark page needs no second figure."""

FONT = "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Helvetica, Arial, sans-serif"
PRINT_FONT = "DejaVu Sans"
"""What print figures are set in: matplotlib brings it along, so every machine makes the same bytes."""


def colour(index: int) -> str:
    """The colour of the index-th series; the cycle repeats, the shapes tell the repeats apart."""
    return COLOURS[index % len(COLOURS)]


_NUMBERS = {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["$", ""], "percent": "\u202f%"}
"""A share as the words have it: 76 %."""


def live_config() -> dict[str, Any]:
    """Vega-Lite configuration: quiet grid, no frame, type that matches the page."""
    quiet = {"grid": True, "gridColor": INK, "gridOpacity": 0.1, "domain": False, "ticks": False}
    words = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12.5}
    return {
        "background": "transparent",
        "font": FONT,
        "view": {"stroke": None},
        "axis": quiet
        | words
        | {"labelOpacity": 0.75, "titleFontWeight": 500, "labelPadding": 6, "titlePadding": 10},
        "axisQuantitative": {"labelOverlap": "greedy", "labelSeparation": 5},
        "title": {"color": INK, "subtitleColor": INK, "anchor": "start", "fontSize": 15, "fontWeight": 600},
        "legend": words
        | {"gradientThickness": 8, "titleFontWeight": 500, "titleOrient": "left", "titlePadding": 8},
        "header": {"labelColor": INK, "labelFontSize": 12.5, "labelFontWeight": 600},
        "locale": {"number": _NUMBERS},
        "text": {"color": INK, "fontSize": 12},
        "rule": {"color": INK},
        "line": {"strokeCap": "round"},
        "range": {"category": list(COLOURS), "symbol": list(SHAPES)},
    }


def print_style() -> dict[Any, Any]:
    """matplotlib settings: text stays text in SVG and PDF, and the same data give the same bytes."""
    return {
        "font.family": [PRINT_FONT],
        "font.size": 8,
        "axes.titlesize": 8.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#000000",
        "grid.alpha": 0.08,
        "grid.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.minor.visible": False,
        "ytick.minor.visible": False,
        "legend.frameon": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "scaling",
        "pdf.fonttype": 42,
        "figure.constrained_layout.use": True,
    }
