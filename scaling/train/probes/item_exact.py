"""Exact match: whether models write the answers of a study's items by themselves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from scaling.corpora.items import Items
from scaling.train.generate import generate
from scaling.train.model import Weights
from scaling.train.probes import Reading, Windows
from scaling.train.probes.answer_exact import share
from scaling.train.probes.item_log_probability import by_group
from scaling.train.stack import Stack


class ItemExact:
    """Share of generated answers that are the item's, token by token, and end there where the study says `stop`.

    The draws are those of the step, whatever a model is stacked with and however often its job was begun.
    """

    name, unit = "item_exact", "1"

    def __init__(self, items: Items):
        self.items = items

    def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
        """A reading for every model and every group; `n` counts items."""
        items, each = self.items, self.items.each
        wanted = [(*item.answer, *items.stop) for item in each]
        right = np.zeros((len(stack.trunks), len(each)))
        for length in sorted(set(map(len, wanted))):
            rows = [row for row, answer in enumerate(wanted) if len(answer) == length]
            true = np.array([wanted[row] for row in rows])[:, None]
            for models, weights in self._together(stack):
                written = generate(
                    stack.forward,
                    weights,
                    [each[row].prompt for row in rows],
                    new=length,
                    samples=items.samples,
                    temperature=items.temperature,
                    seed=stack.step,
                )
                right[models, rows] = (written.tokens == true).all(3).mean(2)
        return by_group(right, [item.group for item in each], share)

    def _together(self, stack: Stack) -> Iterator[tuple[slice, Weights]]:
        """Models that answer at once: all where nothing is drawn, else each with the same draws."""
        models = len(stack.trunks)
        size = 1 if self.items.temperature else models
        for k in range(0, models, size):
            which = slice(k, k + size)
            yield which, {name: view[which] for name, view in stack.views.items()}


PROBE = ItemExact
