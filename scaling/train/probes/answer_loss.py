"""Loss on answers alone: what a model would pay for the words of a document that say whether it has understood."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.corpus import Corpus
from scaling.corpora.sampler import held_out_windows
from scaling.corpora.synthetic.documents import SCORED
from scaling.train.probes import Reading, Windows
from scaling.train.probes.heldout import stderr
from scaling.train.stack import Stack

PAGES_PER_WINDOW = 4
"""Documents that answers are read from, for each window of a loss: one answer says less than a window's many tokens."""


def answered(corpus: Corpus, windows: Windows) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.bool_]]]:
    """Held-out documents of each domain that has answers, and where in them a predicted token is part of one.

    Yields:
        The domain, tokens `[pages, context + 1]`, and whether each is scored, `[pages, context]`.
    """
    for domain, measured in windows.items():
        if len(corpus.tokens(domain, SCORED["heldout"])):
            context, count = measured.shape[1] - 1, PAGES_PER_WINDOW * len(measured)
            scored = held_out_windows(corpus, domain, context, count, SCORED["heldout"])[:, 1:] == 1
            kept = scored.any(1)
            if kept.any():
                yield domain, held_out_windows(corpus, domain, context, count)[kept], scored[kept]


class AnswerLoss:
    """Mean loss of a document's scored tokens, the true tokens before each given, a group for each domain."""

    name, unit = "answer_loss", "nats/token"

    def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
        """A reading for every model and every domain with answers; `n` counts documents."""
        readings = []
        for domain, pages, scored in answered(stack.corpus, windows):
            each = (stack.token_losses(pages) * scored).sum(2) / scored.sum(1)
            readings += [
                Reading(k, domain, float(mine.mean()), stderr(mine), len(mine)) for k, mine in enumerate(each)
            ]
        return readings


PROBE = AnswerLoss()
