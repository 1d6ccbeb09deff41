"""How likely models find the answers of a study's items."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.items import Items
from scaling.train.generate import answer_log_probability
from scaling.train.probes import Reading, Windows
from scaling.train.probes.heldout import reading
from scaling.train.stack import Stack

Summary = Callable[[int, str, NDArray[np.float64]], Reading]
"""The reading of a model for a group from a value for each of its items."""


class ItemLogProbability:
    """Mean of ln p(answer | prompt), a group for each group of items."""

    name, unit = "item_log_probability", "nats/answer"

    def __init__(self, items: Items):
        self.items = items

    def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
        """A reading for every model and every group; `n` counts items."""
        each = self.items.each
        requests, answers = ([getattr(item, part) for item in each] for part in ("prompt", "answer"))
        table = answer_log_probability(stack.forward, stack.views, requests, answers)
        return by_group(table, [item.group for item in each], reading)


PROBE = ItemLogProbability


def by_group(table: NDArray[np.float64], groups: list[str], summary: Summary) -> list[Reading]:
    """Readings from a value for every model and item, `[K, items]`."""
    of = np.array(groups)
    return [
        summary(k, group, mine[of == group])
        for group in dict.fromkeys(groups)
        for k, mine in enumerate(table)
    ]
