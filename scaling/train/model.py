"""A decoder-only transformer, K of them at once.

All weights of K models of one shape lie in one flat buffer `[K, P]`; a matrix is a view into it, and every product is
batched over K. Nothing mixes the models, so a model trained in a stack is the model trained alone.

    x = norm(embedding[token])
    x = x + s · attention(norm(x))        rotary positions, unit-length queries and keys
    x = x + s · mlp(norm(x))              squared ReLU, four widths wide; or SwiGLU
    logits = head · norm(x)

Norms carry no weights, nothing has a bias, and the matrices that write into the residual stream and the head start at
zero, so the first prediction is uniform. With s = 2 / depth the update of a block does not grow with depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from scaling.flops import Shape, count_parameters

BASE_WIDTH = 64
"""Width at which every rate multiplier is one."""
BASE_DEPTH = 2
TABLE_RATE = 4.0
"""Rate of embedding and head over that of a hidden matrix: at width 32 and 256k tokens, 0.1 nats better than 1."""
MUON_RATE = 4.0
"""Rate of an orthogonal update over Adam's, so that one peak rate is near the best for both."""
ATTENTION_LOGIT_BOUND = 12.0
"""Largest attention logit: queries and keys have fixed length, so their product is bounded whatever the head size."""
NORM_EPSILON = 1e-6
ROTARY_BASE = 10_000.0


@dataclass(frozen=True)
class Matrix:
    """Where one matrix lies in a model's row of the buffer, how it starts and how fast it moves."""

    name: str
    rows: int
    columns: int
    init_std: float
    rate: float
    """Multiplier on the learning rate, so that one rate serves every width.

    Adam moves each entry by about the rate, and a product sums `rows` of them, so a hidden matrix and the head take
    the rate over their fan-in (Yang et al. 2022, arXiv:2203.03466, table 8); the embedding is a look-up and keeps it.
    """
    offset: int

    @property
    def size(self) -> int:
        return self.rows * self.columns

    @property
    def hidden(self) -> bool:
        """Whether it lies inside a block: neither embedding nor head."""
        return self.name not in ("embedding", "head")

    @property
    def part(self) -> int:
        """Columns of one of the matrices that lie side by side in it: queries, keys and values are three."""
        return self.rows if self.name.endswith(".qkv") else self.columns


def layout(shape: Shape) -> list[Matrix]:
    """The matrices of a model in the order in which they lie in the buffer, each `[fan in, fan out]`."""
    w, hidden = shape.width, shape.mlp_width
    slower = BASE_WIDTH / w
    asked = [("embedding", shape.vocabulary, w, 1.0, TABLE_RATE)]
    for block in range(shape.depth):
        asked += [
            (f"{block}.qkv", w, 3 * w, w**-0.5, slower),
            (f"{block}.out", w, w, 0.0, slower),
            (f"{block}.up", w, (shape.mlp_matrices - 1) * hidden, w**-0.5, slower),
            (f"{block}.down", hidden, w, 0.0, slower),
        ]
    asked.append(("head", w, shape.vocabulary, 0.0, TABLE_RATE * slower))
    matrices, offset = [], 0
    for name, rows, columns, std, rate in asked:
        matrices.append(Matrix(name, rows, columns, std, rate, offset))
        offset += rows * columns
    assert offset == count_parameters(shape).total
    return matrices


def initial_weights(shape: Shape, seeds: list[int]) -> Tensor:
    """Starting weights `[K, P]`, each row from its own seed alone."""
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        parts = [
            torch.randn(m.size, generator=generator) * m.init_std if m.init_std else torch.zeros(m.size)
            for m in layout(shape)
        ]
        rows.append(torch.cat(parts))
    return torch.stack(rows)


def rate_multipliers(shape: Shape, optimizer: str = "adamw") -> Tensor:
    """Learning-rate multiplier of every weight, `[P]`; Muon's hidden matrices take √(fan out / fan in)."""

    def rate(matrix: Matrix) -> float:
        if optimizer == "muon" and matrix.hidden:
            return MUON_RATE * (matrix.part / matrix.rows) ** 0.5
        return matrix.rate

    return torch.cat([torch.full((m.size,), rate(m)) for m in layout(shape)])


def matrix_views(buffer: Tensor, shape: Shape) -> dict[str, Tensor]:
    """Each matrix as a view `[K, rows, columns]` into a buffer `[K, P]`."""
    stack = buffer.shape[0]
    return {
        m.name: buffer[:, m.offset : m.offset + m.size].view(stack, m.rows, m.columns) for m in layout(shape)
    }


class Transformer:
    """The forward pass of K models of one shape on a buffer of their weights."""

    def __init__(self, shape: Shape, device: torch.device):
        self.shape = shape
        angles = torch.outer(
            torch.arange(shape.context, dtype=torch.float64),
            ROTARY_BASE ** (-torch.arange(0, shape.head_dim, 2, dtype=torch.float64) / shape.head_dim),
        )
        self.cos = angles.cos().float().to(device)
        self.sin = angles.sin().float().to(device)

    def token_losses(self, weights: dict[str, Tensor], tokens: Tensor) -> Tensor:
        """Cross-entropy of every next token.

        Args:
            weights: `matrix_views` of the K models.
            tokens: `[K, windows, context + 1]`, int64.

        Returns:
            `[K, windows, context]`, nats.
        """
        stack, windows, _ = tokens.shape
        width, context = self.shape.width, self.shape.context
        inputs = tokens[:, :, :-1].reshape(stack, windows * context)
        x = _norm(torch.gather(weights["embedding"], 1, inputs[..., None].expand(-1, -1, width)))
        scale = BASE_DEPTH / self.shape.depth
        for block in range(self.shape.depth):
            x = torch.add(x, self._attention(_norm(x), weights, block), alpha=scale)
            hidden = self._activate(torch.bmm(_norm(x), weights[f"{block}.up"]))
            x = torch.add(x, torch.bmm(hidden, weights[f"{block}.down"]), alpha=scale)
        logits = torch.bmm(_norm(x), weights["head"])
        losses = F.cross_entropy(
            logits.view(-1, self.shape.vocabulary).float(), tokens[:, :, 1:].reshape(-1), reduction="none"
        )
        return losses.view(stack, windows, context)

    def _activate(self, x: Tensor) -> Tensor:
        if self.shape.activation == "relu2":
            return F.relu(x).square()
        gate, value = x.chunk(2, dim=-1)
        return F.silu(gate) * value

    def _attention(self, x: Tensor, weights: dict[str, Tensor], block: int) -> Tensor:
        stack = x.shape[0]
        heads, size, context = self.shape.heads, self.shape.head_dim, self.shape.context
        qkv = torch.bmm(x, weights[f"{block}.qkv"]).view(-1, context, 3, heads, size)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(
            self._rotate(_norm(q)),
            self._rotate(_norm(k)),
            v,
            is_causal=True,
            scale=ATTENTION_LOGIT_BOUND / size,
        )
        mixed = mixed.transpose(1, 2).reshape(stack, -1, self.shape.width)
        return torch.bmm(mixed, weights[f"{block}.out"])

    def _rotate(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=-1)
        return torch.cat((a * self.cos - b * self.sin, a * self.sin + b * self.cos), dim=-1)


def _norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), eps=NORM_EPSILON)
