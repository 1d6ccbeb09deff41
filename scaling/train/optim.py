"""AdamW and Muon on the flat buffer of a stack: one set of passes for K models."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from scaling.flops import Shape
from scaling.train.model import layout, matrix_views

BETA1 = 0.8
"""0.1 nats better than 0.9 at 512 tokens a step and width 32."""
EPSILON = 1e-8
FUSED_SIZE = 2**16
"""Weights of a model from which torch's fused kernel is faster on a CPU: 2.6 times at width 128, 4 times at 256. Below,
a stack's dozen passes are in its caches, and calls count."""
MOMENTUM = 0.95
"""Of Muon, as its authors set it."""
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5


class AdamW:
    """Adam with decoupled weight decay; every model of the stack has its own rate and decay.

        m = β₁ m + (1 − β₁) g,   v = β₂ v + (1 − β₂) g²
        θ = θ (1 − η κ) − η r (m̂ / (√v̂ + ε) + λ θ)

    with the bias-corrected m̂ and v̂, the rate η of the model at this step and the multiplier r of the matrix. λ is the
    usual weight decay, which weakens with r as models widen; κ is one by tokens, the same for every matrix.

    Source:
        Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2.
    """

    def __init__(
        self,
        weights: Tensor,
        multipliers: Tensor,
        *,
        beta2: float,
        weight_decay: Tensor,
        shrinkage: Tensor | None = None,
    ):
        self.first = torch.zeros_like(weights)
        self.second = torch.zeros_like(weights)
        self.multipliers = multipliers
        self.beta2 = beta2
        self.weight_decay = weight_decay if bool(weight_decay.any()) else None
        self.shrinkage = shrinkage if shrinkage is not None and bool(shrinkage.any()) else None
        self.first_scale, self.root_scale = weights.new_ones(()), weights.new_ones(())
        self.taken = torch.zeros(())
        self.runs = _runs(multipliers)
        self.fused = weights.device.type == "cpu" and weights.shape[1] >= FUSED_SIZE

    def count(self, steps: int) -> None:
        """Correct the moments' bias as of so many steps, the next one included."""
        self.taken.fill_(steps - 1)
        self.first_scale.fill_(1 / (1 - BETA1**steps))
        self.root_scale.fill_((1 - self.beta2**steps) ** -0.5)

    def step(self, weights: Tensor, gradient: Tensor, rate: Tensor) -> None:
        """Move the weights `[K, P]` in place.

        Args:
            weights, gradient: `[K, P]`.
            rate: `[K, 1]`, this step's learning rate of each model.
        """
        if self.shrinkage is not None:
            weights.mul_(1 - rate * self.shrinkage)
        if self.fused:
            self._fused_step(weights, gradient, rate)
            return
        update = self._direction(gradient)
        if self.weight_decay is not None:
            update.addcmul_(weights, self.weight_decay)
        weights.sub_(update.mul_(self.multipliers).mul_(rate))

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs."""
        return {"first": self.first, "second": self.second}

    def _fused_step(self, weights: Tensor, gradient: Tensor, rate: Tensor) -> None:
        """The same in one pass by torch's kernel, for each model and each run of weights with one multiplier."""
        decays = [0.0] * len(weights) if self.weight_decay is None else self.weight_decay.flatten().tolist()
        for k, (own_rate, decay) in enumerate(zip(rate.flatten().tolist(), decays, strict=True)):
            for at, multiplier in self.runs:
                adamw(
                    [weights[k, at]], [gradient[k, at]], [self.first[k, at]], [self.second[k, at]], [],
                    [self.taken.clone()], fused=True, amsgrad=False, beta1=BETA1, beta2=self.beta2,
                    lr=own_rate * multiplier, weight_decay=decay, eps=EPSILON, maximize=False,
                )  # fmt: skip

    def _direction(self, gradient: Tensor) -> Tensor:
        self.first.lerp_(gradient, 1 - BETA1)
        self.second.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        root = self.second.sqrt().mul_(self.root_scale).add_(EPSILON)
        return torch.div(self.first, root).mul_(self.first_scale)


def _runs(multipliers: Tensor) -> list[tuple[slice, float]]:
    """Neighbouring weights with the same multiplier."""
    values, counts = torch.unique_consecutive(multipliers, return_counts=True)
    ends = counts.cumsum(0).tolist()
    return [
        (slice(end - count, end), value)
        for value, count, end in zip(values.tolist(), counts.tolist(), ends, strict=True)
    ]


class Muon(AdamW):
    """Momentum made orthogonal for the matrices inside the blocks, AdamW for embedding and head.

        m = μ m + (1 − μ) g,   O = NewtonSchulz((1 − μ) g + μ m)
        θ = θ (1 − η κ) − η r (O + λ θ)

    O is near the orthogonal matrix closest to the momentum; queries, keys and values are three matrices. With
    r ∝ √(fan out / fan in) the spectral norm of an update is what every width can take, so the rate transfers.

    Source:
        Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks", the algorithm and its quintic
        coefficients; the scale: Bernstein and Newhouse 2024, arXiv:2410.21265, equation 4.
    """

    def __init__(
        self, weights: Tensor, multipliers: Tensor, shape: Shape, *, beta2: float, weight_decay: Tensor,
        shrinkage: Tensor | None = None,
    ):  # fmt: skip
        super().__init__(weights, multipliers, beta2=beta2, weight_decay=weight_decay, shrinkage=shrinkage)
        self.fused = False
        self.shape = shape
        self.momentum = torch.zeros_like(weights)

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs."""
        return super().state() | {"momentum": self.momentum}

    def _direction(self, gradient: Tensor) -> Tensor:
        update = super()._direction(gradient)
        self.momentum.lerp_(gradient, 1 - MOMENTUM)
        ahead = matrix_views(gradient.lerp(self.momentum, MOMENTUM), self.shape)
        views = matrix_views(update, self.shape)
        for matrix in layout(self.shape):
            if matrix.hidden:
                parts = zip(
                    ahead[matrix.name].split(matrix.part, 2),
                    views[matrix.name].split(matrix.part, 2),
                    strict=True,
                )
                for wanted, place in parts:
                    place.copy_(orthogonal(wanted))
        return update


def orthogonal(matrices: Tensor) -> Tensor:
    """Each of `[K, n, m]` with its singular values moved to about one, by five quintic Newton–Schulz steps."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + EPSILON)
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = torch.bmm(x, x.transpose(1, 2))
        x = a * x + torch.bmm(b * square + c * torch.bmm(square, square), x)
    return x.transpose(1, 2) if tall else x
