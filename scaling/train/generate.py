"""Text from a stack: sampled, many answers to each request at once, and scored under any other stack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from scaling.errors import BadOption, TrainError
from scaling.train.model import Forward, Weights, norm, wide

AT_ONCE = 2**22
"""Numbers of keys, or of logits, that a step of generation holds for each model: 16 MiB, which a CPU can cache."""


class TooLong(TrainError):
    """A request that leaves no room for its answer in the models' context."""

    request: int
    tokens: int
    new: int
    context: int

    def __str__(self) -> str:
        return (
            f"request {self.request} has {self.tokens} tokens, and {self.new} new ones were asked for, but the models "
            f"have a context of {self.context}. Shorten the request or ask for fewer tokens."
        )


@dataclass(frozen=True, eq=False)
class Answers:
    """What K models answered to each request."""

    tokens: NDArray[np.int64]
    """`[K, requests, samples, new]`; behind an end token there are only end tokens."""
    log_probability: NDArray[np.float32]
    """Of each answer under the model that gave it, at temperature one and among the allowed tokens, nats,
    `[K, requests, samples]`."""


@torch.no_grad()
def generate(
    forward: Forward,
    weights: Weights,
    requests: Sequence[ArrayLike],
    *,
    new: int,
    samples: int = 1,
    temperature: float = 1.0,
    allowed: ArrayLike | None = None,
    end: int | None = None,
    seed: int = 0,
) -> Answers:
    """Answers of K models to the same requests, by sampling with a cache of keys and values.

        p(next) ∝ exp(logit / temperature)   over the allowed tokens

    The keys and values of a request are computed once for all its samples.

    Args:
        forward, weights: the K models, e.g. `stack.forward, stack.views`.
        requests: tokens of each, one or more; those of one length are answered together.
        new: tokens of an answer.
        samples: answers to each request.
        temperature: 0 takes the likeliest token.
        allowed: tokens that an answer may hold, shape (n,), or true and false for each place, `[new, vocabulary]`.
        end: token after which an answer is over.
        seed: of the draws.

    Raises:
        TooLong: a request and its answer do not fit into the context.
        BadOption: no request, tokens outside the vocabulary, a temperature below 0, nothing allowed.
    """
    shape, device = forward.shape, weights["head"].device
    asked = [np.asarray(r, np.int64).ravel() for r in requests]
    for name, value in (("new", new), ("samples", samples)):
        if value < 1:
            raise BadOption(name, value, "one or more")
    if not temperature >= 0 or not np.isfinite(temperature):
        raise BadOption("temperature", temperature, "a number of 0 or more")
    if not asked or min(map(len, asked)) < 1:
        raise BadOption("requests", len(asked), "one or more, each of one token or more")
    if min(r.min() for r in asked) < 0 or max(r.max() for r in asked) >= shape.vocabulary:
        raise BadOption("requests", "a token outside", f"tokens from 0 to {shape.vocabulary - 1}")
    for i, request in enumerate(asked):
        if len(request) + new > shape.context + 1:  # the last new token is never read
            raise TooLong(i, len(request), new, shape.context)
    barred = _barred(allowed, new, shape.vocabulary).to(device)
    models = len(weights["head"])
    tokens = torch.empty((models, len(asked), samples, new), dtype=torch.int64, device=device)
    likely = torch.empty((models, len(asked), samples), device=device)
    lengths: dict[int, list[int]] = defaultdict(list)
    for i, request in enumerate(asked):
        lengths[len(request)].append(i)
    generator = torch.Generator(device).manual_seed(seed)
    for length, rows in sorted(lengths.items()):
        held = shape.depth * shape.width * (length + samples * new) + samples * shape.vocabulary
        for some in np.array_split(rows, -(-len(rows) * held // AT_ONCE)):
            if len(some):
                prompt = torch.from_numpy(np.stack([asked[i] for i in some])).to(device)
                decoder = _Decoder(forward, weights, prompt.expand(models, -1, -1), samples, new)
                tokens[:, some], likely[:, some] = _answers(decoder, temperature, barred, end, generator)
    return Answers(tokens.cpu().numpy(), likely.cpu().numpy())


@torch.no_grad()
def answer_log_probability(
    forward: Forward, weights: Weights, requests: Sequence[ArrayLike], answers: Sequence[ArrayLike]
) -> NDArray[np.float64]:
    """How likely K models find an answer to each request, ln p(answer | request), nats, `[K, requests]`.

    Args:
        forward, weights: the K models; they need not be those that gave the answers.
        requests, answers: tokens, one or more each.

    Raises:
        TooLong: a request and its answer do not fit into the context.
        BadOption: not an answer for every request.
    """
    if len(requests) != len(answers):
        raise BadOption("answers", len(answers), f"one for each of {len(requests)} requests")
    pairs = [
        (np.asarray(r, np.int64).ravel(), np.asarray(a, np.int64).ravel())
        for r, a in zip(requests, answers, strict=True)
    ]
    models, context = len(weights["head"]), forward.shape.context
    longest = max((len(r) + len(a) for r, a in pairs), default=0)
    for i, (request, answer) in enumerate(pairs):
        if len(request) + len(answer) > context + 1:
            raise TooLong(i, len(request), len(answer), context)
        if not len(request) or not len(answer):
            raise BadOption("requests" if not len(request) else "answers", [], "one token or more each")
    whole = np.zeros((len(pairs), longest), np.int64)
    counted = np.zeros((len(pairs), longest - 1), bool)
    for row, (request, answer) in enumerate(pairs):
        whole[row, : len(request) + len(answer)] = np.concatenate([request, answer])
        counted[row, len(request) - 1 : len(request) + len(answer) - 1] = True
    out = []
    chunk = max(1, AT_ONCE // (longest * max(forward.shape.vocabulary, 8 * forward.shape.width)))
    for first in range(0, len(pairs), chunk):
        some = torch.from_numpy(whole[first : first + chunk]).to(weights["head"].device)
        losses = forward.token_losses(weights, some.expand(models, -1, -1))
        keep = torch.from_numpy(counted[first : first + chunk]).to(losses.device)
        out.append(-(losses.double() * keep).sum(2).cpu().numpy())
    return np.concatenate(out, axis=1)


class _Decoder:
    """K models that read the same requests once, and then one more token of every sample at a time.

    The samples of a request share its keys and values; their own lie beside, a place after another.
    """

    def __init__(self, forward: Forward, weights: Weights, prompt: Tensor, samples: int, new: int):
        self.forward, self.weights, self.samples = forward, weights, samples
        models, requests, self.place = prompt.shape
        shape = forward.shape
        own = (shape.depth, new, models * requests, shape.heads, samples, shape.head_dim)
        self.own_keys, self.own_values = (prompt.new_empty(own, dtype=forward.cosine.dtype) for _ in range(2))
        self.keys, self.values, self.taken = [], [], 0
        recent = prompt[:, :, max(0, self.place - shape.neighbours) :]
        self.recent = recent.repeat_interleave(samples, 1)
        """The last tokens of every sample, `[K, requests samples, ≤ neighbours]`."""
        x = forward.embed(weights, prompt)
        for block in range(shape.depth):
            q, k, v = (
                t.flatten(0, 1).transpose(1, 2)
                for t in forward.heads(weights, block, x, forward.angles(self.place))
            )
            self.keys.append(k.contiguous())
            self.values.append(v.contiguous())
            mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)
            x = forward.after_attention(weights, block, x, mixed.transpose(1, 2).reshape(x.shape))
        last = norm(x.view(models, requests, self.place, -1)[:, :, -1])
        self.logits = forward.head(weights, last)[:, :, None].expand(-1, -1, samples, -1)
        """Of the next token, `[K, requests, samples, vocabulary]`."""

    def read(self, tokens: Tensor) -> None:
        """Take the next token of every sample, `[K, requests, samples]`."""
        forward, weights, shape = self.forward, self.weights, self.forward.shape
        angles = forward.angles(1, self.place + self.taken)
        seen = torch.cat([self.recent, tokens.reshape(len(tokens), -1, 1)], 2)
        x = forward.embed(weights, seen, before=seen.shape[2] - 1)
        self.recent = seen[:, :, max(0, seen.shape[2] - shape.neighbours) :]
        for block in range(shape.depth):
            q, k, v = (  # [K requests, heads, samples, size]
                t.view(-1, self.samples, shape.heads, shape.head_dim).transpose(1, 2)
                for t in forward.heads(weights, block, x, angles)
            )
            self.own_keys[block, self.taken], self.own_values[block, self.taken] = k, v
            mixed = self._attend(block, q)
            x = forward.after_attention(weights, block, x, mixed.transpose(1, 2).reshape(x.shape))
        self.taken += 1
        self.logits = forward.head(weights, norm(x)).view(*tokens.shape, -1)

    def _attend(self, block: int, q: Tensor) -> Tensor:
        """Scores are bounded, so no maximum need be taken off before their exponentials."""
        own_keys, own_values = (t[block, : self.taken + 1] for t in (self.own_keys, self.own_values))
        shared = (q @ self.keys[block].mT).exp_()
        own = (own_keys * q).sum(-1).exp_()  # [places, K requests, heads, samples]
        total = shared.sum(-1) + own.sum(0)
        mixed = (shared @ self.values[block]).add_((own[..., None] * own_values).sum(0))
        return mixed.div_(total[..., None])


def _answers(
    decoder: _Decoder, temperature: float, barred: Tensor, end: int | None, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    likely = torch.zeros(decoder.logits.shape[:3], device=barred.device)
    over = torch.zeros_like(likely, dtype=torch.bool)
    chosen: list[Tensor] = []
    for place, bar in enumerate(barred):
        logits = wide(decoder.logits) + bar
        if temperature == 0:
            token = logits.argmax(-1)
        else:  # the largest of p / Exponential(1) is a draw from p
            drawn = torch.empty_like(logits).exponential_(generator=generator)
            token = ((logits / temperature).softmax(-1) / drawn).argmax(-1)
        gain = logits.log_softmax(-1).gather(-1, token[..., None])[..., 0]
        likely += gain.masked_fill(over, 0.0)
        if end is not None:
            token = token.masked_fill(over, end)
            over |= token == end
        chosen.append(token)
        if place + 1 < len(barred) and not (end is not None and bool(over.all())):
            decoder.read(token)
        elif place + 1 < len(barred):
            chosen += [token] * (len(barred) - place - 1)
            break
    return torch.stack(chosen, -1), likely


def _barred(allowed: ArrayLike | None, new: int, vocabulary: int) -> Tensor:
    """What is added to the logits at each place of an answer, 0 or minus infinity, `[new, vocabulary]`."""
    if allowed is None:
        return torch.zeros(new, vocabulary)
    given = np.asarray(allowed)
    if given.dtype == bool and given.shape == (new, vocabulary):
        open_ = torch.from_numpy(given)
    elif (
        given.ndim == 1
        and given.dtype.kind in "iu"
        and len(given)
        and 0 <= given.min() <= given.max() < vocabulary
    ):
        open_ = torch.zeros(new, vocabulary, dtype=torch.bool)
        open_[:, torch.from_numpy(given.astype(np.int64))] = True
    else:
        wanted = f"token numbers below {vocabulary}, or true and false of shape [{new}, {vocabulary}]"
        raise BadOption("allowed", f"an array of shape {list(given.shape)}", wanted)
    if not open_.any(1).all():
        raise BadOption("allowed", "a place without a token", "one allowed token or more at every place")
    return torch.where(open_, 0.0, -torch.inf)
