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
    """The batches `{"tokens": [K, windows, context + 1]}` of K samplers, step by step.

    Resident, the text lies on the device and a step costs the host a launch; else each batch is read from the corpus,
    which on a CPU stays a file that may be larger than the memory. The windows and their order are the same.
    """

    def __init__(self, samplers: Sequence[Sampler], device: torch.device, *, resident: bool | None = None):
        self.samplers, self.device = samplers, device
        self.text = self._text() if (device.type != "cpu" if resident is None else resident) else None
        self.reach = torch.arange(samplers[0].context + 1, device=device)
        self.first, self.starts = 0, torch.empty(0)

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        if self.text is None:
            return {"tokens": torch.from_numpy(np.stack([s.batch(step) for s in self.samplers]))}
        if not self.first <= step < self.first + len(self.starts):
            self.first, self.starts = step, self._deal(step)
        starts = self.starts[step - self.first]
        return {"tokens": self.text[starts[:, :, None] + self.reach].long()}

    def _text(self) -> Tensor:
        """Every domain of any sampler, one behind the other."""
        texts = {(s.corpus.folder, d): s.corpus.tokens(d) for s in self.samplers for d in s.domains}
        parts = [texts[place] for place in sorted(texts)]
        self.offsets = dict(zip(sorted(texts), np.cumsum([0, *map(len, parts)]).tolist(), strict=False))
        narrow = torch.uint8 if all(part.dtype == np.uint8 for part in parts) else torch.int32
        return torch.cat([torch.from_numpy(part.astype(np.int32)).to(self.device, narrow) for part in parts])

    def _deal(self, step: int) -> Tensor:
        """Where in the text the windows of the next steps begin, `[steps, K, windows]`."""
        every = []
        for sampler in self.samplers:
            sources, starts = sampler.places(step, AHEAD)
            every.append(
                starts + np.array([self.offsets[sampler.corpus.folder, d] for d in sampler.domains])[sources]
            )
        return torch.from_numpy(np.stack(every, axis=1)).to(self.device)
