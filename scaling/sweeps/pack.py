"""Which trunks train together, and what a stack of them takes: tokens, time, memory, disk."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace

from scaling.errors import TrainError
from scaling.flops import Shape, count_flops, count_parameters
from scaling.study import Trunk, identity


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


CPU_STEP = 2**15
"""Width × tokens of what a CPU takes through one step at once: beyond it activations leave the caches: at 512 tokens a
step a model in a stack of 8 takes 1.0, 1.07 and 1.19 times as long as in one of 4, 2 and 1, at widths 16, 32 and 64."""
CPU_STACK = 8
GPU_STACK = 64
CPU_UNASKED, GPU_UNASKED = 0.1, 1.0
"""Most steps that a model takes for the budgets of others in its stack, over those for its own. Stacking saves more."""

_FLOAT = 4
_PROCESS_BYTES = 300e6
"""Python, torch and its libraries, before any model."""
_GPU_PROCESS_BYTES = 1e9
"""The CUDA context and its workspaces."""
EVALUATION_TOKENS = 4_096
"""Most tokens of one evaluation pass over a stack on a CPU, where 65,536 fit no cache and take 7 to 17 % longer."""
GPU_EVALUATION_TOKENS = 65_536
EVALUATION_LOGITS = 1 << 26
"""Most logits that such a pass makes at once, 256 MiB; under large vocabularies the pass shrinks."""
_WINDOWS = 256  # worker.FINAL_WINDOWS, which cannot be imported without torch
_CHECKPOINTS = 5  # of a trunk and of the branch under way: checkpoint.KEPT each, and the one being written
_ROW_BYTES = 3_000
"""Of one run: its row, its share of the learning curve, each domain's loss."""


@dataclass(frozen=True)
class Pack:
    """Trunks of one shape that train in one process at once."""

    trunks: tuple[Trunk, ...]
    corpus_hash: str

    @property
    def id(self) -> str:
        """Hash of its trunks."""
        return identity.digest(self.trunk_ids)

    @property
    def trunk_ids(self) -> tuple[str, ...]:
        """What is to be held while it trains."""
        return tuple(identity.trunk_id(t, self.corpus_hash) for t in self.trunks)

    @property
    def run_ids(self) -> set[str]:
        """The runs that it will write."""
        return run_ids(self.trunks, self.corpus_hash)

    def left(self, finished: Set[str]) -> Pack | None:
        """Its trunks that still have a run to write, if there are any."""
        trunks = unfinished(self.trunks, self.corpus_hash, finished)
        return replace(self, trunks=trunks) if trunks else None

    @property
    def tokens(self) -> int:
        """Tokens that it trains on, trunks and cooldowns together."""
        return len(self.trunks) * tokens_to_train(together(self.trunks))

    @property
    def cost(self) -> float:
        """Expected time, in units of one FLOP at full speed; small matrices reach a smaller share of the peak."""
        return len(self.trunks) * relative_cost(together(self.trunks))

    @property
    def checkpoint_bytes(self) -> int:
        """Most that its checkpoints take on the disk at once; they go when it is done."""
        first = self.trunks[0]
        weights = count_parameters(first.model).total
        return _CHECKPOINTS * len(self.trunks) * weights * _state_floats(first) * _FLOAT

    @property
    def row_bytes(self) -> int:
        """What its rows take on the disk."""
        return len(self.run_ids) * _ROW_BYTES


