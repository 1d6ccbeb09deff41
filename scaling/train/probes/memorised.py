"""Memorised bits: what a model knows of the very documents that it has seen, beyond the world that wrote them."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.corpus import Corpus
from scaling.corpora.kinds import Parameters
from scaling.corpora.synthetic import writer
from scaling.flops import count_parameters
from scaling.records import ON_OFFER
from scaling.train.probes import Reading, Windows
from scaling.train.probes.heldout import stderr
from scaling.train.stack import Stack

PAGES = 256
"""Documents of each domain that are looked at, among those seen and among those held out."""


class Memorised:
    """Bits of the documents seen that a model has memorised, for each of its parameters, a group for each domain.

        bits(x) = max(0, -log2 p(x) + log2 p_model(x))

    p is the generator's probability of document x times its domain's share, so a perfect model of the world memorises
    nothing. The mean over documents seen, less that over held-out ones, of which nothing can be remembered, times the
    distinct documents seen, is divided by all parameters. The group DOMAIN + " on offer" is the same of -log2 p(x):
    what there was to memorise. Domains whose documents have no known bits are left out.

    Source:
        Morris et al. 2025, arXiv:2505.24832, section 2, definition 3, with the true generator as reference.
    """

    name, unit = "memorised", "bits/parameter"

    def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
        """Two readings for every model and domain of its blend; `n` counts documents seen and looked at."""
        corpus, readings, parameters = stack.corpus, list[Reading](), count_parameters(stack.shape).total
        for domain in corpus.documents:
            seen = seen_pages(stack, domain)
            cost = {split: generator_bits(corpus, domain, split, stack.shape.context) for split in _SPLITS}
            if not seen or cost["train"] is None or cost["heldout"] is None:
                continue
            shares = [dict(trunk.data.blend).get(domain, 0.0) or 1.0 for trunk in stack.trunks]
            domain_bits = -np.log2(np.array(shares))[:, None]
            numbers = np.stack([evenly(seen.get(k, np.arange(1)), PAGES) for k in range(len(shares))])
            fresh = evenly(np.arange(len(cost["heldout"])), PAGES)
            known = cost["train"][numbers] + domain_bits
            gained = _gained(stack, pages(corpus, domain, "train", numbers, stack.shape.context), known)
            unseen = pages(corpus, domain, "heldout", fresh, stack.shape.context)
            by_chance = _gained(stack, unseen, cost["heldout"][fresh] + domain_bits)
            for k, mine in seen.items():
                n, scale = min(len(mine), PAGES), len(mine) / parameters
                value = gained[k, :n].mean() - by_chance[k].mean()
                error = math.hypot(stderr(gained[k, :n]), stderr(by_chance[k]))
                offered = known[k, :n]
                readings += [
                    Reading(k, domain, float(value) * scale, error * scale, n),
                    Reading(k, domain + ON_OFFER, float(offered.mean()) * scale, stderr(offered) * scale, n),
                ]
        return readings


PROBE = Memorised()
_SPLITS = ("train", "heldout")


def seen_pages(stack: Stack, domain: str) -> dict[int, NDArray[np.int64]]:
    """The documents of a domain that each model of a stack has seen, by their numbers; models that saw none are left
    out."""
    seen = {k: sampler.seen(domain, stack.step) for k, sampler in enumerate(stack.samplers)}
    return {k: numbers for k, numbers in seen.items() if len(numbers)}


def evenly(numbers: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """So many of them, evenly spread; where there are fewer, all and then the first ones again."""
    if len(numbers) <= count:
        return np.resize(numbers, count)
    return numbers[np.linspace(0, len(numbers) - 1, count).round().astype(int)]


def pages(
    corpus: Corpus, domain: str, split: str, numbers: NDArray[np.int64], context: int
) -> NDArray[np.int64]:
    """Documents by their numbers in a split, as windows `[..., context + 1]`."""
    tokens = corpus.tokens(domain, split)
    return tokens[numbers[..., None] * context + np.arange(context + 1)].astype(np.int64)


def generator_bits(corpus: Corpus, domain: str, split: str, context: int) -> NDArray[np.float64] | None:
    """-log2 p of every document of a split, `[documents]`; None where the writer does not know them."""
    made = corpus.documents[domain]
    parameters = tuple((key, value) for key, value in made["parameters"])
    return _bits(made["kind"], parameters, split, (len(corpus.tokens(domain, split)) - 1) // context)


@lru_cache(maxsize=64)
def _bits(kind: str, parameters: Parameters, split: str, count: int) -> NDArray[np.float64] | None:
    bits = getattr(writer(kind, parameters), "bits", None)
    return None if bits is None else bits(split, count)


def _gained(stack: Stack, windows: NDArray[np.int64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bits by which each model beats the generator on each window, none where it does not, `[K, windows]`."""
    paid = stack.token_losses(windows).sum(2) / math.log(2)
    return np.maximum(0, known - paid)
