"""Text from a stack: sampled, many answers to each request at once, and scored under any other stack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from scaling.errors import BadOption, TrainError
from scaling.train.model import Forward, NoSuchHead, Weights, norm, wide

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
    generator = torch.Generator(device).manual_seed(seed)
    own = samples * (shape.depth * shape.width * new + shape.vocabulary)
    for some in _together(asked, lambda length: shape.depth * shape.width * length + own):
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


@torch.no_grad()
def answer_scores(
    forward: Forward, weights: Weights, requests: Sequence[ArrayLike], answers: NDArray[np.int64], *, end: int
) -> NDArray[np.float64]:
    """What K reward models say of answers to requests, `[K, requests, samples]`.

    The keys and values of a request are computed once for all its answers, the last block at the judged place alone.

    Args:
        forward, weights: the K models, with a score head.
        requests: tokens of each, one or more.
        answers: tokens `[K, requests, samples, new]`, as from `generate`; each is judged at its first `end`, or at its
            last token.
        end: token after which an answer is over.

    Raises:
        NoSuchHead: the models have no score head.
        TooLong: a request and its answers do not fit into the context.
        BadOption: no answers to every request.
    """
    if "score" not in weights:
        raise NoSuchHead("score", ("head",))
    shape, device, models = forward.shape, weights["head"].device, len(weights["head"])
    asked = [np.asarray(r, np.int64).ravel() for r in requests]
    if answers.ndim != 4 or answers.shape[:2] != (models, len(asked)):
        wanted = f"an array [{models}, {len(asked)}, samples, new]"
        raise BadOption("answers", f"an array of shape {list(answers.shape)}", wanted)
    samples, new = answers.shape[2:]
    for i, request in enumerate(asked):
        if len(request) + new > shape.context:
            raise TooLong(i, len(request), new, shape.context)
    over = answers == end
    last = np.where(over.any(3), over.argmax(3), new - 1)
    scores = np.empty(last.shape)
    for some in _together(asked, lambda length: (length + samples * new) * shape.mlp_width):
        prompt = torch.from_numpy(np.stack([asked[i] for i in some])).to(device)
        ours, ends = (torch.from_numpy(part[:, some]).to(device) for part in (answers, last))
        said = _scores(forward, weights, prompt.expand(models, -1, -1), ours, ends)
        scores[:, some] = said.double().cpu().numpy()
    return scores


def _together(asked: Sequence[NDArray[np.int64]], held: Callable[[int], int]) -> Iterator[NDArray[np.int64]]:
    """Requests of one length, as many at a time as hold no more than `AT_ONCE` numbers; each `held` by its length."""
    lengths: dict[int, list[int]] = defaultdict(list)
    for i, request in enumerate(asked):
        lengths[len(request)].append(i)
    for length, rows in sorted(lengths.items()):
        for some in np.array_split(rows, -(-len(rows) * held(length) // AT_ONCE)):
            if len(some):
                yield some


class _Decoder:
    """K models that read the same requests once, and then one more token of every sample at a time.

    The samples of a request share its keys and values; their own lie beside, a place after another.
    """

    def __init__(self, forward: Forward, weights: Weights, prompt: Tensor, samples: int, new: int):
        self.forward, self.weights, self.samples = forward, weights, samples
        models, requests, self.place = prompt.shape
        shape = forward.shape
        own = (shape.depth, new, models * requests * shape.heads * samples, shape.head_dim)
        self.own_keys, self.own_values = (prompt.new_empty(own, dtype=forward.cosine.dtype) for _ in range(2))
        self.taken = 0
        self.recent = _recent(forward, prompt, samples)
        x, self.kept = _read(forward, weights, prompt)
        last = norm(x[:, :, -1])
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
            for kept, one in ((self.own_keys, k), (self.own_values, v)):
                kept[block, self.taken].view(q.shape).copy_(one)
            mixed = self._attend(block, q)
            x = forward.after_attention(weights, block, x, mixed.transpose(1, 2).reshape(x.shape))
        self.taken += 1
        self.logits = forward.head(weights, norm(x)).view(*tokens.shape, -1)

    def _attend(self, block: int, q: Tensor) -> Tensor:
        """Scores are bounded, so no maximum need be taken off before their exponentials."""
        keys, values = self.kept[block]
        own_keys, own_values = (t[block, : self.taken + 1] for t in (self.own_keys, self.own_values))
        shared = (q @ keys.mT).exp_()
        own = torch.bmm(q.reshape(-1, 1, q.shape[-1]), own_keys.permute(1, 2, 0)).exp_()
        mixed = (shared @ values).add_(torch.bmm(own, own_values.transpose(0, 1)).view(q.shape))
        return mixed.div_(shared.sum(-1, keepdim=True) + own.sum(-1).view(*q.shape[:-1], 1))


def _read(forward: Forward, weights: Weights, prompt: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """What K models make of requests `[K, requests, places]`.

    Returns:
        The residual stream, `[K, requests, places, width]`, and for each block its keys and values, each
        `[K requests, heads, places, size]`.
    """
    x, kept = forward.embed(weights, prompt), []
    for block in range(forward.shape.depth):
        q, k, v = (
            t.flatten(0, 1).transpose(1, 2)
            for t in forward.heads(weights, block, x, forward.angles(prompt.shape[2]))
        )
        kept.append((k.contiguous(), v.contiguous()))
        mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)
        x = forward.after_attention(weights, block, x, mixed.transpose(1, 2).reshape(x.shape))
    return x.view(*prompt.shape, -1), kept


def _recent(forward: Forward, prompt: Tensor, samples: int) -> Tensor:
    """The last tokens of every sample's request, `[K, requests samples, ≤ neighbours]`."""
    return prompt[:, :, max(0, prompt.shape[2] - forward.shape.neighbours) :].repeat_interleave(samples, 1)


