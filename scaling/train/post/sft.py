"""Batches whose answers alone are learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from scaling.corpora.corpus import Corpus
from scaling.corpora.sampler import Sampler
from scaling.corpora.synthetic.documents import SCORED
from scaling.errors import TrainError
from scaling.train.losses import Batch


class NoAnswers(TrainError):
    """A domain to learn answers from, in which nothing is marked as one."""

    domain: str

    def __str__(self) -> str:
        return (
            f"asked to learn the answers of {self.domain!r}, but its documents mark none. Take it out of the blend of "
            'this stage, or learn every token of it with stage = "pretrain".'
        )


def check_answers(corpus: Corpus, domains: Sequence[str]) -> None:
    """Refuse domains without marked answers.

    Raises:
        NoAnswers: names the first.
    """
    for domain in domains:
        if not corpus.tokens(domain, SCORED["train"]).any():
            raise NoAnswers(domain)


class Answers:
    """The batches of K samplers, step by step: tokens and, for each predicted one, a weight, 1 if it is an answer's.

    Raises:
        NoAnswers: a domain has none.
    """

    def __init__(self, samplers: Sequence[Sampler], device: torch.device):
        self.samplers, self.device = samplers, device
        for sampler in samplers:
            check_answers(sampler.corpus, sampler.domains)

    def __call__(self, step: int) -> Batch:
        """The batch of a step, `tokens` `[K, windows, context + 1]`, `weights` `[K, windows, context]`."""
        tokens = np.stack([sampler.batch(step) for sampler in self.samplers])
        marks = np.stack([self._marks(sampler, step) for sampler in self.samplers])
        return {
            "tokens": torch.from_numpy(tokens).to(self.device),
            "weights": torch.from_numpy(marks).to(self.device),
        }

    def _marks(self, sampler: Sampler, step: int) -> np.ndarray:
        sources, starts = sampler.places(step, 1)
        marks = np.empty((sampler.windows_per_step, sampler.context), np.float32)
        for source, domain in enumerate(sampler.domains):
            mine = sources[0] == source
            scored = sampler.corpus.tokens(domain, SCORED["train"])
            marks[mine] = scored[starts[0, mine, None] + np.arange(1, sampler.context + 1)]
        return marks
