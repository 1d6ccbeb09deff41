"""How the gradient of a stack is computed: in which precision, in how many passes, by how many processes.

None of it changes what is computed, beyond the rounding of sums in another order and of bf16.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor

from scaling.study import Trunk
from scaling.sweeps.cost import models_at_once
from scaling.sweeps.job import Mode
from scaling.train.fastpath import FastPath
from scaling.train.losses import NEXT_TOKEN, Batch, Loss
from scaling.train.model import Forward, Weights, matrix_views

_END = -1


class Gradient:
    """The gradient `[K, P]` of each model's loss on its batch.

    Autograd makes it, compiled or not; on a CPU the next-token loss takes the fast path that is written by hand.

    With ranks, process 0 sends its weights, every process takes its share of the windows, and process 0 has the mean:
    as much traffic as an all-reduce, and nothing but the weights must agree.
    """

    def __init__(self, weights: Tensor, trunk: Trunk, mode: Mode, loss: Loss = NEXT_TOKEN):
        self.weights, self.passes, self.loss = weights, mode.passes, loss
        self.ranks = dist.get_world_size() if dist.is_initialized() else 1
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.total = torch.empty_like(weights)
        dtype = torch.bfloat16 if mode.precision == "bf16" else weights.dtype
        aside = dtype != weights.dtype or mode.passes > 1 or self.ranks > 1
        self.read = weights if dtype == weights.dtype else torch.empty_like(weights, dtype=dtype)
        self.written = torch.empty_like(weights, dtype=dtype) if aside else self.total
        shape, device, models = trunk.model, weights.device, len(weights)
        if device.type == "cpu" and loss is NEXT_TOKEN and not mode.compile:
            self.of = FastPath(shape, device, weights.dtype).gradient
        else:
            self.of = Autograd(Forward(shape, device, weights.dtype), loss, compiled=mode.compile)
        together = models_at_once(trunk) if device.type == "cpu" else models
        self.groups = [
            (
                slice(k, k + together),
                *(matrix_views(b[k : k + together], shape) for b in (self.read, self.written)),
            )
            for k in range(0, models, together)
        ]

    def fill(self, batch: Batch, step: int) -> Tensor:
        """Gradient at the batch of a step, tensors `[K, windows, …]`."""
        if self.ranks > 1:
            dist.broadcast(torch.tensor(step, device=self.weights.device), 0)
        return self._fill(batch)

    def end(self) -> None:
        """Let the other ranks go."""
        if self.ranks > 1:
            dist.broadcast(torch.tensor(_END, device=self.weights.device), 0)

    def follow(self, batch: Callable[[int], Batch]) -> None:
        """What a rank above 0 does until `end`: its share of every batch."""
        step = torch.tensor(0, device=self.weights.device)
        while True:
            dist.broadcast(step, 0)
            if int(step) == _END:
                return
            self._fill(batch(int(step)))

    def _fill(self, batch: Batch) -> Tensor:
        if self.read is not self.weights:
            self.read.copy_(self.weights)
        if self.ranks > 1:
            dist.broadcast(self.read, 0)
        total = self.loss.total(batch)
        for models, weights, into in self.groups:
            mine = {name: part[models] for name, part in batch.items()}
            if self.written is self.total:
                self.of(weights, mine, total[models], into)
                continue
            gradient = self.total[models].zero_()
            shares = {
                name: part[:, self.rank :: self.ranks].chunk(self.passes, 1) for name, part in mine.items()
            }
            for some in zip(*shares.values(), strict=True):
                self.of(weights, dict(zip(shares, some, strict=True)), total[models], into)
                gradient.add_(self.written[models])
        if self.ranks > 1:
            dist.reduce(self.total, 0)
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
