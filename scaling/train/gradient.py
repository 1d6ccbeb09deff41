"""How the gradient of a stack is computed: in which precision, in how many passes, by hand or by autograd.

None of it changes what is computed, beyond the rounding of sums in another order and of bf16. How several processes
share it stands in `ranks`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scaling.study import Trunk
from scaling.sweeps.cost import models_at_once
from scaling.sweeps.mode import Mode
from scaling.train.fastpath import FastPath
from scaling.train.losses import NEXT_TOKEN, Batch, Loss
from scaling.train.model import Forward, Weights, matrix_views


class Gradient:
    """The gradient `[K, P]` of each model's loss on its batch.

    Autograd makes it, compiled or not; on a CPU the next-token loss takes the fast path that is written by hand.
    """

    def __init__(self, weights: Tensor, trunk: Trunk, mode: Mode, loss: Loss = NEXT_TOKEN):
        self.weights, self.passes, self.loss = weights, mode.passes, loss
        self.total = torch.empty_like(weights)
        dtype = torch.bfloat16 if mode.precision == "bf16" else weights.dtype
        aside = dtype != weights.dtype or mode.passes > 1
        self.read = weights if dtype == weights.dtype else torch.empty_like(weights, dtype=dtype)
        self.written = torch.empty_like(weights, dtype=dtype) if aside else self.total
        shape, device, models = trunk.model, weights.device, len(weights)
        if device.type == "cpu" and loss is NEXT_TOKEN and not (mode.compile or mode.recompute):
            self.of = FastPath(shape, device, weights.dtype).gradient
        else:
            net = Forward(shape, device, weights.dtype, recompute=mode.recompute)
            self.of = Autograd(net, loss, compiled=mode.compile)
        together = models_at_once(trunk) if device.type == "cpu" else models
        self.groups = [
            (
                slice(k, k + together),
                *(matrix_views(b[k : k + together], shape) for b in (self.read, self.written)),
            )
            for k in range(0, models, together)
        ]

    def fill(self, batch: Batch) -> Tensor:
        """Gradient at a batch, tensors `[K, windows, …]`."""
        if self.read is not self.weights:
            self.read.copy_(self.weights)
        total = self.loss.total(batch)
        for models, weights, into in self.groups:
            mine = {name: part[models] for name, part in batch.items()}
            if self.written is self.total:
                self.of(weights, mine, total[models], into)
                continue
            gradient = self.total[models].zero_()
            passes = {name: part.chunk(self.passes, 1) for name, part in mine.items()}
            for some in zip(*passes.values(), strict=True):
                self.of(weights, dict(zip(passes, some, strict=True)), total[models], into)
                gradient.add_(self.written[models])
        return self.total


class Autograd:
    """Gradients of any loss by autograd, of a graph that is compiled once for all steps and branches."""

    def __init__(self, net: Forward, loss: Loss, *, compiled: bool):
        def mean(weights: Weights, batch: Batch, total: Tensor) -> Tensor:
            return (loss.summed(net, weights, batch) / total).sum()

        self.mean = torch.compile(mean, dynamic=False, fullgraph=True) if compiled else mean

    def __call__(self, weights: Weights, batch: Batch, total: Tensor, into: dict[str, Tensor]) -> None:
        """Gradient of the sum over a batch or a part of it, over `total` `[K]`, written over what `into` holds."""
        leaves = {name: view.detach().requires_grad_() for name, view in weights.items()}
        mean = self.mean(leaves, batch, total)
        gradients = torch.autograd.grad(mean, list(leaves.values()), materialize_grads=True)
        for place, gradient in zip(into.values(), gradients, strict=True):
            place.copy_(gradient)
