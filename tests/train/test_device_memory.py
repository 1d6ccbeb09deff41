"""The planned memory of a stack is what its tensors take, counted one by one on a device that holds none of them."""

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from scaling.flops import Shape, count_parameters
from scaling.study import Trunk
from scaling.sweeps.cost import device_bytes, evaluation_tokens
from scaling.sweeps.curve import FINAL_WINDOWS
from scaling.sweeps.mode import Mode
from scaling.train import optim
from scaling.train.gradient import Gradient
from scaling.train.model import Forward, matrix_views

META = torch.device("meta")


class Alive(TorchDispatchMode):
    """Most bytes that tensors made in its block hold at once."""

    def __init__(self):
        super().__init__()
        self.storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for storage in (t.untyped_storage() for t in tree_leaves(made) if isinstance(t, Tensor)):
            self.storages[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.storages = {key: held for key, held in self.storages.items() if not held[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.storages.values()))
        return made


def counted(trunk: Trunk, models: int, mode: Mode) -> int:
    """Of two steps of a branch, whose trunk is kept, and an evaluation."""
    shape, weights = trunk.model, count_parameters(trunk.model).total
    windows = trunk.schedule.tokens_per_step // shape.context
    evaluated = (
        min(evaluation_tokens(shape, models, gpu=True) // (shape.context + 1), FINAL_WINDOWS * models)
        // models
    )
    with Alive() as alive:
        buffer = torch.empty(models, weights, device=META)
        rates = torch.empty(weights, device=META)
        optimizer = optim.AdamW(buffer, rates, beta2=0.9, weight_decay=torch.zeros(models, 1))
        trunk_state = torch.empty(3, *buffer.shape, device=META)
        gradient = Gradient(buffer, trunk, mode)
        batch = {"tokens": torch.zeros(models, windows, shape.context + 1, dtype=torch.int64, device=META)}
        for _ in range(2):
            optimizer.step(buffer, gradient.fill(batch), torch.empty(models, 1, device=META))
        with torch.no_grad():
            tokens = batch["tokens"][:, :1].expand(-1, evaluated, -1)
            Forward(shape, META).token_losses(matrix_views(buffer, shape), tokens)
    del trunk_state
    return alive.peak


@pytest.fixture(autouse=True)
def attention_as_on_a_gpu(monkeypatch):
    """In blocks, none of whose scores is kept; a device without data would else have all of them at once."""

    def in_blocks(q, k, v, *, is_causal, scale):
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q, k, v, 0.0, is_causal, scale=scale
        )[0]

    monkeypatch.setattr(
        optim, "_runs", lambda _: []
    )  # for a CPU's kernel alone, and without data there are none
    monkeypatch.setattr("torch.nn.functional.scaled_dot_product_attention", in_blocks)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize(
    ("shape", "models", "tokens"),
    [
        (Shape(width=64), 1, 2**17),
        (Shape(width=64), 32, 2**13),
        (Shape(width=64, vocabulary=8192), 4, 2**13),
        (Shape(width=256, depth=4, context=512), 8, 2**14),
        (Shape(width=256, depth=4, activation="swiglu"), 32, 2**12),
        (Shape(width=512, depth=8, head_dim=64, context=2048), 4, 2**15),
        (Shape(width=1024, depth=8, head_dim=64), 32, 2**10),
        (Shape(width=1024, depth=8, head_dim=64, context=2048), 1, 2**16),
        (Shape(width=768, depth=12, head_dim=64, context=1024), 1, 2**16),
    ],
)
def test_planned_memory_is_within_a_quarter_of_what_tensors_take(shape, models, tokens, precision):
    trunk = Trunk.of(**vars(shape), tokens_per_step=tokens, budgets=(2**30,))
    for mode in (Mode(precision=precision), Mode(precision=precision, passes=2, recompute=True)):
        ratio = device_bytes(trunk, models, mode=mode) / counted(trunk, models, mode)
        assert 0.9 < ratio < 1.25, mode
