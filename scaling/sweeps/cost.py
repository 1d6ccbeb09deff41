"""What a stack of trunks takes: tokens, time, memory, disk."""

from __future__ import annotations

from collections.abc import Sequence

from scaling.flops import Shape, count_flops, count_parameters
from scaling.study import Trunk
from scaling.sweeps.curve import CURVE_WINDOWS, FINAL_WINDOWS, cooldown_steps, curve_steps

CPU_STEP = 2**15
"""Width × tokens of what a CPU takes through one step at once: beyond it activations leave the caches: at 512 tokens a
step a model in a stack of 8 takes 1.0, 1.07 and 1.19 times as long as in one of 4, 2 and 1, at widths 16, 32 and 64."""
CPU_STACK = 8
EVALUATION_TOKENS = 4_096
"""Most tokens of one evaluation pass over a stack on a CPU, where 65,536 fit no cache and take 7 to 17 % longer."""
GPU_EVALUATION_TOKENS = 65_536
EVALUATION_LOGITS = 1 << 26
"""Most logits that such a pass makes at once, 256 MiB; under large vocabularies the pass shrinks."""

FLOAT = 4
"""Bytes of a number."""
_PROCESS_BYTES = 300e6
"""Python, torch and its libraries, before any model."""
_GPU_PROCESS_BYTES = 1e9
"""The CUDA context and its workspaces."""
_GPU_LOGITS, _GPU_STREAM = 3, 10
"""Floats for each logit, and for each token, block and unit of width, that a step keeps on a GPU in bf16."""


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
    peak to 22 % above; 18 % above at a vocabulary of 50,257. On a GPU autograd keeps 20 bf16 numbers where 40 floats
    stand here, and the logits three times over: a compiled model of width 768 and depth 12 took 24.2 GB for 64Ki tokens
    a step on an H100, and this says 28.4. In fp32 it may take twice as much; what does not fit takes more passes. With
    `gpu` the device's memory is meant.
    """
    shape = trunk.model
    weights = models * count_parameters(shape).total * (2 * state_floats(trunk) + 3)
    at_once = models if gpu else min(models, models_at_once(trunk))
    tokens = at_once * trunk.schedule.tokens_per_step / passes
    logits, stream = (_GPU_LOGITS, _GPU_STREAM) if gpu else (4, 40)
    training = tokens * (logits * shape.vocabulary + stream * shape.width * shape.depth)
    evaluated = min(evaluation_tokens(shape, models, gpu=gpu), FINAL_WINDOWS * models * (shape.context + 1))
    evaluation = evaluated * (3 * shape.vocabulary + 24 * shape.width)
    process = _GPU_PROCESS_BYTES if gpu else _PROCESS_BYTES
    return process + FLOAT * (weights + max(training, evaluation))


def evaluation_tokens(shape: Shape, models: int, *, gpu: bool) -> int:
    """Most tokens of one evaluation pass over a stack; a window of each model at least, whatever the vocabulary."""
    most = GPU_EVALUATION_TOKENS if gpu else EVALUATION_TOKENS
    return max(models * (shape.context + 1), min(most, EVALUATION_LOGITS // shape.vocabulary))


def state_floats(trunk: Trunk) -> int:
    """Floats for each weight that a checkpoint holds."""
    return 3 + (trunk.optim.optimizer == "muon") + (trunk.schedule.average_gamma > 0)
