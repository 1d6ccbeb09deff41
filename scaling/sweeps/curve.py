"""When a run is measured on its way, and on how much."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scaling.study import Trunk

FINAL_WINDOWS = 256
"""Held-out windows of each domain that a run's loss is the mean of."""
CURVE_WINDOWS = 16
"""The same for a point of a learning curve, in trunk or cooldown; with 32, evaluations took up to 5.5 % of the time."""
CURVE_POINTS_PER_OCTAVE = 2


def curve_windows(final: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of a domain's held-out windows, evenly spaced, that a point of the learning curve is the mean of."""
    return final[:: max(1, len(final) // CURVE_WINDOWS)][:CURVE_WINDOWS]


def curve_steps(trunk: Trunk, last: int) -> list[int]:
    """Steps at which a trunk is measured, evenly spaced in the logarithm, from the end of its warm-up on."""
    octaves = np.arange(0, np.log2(max(last, 1)) + 1e-9, 1 / CURVE_POINTS_PER_OCTAVE)
    return sorted({round(2**x) for x in octaves if 2**x >= max(16, trunk.warmup_steps)})


def cooldown_steps(trunk: Trunk, start: int, end: int) -> list[int]:
    """The same inside a cooldown, and its middle and its end: a short one of 2^n steps would have no other point."""
    return sorted({s for s in (*curve_steps(trunk, end - 1), (start + end) // 2, end) if s > start})
