"""Next-token loss and its gradient written out by hand: the fast path of a CPU.

On a CPU, models this small spend more time on autograd's bookkeeping and its many small passes than on products; the
hand-written way takes two thirds to three quarters of the time. It is held to `Forward` and autograd by a test.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from scaling.flops import Shape
from scaling.train.attention import at_once, at_once_back, few_scores, in_blocks, in_blocks_back
from scaling.train.losses import Batch
from scaling.train.model import BASE_DEPTH, NORM_EPSILON, Weights, mix, rotary_angles, wide


class FastPath:
    """K models of one shape on a buffer of their weights: losses forward, gradients back, no graph in between.

    The backward pass is written out below each forward one.
    """

    def __init__(self, shape: Shape, device: torch.device, dtype: torch.dtype = torch.float32):
        self.shape = shape
        self.scale = BASE_DEPTH / shape.depth
        self.slope = 2.0 if shape.activation == "relu2" else 1.0
        length, angles = rotary_angles(shape)
        self.turn = torch.polar(torch.full_like(angles, length), angles).to(device, dtype.to_complex())
        self.earlier = torch.ones(shape.context, shape.context, dtype=dtype, device=device).tril()

    def token_losses(self, weights: Weights, tokens: Tensor) -> Tensor:
        """Cross-entropy of every next token, log Σ_v exp(logit_v - logit_target): a pass less than by a maximum.

        Args:
            weights: `matrix_views` of the K models.
            tokens: `[K, windows, context + 1]`, int64.

        Returns:
            `[K, windows, context]`, nats.
        """
        x = _norm(self._mixed(self._embed(weights, tokens), weights))[0]
        for block in range(self.shape.depth):
            x = self._block(x, weights, block, keep=False)[0]
        x, targets = _norm(x)[0], tokens[:, :, 1:].reshape(len(tokens), -1, 1)
        logits = wide(torch.bmm(x, weights["head"]))
        losses = logits.sub_(logits.gather(2, targets)).exp_().sum(-1).log_()
        if not (finite := losses.isfinite()).all():  # of a token beyond 88 nats, exp is none
            logits = wide(torch.bmm(x, weights["head"]))
            plain = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
            losses = losses.where(finite, plain.view(losses.shape))
        return losses.view(len(tokens), -1, self.shape.context)

    def gradient(self, weights: Weights, batch: Batch, total: Tensor, into: dict[str, Tensor]) -> None:
        """Gradient of each model's summed loss over `total` `[K]`, which is the same for all, written over what `into`
        holds: `matrix_views` of a second buffer."""
        tokens, mean = batch["tokens"], 1.0 / float(total[0])
        kept = []
        embedded = self._embed(weights, tokens)
        first, first_size = _norm(self._mixed(embedded, weights))
        x = first.clone()
        for block in range(self.shape.depth):
            x, saved = self._block(x, weights, block, keep=True)
            kept.append(saved)
        last, last_size = _norm(x)
        targets = tokens[:, :, 1:].reshape(len(tokens), -1, 1)
        error = wide(torch.bmm(last, weights["head"])).softmax(-1)
        error.scatter_add_(2, targets, error.new_full((), -1.0).expand(targets.shape))
        error = error.to(last.dtype)
        _product(last.mT, error, mean, into["head"])
        d = _norm_back(_product(error, weights["head"].mT, mean), last, last_size)
        for block in reversed(range(self.shape.depth)):
            d = self._block_back(d, kept.pop(), weights, into, block)
        if "score" in into:
            into["score"].zero_()
        d = self._mixed_back(_norm_back(d, first, first_size), embedded, weights, into)
        for table, own, part in zip(into["embedding"].zero_(), tokens, d, strict=True):
            table.index_add_(0, own[:, :-1].flatten(), part)

    def _embed(self, weights: Weights, tokens: Tensor) -> Tensor:
        tables = zip(weights["embedding"], tokens, strict=True)
        return torch.stack([F.embedding(own[:, :-1].flatten(), table) for table, own in tables])

    def _mixed(self, x: Tensor, weights: Weights) -> Tensor:
        return mix(self._windows(x), weights["mix"]).flatten(1, 2) if self.shape.neighbours else x

    def _mixed_back(self, d: Tensor, x: Tensor, weights: Weights, into: dict[str, Tensor]) -> Tensor:
        if not self.shape.neighbours:
            return d
        after, x, total = self._windows(d), self._windows(x), self._windows(d).clone()
        into["mix"].zero_()
        for i in range(min(self.shape.neighbours, self.shape.context - 1)):
            later = after[:, :, i + 1 :]
            into["mix"][:, i] = (later * x[:, :, : -i - 1]).sum((1, 2))
            total[:, :, : -i - 1] += later * weights["mix"][:, None, None, i]
        return total.flatten(1, 2)

    def _windows(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (-1, self.shape.context))

    def _block(
        self, x: Tensor, weights: Weights, block: int, *, keep: bool
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """The residual stream past one block, written over `x`, and what the way back needs."""
        y, y_size = _norm(x)
        mixed, attention = self._attention(torch.bmm(y, weights[f"{block}.qkv"]), keep=keep)
        x.baddbmm_(mixed, weights[f"{block}.out"], alpha=self.scale)
        z, z_size = _norm(x)
        hidden, gates = self._activation(torch.bmm(z, weights[f"{block}.up"]))
        x.baddbmm_(hidden, weights[f"{block}.down"], alpha=self.scale)
        return x, (y, y_size, attention, mixed, z, z_size, gates, hidden)

    def _block_back(
        self,
        d: Tensor,
        kept: tuple[Any, ...],
        weights: Weights,
        into: dict[str, Tensor],
        block: int,
    ) -> Tensor:
        y, y_size, attention, mixed, z, z_size, gates, hidden = kept
        qkv, out, up, down = (f"{block}.{name}" for name in ("qkv", "out", "up", "down"))
        _product(hidden.mT, d, self.scale, into[down])
        part = self._activation_back(_product(d, weights[down].mT, self.scale * self.slope), gates)
        _product(z.mT, part, 1.0, into[up])
        d = _norm_back(torch.bmm(part, weights[up].mT), z, z_size).add_(d)
        _product(mixed.mT, d, self.scale, into[out])
        part = self._attention_back(_product(d, weights[out].mT, self.scale), attention)
        _product(y.mT, part, 1.0, into[qkv])
        return _norm_back(torch.bmm(part, weights[qkv].mT), y, y_size).add_(d)

    def _activation(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        if self.shape.activation == "relu2":
            x = x.relu_()
            return x * x, (x,)
        gate, value = x.chunk(2, dim=-1)
        share = torch.sigmoid(gate)
        return gate * share * value, (gate, share, value)

    def _activation_back(self, d: Tensor, gates: tuple[Tensor, ...]) -> Tensor:
        """From `slope` times the gradient of what the activation returned."""
        if self.shape.activation == "relu2":
            return d.mul_(gates[0])
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
        if few_scores(tokens if keep else context, heads, context, qkv.device):
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
        together = d.new_empty(len(q), context, 3, heads, size)
        apart = together.permute(2, 0, 3, 1, 4)
        apart[:2] = _norm_back(_turned(torch.stack((q, k)), self.turn.conj()), straight, length)
        apart[2] = v
        return together.view(stack, tokens, 3 * width)


def _norm(x: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors of mean square one, and what each was multiplied by."""
    size = wide(x).square().mean(-1, keepdim=True).add_(NORM_EPSILON).rsqrt_()
    return (x * size).to(x.dtype), size


def _norm_back(d: Tensor, y: Tensor, size: Tensor) -> Tensor:
    """(d - y mean(d y)) size, with y and size from `_norm`, written over d."""
    along = (d * y).sum(-1, keepdim=True)
    return d.addcmul_(y, along, value=-1.0 / y.shape[-1]).mul_(size)


def _turned(x: Tensor, turn: Tensor) -> Tensor:
    """Neighbouring entries as complex numbers, multiplied by `[context, size / 2]` of them."""
    pairs = torch.view_as_complex(wide(x).unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turn).flatten(-2).to(x.dtype)


def _product(a: Tensor, b: Tensor, factor: float, into: Tensor | None = None) -> Tensor:
    """factor · a b of K matrices each, without a pass for the factor; written over what `into` holds."""
    into = a.new_empty(len(a), a.shape[1], b.shape[2]) if into is None else into
    return into.baddbmm_(a, b, beta=0, alpha=factor)
