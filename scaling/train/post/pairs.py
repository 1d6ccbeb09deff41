"""Batches of preferences: pairs of texts, the chosen one first, cut out of documents that mark where each text ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scaling.corpora.corpus import Corpus
from scaling.corpora.sampler import Sampler
from scaling.corpora.synthetic.documents import FILLER, SCORED
from scaling.errors import TrainError
from scaling.flops import Shape
from scaling.train.losses import Batch, log_probabilities
from scaling.train.model import Forward, matrix_views


class NoPairs(TrainError):
    """Documents that are no preferences, or none at all."""

    domain: str
    reason: str

    def __str__(self) -> str:
        return (
            f"asked to learn preferences from {self.domain!r}, but {self.reason}. Blend documents of pairs alone in "
            'this stage, e.g. of the kind "errand pairs".'
        )


class Tie(TrainError):
    """A pair whose two texts are the same."""

    domain: str
    document: int
    pair: int

    def __str__(self) -> str:
        return (
            f"pair {self.pair} of document {self.document} of {self.domain!r} is a tie: both texts are the same, so "
            "there is nothing to prefer. Leave ties out of the documents."
        )


def read_pairs(
    corpus: Corpus, domain: str, row: int, split: str = "train"
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of a domain, a document in each `row` tokens.

    Returns:
        Texts `[documents, pairs, 2, places]`, each behind the token that begins a row and filled up with it, and the
        place of the last token of each, `[documents, pairs, 2]`.

    Raises:
        NoPairs: there is no document, or the number of texts is odd, zero, or not the same in all.
        Tie: the texts of a pair are the same.
    """
    tokens, marks = (corpus.tokens(domain, s)[:-1].reshape(-1, row) for s in (split, SCORED[split]))
    if not len(tokens):
        raise NoPairs(domain, f"it has no {split} documents")
    texts = marks.sum(1)
    if texts.min() != texts.max() or texts[0] % 2 or not texts[0]:
        few, many = int(texts.min()), int(texts.max())
        raise NoPairs(
            domain, f"its documents mark the ends of {few} to {many} texts, not of as many pairs in each"
        )
    ends = np.nonzero(marks)[1].reshape(len(tokens), -1)
    starts = np.concatenate([np.ones((len(tokens), 1), int), ends[:, :-1] + 1], 1)
    last = ends - starts + 1
    places = np.arange(last.max() + 1)
    inside = (places[None, None] >= 1) & (places[None, None] <= last[..., None])
    at = np.where(inside, starts[..., None] + places - 1, 0)
    cut = np.take_along_axis(tokens.astype(np.int64)[:, None], at, 2)
    pairs = np.where(inside, cut, FILLER).reshape(len(tokens), -1, 2, len(places))
    same = (pairs[:, :, 0] == pairs[:, :, 1]).all(2)
    for document, pair in np.argwhere(same)[:1].tolist():
        raise Tie(domain, document, pair)
    return pairs, last.reshape(len(tokens), -1, 2)


class Pairs:
    """The pairs of the documents that K samplers draw, step by step.

    Raises:
        NoPairs, Tie: a domain has none, or one that says nothing.
    """

    def __init__(self, samplers: Sequence[Sampler], device: torch.device):
        self.samplers, self.device = samplers, device
        corpus = samplers[0].corpus
        self.read = {
            d: read_pairs(corpus, d, samplers[0].context)
            for d in sorted({d for s in samplers for d in s.domains})
        }
        counts = {d: texts.shape[1] for d, (texts, _) in self.read.items()}
        if len(set(counts.values())) > 1:
            domain = max(counts, key=lambda d: counts[d])
            raise NoPairs(domain, f"it has another number of pairs in a document than others ({counts})")
        self.places = max(texts.shape[3] for texts, _ in self.read.values())

    def __call__(self, step: int) -> Batch:
        """The batch of a step: `inputs` `[K, pairs, 2, places]`, `last` `[K, pairs, 2]`."""
        parts = [self._of(sampler, step) for sampler in self.samplers]
        inputs, last = (torch.from_numpy(np.stack(part)).to(self.device) for part in zip(*parts, strict=True))
        return {"inputs": inputs, "last": last}

    def _of(self, sampler: Sampler, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        sources, starts = sampler.places(step, 1)
        inputs, lasts = [], []
        for source, start in zip(sources[0], starts[0] // sampler.context, strict=True):
            texts, last = self.read[sampler.domains[source]]
            inputs.append(np.pad(texts[start], [(0, 0), (0, 0), (0, self.places - texts.shape[3])]))
            lasts.append(last[start])
        return np.concatenate(inputs), np.concatenate(lasts)


class Referred:
    """The same pairs, with what the parents say of them: `reference` `[K, pairs, 2]`, nats."""

    def __init__(self, pairs: Pairs, start: Tensor, shape: Shape):
        self.pairs = pairs
        self.parents = matrix_views(start, shape)
        self.net = Forward(shape, start.device, start.dtype)

    @torch.no_grad()
    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        batch = self.pairs(step)
        reference = log_probabilities(self.net, self.parents, batch["inputs"], batch["last"])
        return {**batch, "reference": reference}
