"""The two sides of the data wall: text that is worth something, and the year in which demand reaches it.

Operators and ufuncs only, like a law: one formula for two hundred thousand draws and for a slider in the browser.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scaling.laws.repetition import effective_data

_NEVER = 1e-6
"""Rate per year at which two sides that do not close in on each other are taken to."""


def text_on_offer(text: Any, *, synthetic: Any, multimodal: Any, efficiency: Any) -> Any:
    """Distinct tokens that can be trained on, each counted as what it is worth.

        U = (text · synthetic + multimodal) · efficiency

    Args:
        text: distinct human tokens that are good enough.
        synthetic: human and synthetic text, over human text alone.
        multimodal: tokens that images, sound and video add.
        efficiency: fresh tokens that a token is worth, e.g. by regularisation.
    """
    return (text * synthetic + multimodal) * efficiency


def worth_of_repeats(epochs: Any, R_D: Any) -> Any:
    """What so many epochs of a text are worth, over one epoch: D'/U of `effective_data` at D = epochs · U."""
    return effective_data(epochs, 1.0, R_D)


def wall_year(stock: Any, demand: Any, *, stock_growth: Any, demand_growth: Any, start: Any) -> Any:
    """Year in which demand reaches the stock.

        start + ln(stock / demand) / ln(demand_growth / stock_growth)

    Where demand grows no faster than the stock, a million years from the start on the side of the larger.

    Args:
        stock, demand: tokens at the start.
        stock_growth, demand_growth: factors per year.
        start: the year of both.
    """
    closing = np.log(demand_growth / stock_growth)
    return start + np.log(stock / demand) / np.maximum(closing, _NEVER)
