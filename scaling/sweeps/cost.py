"""What a stack of trunks takes: tokens, time, memory, disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scaling.flops import Shape, count_flops, count_parameters
from scaling.study import Trunk
from scaling.sweeps.curve import CURVE_WINDOWS, FINAL_WINDOWS, cooldown_steps, curve_steps
from scaling.sweeps.mode import PLAIN, Mode

CPU_STEP = 2**15
"""Width × tokens of what a CPU takes through one step at once: beyond it activations leave the caches: at 512 tokens a
step a model in a stack of 8 takes 1.0, 1.07 and 1.19 times as long as in one of 4, 2 and 1, at widths 16, 32 and 64."""
CPU_STACK = 8
EVALUATION_TOKENS = 4_096
"""Most tokens of one evaluation pass over a stack on a CPU, where 65,536 fit no cache and take 7 to 17 % longer."""
EVALUATION_STEP = 2**17
"""Most width × tokens of such a pass: 4,096 tokens took 12 % longer at width 64, 30 % at 128 and 22 % at 256."""
GPU_EVALUATION_TOKENS = 65_536
EVALUATION_LOGITS = 1 << 26
"""Most logits that such a pass makes at once, 256 MiB; under large vocabularies the pass shrinks."""

FLOAT = 4
"""Bytes of a number."""
_PROCESS_BYTES = 300e6
"""Python, torch and its libraries, before any model."""
_GPU_PROCESS_BYTES = 1e9
"""The CUDA context and its workspaces."""
NUMBER = {"fp32": 4, "bf16": 2}
"""Bytes of an activation."""
KEPT = {("fp32", False): 73, ("bf16", False): 49, ("fp32", True): 60, ("bf16", True): 37}
"""Bytes that autograd keeps for each token, block and unit of width, by precision and whether it is compiled."""


def models_at_once(trunk: Trunk) -> int:
    """How many models of this shape a CPU trains fastest at once: each pass over several saves calls, until the
    activations of a step leave the caches."""
    return max(1, min(CPU_STACK, CPU_STEP // (trunk.model.width * trunk.schedule.tokens_per_step)))


def together(trunks: Sequence[Trunk]) -> Trunk:
    """Stands for what the trunks of a stack share, with the budgets of all of them."""
    return trunks[0].but(budgets=sorted({b for t in trunks for b in t.schedule.budgets}))


def tokens_to_train(trunk: Trunk) -> int:
    """Tokens of a trunk up to its last branch, and of all its cooldowns."""
    schedule = trunk.schedule
    cooldowns = sum(schedule.steps(b) - schedule.branch_step(b) for b in schedule.budgets)
    return (schedule.last_step + cooldowns) * schedule.tokens_per_step


def relative_cost(trunk: Trunk) -> float:
    """Expected time of a trunk and its cooldowns, in units of one FLOP at full speed."""
    flops_per_token = count_flops(trunk.model).total
    return tokens_to_train(trunk) * cost_per_token(flops_per_token, trunk.model.width, trunk.model.depth)


def evaluation_cost(trunks: Sequence[Trunk], domains: int) -> float:
    """The same of a stack's evaluations of so many domains: a third of what training on as many tokens takes."""
    model, schedule = trunks[0].model, together(trunks).schedule
    starts_and_ends = [(schedule.branch_step(b), schedule.steps(b)) for b in schedule.budgets]
    points = len(curve_steps(schedule, schedule.last_step))
    points += sum(len(cooldown_steps(schedule, *branch)) - 1 for branch in starts_and_ends)
    windows = points * CURVE_WINDOWS + (len(schedule.budgets) + len(schedule.averages())) * FINAL_WINDOWS
    per_token = cost_per_token(count_flops(model).total, model.width, model.depth) / 3
    return len(trunks) * domains * windows * model.context * per_token


def cost_per_token(flops: float, width: int, depth: int) -> float:
    """FLOPs, and beside them the time of element-wise work that grows with width and not with its square."""
    return flops + 12_000 * width * depth / 2  # of 58 GFLOP/s, measured at widths 16 to 128


