"""Pages that are filled section by section, and the split that each thing they are about belongs to."""

from __future__ import annotations

import random
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from scaling.corpora.synthetic.documents import Page

END = ";"
"""Behind each sentence, line, command and answer."""
ANSWER = ":"
"""Between a request and its answer."""
HELD_OUT_EVERY = 8
"""One thing in so many is for tests alone, chosen by the hash of what it is."""


@dataclass(frozen=True)
class Section:
    """A part of a page: a few words, the last of which may be an answer."""

    words: Sequence[str]
    latent: str
    answer: int = 0
    """How many of the last words are the answer."""


@dataclass(frozen=True, kw_only=True)
class Pages(ABC):
    """Pages with as many sections as there is room for."""

    world: int = 0
    """Seed of what they are about."""
    longest: int = 112
    """Words of a page at the most."""

    def pages(self, split: str, count: int) -> Iterator[Page]:
        """So many pages of a split; those of a longer call begin with those of a shorter one."""
        rng = random.Random(f"{type(self).__name__} {self.world} {split}")
        for _ in range(count):
            yield page_of(self.sections(rng, split), self.longest)

    @abstractmethod
    def sections(self, rng: random.Random, split: str) -> Iterator[Section]:
        """The sections of a page, without end."""


def page_of(sections: Iterable[Section], longest: int) -> Page:
    """The first sections for which a page has room."""
    words: list[str] = []
    scored: list[int] = []
    latents: list[str] = []
    for section in sections:
        end = len(words) + len(section.words)
        if end > longest:
            break
        scored += range(end - section.answer, end)
        words += section.words
        latents.append(section.latent)
    return Page(words=words, scored=scored, latent=" | ".join(latents))


def split_of(latent: str) -> str:
    """The split that something belongs to in every text that is made of it, by the hash of what it is."""
    return "train" if zlib.crc32(latent.encode()) % HELD_OUT_EVERY else "heldout"
