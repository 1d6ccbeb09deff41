"""The lowest point of convex losses over shares that add up to 1: many problems at once, by mirror descent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scaling.fitting.data import Array

Slope = Callable[[Array], tuple[Array, Array]]
"""Shares of shape (problems, domains) to the losses, (problems,), and their derivatives, (problems, domains)."""

_STEPS, _HALVINGS, _STRIDE = 400, 60, 2.0
_LEAST = 1e-9  # shares start and stay above it: a factor of zero would never grow


def lowest(slope: Slope, problems: int, low: Array, high: Array) -> Array:
    """Shares of the lowest loss of each problem, between the ends for each domain.

        r_j  ←  c r_j exp(-eta g_j / |g|),   clipped to [low_j, high_j],   c so that they add up to 1

    The step that multiplies keeps shares positive without a barrier, and its length eta is each problem's own: it
    grows while the loss falls and halves where it does not. |g| is the root mean square of the centred slope under r.
    Where the loss is convex the point is the global minimum.

    Args:
        slope: losses and their derivatives; the derivative at 0 may be infinite.
        problems: how many at once.
        low, high: of each domain, shape (domains,); between them lie shares that add up to 1.

    Returns:
        Shares, shape (problems, domains).

    Source:
        Beck and Teboulle 2003, entropic mirror descent, doi:10.1016/S0167-6377(02)00231-6.
    """
    low, high = np.maximum(low, _LEAST), np.maximum(high, _LEAST)
    shares = _onto(np.tile((low + high) / 2, (problems, 1)), low, high)
    loss, slopes = slope(shares)
    eta = np.full(problems, 0.5)
    for _ in range(_STEPS):
        centred = slopes - (shares * slopes).sum(axis=1, keepdims=True)
        length = np.sqrt((shares * centred**2).sum(axis=1, keepdims=True))
        move = -eta[:, None] * centred / np.maximum(length, 1e-300)
        tried = _onto(shares * np.exp(np.clip(move, -_STRIDE, _STRIDE)), low, high)
        lower, its_slopes = slope(tried)
        better = lower < loss
        shares = np.where(better[:, None], tried, shares)
        slopes = np.where(better[:, None], its_slopes, slopes)
        loss, eta = np.where(better, lower, loss), np.where(better, 1.3 * eta, 0.5 * eta)
        if (eta < 1e-7).all():
            break
    return shares


def _onto(shares: Array, low: Array, high: Array) -> Array:
    """The nearest shares between the ends that add up to 1, by relative entropy: one factor for all, then clipped."""
    least, most = np.full((len(shares), 1), -80.0), np.full((len(shares), 1), 80.0)
    for _ in range(_HALVINGS):
        middle = (least + most) / 2
        above = np.clip(shares * np.exp(middle), low, high).sum(axis=1, keepdims=True) > 1
        least, most = np.where(above, least, middle), np.where(above, middle, most)
    return np.clip(shares * np.exp((least + most) / 2), low, high)
