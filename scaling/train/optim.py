"""AdamW on the flat buffer of a stack: one fused set of element-wise passes for K models."""

from __future__ import annotations

import torch
from torch import Tensor

BETA1 = 0.8
"""0.1 nats better than 0.9 at 512 tokens a step and width 32."""
EPSILON = 1e-8


class AdamW:
    """Adam with decoupled weight decay; every model of the stack has its own rate and decay.

        m = β₁ m + (1 − β₁) g,   v = β₂ v + (1 − β₂) g²
        θ = θ − η r (m̂ / (√v̂ + ε) + λ θ)

    with the bias-corrected m̂ and v̂, the rate η of the model at this step and the multiplier r of the matrix.

    Source:
        Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2.
    """

    def __init__(self, weights: Tensor, multipliers: Tensor, *, beta2: float, weight_decay: Tensor):
        self.first = torch.zeros_like(weights)
        self.second = torch.zeros_like(weights)
        self.multipliers = multipliers
        self.beta2 = beta2
        self.weight_decay = weight_decay if bool(weight_decay.any()) else None

    def step(self, weights: Tensor, gradient: Tensor, rate: Tensor, count: int) -> None:
        """Move the weights `[K, P]` in place.

        Args:
            weights, gradient: `[K, P]`.
            rate: `[K, 1]`, this step's learning rate of each model.
            count: steps taken, this one included.
        """
        self.first.lerp_(gradient, 1 - BETA1)
        self.second.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        root = self.second.sqrt().mul_((1 - self.beta2**count) ** -0.5).add_(EPSILON)
        update = torch.div(self.first, root).mul_(1 / (1 - BETA1**count))
        if self.weight_decay is not None:
            update.addcmul_(weights, self.weight_decay)
        weights.sub_(update.mul_(self.multipliers).mul_(rate))