def _scores(forward: Forward, weights: Weights, prompt: Tensor, answers: Tensor, last: Tensor) -> Tensor:
    """Of answers `[K, requests, samples, new]`, at the place `last` `[K, requests, samples]` of each."""
    shape, (models, _, samples, new) = forward.shape, answers.shape
    _, kept = _read(forward, weights, prompt)
    before = _recent(forward, prompt, samples)
    angles = forward.angles(new, prompt.shape[2])
    seen = torch.cat([before, answers.flatten(1, 2)], 2)
    x = forward.embed(weights, seen, before=before.shape[2])
    at = last.flatten(1)[:, :, None, None]
    hidden_from = torch.ones(new, new, dtype=torch.bool, device=x.device).triu(1)
    for block, (keys, values) in enumerate(kept):
        q, k, v = forward.heads(weights, block, x, angles)  # [K, texts, new, heads, size]
        hidden = hidden_from.expand(models, q.shape[1], new, new)
        if block == shape.depth - 1:  # nothing but the scored place goes on from here
            q = q.gather(2, at[..., None].expand(-1, -1, 1, *q.shape[3:]))
            hidden = hidden.gather(2, at[..., 0].expand(-1, -1, 1)[..., None].expand(-1, -1, 1, new))
            x = (
                x.view(models, -1, new, shape.width)
                .gather(2, at.expand(-1, -1, 1, shape.width))
                .flatten(1, 2)
            )
        places = q.shape[2]
        ask = q.unflatten(1, (-1, samples)).flatten(0, 1).permute(0, 3, 1, 2, 4).flatten(2, 3)
        shared = (ask @ keys.mT).exp_()  # [K requests, heads, samples places, places of the request]
        ours = (shared @ values).unflatten(2, (samples, places)).permute(0, 2, 3, 1, 4).flatten(0, 1)
        total = shared.sum(-1).unflatten(2, (samples, places)).permute(0, 2, 3, 1).flatten(0, 1)
        q, k, v = (t.flatten(0, 1).transpose(1, 2) for t in (q, k, v))  # [K texts, heads, places, size]
        own = (q @ k.mT).masked_fill_(hidden.flatten(0, 1)[:, None], -torch.inf).exp_()
        mixed = ours + (own @ v).transpose(1, 2)
        mixed = mixed / (total + own.sum(-1).transpose(1, 2))[..., None]
        x = forward.after_attention(weights, block, x, mixed.reshape(x.shape))
    return wide(torch.bmm(norm(x), weights["score"])).view(last.shape)


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
