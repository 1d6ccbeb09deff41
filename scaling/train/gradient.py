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
from scaling.train.model import Transformer, matrix_views

_END = -1


class Gradient:
    """The gradient `[K, P]` of each model's mean loss on its batch.

    With ranks, process 0 sends its weights, every process takes its share of the windows, and process 0 has the mean:
    as much traffic as an all-reduce, and nothing but the weights must agree.
    """

    def __init__(self, net: Transformer, weights: Tensor, trunk: Trunk, mode: Mode):
        self.weights, self.passes = weights, mode.passes
        self.ranks = dist.get_world_size() if dist.is_initialized() else 1
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.total = torch.empty_like(weights)
        dtype = torch.bfloat16 if mode.precision == "bf16" else weights.dtype
        aside = dtype != weights.dtype or mode.passes > 1 or self.ranks > 1
        self.read = weights if dtype == weights.dtype else torch.empty_like(weights, dtype=dtype)
        self.written = torch.empty_like(weights, dtype=dtype) if aside else self.total
        self.of = torch.compile(net.gradient, dynamic=False) if mode.compile else net.gradient
        models = len(weights)
        together = models_at_once(trunk) if weights.device.type == "cpu" else models
        self.groups = [
            (
                slice(k, k + together),
                *(matrix_views(b[k : k + together], net.shape) for b in (self.read, self.written)),
            )
            for k in range(0, models, together)
        ]

    def fill(self, tokens: Tensor, step: int) -> Tensor:
        """Gradient at the batch `[K, windows, context + 1]` of a step."""
        if self.ranks > 1:
            dist.broadcast(torch.tensor(step, device=tokens.device), 0)
        return self._fill(tokens)

    def end(self) -> None:
        """Let the other ranks go."""
        if self.ranks > 1:
            dist.broadcast(torch.tensor(_END, device=self.weights.device), 0)

    def follow(self, batch: Callable[[int], Tensor]) -> None:
        """What a rank above 0 does until `end`: its share of every batch."""
        step = torch.tensor(0, device=self.weights.device)
        while True:
            dist.broadcast(step, 0)
            if int(step) == _END:
                return
            self._fill(batch(int(step)))

    def _fill(self, tokens: Tensor) -> Tensor:
        if self.read is not self.weights:
            self.read.copy_(self.weights)
        if self.ranks > 1:
            dist.broadcast(self.read, 0)
        for models, weights, into in self.groups:
            if self.written is self.total:
                self.of(weights, tokens[models], into)
                continue
            total = self.total[models].zero_()
            for some in tokens[models, self.rank :: self.ranks].chunk(self.passes, 1):
                self.of(weights, some, into)
                total.add_(self.written[models], alpha=some.shape[1] / tokens.shape[1])
        if self.ranks > 1:
            dist.reduce(self.total, 0)
        return self.total
