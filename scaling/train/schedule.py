"""Learning rate as a share of its peak: a pure function of the step."""

from __future__ import annotations

import math


def trunk_share(step: int, warmup_steps: int) -> float:
    """Rise in a straight line over the warm-up, then stay at one."""
    return min(1.0, (step + 1) / (warmup_steps + 1))


def cooldown_share(step: int, start: int, end: int, shape: str) -> float:
    """Fall from one at `start` to zero at `end`.

        linear  1 − x        1-sqrt  1 − √x        cosine  (1 + cos πx) / 2        x = (step − start) / (end − start)

    Over a whole run (`cooldown = 1`) "cosine" is the schedule of Hoffmann et al. 2022.

    Source:
        Hägele et al. 2024, arXiv:2405.18392, equation 1 and section 3, where 1 − √x beats the straight line.
    """
    x = (step - start) / (end - start)
    shares = {"linear": 1 - x, "1-sqrt": 1 - math.sqrt(x), "cosine": (1 + math.cos(math.pi * x)) / 2}
    return shares[shape]
