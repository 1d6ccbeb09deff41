"""Pairs ranked right: how well a reward model, or a policy that preferences have moved, tells the better text."""

from __future__ import annotations

import numpy as np
import torch

from scaling.corpora.synthetic.pages import PairPages
from scaling.train.losses import log_probabilities
from scaling.train.model import matrix_views
from scaling.train.post.pairs import read_pairs
from scaling.train.probes import Reading, Windows, writers_of
from scaling.train.stack import Stack


class Preferred:
    """Share of held-out pairs whose chosen text has the higher reward, a group for each domain of pairs.

    The reward of a stage "reward" is its score; of a stage "prefer" what its log-probability gained over its parent's,
    log π / π₀. Other stages have none, and no readings. The standard error is over documents.
    """

    name, unit = "preferred", "1"

    @torch.no_grad()
    def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
        """A reading for every model and every domain of pairs, trained on or not; `n` counts documents."""
        stage, models = stack.trunks[0].stage, len(stack.trunks)
        if stage not in ("reward", "prefer") or stack.start is None:
            return []
        readings = []
        for domain, _ in writers_of(stack.corpus, windows, PairPages):
            texts, last = read_pairs(stack.corpus, domain, stack.shape.context, "heldout")
            documents, pairs = texts.shape[:2]
            inputs = torch.from_numpy(texts.reshape(1, -1, *texts.shape[2:])).to(stack.device)
            inputs = inputs.expand(models, -1, -1, -1)
            ends = torch.from_numpy(last.reshape(1, -1, 2)).to(stack.device).expand(models, -1, -1)
            if stage == "reward":
                flat = stack.forward.scores(stack.views, inputs.flatten(1, 2), ends.flatten(1, 2))
                rewards = flat.unflatten(1, (-1, 2))
            else:
                parents = matrix_views(stack.start, stack.shape)
                rewards = log_probabilities(stack.forward, stack.views, inputs, ends)
                rewards = rewards - log_probabilities(stack.forward, parents, inputs, ends)
            better = (rewards[:, :, 0] > rewards[:, :, 1]).double().view(models, documents, pairs).mean(2)
            for k, mine in enumerate(better.cpu().numpy()):
                error = float(mine.std(ddof=1) / np.sqrt(documents)) if documents > 1 else float("nan")
                readings.append(Reading(k, domain, float(mine.mean()), error, documents))
        return readings


PROBE = Preferred()
