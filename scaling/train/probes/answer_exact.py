"""Right answers: whether each word of a document's answer is the one that a model finds the most likely."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scaling.train.probes import Reading, Windows
from scaling.train.probes.answer_loss import answered
from scaling.train.stack import Stack


class AnswerExact:
    """Share of documents all of whose scored tokens are the most likely ones, a group for each domain.

    The true tokens before each are given, so an answer counts as right where greedy generation would have written it.
    """

    name, unit = "answer_exact", "1"

    def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
        """A reading for every model and every domain with answers; `n` counts documents."""
        readings = []
        for domain, pages, scored in answered(stack.corpus, windows):
            right = (stack.likeliest(pages) == pages[:, 1:]) | ~scored
            readings += [share(k, domain, mine) for k, mine in enumerate(right.all(2))]
        return readings


PROBE = AnswerExact()


def share(model: int, group: str, right: NDArray[np.bool_ | np.float64]) -> Reading:
    """How many of a model's answers are right.

    The standard error is that of a share, one right and one wrong answer added, so that none or all is no certainty.
    """
    count = len(right)
    doubted = (right.sum() + 1) / (count + 2)
    error = float(np.sqrt(doubted * (1 - doubted) / (count + 2)))
    return Reading(model, group, float(right.mean()), error, count)
