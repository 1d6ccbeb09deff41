"""From loss, or from compute, to the score on a benchmark. Fit with target="score" and objective="squares"."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from scaling.laws.base import Count, Exponent, Nats, Quantity, Scale, Share, Signed, type_of_value

Loss = Annotated[type_of_value, Quantity("nats/token", low=0.0)]
"""A column of losses."""
Steepness = Annotated[type_of_value, Quantity("1/nats", low=0.0, log=True, start=(0.3, 30.0))]
"""How fast a score follows a loss; beyond ten where the loss is in bits per byte."""


def score_from_loss(loss: Loss, *, a: Signed, b: Share, k: Steepness, L_mid: Nats) -> NDArray:
    """Score as a sigmoid of the loss, the second step of two.

        score(L) = b + a / (1 + exp(k (L - L_mid)))

    The first step predicts L from N and D by any law of `scaling.laws`.

    Args:
        loss: loss on the task or on held-out text, nats/token, array.
        a: height between the two levels, dimensionless.
        b: score at a large loss (chance), dimensionless.
        k: steepness, 1/nats.
        L_mid: loss half way, nats/token.

    Returns:
        Score, in the shape of the loss.

    Source:
        Bhagia et al. 2024, arXiv:2412.04403, the second of their two steps, with k turned so that it is positive.
    """
    return b + a / (1.0 + np.exp(k * (loss - L_mid)))


def error_from_loss(loss: Loss, *, error_at_chance: Share, k: Scale, gamma: Exponent) -> NDArray:
    """Downstream error as a decaying exponential of the loss.

        Err(L) = ε - k exp(-γ L)

    Args:
        loss: nats/token, array.
        error_at_chance: ε, error of a model that has learned nothing, dimensionless.
        k: how much of it a loss of zero would remove, dimensionless.
        gamma: 1/nats.

    Returns:
        Error, in the shape of the loss.

    Source:
        Gadre et al. 2024, arXiv:2403.08540, equation 5.
    """
    return error_at_chance - k * np.exp(-gamma * loss)


def score_from_compute(C: Count, *, low: Share, high: Share, slope: Exponent, C_mid: Count) -> NDArray:
    """Score of public models as a sigmoid of log compute, within one family or one frontier.

        score(C) = low + (high - low) / (1 + exp(-slope (log10 C - log10 C_mid)))

    Compute does not make a score alone: families differ in data and in recipe, and the scatter around this curve is
    theirs.

    Args:
        C: training FLOPs, array.
        low, high: levels at no and at unlimited compute, dimensionless.
        slope: per decade.
        C_mid: FLOPs half way.

    Returns:
        Score, in the shape of C.

    Source:
        The form of Ruan et al. 2024, arXiv:2405.10938, section 3, with one principal component and its levels free.
    """
    return low + (high - low) / (1.0 + np.exp(-slope * np.log10(C / C_mid)))