def pack_trunks(
    trunks: tuple[Trunk, ...],
    corpus_hash: str,
    workers: int,
    gpu: bool,
    memory: float = math.inf,
    begun: Iterable[Pack] = (),
) -> list[Pack]:
    """Stacks of trunks that can train together, the longest first.

    On a CPU every worker gets a share of each shape, in stacks of `models_at_once`, of budgets so alike that none takes
    many steps for the others; on a GPU small models leave most of it idle, so stacks are as large as they can be.

    Args:
        trunks: what is to be trained.
        corpus_hash: of the text that they train on.
        workers: processes that share the trunks.
        gpu: whether they train on one.
        memory: bytes that all workers may take together.
        begun: stacks that have a checkpoint; where they fit they stay as they are, however many workers there are now.

    Raises:
        ModelTooLarge: a model, or an ensemble whose members must train together, needs more memory than a worker has.
    """
    packs, left = [], dict.fromkeys(trunks)
    for pack in begun:
        _, needed = passes_and_bytes(pack.trunks[0], len(pack.trunks), memory / workers, gpu=gpu)
        if needed <= memory / workers and left.keys() >= set(pack.trunks):
            packs.append(pack)
            left = {trunk: None for trunk in left if trunk not in pack.trunks}
    groups: dict[Trunk, list[Trunk]] = defaultdict(list)
    for trunk in left:
        groups[trunk.stack_key].append(trunk)
    for key, group in groups.items():
        size = GPU_STACK if gpu else min(models_at_once(key), -(-len(group) // workers))
        while size > 1 and stack_bytes(key, size, gpu=gpu) > memory / workers:
            size -= 1
        for stack in _stacks(group, size, GPU_UNASKED if gpu else CPU_UNASKED):
            _, needed = passes_and_bytes(key, len(stack), memory / workers, gpu=gpu)
            if needed > memory / workers:
                raise ModelTooLarge(stack[0].name, len(stack), needed, memory, workers)
            packs.append(Pack(tuple(stack), corpus_hash))
    return sorted(packs, key=lambda p: p.cost, reverse=True)


def models_at_once(trunk: Trunk) -> int:
    """How many models of this shape a CPU trains fastest at once: each pass over several saves calls, until the
    activations of a step leave the caches."""
    return max(1, min(CPU_STACK, CPU_STEP // (trunk.model.width * trunk.schedule.tokens_per_step)))


def run_ids(trunks: Iterable[Trunk], corpus_hash: str) -> set[str]:
    """The runs that trunks are asked for."""
    return {identity.run_id(t, corpus_hash, b) for t in trunks for b in t.schedule.budgets}


def unfinished(trunks: Iterable[Trunk], corpus_hash: str, finished: Set[str]) -> tuple[Trunk, ...]:
    """Those with a run that is not finished, and with them all members of their ensembles: they predict together."""
    left = {t.ensemble_key for t in trunks if run_ids([t], corpus_hash) - finished}
    return tuple(t for t in trunks if t.ensemble_key in left)


def together(trunks: Sequence[Trunk]) -> Trunk:
    """Stands for what the trunks of a stack share, with the budgets of all of them."""
    return trunks[0].but(budgets=sorted({b for t in trunks for b in t.schedule.budgets}))


def _stacks(trunks: list[Trunk], size: int, unasked: float) -> list[list[Trunk]]:
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


def tokens_to_train(trunk: Trunk) -> int:
    """Tokens of a trunk up to its last branch, and of all its cooldowns."""
    schedule = trunk.schedule
    cooldowns = sum(schedule.steps(b) - schedule.branch_step(b) for b in schedule.budgets)
    return (schedule.last_step + cooldowns) * schedule.tokens_per_step


def relative_cost(trunk: Trunk) -> float:
    """Expected time of a trunk and its cooldowns, in units of one FLOP at full speed."""
    flops_per_token = count_flops(trunk.model).total
    return tokens_to_train(trunk) * cost_per_token(flops_per_token, trunk.model.width, trunk.model.depth)


def cost_per_token(flops: float, width: int, depth: int) -> float:
    """FLOPs, and beside them the time of element-wise work that grows with width and not with its square."""
    return flops + 12_000 * width * depth / 2  # of 58 GFLOP/s, measured at widths 16 to 128


def passes_and_bytes(trunk: Trunk, models: int, room: float, *, gpu: bool = False) -> tuple[int, float]:
    """The fewest parts of a batch with which a stack fits into so many bytes, and what it takes then.

    Where it never fits, a pass of each window, and what that takes.
    """
    windows = trunk.schedule.tokens_per_step // trunk.model.context
    for passes in (p for p in range(1, windows + 1) if windows % p == 0):
        needed = stack_bytes(trunk, models, gpu=gpu, passes=passes)
        if needed <= room:
            break
    return passes, needed


def stack_bytes(trunk: Trunk, models: int, *, gpu: bool = False, passes: int = 1) -> float:
    """Memory of a process that trains a stack of models of one shape.

        process + 4 K P (2 s + 3) + 4 max(K' t (4 V + 40 w d), e (3 V + 24 w))

    With P weights in each of K models, the state is s of them: weights, two moments, Muon's momentum, the average. A
    branch keeps a second one, and a step needs the gradient and two temporary buffers. A training step keeps, for each
    of its t tokens in a pass, what the way back reads in d blocks of width w, and the logits of V tokens four times
    over, for the K' models that are trained at once; a pass of an evaluation has e tokens (`evaluation_tokens`), and
    keeps less of each.

    Measured on a CPU at widths 16 to 512, 512 to 16,384 tokens a step, either optimizer and activation: 1 % below the
    peak to 22 % above; 18 % above at a vocabulary of 50,257.

    Args:
        trunk: one of the stack.
        models: K.
        gpu: whether the device's memory is meant.
        passes: parts of a batch.

    Returns:
        Bytes.
    """
    shape = trunk.model
    weights = models * count_parameters(shape).total * (2 * _state_floats(trunk) + 3)
    at_once = models if gpu else min(models, models_at_once(trunk))
    tokens = at_once * trunk.schedule.tokens_per_step / passes
    training = tokens * (4 * shape.vocabulary + 40 * shape.width * shape.depth)
    evaluated = min(evaluation_tokens(shape, models, gpu=gpu), _WINDOWS * models * (shape.context + 1))
    evaluation = evaluated * (3 * shape.vocabulary + 24 * shape.width)
    process = _GPU_PROCESS_BYTES if gpu else _PROCESS_BYTES
    return process + _FLOAT * (weights + max(training, evaluation))


def evaluation_tokens(shape: Shape, models: int, *, gpu: bool) -> int:
    """Most tokens of one evaluation pass over a stack; a window of each model at least, whatever the vocabulary."""
    most = GPU_EVALUATION_TOKENS if gpu else EVALUATION_TOKENS
    return max(models * (shape.context + 1), min(most, EVALUATION_LOGITS // shape.vocabulary))


def _state_floats(trunk: Trunk) -> int:
    """Floats for each weight that a checkpoint holds."""
    return 3 + (trunk.optim.optimizer == "muon") + (trunk.schedule.average_gamma > 0)
