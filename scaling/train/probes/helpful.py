"""How helpful answers are by the checker, as a model draws them, and as a reward model chooses among them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from scaling.corpora.synthetic.dialogues import ASPECTS, Asked, DialoguePairs, Dialogues
from scaling.corpora.synthetic.documents import FILLER
from scaling.corpora.synthetic.pages import END
from scaling.train.generate import answer_scores, generate
from scaling.train.model import matrix_views
from scaling.train.probes import Reading, Windows, writers_of
from scaling.train.probes.heldout import stderr
from scaling.train.stack import Stack

BEST_OF = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of answers among which a reward model chooses."""
DRAWN = BEST_OF[-1]
"""Answers to each request."""
NEW = 12
"""Tokens of an answer at the most: three more than the longest that is written."""


@dataclass(frozen=True)
class Drawn:
    """Answers to all held-out requests of a domain."""

    domain: str
    prompts: list[NDArray[np.int64]]
    """Tokens of each request, the row's first among them."""
    tokens: NDArray[np.int64]
    """`[K, requests, samples, new]`."""
    log_probability: NDArray[np.float32]
    """Of each answer under the model that gave it, nats, `[K, requests, samples]`."""
    marks: dict[str, NDArray[np.float64]]
    """Of each answer in each way that it can be good in, 0 or 1, and "gold", their mean, `[K, requests, samples]`."""


class Helpful:
    """Mean worth of answers to held-out requests by the checker, which no model sees: from 0 to 1.

    A group for each domain of dialogues, and "DOMAIN ASPECT" for each way in which an answer is good. Models draw their
    answers; a reward model chooses, "DOMAIN best of n", among n that its parent has drawn. Its worth is the mean over
    all choices of n from the answers drawn, whose standard error is over requests.

        Σ_i C(i − 1, n − 1) / C(N, n) gold_(i)        answers in the order of their reward

    Source:
        Nakano et al. 2021, arXiv:2112.09332, appendix I, for the mean over choices.
    """

    name, unit = "helpful", "1"

    def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
        """A reading for every model and every group; `n` counts requests."""
        rewarded = stack.trunks[0].stage == "reward"
        readings = []
        writer = stack.views
        if rewarded:
            assert stack.start is not None, "a reward model has a parent"
            writer = matrix_views(stack.start, stack.shape)
        for drawn in answers(stack, windows, writer):
            if rewarded:
                end = stack.corpus.words.index(END)
                scores = answer_scores(stack.forward, stack.views, drawn.prompts, drawn.tokens, end=end)
                rank = scores.argsort(2, kind="stable")
            for way, marks in drawn.marks.items():
                group = drawn.domain if way == "gold" else f"{drawn.domain} {way}"
                if not rewarded:
                    readings += _readings(group, marks.mean(2))
                    continue
                ordered = np.take_along_axis(marks, rank, 2)
                for n in BEST_OF if way == "gold" else (1, DRAWN):
                    readings += _readings(f"{group} best of {n}", ordered @ chosen_weights(n, DRAWN))
        return readings


PROBE = Helpful()


def answers(stack: Stack, windows: Windows, weights: dict[str, Tensor]) -> Iterator[Drawn]:
    """What K models answer to all held-out requests of each domain of dialogues."""
    words = stack.corpus.words
    number = {word: token for token, word in enumerate(words)}
    for domain, asks in writers_of(stack.corpus, windows, Dialogues):
        if isinstance(asks, DialoguePairs):
            continue
        asked = [one for each in asks.domains for one in asks.requests(each, "heldout")]
        prompts = [np.array([FILLER, *(number[word] for word in one.words)]) for one in asked]
        new = min(NEW, stack.shape.context + 1 - max(map(len, prompts)))
        given = generate(stack.forward, weights, prompts, new=new, samples=DRAWN, end=number[END])
        yield Drawn(
            domain, prompts, given.tokens, given.log_probability, _marks(asks, words, asked, given.tokens)
        )


def chosen_weights(n: int, drawn: int) -> NDArray[np.float64]:
    """How often each of so many answers, the worst first, is the best of n of them."""
    return np.array([math.comb(i, n - 1) / math.comb(drawn, n) for i in range(drawn)])


def _marks(
    asks: Dialogues, words: Sequence[str], asked: Sequence[Asked], tokens: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    marks = {aspect: np.empty(tokens.shape[:3]) for aspect in ASPECTS}
    seen: dict[tuple[int, bytes], list[bool]] = {}
    for k, i, j in np.ndindex(tokens.shape[:3]):
        key = (i, tokens[k, i, j].tobytes())
        if key not in seen:
            said = [words[int(token)] for token in tokens[k, i, j]]
            answer = said[: said.index(END) + 1] if END in said else said
            seen[key] = [*asdict(asks.check(asked[i], answer)).values()]
        for aspect, good in zip(ASPECTS, seen[key], strict=True):
            marks[aspect][k, i, j] = good
    return marks | {"gold": np.mean([*marks.values()], axis=0)}


def _readings(group: str, worth: NDArray[np.float64]) -> list[Reading]:
    """Of the worth for each model and request."""
    return [Reading(k, group, float(mine.mean()), stderr(mine), len(mine)) for k, mine in enumerate(worth)]
