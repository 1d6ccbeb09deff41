"""Commands that do what was asked: a model answers requests to tools, and its commands are run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from scaling.corpora.corpus import Corpus
from scaling.corpora.synthetic import writer
from scaling.corpora.synthetic.documents import FILLER
from scaling.corpora.synthetic.pages import END
from scaling.corpora.synthetic.tools import Request, Requests
from scaling.train.generate import answer_scores, generate
from scaling.train.model import matrix_views
from scaling.train.probes import Reading, Windows
from scaling.train.probes.answer_loss import answered
from scaling.train.stack import Stack

BEST_OF = (1, 4, 16, 64)
"""Answers among which a reward model chooses."""
ASKED = 256
"""Requests of a domain that are answered, without examples or with so many before them."""
CHOSEN_FROM = 64
"""Requests whose answers a reward model chooses; each has as many answers as the last of `BEST_OF`."""


@dataclass(frozen=True)
class Question:
    """A request on a page, and what a command must do to answer it."""

    before: NDArray[np.int64]
    """Tokens of the page's requests and answers before it."""
    request: NDArray[np.int64]
    asked: Request


class Executed:
    """Share of held-out requests whose command, run by the executor, does what was asked and no more.

    Models answer without sampling, a group for each domain of requests; "DOMAIN after k" shows them the k requests and
    right answers that stand before it on its page. A reward model chooses among n answers that its parent has drawn,
    "DOMAIN best of n". The standard error is that of a share, one right and one wrong answer added.
    """

    name, unit = "executed", "1"

    def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
        """A reading for every model and every group; `n` counts requests."""
        readings = []
        for domain, pages, scored in answered(stack.corpus, windows):
            about = stack.corpus.documents[domain]
            asks = writer(about["kind"], tuple((key, value) for key, value in about["parameters"]))
            if isinstance(asks, Requests):
                pages = pages[:, :-1]  # the last token is the next page's first
                every = [[*_questions(asks, stack.corpus, *page)] for page in zip(pages, scored, strict=True)]
                judge = _chosen if stack.trunks[0].stage == "reward" else _answers
                readings += judge(stack, asks, domain, every)
        return readings


PROBE = Executed()


def _answers(stack: Stack, asks: Requests, domain: str, pages: Sequence[Sequence[Question]]) -> list[Reading]:
    """Of the likeliest answers, without examples and after as many as a page has room for."""
    readings = []
    for shown in range(max(map(len, pages))):
        if shown:
            some = [page[shown] for page in pages if len(page) > shown][:ASKED]
            prompts = [np.concatenate([q.before, q.request]) for q in some]
        else:
            some = [question for page in pages for question in page][:ASKED]
            prompts = [np.concatenate([[FILLER], q.request]) for q in some]
        tokens = _generate(stack, asks, stack.views, prompts, samples=1, temperature=0)
        right = _right(stack.corpus, asks, some, tokens)[:, :, 0]
        group = f"{domain} after {shown}" if shown else domain
        readings += [_reading(k, group, mine) for k, mine in enumerate(right)]
    return readings


def _chosen(stack: Stack, asks: Requests, domain: str, pages: Sequence[Sequence[Question]]) -> list[Reading]:
    """Of the answers of the parents that the reward models score highest, among the first 1, 4, 16 and 64."""
    assert stack.start is not None
    some = [question for page in pages for question in page][:CHOSEN_FROM]
    prompts = [np.concatenate([[FILLER], q.request]) for q in some]
    parents = matrix_views(stack.start, stack.shape)
    tokens = _generate(stack, asks, parents, prompts, samples=BEST_OF[-1], temperature=1.0)
    right = _right(stack.corpus, asks, some, tokens)
    end = stack.corpus.words.index(END)
    scores = answer_scores(stack.forward, stack.views, prompts, tokens, end=end)
    readings = []
    for n in BEST_OF:
        best = scores[:, :, :n].argmax(2)[..., None]
        picked = np.take_along_axis(right, best, 2)[..., 0]
        readings += [_reading(k, f"{domain} best of {n}", mine) for k, mine in enumerate(picked)]
    return readings


def _generate(
    stack: Stack,
    asks: Requests,
    weights: dict[str, Tensor],
    prompts: Sequence[NDArray[np.int64]],
    *,
    samples: int,
    temperature: float,
) -> NDArray[np.int64]:
    longest = 3 + 2 * asks.settings  # tool, file and end, flags with their arguments
    new = min(longest + 1, stack.shape.context + 1 - max(map(len, prompts)))
    end = stack.corpus.words.index(END)
    return generate(
        stack.forward, weights, prompts, new=new, samples=samples, temperature=temperature, end=end
    ).tokens


def _right(
    corpus: Corpus, asks: Requests, questions: Sequence[Question], tokens: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether each answer `[K, requests, samples, new]` does what was asked."""
    right = np.empty(tokens.shape[:3], bool)
    for k, i, j in np.ndindex(right.shape):
        words = [corpus.words[token] for token in map(int, tokens[k, i, j])]
        command = words[: words.index(END) + 1] if END in words else words
        right[k, i, j] = asks.does(questions[i].asked, command)
    return right


def _questions(
    asks: Requests, corpus: Corpus, page: NDArray[np.int64], scored: NDArray[np.bool_]
) -> Iterator[Question]:
    """The requests on a page, whose right answers are marked."""
    start = at = 1
    marks = np.concatenate([[False], scored[:-1]])  # of the tokens themselves
    while at < len(page):
        if marks[at]:
            stop = at
            while stop < len(page) and corpus.words[page[stop]] != END:
                stop += 1
            asked = asks.run([corpus.words[token] for token in map(int, page[at:stop])]).did
            assert asked  # as its writer certifies
            yield Question(page[:start], page[start:at], asked)
            start = at = stop + 1
        else:
            at += 1


def _reading(model: int, group: str, right: NDArray[np.bool_]) -> Reading:
    doubted = (right.sum() + 1) / (len(right) + 2)
    error = float(np.sqrt(doubted * (1 - doubted) / (len(right) + 2)))
    return Reading(model, group, float(right.mean()), error, len(right))
