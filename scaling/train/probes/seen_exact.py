"""Right answers to documents that a model has seen: beside those to fresh ones, what memory explains."""

from __future__ import annotations

import numpy as np

from scaling.corpora.synthetic.documents import SCORED
from scaling.train.probes import Reading, Windows
from scaling.train.probes.answer_exact import share
from scaling.train.probes.memorised import PAGES, evenly, pages, seen_pages
from scaling.train.stack import Stack


class SeenExact:
    """The same as `answer_exact` of documents that each model has been trained on, a group for each domain."""

    name, unit = "seen_exact", "1"

    def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
        """A reading for every model and every domain of its blend with answers; `n` counts documents."""
        corpus, context, readings = stack.corpus, stack.shape.context, list[Reading]()
        for domain in corpus.documents:
            if not (seen := seen_pages(stack, domain)):
                continue
            numbers = np.stack([evenly(seen.get(k, np.arange(1)), PAGES) for k in range(len(stack.trunks))])
            shown = pages(corpus, domain, "train", numbers, context)
            scored = pages(corpus, domain, SCORED["train"], numbers, context)[..., 1:] == 1
            if scored.any():
                right = ((stack.likeliest(shown) == shown[..., 1:]) | ~scored).all(2)
                readings += [share(k, domain, right[k, : min(len(mine), PAGES)]) for k, mine in seen.items()]
        return readings


PROBE = SeenExact()
