"""One curve under several metrics: what "the last decade gained little" would say of each."""

from __future__ import annotations

import numpy as np
import polars as pl

from scaling.questions._plateau.frontier import Frontier

ANSWER_TOKENS = 5
"""Tokens of the answer whose log-probability and exact match are scored."""

NAIVE = ("looks flat", "goes on", "leaps")
"""What the rule may say: the last decade gained less than half of the one before, more than twice, or neither."""


def naive(before: float, last: float) -> str:
    """What the slope rule says of two gains in a row."""
    if last <= 0.5 * before:
        return NAIVE[0]
    return NAIVE[2] if last > 2.0 * before else NAIVE[1]


def metrics(curve: Frontier) -> pl.DataFrame:
    """What two decades of compute gained under each metric of the same runs, and what the slope rule makes of it.

    - loss: nats/token, its fall;
    - log-probability of an answer of k = 5 tokens: -k L. The same curve in another unit;
    - exact match of the k tokens: exp(-k L), a curve that bends up wherever the loss is still high;
    - thresholded: 1 once a token's probability exp(-L) passes what it is half-way through the compute, else 0.

    Losses between points are read off a straight line in ln C. A verdict that depends on which row is read is about
    the metric, not the model.

    Returns:
        One row per metric: gain_before and gain_last (of the last two decades of compute), and what the rule `says`.

    Source:
        Schaeffer et al. 2023, arXiv:2304.15004, section 2, for the metrics.
    """
    x = np.log10(curve.C)

    def loss(at: float) -> float:
        return float(np.interp(at, x, curve.loss))

    needed = np.exp(-loss(0.5 * (x[0] + x[-1])))
    scored = {
        "loss": lambda value: -value,
        f"log-probability of {ANSWER_TOKENS} tokens": lambda value: -ANSWER_TOKENS * value,
        f"exact match of {ANSWER_TOKENS} tokens": lambda value: np.exp(-ANSWER_TOKENS * value),
        "thresholded token": lambda value: float(np.exp(-value) > needed),
    }
    rows = []
    for name, score in scored.items():
        start, middle, end = (float(score(loss(x[-1] - back))) for back in (2.0, 1.0, 0.0))
        before, last = middle - start, end - middle
        rows.append((name, naive(before, last), before, last))
    return pl.DataFrame(rows, schema=["name", "says", "gain_before", "gain_last"], orient="row")
