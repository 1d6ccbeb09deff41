"""How far preferences have moved a policy from its parent."""

from __future__ import annotations

import numpy as np

from scaling.corpora.synthetic.pages import END
from scaling.train.generate import answer_log_probability
from scaling.train.model import matrix_views
from scaling.train.probes import Reading, Windows
from scaling.train.probes.heldout import stderr
from scaling.train.probes.helpful import answers
from scaling.train.stack import Stack

JUDGED = 16
"""Answers to each request whose probability under the parent is asked."""


class Divergence:
    """Mean of log π(answer) − log π₀(answer) over answers that the policy π draws: KL(π ‖ π₀), π₀ the parent.

    A group for each domain of dialogues, after the stages "sft" and "prefer".
    """

    name, unit = "divergence", "nats/answer"

    def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
        """A reading for every model and every domain; `n` counts requests."""
        if stack.trunks[0].stage not in ("sft", "prefer") or stack.start is None:
            return []
        end, readings = stack.corpus.words.index(END), []
        for drawn in answers(stack, windows, stack.views):
            for k, given in enumerate(drawn.tokens[:, :, :JUDGED]):
                parent = matrix_views(stack.start[k : k + 1], stack.shape)
                asked = [prompt for prompt in drawn.prompts for _ in range(JUDGED)]
                said = [_ended(one, end) for one in given.reshape(-1, given.shape[-1])]
                before = answer_log_probability(stack.forward, parent, asked, said).reshape(len(given), -1)
                moved = (drawn.log_probability[k, :, :JUDGED] - before).mean(1)
                readings.append(Reading(k, drawn.domain, float(moved.mean()), stderr(moved), len(moved)))
        return readings


PROBE = Divergence()


def _ended(tokens: np.ndarray, end: int) -> np.ndarray:
    """An answer up to its end."""
    over = tokens == end
    return tokens[: int(over.argmax()) + 1] if over.any() else tokens
