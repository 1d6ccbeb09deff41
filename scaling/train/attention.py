"""Causal attention of many short windows, and its way back: all scores at once where they are few, else torch's own.

Both take queries that were scaled already, in `[windows, heads, context, size]`. On a CPU the scores of a few windows
stay in its caches, and products of all of them at once take four fifths of the time of torch's blocks.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FEW_SCORES = 2**20
"""Of one model on a CPU. Of one, so that a model does not depend on what it is stacked with."""
HALVED = 2**15
"""Scores of one window from which its halves are taken one after the other; below, calls cost more than they save."""


def few_scores(tokens: int, heads: int, context: int, device: torch.device) -> bool:
    """Whether one model's scores are so few that they are worth having at once."""
    return device.type == "cpu" and tokens * heads * context <= FEW_SCORES


def at_once(q: Tensor, k: Tensor, v: Tensor, earlier: Tensor) -> tuple[Tensor, tuple[Any, ...]]:
    """Attention by its scores, and what `at_once_back` needs.

        out_i = Σ_j e_ij v_j / s_i,   e_ij = exp(q_i · k_j) for j ≤ i,   s_i = Σ_j e_ij

    No maximum is taken off: queries and keys have fixed lengths, so a score is at most `ATTENTION_LOGIT_BOUND`. The
    first half of a window does not see the second: of windows with many scores a quarter is never made.

    Args:
        q, k, v: `[windows, heads, context, size]`, contiguous.
        earlier: `[context, context]`, one where j ≤ i and zero elsewhere.
    """
    shape = q.shape
    q, k, v = (t.view(-1, *shape[2:]) for t in (q, k, v))
    parts = []
    middle = shape[2] // 2 if shape[1] * shape[2] ** 2 >= HALVED else 0
    for start, end in ((0, middle), (middle, shape[2])) if middle else ((0, shape[2]),):
        share = torch.bmm(q[:, start:end], k[:, :end].mT).exp_()
        share[:, :, start:].mul_(earlier[start:end, start:end])
        total = share.sum(-1, keepdim=True)
        parts.append((start, end, share, total, torch.bmm(share, v[:, :end]).div_(total)))
    out = _joined([part[-1] for part in parts])
    return out.view(shape), (q, k, v, parts)


def at_once_back(d: Tensor, kept: tuple[Any, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values from that of the output.

    With d' = d / s:   dv_j = Σ_i e_ij d'_i,   dscore_ij = e_ij (d'_i · v_j - d'_i · out_i)
    """
    q, k, v, parts = kept
    shape, d, dq, dk, dv = d.shape, d.reshape(q.shape), [], torch.empty(0), torch.empty(0)
    for start, end, share, total, out in reversed(parts):
        part = d[:, start:end] / total
        score = torch.bmm(part, v[:, :end].mT).sub_((part * out).sum(-1, keepdim=True)).mul_(share)
        dq.insert(0, torch.bmm(score, k[:, :end]))
        more = torch.bmm(score.mT, q[:, start:end]), torch.bmm(share.mT, part)
        if end == shape[2]:
            dk, dv = more
        else:
            dk[:, :end] += more[0]
            dv[:, :end] += more[1]
    return _joined(dq).view(shape), dk.view(shape), dv.view(shape)


def _joined(rows: list[Tensor]) -> Tensor:
    """Rows of windows that were taken one part after another."""
    return torch.cat(rows, 1) if len(rows) > 1 else rows[0]


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
