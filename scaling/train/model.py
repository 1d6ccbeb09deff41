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
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from scaling.flops import Shape, count_parameters
from scaling.train.attention import at_once, at_once_back, few_scores, in_blocks, in_blocks_back

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
    """K models of one shape on a buffer of their weights: losses forward, gradients back, no graph in between.

    The backward pass is written out below each forward one: on a CPU, models this small spend more time on autograd's
    bookkeeping and its many small passes than on products. It is held to autograd's own answer by a test.
    """

    def __init__(self, shape: Shape, device: torch.device):
        self.shape = shape
        self.scale = BASE_DEPTH / shape.depth
        angles = torch.outer(
            torch.arange(shape.context, dtype=torch.float64),
            ROTARY_BASE ** (-torch.arange(0, shape.head_dim, 2, dtype=torch.float64) / shape.head_dim),
        )
        length = torch.full_like(angles, (ATTENTION_LOGIT_BOUND / shape.head_dim) ** 0.5)
        self.turn = torch.polar(length, angles).to(torch.complex64).to(device)
        self.earlier = torch.ones(shape.context, shape.context, device=device).tril()

    def token_losses(self, weights: dict[str, Tensor], tokens: Tensor) -> Tensor:
        """Cross-entropy of every next token.

        Args:
            weights: `matrix_views` of the K models.
            tokens: `[K, windows, context + 1]`, int64.

        Returns:
            `[K, windows, context]`, nats.
        """
        x = _norm(self._embed(weights, tokens))[0]
        for block in range(self.shape.depth):
            x = self._block(x, weights, block, keep=False)[0]
        logits = torch.bmm(_norm(x)[0], weights["head"])
        losses = F.cross_entropy(
            logits.view(-1, self.shape.vocabulary).float(), tokens[:, :, 1:].reshape(-1), reduction="none"
        )
        return losses.view(len(tokens), -1, self.shape.context)

    def gradient(self, weights: dict[str, Tensor], tokens: Tensor, into: dict[str, Tensor]) -> None:
        """Gradient of each model's mean loss, written over what `into` holds: `matrix_views` of a second buffer."""
        kept = []
        first, first_size = _norm(self._embed(weights, tokens))
        x = first
        for block in range(self.shape.depth):
            x, saved = self._block(x, weights, block, keep=True)
            kept.append(saved)
        last, last_size = _norm(x)
        targets = tokens[:, :, 1:].reshape(len(tokens), -1, 1)
        error = torch.bmm(last, weights["head"]).float().softmax(-1)
        error.scatter_add_(2, targets, error.new_full((), -1.0).expand(targets.shape))
        error = error.to(last.dtype)
        mean = 1.0 / targets.shape[1]
        _product(last, error, into["head"]).mul_(mean)
        d = _norm_back(torch.bmm(error, weights["head"].mT), last, last_size).mul_(mean)
        for block in reversed(range(self.shape.depth)):
            d = self._block_back(d, kept.pop(), weights, into, block)
        index = tokens[:, :, :-1].reshape(len(tokens), -1, 1).expand(d.shape)
        into["embedding"].zero_().scatter_add_(1, index, _norm_back(d, first, first_size))

    def _embed(self, weights: dict[str, Tensor], tokens: Tensor) -> Tensor:
        inputs = tokens[:, :, :-1].reshape(len(tokens), -1, 1)
        return torch.gather(weights["embedding"], 1, inputs.expand(-1, -1, self.shape.width))

    def _block(
        self, x: Tensor, weights: dict[str, Tensor], block: int, *, keep: bool
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """The residual stream past one block, and what the way back needs."""
        y, y_size = _norm(x)
        mixed, attention = self._attention(torch.bmm(y, weights[f"{block}.qkv"]), keep=keep)
        x = torch.baddbmm(x, mixed, weights[f"{block}.out"], alpha=self.scale)
        z, z_size = _norm(x)
        hidden, gates = self._activation(torch.bmm(z, weights[f"{block}.up"]))
        x = torch.baddbmm(x, hidden, weights[f"{block}.down"], alpha=self.scale)
        return x, (y, y_size, attention, mixed, z, z_size, gates, hidden)

    def _block_back(
        self,
        d: Tensor,
        kept: tuple[Any, ...],
        weights: dict[str, Tensor],
        into: dict[str, Tensor],
        block: int,
    ) -> Tensor:
        y, y_size, attention, mixed, z, z_size, gates, hidden = kept
        part = d * self.scale
        _product(hidden, part, into[f"{block}.down"])
        part = self._activation_back(torch.bmm(part, weights[f"{block}.down"].mT), gates)
        _product(z, part, into[f"{block}.up"])
        d = d + _norm_back(torch.bmm(part, weights[f"{block}.up"].mT), z, z_size)
        part = d * self.scale
        _product(mixed, part, into[f"{block}.out"])
        part = self._attention_back(torch.bmm(part, weights[f"{block}.out"].mT), attention)
        _product(y, part, into[f"{block}.qkv"])
        return d + _norm_back(torch.bmm(part, weights[f"{block}.qkv"].mT), y, y_size)

    def _activation(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        if self.shape.activation == "relu2":
            positive = F.relu(x)
            return positive * positive, (positive,)
        gate, value = x.chunk(2, dim=-1)
        share = torch.sigmoid(gate)
        return gate * share * value, (gate, share, value)

    def _activation_back(self, d: Tensor, gates: tuple[Tensor, ...]) -> Tensor:
        if self.shape.activation == "relu2":
            return d.mul_(gates[0]).mul_(2.0)
        gate, share, value = gates
        swish = gate * share
        return torch.cat((d * value * (share + swish * (1.0 - share)), d * swish), dim=-1)

    def _attention(self, qkv: Tensor, *, keep: bool) -> tuple[Tensor, tuple[Any, ...]]:
        """Causal attention `[K, tokens, width]`; queries and keys are normed, turned by their place and scaled."""
        stack, tokens, _ = qkv.shape
        heads, size, context = self.shape.heads, self.shape.head_dim, self.shape.context
        apart = qkv.view(-1, context, 3, heads, size).permute(2, 0, 3, 1, 4).contiguous()
        straight, length = _norm(apart[:2])
        q, k = _turned(straight, self.turn)
        if keep and few_scores(tokens, heads, context, qkv.device):
            out, kept = at_once(q, k, apart[2], self.earlier)
        else:
            out, kept = in_blocks(q, k, apart[2], keep=keep)
        return out.transpose(1, 2).reshape(stack, tokens, -1), (straight, length, kept)

    def _attention_back(self, d: Tensor, saved: tuple[Any, ...]) -> Tensor:
        stack, tokens, width = d.shape
        heads, size, context = self.shape.heads, self.shape.head_dim, self.shape.context
        straight, length, kept = saved
        d = d.view(-1, context, heads, size).transpose(1, 2)
        back = at_once_back if few_scores(tokens, heads, context, d.device) else in_blocks_back
        q, k, v = back(d, kept)
        bent = _turned(torch.stack((q, k)), self.turn.conj())
        apart = torch.stack((*_norm_back(bent, straight, length), v))
        return apart.permute(1, 3, 0, 2, 4).reshape(stack, tokens, 3 * width)


def _norm(x: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors of mean square one, and what each was multiplied by."""
    size = x.float().square().mean(-1, keepdim=True).add_(NORM_EPSILON).rsqrt_()
    return (x * size).to(x.dtype), size


def _norm_back(d: Tensor, y: Tensor, size: Tensor) -> Tensor:
    """(d - y mean(d y)) size, with y and size from `_norm`."""
    along = (d * y).sum(-1, keepdim=True)
    return torch.addcmul(d, y, along, value=-1.0 / y.shape[-1]).mul_(size)


def _turned(x: Tensor, turn: Tensor) -> Tensor:
    """Neighbouring entries as complex numbers, multiplied by `[context, size / 2]` of them."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turn).flatten(-2).to(x.dtype)


def _product(a: Tensor, b: Tensor, into: Tensor) -> Tensor:
    """The gradient of a matrix from its inputs and the gradient of its outputs, `[K, rows, columns]`."""
    return torch.bmm(a.mT, b, out=into)
