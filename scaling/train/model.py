"""A decoder-only transformer, K of them at once.

All weights of K models of one shape lie in one flat buffer `[K, P]`; a matrix is a view into it, and every product is
batched over K. Nothing mixes the models, so a model trained in a stack is the model trained alone.

    x = norm(embedding[token])            plus c_d · embedding[token d places before], where neighbours are mixed in
    x = x + s · attention(norm(x))        rotary positions, unit-length queries and keys
    x = x + s · mlp(norm(x))              squared ReLU, four widths wide; or SwiGLU
    logits = head · norm(x)

Norms carry no weights, nothing has a bias, and the matrices that write into the residual stream and the head start at
zero, so the first prediction is uniform. With s = 2 / depth the update of a block does not grow with depth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from scaling.errors import TrainError
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
MIX_STD = 0.5
"""Of the coefficients of neighbouring embeddings at the start."""


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
        """Whether it lies inside a block: neither embedding nor a head."""
        return self.name not in ("embedding", "head", "score", "mix")

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
    if shape.score_head:
        asked.append(("score", w, 1, 0.0, TABLE_RATE * slower))
    if shape.neighbours:
        asked.append(("mix", shape.neighbours, w, MIX_STD, 1.0))
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


def rotary_angles(shape: Shape) -> tuple[float, Tensor]:
    """Length of queries and keys, and the angle by which each pair of their entries is turned, `[context, size / 2]`.

    Their product is then bounded by `ATTENTION_LOGIT_BOUND`, since a normed head has length √size.
    """
    pairs = torch.arange(0, shape.head_dim, 2, dtype=torch.float64)
    places = torch.arange(shape.context, dtype=torch.float64)
    return (ATTENTION_LOGIT_BOUND / shape.head_dim) ** 0.5, torch.outer(
        places, ROTARY_BASE ** (-pairs / shape.head_dim)
    )


class NoSuchHead(TrainError):
    """A loss that reads a head which the models do not have."""

    head: str
    heads: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked for the {self.head!r} head, but these models have {', '.join(self.heads)} alone. "
            "Give their shape score_head = true, or choose a loss of the logits."
        )


Weights = Mapping[str, Tensor]
"""`matrix_views` of K models."""


class Forward:
    """K models of one shape in plain torch, for autograd, `torch.compile` and generation.

    Every method takes `matrix_views` of the K models, and activations `[K, tokens, width]`, where the tokens of all
    windows lie one after another.
    """

    def __init__(
        self,
        shape: Shape,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        *,
        recompute: bool = False,
    ):
        """On a device; to `recompute` keeps what goes into a block alone, and makes the rest again on the way back."""
        self.shape, self.scale, self.recompute = shape, BASE_DEPTH / shape.depth, recompute
        length, angles = rotary_angles(shape)
        self.cosine = (length * angles.cos()).to(device, dtype)
        self.sine = (length * angles.sin()).to(device, dtype)

    def hidden(self, weights: Weights, inputs: Tensor) -> Tensor:
        """The residual stream after the last block, normed, `[K, windows, places, width]`.

        Args:
            weights: of the K models.
            inputs: tokens `[K, windows, places]`, int64, no more places than the context.
        """
        x = self.embed(weights, inputs)
        for block in range(self.shape.depth):
            if self.recompute and torch.is_grad_enabled():
                x = checkpoint(
                    self._block, weights, block, x, inputs.shape[2],
                    use_reentrant=False, preserve_rng_state=False,
                )  # fmt: skip
            else:
                x = self._block(weights, block, x, inputs.shape[2])
        return norm(x).view(*inputs.shape, -1)

    def _block(self, weights: Weights, block: int, x: Tensor, places: int) -> Tensor:
        """The residual stream past a block, of windows of so many places."""
        q, k, v = (self._apart(t, places) for t in self.heads(weights, block, x, self.angles(places)))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)
        return self.after_attention(weights, block, x, mixed.transpose(1, 2).reshape(x.shape))

    def logits(self, weights: Weights, inputs: Tensor) -> Tensor:
        """Of every next token, `[K, windows, places, vocabulary]`; arguments as for `hidden`."""
        return self.head(weights, self.hidden(weights, inputs))

    def token_losses(self, weights: Weights, tokens: Tensor) -> Tensor:
        """Cross-entropy of every next token, nats, `[K, windows, places]` for tokens `[K, windows, places + 1]`."""
        logits = self.logits(weights, tokens[:, :, :-1])
        losses = F.cross_entropy(wide(logits.flatten(0, 2)), tokens[:, :, 1:].flatten(), reduction="none")
        return losses.view(logits.shape[:3])

    def scores(self, weights: Weights, inputs: Tensor, last: Tensor) -> Tensor:
        """What the score head says at one place of each window, `[K, windows]`; `last` are the places.

        Raises:
            NoSuchHead: the shape has no score head.
        """
        if "score" not in weights:
            raise NoSuchHead("score", ("head",))
        at = last[:, :, None, None].expand(-1, -1, 1, self.shape.width)
        hidden = self.hidden(weights, inputs).gather(2, at)
        return wide(torch.bmm(hidden.squeeze(2), weights["score"])).squeeze(2)

    def embed(self, weights: Weights, inputs: Tensor, before: int = 0) -> Tensor:
        """The residual stream before the first block, `[K, tokens, width]`, of tokens `[K, windows, places]`.

        The first `before` places of a window are there for what comes after them to see, and are left out.
        """
        table = weights["embedding"]
        first = torch.arange(len(table), device=inputs.device)[:, None, None] * table.shape[1]
        x = F.embedding(inputs + first, table.reshape(-1, table.shape[2]))
        if self.shape.neighbours:
            x = mix(x, weights["mix"])
        return norm(x[:, :, before:].flatten(1, 2))

    def angles(self, places: int, first: int = 0) -> tuple[Tensor, Tensor]:
        """Cosine and sine by which so many places turn, from the first one on, `[places, size / 2]`."""
        return self.cosine[first : first + places], self.sine[first : first + places]

    def heads(
        self, weights: Weights, block: int, x: Tensor, angles: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys, normed, scaled and turned by their places, and values, each `[K, windows, places, heads,
        size]`."""
        qkv = torch.bmm(norm(x), weights[f"{block}.qkv"])
        cosine, sine = (part[:, None, None] for part in angles)
        qkv = qkv.unflatten(1, (-1, len(cosine))).unflatten(3, (3, self.shape.heads, self.shape.head_dim))
        a, b = wide(norm(qkv[:, :, :, :2])).unflatten(-1, (-1, 2)).unbind(-1)
        turned = torch.stack((a * cosine - b * sine, a * sine + b * cosine), -1).flatten(-2).to(x.dtype)
        return turned[:, :, :, 0], turned[:, :, :, 1], qkv[:, :, :, 2]

    def after_attention(self, weights: Weights, block: int, x: Tensor, mixed: Tensor) -> Tensor:
        """The residual stream past a block, from what attention mixed, `[K, tokens, width]`."""
        x = torch.baddbmm(x, mixed, weights[f"{block}.out"], alpha=self.scale)
        up = torch.bmm(norm(x), weights[f"{block}.up"])
        if self.shape.activation == "relu2":
            hidden = F.relu(up).square()
        else:
            gate, value = up.chunk(2, dim=-1)
            hidden = F.silu(gate) * value
        return torch.baddbmm(x, hidden, weights[f"{block}.down"], alpha=self.scale)

    def head(self, weights: Weights, hidden: Tensor) -> Tensor:
        """Logits of what `hidden` made, in its shape but for the vocabulary in place of the width."""
        return torch.bmm(hidden.flatten(1, -2), weights["head"]).view(*hidden.shape[:-1], -1)

    def _apart(self, x: Tensor, places: int) -> Tensor:
        """Windows of all models together, as attention wants them, `[windows, heads, places, size]`."""
        return x.reshape(-1, places, self.shape.heads, self.shape.head_dim).transpose(1, 2)


def mix(x: Tensor, coefficients: Tensor) -> Tensor:
    """Embeddings `[K, windows, places, width]`, to each of which those of the places before it are added.

    x_t + Σ_d c_d x_t-d        for 1 ≤ d ≤ neighbours, as far as the window reaches
    """
    distances = range(1, min(coefficients.shape[1] + 1, x.shape[2]))
    return x + sum(F.pad(x[:, :, :-d] * coefficients[:, None, None, d - 1], (0, 0, d, 0)) for d in distances)


def norm(x: Tensor) -> Tensor:
    """Vectors of mean square one."""
    return F.rms_norm(x, x.shape[-1:], eps=NORM_EPSILON)


def wide(x: Tensor) -> Tensor:
    """At least single precision."""
    return x if x.dtype == torch.float64 else x.float()
