"""Which trunks train together: the stacks that a sweep is made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from scaling.errors import TrainError
from scaling.study import Trunk
from scaling.sweeps.cost import mode_and_bytes, models_at_once, stack_bytes, together, tokens_to_train
from scaling.sweeps.engines.base import Capacity
from scaling.sweeps.job import StackSpec


class ModelTooLarge(TrainError):
    """A model, or an ensemble that must train together, with no room in memory."""

    name: str
    models: int
    needed: float
    memory: float
    workers: int

    def __str__(self) -> str:
        what = self.name if self.models == 1 else f"{self.models} models together ({self.name} and its like)"
        share = f"{self.workers} workers share" if self.workers > 1 else "one worker has"
        fewer = (
            ", or let fewer work at once with --workers 1"
            if self.needed <= self.memory < self.needed * self.workers
            else ""
        )
        return (
            f"asked to train {what}, which takes about {self.needed / 1e9:.3g} GB of memory, but {share} "
            f"{self.memory / 1e9:.3g} GB. Lower tokens_per_step or the width{fewer}."
        )


GPU_STACK = 64
CPU_UNASKED, GPU_UNASKED = 0.1, 1.0
"""Most steps that a model takes for the budgets of others in its stack, over those for its own. Stacking saves more."""


def stack_trunks(
    trunks: Iterable[Trunk], corpus_hash: str, capacity: Capacity, begun: Iterable[StackSpec] = ()
) -> list[StackSpec]:
    """Stacks of trunks that can train together, the longest first.

    On a CPU every worker gets a share of each shape, in stacks of `models_at_once`, of budgets so alike that none takes
    many steps for the others; on a GPU small models leave most of it idle, so stacks are as large as they can be. Those
    `begun`, which have a checkpoint, stay as they are where they fit, however many workers there are now.

    Raises:
        ModelTooLarge: a model, or an ensemble whose members must train together, needs more memory than a worker has.
    """
    room, gpu = capacity.memory, capacity.gpu
    how: dict[str, Any] = {"gpu": gpu, "mode": capacity.mode, "ranks": capacity.ranks}
    stacks, left = [], dict.fromkeys(trunks)
    for stack in begun:
        _, needed = mode_and_bytes(stack.trunks[0], len(stack.trunks), room, **how)
        if needed <= room and left.keys() >= set(stack.trunks):
            stacks.append(stack)
            left = {trunk: None for trunk in left if trunk not in stack.trunks}
    groups: dict[Trunk, list[Trunk]] = defaultdict(list)
    for trunk in left:
        groups[trunk.stack_key].append(trunk)
    for key, group in groups.items():
        size = (
            GPU_STACK
            if gpu
            else min(models_at_once(key), -(-len(group) // (capacity.workers * capacity.launchers)))
        )
        while size > 1 and stack_bytes(key, size, **how) > room:
            size -= 1
        for members in _dealt_out(group, size, GPU_UNASKED if gpu else CPU_UNASKED):
            _, needed = mode_and_bytes(key, len(members), room, **how)
            if needed > room:
                memory = room * capacity.workers
                raise ModelTooLarge(members[0].name, len(members), needed, memory, capacity.workers)
            stacks.append(StackSpec(tuple(members), corpus_hash))
    return sorted(stacks, key=lambda stack: stack.cost, reverse=True)


def _dealt_out(trunks: list[Trunk], size: int, unasked: float) -> list[list[Trunk]]:
    """Trunks dealt out in stacks of a size, an ensemble never torn apart: its members predict together.

    A stack trains each of its models for all its budgets; `unasked` is the most that this may add for one of them.
    """
    ensembles: dict[Trunk, list[Trunk]] = defaultdict(list)
    for trunk in sorted(trunks, key=tokens_to_train, reverse=True):
        ensembles[trunk.ensemble_key].append(trunk)
    stacks: list[list[Trunk]] = [[]]
    for members in ensembles.values():
        both = [*stacks[-1], *members]
        most = (1 + unasked) * min(map(tokens_to_train, both))
        if stacks[-1] and (len(both) > size or tokens_to_train(together(both)) > most):
            stacks.append([])
        stacks[-1] += members
    return stacks
