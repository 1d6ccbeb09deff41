"""Batches made where the models are: the text and the order of its windows lie on the device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from scaling.corpora.sampler import Sampler
from scaling.train.losses import Batch

AHEAD = 256
"""Steps whose windows are dealt and sent at once: a few microseconds a step on the host, a few kilobytes a window."""


class Feed:
    """The batches `{"tokens": [K, windows, context + 1]}` of K samplers over one corpus, step by step.

    A step costs the host one launch; the same windows in the same order as `Sampler.batch` gives.
    """

    def __init__(self, samplers: Sequence[Sampler], device: torch.device):
        self.samplers, self.device = samplers, device
        self.first, self.starts = 0, torch.empty((0, len(samplers), 0), dtype=torch.int64)
        self.text, self.offsets = Tensor(), {}
        if device.type != "cpu":
            self._send()

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        if self.device.type == "cpu":  # the corpus stays a file there, as it may be larger than the memory
            return {"tokens": torch.from_numpy(np.stack([s.batch(step) for s in self.samplers]))}
        if not self.first <= step < self.first + len(self.starts):
            self._deal(step)
        starts = self.starts[step - self.first]
        return {"tokens": self.text[starts[:, :, None] + self.reach].long()}

    def _send(self) -> None:
        """Every domain of any sampler, one behind the other."""
        corpus = self.samplers[0].corpus
        domains = sorted({d for s in self.samplers for d in s.domains})
        parts = [corpus.tokens(domain) for domain in domains]
        ends = np.cumsum([len(part) for part in parts]).tolist()
        self.offsets = dict(zip(domains, [0, *ends], strict=False))
        narrow = torch.uint8 if all(part.dtype == np.uint8 for part in parts) else torch.int32
        self.text = torch.cat(
            [torch.from_numpy(part.astype(np.int32)).to(self.device, narrow) for part in parts]
        )
        self.reach = torch.arange(self.samplers[0].context + 1, device=self.device)

    def _deal(self, step: int) -> None:
        every = []
        for sampler in self.samplers:
            sources, starts = sampler.places(step, AHEAD)
            every.append(starts + np.array([self.offsets[d] for d in sampler.domains])[sources])
        self.first, self.starts = step, torch.from_numpy(np.stack(every, axis=1)).to(self.device)
