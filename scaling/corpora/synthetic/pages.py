"""Pages that are filled section by section, and the split that each thing they are about belongs to."""

from __future__ import annotations

import random
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from scaling.corpora.synthetic.documents import Page
from scaling.errors import require

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

    def __post_init__(self) -> None:
        require(self, "pages", longest=(self.longest > 0, "at least 1"))

    def pages(self, split: str, count: int) -> Iterator[Page]:
        """So many pages of a split; those of a longer call begin with those of a shorter one."""
        rng = random.Random(f"{type(self).__name__} {self.world} {split}")
        for _ in range(count):
            yield page_of(self.sections(rng, split), self.longest)

    @abstractmethod
    def sections(self, rng: random.Random, split: str) -> Iterator[Section]:
        """The sections of a page, without end."""


@dataclass(frozen=True, kw_only=True)
class PairPages(Pages):
    """Pages of pairs, two texts each, the better one first; what is scored are the ends of texts. No pair is a tie."""

    pairs: int = 4
    """Of each page."""
    noise: float = 0.0
    """Share of training pairs whose worse text comes first: labels that are false. With 0.5 they say nothing."""

    @property
    @abstractmethod
    def longest_text(self) -> int:
        """Words of the longest text that is compared."""

    def __post_init__(self) -> None:
        super().__post_init__()
        most = self.longest // (2 * self.longest_text)
        fits = (1 <= self.pairs <= most, f"from 1 to {most}, or longest larger")
        require(self, "pairs", pairs=fits, noise=(0 <= self.noise <= 1, "from 0 to 1"))

    def pages(self, split: str, count: int) -> Iterator[Page]:
        """So many pages of a split; those of a longer call begin with those of a shorter one."""
        rng = random.Random(f"pairs {self.world} {split}")
        noise = self.noise if split == "train" else 0.0
        for _ in range(count):
            compared, halves = self.compared(rng, split), []
            for _ in range(self.pairs):
                latent, better, worse = next(compared)
                both = (worse, better) if rng.random() < noise else (better, worse)
                halves += [Section(half, latent, 1) for half in both]
            yield page_of(halves, self.longest)

    @abstractmethod
    def compared(self, rng: random.Random, split: str) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
        """Of each pair of a page what it is about, the better text and the worse one, without end."""


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
