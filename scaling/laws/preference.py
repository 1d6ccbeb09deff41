"""What is won, by the standard that counts, as a policy is pushed towards a reward that only stands for it."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from scaling.laws.base import Quantity, Signed, type_of_value

Distance = Annotated[type_of_value, Quantity("√nat", low=0.0, count=True)]
"""Square root of the divergence from the policy that it began as, KL(π ‖ π₀)."""


def best_of_n_gain(sqrt_kl: Distance, *, alpha: Signed, beta: Signed) -> NDArray:
    """Gold reward won by choosing the best of n by a proxy reward.

        R(d) = d (α − β d),    d = √KL,  KL = ln n − (n − 1) / n

    It is largest at d = α / 2β, beyond which the proxy is over-optimised.

    Args:
        sqrt_kl: d, √nat, array.
        alpha: what the first step wins, gold/√nat.
        beta: how fast the proxy is used up, gold/nat.

    Returns:
        Gold reward above that of the policy itself, in the shape of d.

    Source:
        Gao, Schulman and Hilton 2022, arXiv:2210.10760, section 3.1.
    """
    return sqrt_kl * (alpha - beta * sqrt_kl)


def policy_gain(sqrt_kl: Distance, *, alpha: Signed, beta: Signed) -> NDArray:
    """Gold reward won by a policy that is trained against a proxy reward.

        R(d) = d (α − β ln d),    d = √KL

    It is largest at d = exp(α / β − 1), beyond which the proxy is over-optimised.

    Args:
        sqrt_kl: d, √nat, array, above 0.
        alpha, beta: gold/√nat.

    Returns:
        Gold reward above that of the policy at the start, in the shape of d.

    Source:
        Gao, Schulman and Hilton 2022, arXiv:2210.10760, section 3.1.
    """
    return sqrt_kl * (alpha - beta * np.log(sqrt_kl))
