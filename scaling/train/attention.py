"""Causal attention of many short windows, and its way back: all scores at once where they are few, else torch's own.

Both take queries that were scaled already, in `[windows, heads, context, size]`. On a CPU the scores of a few windows
stay in its caches, and products of all of them at once take four fifths of the time of torch's blocks.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FEW_SCORES = 2**18
"""Of one model on a CPU. Of one, so that a model does not depend on what it is stacked with."""


def few_scores(tokens: int, heads: int, context: int, device: torch.device) -> bool:
    """Whether one model's scores are so few that they are worth having at once."""
    return device.type == "cpu" and tokens * heads * context <= FEW_SCORES


def at_once(q: Tensor, k: Tensor, v: Tensor, earlier: Tensor) -> tuple[Tensor, tuple[Any, ...]]:
    """Attention by its scores, and what `at_once_back` needs.

        out_i = Σ_j e_ij v_j / s_i,   e_ij = exp(q_i · k_j) for j ≤ i,   s_i = Σ_j e_ij

    No maximum is taken off: queries and keys have fixed lengths, so a score is at most `ATTENTION_LOGIT_BOUND`.

    Args:
        q, k, v: `[windows, heads, context, size]`, contiguous.
        earlier: `[context, context]`, one where j ≤ i and zero elsewhere.
    """
    shape = q.shape
    q, k, v = (t.view(-1, *shape[2:]) for t in (q, k, v))
    share = torch.bmm(q, k.mT).exp_().mul_(earlier)
    total = share.sum(-1, keepdim=True)
    out = torch.bmm(share, v).div_(total)
    return out.view(shape), (q, k, v, share, total, out)


def at_once_back(d: Tensor, kept: tuple[Any, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values from that of the output.

    With d' = d / s:   dv_j = Σ_i e_ij d'_i,   dscore_ij = e_ij (d'_i · v_j - d'_i · out_i)
    """
    q, k, v, share, total, out = kept
    shape = d.shape
    d = d.reshape(out.shape) / total
    score = torch.bmm(d, v.mT).sub_((d * out).sum(-1, keepdim=True)).mul_(share)
    dq, dk, dv = torch.bmm(score, k), torch.bmm(score.mT, q), torch.bmm(share.mT, d)
    return dq.view(shape), dk.view(shape), dv.view(shape)


def in_blocks(q: Tensor, k: Tensor, v: Tensor, *, keep: bool) -> tuple[Tensor, tuple[Any, ...]]:
    """Attention by torch's fused kernel, and what `in_blocks_back` needs, if it is to be kept."""
    with torch.set_grad_enabled(keep):
        leaves = tuple(t.detach().requires_grad_(keep) for t in (q, k, v))
        out = F.scaled_dot_product_attention(leaves[0], leaves[1], leaves[2], is_causal=True, scale=1.0)
    return out.detach(), (out, leaves)


def in_blocks_back(d: Tensor, kept: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """Gradients of queries, keys and values from that of the output."""
    out, leaves = kept
    return torch.autograd.grad(out, leaves, d)