def mode_and_bytes(
    trunk: Trunk, models: int, room: float, *, gpu: bool = False, mode: Mode = PLAIN, ranks: int = 1
) -> tuple[Mode, float]:
    """The mode with which a stack fits into so many bytes, and what it takes then.

    The fewest parts of a batch, for they cost calls alone; where one window does not fit, what blocks hold is computed
    again on the way back, which costs a third more. Where it never fits, the mode that takes least.
    """
    windows = -(-trunk.schedule.tokens_per_step // trunk.model.context // ranks)
    for recompute in (False, True):
        for passes in (p for p in range(1, windows + 1) if windows % p == 0):
            fitted = replace(mode, passes=passes, recompute=recompute)
            needed = stack_bytes(trunk, models, gpu=gpu, mode=fitted, ranks=ranks)
            if needed <= room:
                return fitted, needed
    return fitted, needed


def stack_bytes(trunk: Trunk, models: int, *, gpu: bool = False, mode: Mode = PLAIN, ranks: int = 1) -> float:
    """Memory of a process that trains a stack of models of one shape.

    On a CPU, with P weights in each of K models,

        process + 4 K P (2 s + 3) + 4 max(K' t (4 V + 40 w d), e (3 V + 24 w))

    The state is s of the weights: themselves, two moments, Muon's momentum, the average. A branch keeps a second one,
    and a step needs the gradient and two temporary buffers. A training step keeps, for each of its t tokens in a pass,
    what the way back reads in d blocks of width w, and the logits of V tokens four times over, for the K' models that
    are trained at once; a pass of an evaluation has e tokens (`evaluation_tokens`), and keeps less of each. Measured at
    widths 16 to 512, 512 to 16,384 tokens a step, either optimizer and activation: 1 % below the peak to 22 % above;
    18 % above at a vocabulary of 50,257. That is memory in use: what the allocator keeps of freed blocks comes on
    top by chance, up to a half where many models of width 64 are evaluated.

    With `gpu` the device's memory is meant, as `device_bytes` counts it, and what CUDA itself takes of it.
    """
    if gpu:
        return _GPU_PROCESS_BYTES + device_bytes(trunk, models, mode=mode, ranks=ranks)
    shape = trunk.model
    weights = models * count_parameters(shape).total * (2 * state_floats(trunk) + 3)
    tokens = min(models, models_at_once(trunk)) * trunk.schedule.tokens_per_step / mode.passes / ranks
    blocks = shape.depth / 4 + 10 if mode.recompute else 10 * shape.depth
    training = tokens * 4 * (shape.vocabulary + blocks * shape.width)
    evaluation = _evaluated(trunk, models, gpu=False) * (3 * shape.vocabulary + 24 * shape.width)
    return _PROCESS_BYTES + FLOAT * (weights + max(training, evaluation))


def device_bytes(trunk: Trunk, models: int, *, mode: Mode, ranks: int = 1) -> float:
    """Most bytes that the tensors of a stack take at once where autograd trains it, as on a GPU.

        K P (4 (2 s + 1) + 2 z*) + max(z K P + K t (kept w d + 5 z w + max(12 V, 7 z w)), 12 K P, 4 e max(20 w, 3 V))

    with the letters of `stack_bytes` and z bytes for an activation, four or two; in bf16, z*, the weights and their
    gradient are there in two bytes too. `kept` are the bytes that a block keeps for each token and unit of width,
    counted tensor by tensor, forward and back (tests/train/test_memory.py); those of compiled models in bf16 are what
    the compiler's own partition saves, those in fp32 were not counted. Where blocks are computed again each keeps z,
    and one at a time the rest. A compiled model of width 768 and depth 12 took 24.2 GB for 64Ki tokens a step on an
    H100, and this says 26.5.
    """
    shape, floats = trunk.model, state_floats(trunk)
    weights, size = models * count_parameters(shape).total, NUMBER[mode.precision]
    tokens = models * trunk.schedule.tokens_per_step / mode.passes / ranks
    kept, once = KEPT[mode.precision, mode.compile], 7 * size
    if mode.recompute:
        kept, once = size, kept + once
    widest = max(12 * shape.vocabulary, once * shape.width)
    training = size * weights + tokens * (shape.width * (kept * shape.depth + 5 * size) + widest)
    evaluation = FLOAT * _evaluated(trunk, models, gpu=True) * max(20 * shape.width, 3 * shape.vocabulary)
    state = FLOAT * (2 * floats + 1) + (2 * size if size < FLOAT else 0)
    return state * weights + max(training, 12 * weights, evaluation)


def _evaluated(trunk: Trunk, models: int, *, gpu: bool) -> int:
    """Tokens of the largest pass of an evaluation."""
    most = FINAL_WINDOWS * models * trunk.model.context
    return min(evaluation_tokens(trunk.model, models, gpu=gpu), most)


def evaluation_tokens(shape: Shape, models: int, *, gpu: bool) -> int:
    """Most tokens of one evaluation pass over a stack; a window of each model at least, whatever the vocabulary."""
    most = GPU_EVALUATION_TOKENS if gpu else min(EVALUATION_TOKENS, EVALUATION_STEP // shape.width)
    return max(models * shape.context, min(most, EVALUATION_LOGITS // shape.vocabulary))


def state_floats(trunk: Trunk) -> int:
    """Floats for each weight that a checkpoint holds."""
    return 3 + (trunk.optim.optimizer == "muon") + (trunk.schedule.average_gamma > 0)
