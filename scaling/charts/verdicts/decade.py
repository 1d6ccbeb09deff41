"""The next decade of compute: what a budget buys, and how it is best spent."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from scaling.charts import words
from scaling.charts.parts import band, extent, finish, log_x, log_y, of, stacked
from scaling.charts.results import budgets
from scaling.verdict import Verdict


def draw(verdict: Verdict) -> Any:
    """The loss that compute buys, above the best size and data for it."""
    path = verdict.evidence["budgets"]
    return stacked(loss_fan(path), budgets(path))


def loss_fan(path: pl.DataFrame) -> alt.LayerChart:
    """Loss against compute with its interval.

    Args:
        path: C, loss, loss_low and loss_high.
    """
    shown = path.sort("C").select("C", "loss_low", "loss_high", loss_mid="loss")
    x = log_x("C", words.COMPUTE, shown["C"][0], shown["C"][-1], labels="powers")
    low, high = extent(shown["loss_mid"], [*shown["loss_low"], *shown["loss_high"]], log=True)
    y = log_y(words.LOSS, low * 0.98, high * 1.02)
    return finish(alt.layer(*band(of(shown), x, y, "loss")), 260)
