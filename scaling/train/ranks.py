"""One stack trained by several processes: each has all of it, and takes its share of the windows of every batch.

torch's `DistributedDataParallel` averages the gradients while the way back is still being computed, and each process
moves its own copy by them. Rank 0 trains as if it were alone, and says before every step which one it is; the others
take that step, and know nothing of trunks, branches and rows.

Sharding the state too, as FSDP does, is for models that one device cannot hold: at GPT-2's size with 124M weights the
state is a twentieth of 80 GB.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from scaling.study import Trunk
from scaling.sweeps.mode import Mode
from scaling.train.losses import Batch, Loss
from scaling.train.model import Forward, matrix_views

_END = -1


class SharedGradient:
    """The gradient `[K, P]` of each model's loss on its batch, a part of which every rank computes."""

    def __init__(self, weights: Tensor, trunk: Trunk, mode: Mode, loss: Loss):
        self.loss, self.passes = loss, mode.passes
        self.rank, self.ranks = dist.get_rank(), dist.get_world_size()
        self.total = torch.zeros_like(weights)
        self.places = list(matrix_views(self.total, trunk.model).values())
        mean = _Mean(weights, trunk, mode, loss)
        idle = trunk.model.score_head  # a head that most losses do not read
        self.mean = DistributedDataParallel(mean, gradient_as_bucket_view=True, find_unused_parameters=idle)

    def fill(self, batch: Batch) -> Tensor:
        """Gradient at a batch, tensors `[K, windows, …]`, the same on every rank."""
        self.mean.zero_grad()
        total = self.loss.total(batch) / self.ranks  # the ranks' gradients are averaged
        mine = {name: part[:, self.rank :: self.ranks].chunk(self.passes, 1) for name, part in batch.items()}
        *before, last = (dict(zip(mine, some, strict=True)) for some in zip(*mine.values(), strict=True))
        with self.mean.no_sync():
            for some in before:
                self.mean(some, total).backward()
        self.mean(last, total).backward()
        for place, matrix in zip(self.places, self.mean.parameters(), strict=True):
            if matrix.grad is not None:
                place.copy_(matrix.grad)
        return self.total


class _Mean(nn.Module):
    """The sum of a loss over some windows, over a total, as a function of the matrices of K models."""

    def __init__(self, weights: Tensor, trunk: Trunk, mode: Mode, loss: Loss):
        super().__init__()
        views = matrix_views(weights, trunk.model)
        self.names, self.matrices = list(views), nn.ParameterList(views.values())
        dtype = torch.bfloat16 if mode.precision == "bf16" else weights.dtype
        net = Forward(trunk.model, weights.device, dtype, recompute=mode.recompute)

        def mean(matrices: list[Tensor], batch: Batch, total: Tensor) -> Tensor:
            read = {name: matrix.to(dtype) for name, matrix in zip(self.names, matrices, strict=True)}
            return (loss.summed(net, read, batch) / total).sum()

        self.mean = torch.compile(mean, dynamic=False, fullgraph=True) if mode.compile else mean

    def forward(self, batch: Batch, total: Tensor) -> Tensor:
        return self.mean(list(self.matrices), batch, total)


def tell(step: int, share: float, state: dict[str, Tensor] | None) -> None:
    """Have the other ranks take a step at a share of the peak rate; from a state, where theirs is no longer right."""
    dist.broadcast(torch.tensor([step, share, state is not None], dtype=torch.float64), 0)
    _spread(state or {})


def release() -> None:
    """Tell the other ranks that there are no more steps."""
    dist.broadcast(torch.tensor([_END, 0.0, 0.0], dtype=torch.float64), 0)


def heard(state: dict[str, Tensor]) -> tuple[int, float] | None:
    """The next step and its share of the peak rate, `state` being as it is on rank 0; None where there is no more."""
    word = torch.empty(3, dtype=torch.float64)
    dist.broadcast(word, 0)
    step, share, changed = word.tolist()
    if changed:
        _spread(state)
    return None if step == _END else (int(step), share)


def _spread(state: dict[str, Tensor]) -> None:
    for tensor in state.values():
        dist.broadcast(tensor, 0)
