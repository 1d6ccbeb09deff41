"""Documents whose right answers are known: written by a program, a row each, a word a token.

A row begins with token 0, holds the words of one document and is filled up with token 0, so a model's window is one
document, and nothing that it predicts hangs on another. Beside the tokens lie, in the same shape, the places of
answers: 1 where the token is one, else 0. What a document is about, its latent, is in training or in held-out text
of a corpus and never in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from scaling.corpora.corpus import SPLITS, token_file, token_type
from scaling.errors import CorpusError


class BadPage(CorpusError):
    """A document that is not what its writer promised."""

    domain: str
    latent: str
    reason: str

    def __str__(self) -> str:
        return (
            f"the document about {self.latent!r} in {self.domain!r} {self.reason}. Mend the writer of that kind: its "
            "words, its longest page and its scored places must hold for every page."
        )


class SharedLatent(CorpusError):
    """A document about something that models are tested on."""

    latent: str
    trained: str
    tested: str

    def __str__(self) -> str:
        return (
            f"{self.latent!r} is in training text of {self.trained!r} and in held-out text of {self.tested!r}, so "
            "answers could be known by heart. Give both domains the same split of what they are about."
        )


@dataclass(frozen=True)
class Page:
    """One document."""

    words: Sequence[str]
    scored: Sequence[int]
    """Places in `words` whose word is an answer or a part of one; none where there is nothing to answer."""
    latent: str
    """What it is about, spelled out."""


class Writer(Protocol):
    """Writes documents of one kind."""

    @property
    def words(self) -> tuple[str, ...]:
        """Every word that it may use."""
        ...

    @property
    def longest(self) -> int:
        """Words of its longest page."""
        ...

    def pages(self, split: str, count: int) -> Iterator[Page]:
        """The first so many pages of "train" or "heldout"; those of a longer call begin with those of a shorter."""
        ...


FILLER = 0
"""The token before each document and behind it."""
SCORED = {split: f"{split}.scored" for split in SPLITS}
"""The split under which a domain's places of answers lie, for each split of its tokens."""


def row_tokens(writers: Mapping[str, Writer]) -> int:
    """Tokens of a row: the longest page of all domains and the token before it."""
    return 1 + max(writer.longest for writer in writers.values())


def vocabulary(writers: Mapping[str, Writer]) -> tuple[str, ...]:
    """The word that each token stands for, in the order of the alphabet; token 0 is none."""
    return ("", *sorted({word for writer in writers.values() for word in writer.words}))


def write_pages(folder: Path, writers: Mapping[str, Writer], counts: Mapping[str, int]) -> dict[str, Any]:
    """Write the rows of every domain, and return what a corpus's record says of them.

    Args:
        folder: an empty folder.
        writers: by domain.
        counts: documents of each domain in each split.

    Raises:
        BadPage: a page is not what its writer promised.
        SharedLatent: something is in training and in held-out text.
    """
    words, row = vocabulary(writers), row_tokens(writers)
    number = {word: token for token, word in enumerate(words)}

    def tokens(domain: str, page: Page) -> tuple[list[int], list[int]]:
        _check(domain, writers[domain], page, number)
        return [number[word] for word in page.words], list(page.scored)

    _write_rows(folder, writers, counts, row, token_type(len(words)), tokens)
    return {
        "bytes": dict.fromkeys(writers, counts["train"] * row),
        "files": sum(counts.values()) * len(writers),
        "left_out": {},
        "vocabulary": len(words),
        "words": words,
    }


def spell_pages(folder: Path, writers: Mapping[str, Writer], counts: Mapping[str, int], row: int) -> None:
    """Write the rows of every domain as bytes, words with a blank between, to be read beside other text.

    Args:
        folder: where they go.
        writers, counts: as of `write_pages`.
        row: bytes of a row, that before the page among them.

    Raises:
        BadPage: a page is not what its writer promised, or has no room in a row.
        SharedLatent: something is in training and in held-out text.
    """

    def spelled(domain: str, page: Page) -> tuple[list[int], list[int]]:
        words = [word.encode() for word in page.words]
        begin = [0, *accumulate(len(word) + 1 for word in words)]
        if begin[-1] > row:
            raise BadPage(domain, page.latent, f"has {begin[-1] - 1} bytes, and a row room for {row - 1}")
        scored = [begin[place] + i for place in page.scored for i in range(len(words[place]))]
        return list(b" ".join(words)), scored

    _write_rows(folder, writers, counts, row, np.uint8, spelled)


def _write_rows(
    folder: Path,
    writers: Mapping[str, Writer],
    counts: Mapping[str, int],
    row: int,
    kind: type[np.unsignedinteger],
    tokens_of: Callable[[str, Page], tuple[list[int], list[int]]],
) -> None:
    """Every domain's rows and marks; of each page its tokens, and the places of answers among them."""
    about: dict[str, dict[str, str]] = {split: {} for split in SPLITS}
    for domain, writer in writers.items():
        for split in SPLITS:
            shape = (counts[split], row)
            tokens, scored = np.full(shape, FILLER, kind), np.zeros(shape, kind)
            for at, page in enumerate(writer.pages(split, counts[split])):
                said, answers = tokens_of(domain, page)
                tokens[at, 1 : 1 + len(said)] = said
                scored[at, [1 + place for place in answers]] = 1
                about[split][page.latent] = domain
            for name, table in ((split, tokens), (SCORED[split], scored)):
                closed = np.append(table.ravel(), kind(FILLER))  # the target of the last window's last place
                (folder / token_file(domain, name)).write_bytes(closed.data)
    for latent in about["train"].keys() & about["heldout"].keys():
        raise SharedLatent(latent, about["train"][latent], about["heldout"][latent])


def _check(domain: str, writer: Writer, page: Page, known: Mapping[str, int]) -> None:
    unknown = [word for word in page.words if word not in known]
    if unknown:
        raise BadPage(domain, page.latent, f"has the word {unknown[0]!r}, which is not among its writer's")
    if len(page.words) > writer.longest:
        raise BadPage(domain, page.latent, f"has {len(page.words)} words, more than {writer.longest}")
    if not all(0 <= place < len(page.words) for place in page.scored):
        raise BadPage(
            domain, page.latent, f"is scored at {list(page.scored)}, beyond its {len(page.words)} words"
        )
