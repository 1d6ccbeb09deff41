"""The inputs of a forecast of the wall: what each stands for, in which units, and which are needed when."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Demand = Literal["historical", "compute-optimal", "law", "either"]
"""Where the size of training sets comes from: their own trend; tokens per parameter of the compute; the split that a
law prefers; the trend or the compute, each in half of the draws."""

NEEDED: dict[Demand, set[str]] = {
    "historical": {"dataset", "dataset_growth"},
    "compute-optimal": {"tokens_per_parameter"},
    "law": set(),
    "either": {"dataset", "dataset_growth", "tokens_per_parameter"},
}
"""Inputs without which a demand cannot be told, beside the compute and its growth."""

TEXT, TIMES, GROWTH = ("tokens", "words"), ("times",), ("times per year", "percent per year")

E_FOLD = "repeats to 1/e"
"""Unit of `repeats` that is R* of the repetition law, not yet a factor."""


@dataclass(frozen=True)
class Role:
    """What a named input stands for."""

    meaning: str
    units: tuple[str, ...]
    low: float = 0.0
    high: float = math.inf
    closed: bool = False
    """Whether `low` itself is allowed; `high` always is."""
    default: float | None = None
    """What stands in for an input that is left out; None for one that may not be."""


ROLES: dict[str, Role] = {
    "pages": Role("web pages with distinct addresses", ("pages",)),
    "bytes_per_page": Role("text on a page", ("bytes",)),
    "bytes_per_token": Role("text in a token", ("bytes",)),
    "stock": Role("all text, in place of pages, bytes_per_page and bytes_per_token", TEXT),
    "tokens_per_word": Role("converts what is given in words", ("tokens",)),
    "quality": Role("share of the text that is worth training on", ("share",), high=1.0),
    "deduplication": Role("share of it that is left when copies are gone", ("share",), high=1.0, default=1.0),
    "repeats": Role("what training on a text several times is worth", (*TIMES, E_FOLD), default=1.0),
    "epochs": Role("epochs over a text at most", ("epochs",), low=1.0, closed=True, default=math.inf),
    "synthetic": Role("text with synthetic text, over text alone", TIMES, default=1.0),
    "multimodal": Role("what images, sound and video add, as distinct text", TEXT, closed=True, default=0.0),
    "efficiency": Role("fresh tokens that a distinct token is worth", TIMES, default=1.0),
    "pages_growth": Role("growth of the number of pages, or of the stock", GROWTH, default=1.0),
    "page_size_growth": Role("growth of the text on a page", GROWTH, default=1.0),
    "dataset": Role("largest training set at the start", TEXT),
    "dataset_growth": Role("growth of the largest training set", GROWTH),
    "compute": Role("FLOPs of the largest training run at the start", ("FLOPs",)),
    "compute_growth": Role("growth of these FLOPs", GROWTH),
    "tokens_per_parameter": Role("tokens that a parameter is trained on at the optimum", ("tokens",)),
    "overtraining": Role("tokens per parameter, over those at the optimum", TIMES, default=1.0),
}
"""Every input that a file may name."""


def as_factor(unit: str, values: Any) -> Any:
    """Growth as a factor per year, whatever its unit; other numbers as they are."""
    return 1 + np.asarray(values) / 100 if unit == "percent per year" else values


def allowed(values: Any, role: Role) -> Any:
    """Which numbers a role may have."""
    return (values <= role.high) & ((values >= role.low) if role.closed else (values > role.low))
