"""Right answers to documents that a model has seen but for one word: what it knows by heart is then wrong."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.corpus import Corpus
from scaling.corpora.synthetic.documents import FILLER, SCORED
from scaling.corpora.synthetic.generated import page_words
from scaling.corpora.synthetic.programs import Programs
from scaling.train.probes import Reading, Windows, writers_of
from scaling.train.probes.answer_exact import share
from scaling.train.probes.memorised import PAGES, evenly, pages, seen_pages
from scaling.train.stack import Stack


class PerturbedExact:
    """The same as `seen_exact`, with one number or name of each document changed so that its answer is another.

    The executor says which (`Programs.perturbed`). Left out are documents that no one change gives another answer,
    those that then stand in the training text, and domains that cannot be executed.

    Source:
        Xie et al. 2024, arXiv:2410.23123, section 2, local perturbations at the level of problems.
    """

    name, unit = "perturbed_exact", "1"

    def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
        """A reading for every model and every domain of its blend that is executed; `n` counts documents."""
        corpus, context, readings = stack.corpus, stack.shape.context, list[Reading]()
        for domain, writer in writers_of(corpus, windows, Programs):
            seen = seen_pages(stack, domain)
            if not corpus.words or not writer.executable or not seen:
                continue
            trained = _latents(writer, (len(corpus.tokens(domain)) - 1) // context)
            made = {}
            for k, numbers in seen.items():
                some = evenly(numbers, min(PAGES, len(numbers)))
                shown = pages(corpus, domain, "train", some, context)
                marks = pages(corpus, domain, SCORED["train"], some, context)
                if changed := _perturbed(corpus, writer, shown, marks, trained):
                    made[k] = np.array(changed)
            if not made:
                continue
            own = [made.get(k, next(iter(made.values()))) for k in range(len(stack.trunks))]
            rows = np.stack([np.resize(each, (PAGES, *each.shape[1:])) for each in own])
            asked, scored = rows[:, :, 0], rows[:, :, 1, 1:] == 1
            right = ((stack.likeliest(asked) == asked[..., 1:]) | ~scored).all(2)
            readings += [share(k, domain, right[k, : len(mine)]) for k, mine in made.items()]
        return readings


PROBE = PerturbedExact()


def _perturbed(
    corpus: Corpus,
    writer: Programs,
    shown: NDArray[np.int64],
    marks: NDArray[np.int64],
    trained: frozenset[str],
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Of each document that has one, another that differs in a word and the answer, and where its answer is."""
    number, changed = {word: token for token, word in enumerate(corpus.words)}, []
    for page, marked in zip(shown, marks, strict=True):
        words = page_words(corpus, page[:-1])
        other = writer.perturbed(words, [int(place) - 1 for place in np.flatnonzero(marked[:-1])])
        if other is not None and other.latent not in trained:
            row = np.full_like(page, FILLER)
            row[1 : 1 + len(words)] = [number[word] for word in other.words]
            changed.append((row, marked))
    return changed


@lru_cache(maxsize=16)
def _latents(writer: Programs, count: int) -> frozenset[str]:
    """What the training documents are about."""
    return frozenset(page.latent for page in writer.pages("train", count))
