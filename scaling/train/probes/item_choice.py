"""Multiple choice: whether models find the answer of an item the most likely of its choices."""

from __future__ import annotations

import numpy as np

from scaling.corpora.items import Items
from scaling.train.generate import answer_log_probability
from scaling.train.probes import Reading, Windows
from scaling.train.probes.answer_exact import share
from scaling.train.probes.item_log_probability import by_group
from scaling.train.stack import Stack


class ItemChoice:
    """Share of items whose answer is the likeliest of their choices, a group for each group of items.

    A choice scores ln p(choice | prompt), or that over its tokens where the study says `per_token`. Of n choices that
    score alike each counts 1/n, so a model that knows nothing scores by chance.
    """

    name, unit = "item_choice", "1"

    def __init__(self, items: Items):
        self.each, self.per_token = [item for item in items.each if item.choices], items.per_token

    def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
        """A reading for every model and every group; `n` counts items with choices."""
        pairs = [(item.prompt, choice) for item in self.each for choice in item.choices]
        scores = answer_log_probability(stack.forward, stack.views, *zip(*pairs, strict=True))
        if self.per_token:
            scores = scores / [len(choice) for _, choice in pairs]
        ends = np.cumsum([len(item.choices) for item in self.each])[:-1]
        right = []
        for item, mine in zip(self.each, np.split(scores, ends, axis=1), strict=True):
            best = mine == mine.max(1, keepdims=True)
            right.append(best[:, item.choices.index(item.answer)] / best.sum(1))
        return by_group(np.stack(right, axis=1), [item.group for item in self.each], share)


PROBE = ItemChoice
