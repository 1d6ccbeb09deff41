"""Draws that count what they cost, and the split that they leave what is drawn in: shared by every synthetic world."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import TypeVar

from scaling.errors import BadValue, CorpusError, did_you_mean

HELDOUT = 8
"""One of so many latents is held out, chosen by its hash: so whoever draws it, in whatever order, agrees."""
_TRIES = 5_000

T = TypeVar("T")


class UnknownChoice(CorpusError):
    """A skill, a surface or another choice that a synthetic source does not have."""

    what: str
    given: object
    known: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked for the {self.what} {self.given!r}, which there is not. "
            f"{did_you_mean(self.given, self.known)}Known: {', '.join(self.known)}."
        )


class TooFewLatents(CorpusError):
    """More different documents than a source can write."""

    what: str
    split: str
    asked: int
    written: int

    def __str__(self) -> str:
        return (
            f"asked for {self.asked:,} different {self.what} ({self.split}), but after {self.written:,} the next "
            f"{_TRIES:,} draws brought no new one. Ask for fewer documents, or for a larger world."
        )


class Dice:
    """Even draws from a seed; `bits` is what all of them together cost, the sum of log2(outcomes)."""

    __slots__ = ("_random", "bits")

    def __init__(self, *key: object):
        self._random = random.Random("/".join(map(str, key))).random
        self.bits = 0.0

    def __call__(self, outcomes: int) -> int:
        """A whole number from 0 to `outcomes` - 1."""
        self.bits += math.log2(outcomes)
        return self.draw(outcomes)

    def draw(self, outcomes: int) -> int:
        """The same, without counting its cost."""
        return int(self._random() * outcomes)

    def pick(self, things: Sequence[T]) -> T:
        """One of some things."""
        return things[self(len(things))]

    def several(self, things: Sequence[T], count: int) -> list[T]:
        """So many different things, in any order."""
        left = list(things)
        return [left.pop(self(len(left))) for _ in range(count)]

    def happens(self, part: int, whole: int) -> bool:
        """Whether something of probability part / whole happened; costs its log2, as one of two outcomes."""
        so = self._random() * whole < part
        self.bits += math.log2(whole / (part if so else whole - part))
        return so


def distinct(
    draw: Callable[[], T], spelled: Callable[[T], str], split: str, count: int, what: str
) -> Iterator[T]:
    """The first `count` different things of a split that are drawn, each once.

    Args:
        draw: the next thing.
        spelled: its latent; the hash of it decides its split.
        split: "train" or "heldout".
        count: how many.
        what: to call them, in the plural.

    Raises:
        UnknownChoice: there is no such split.
        TooFewLatents: there are fewer of them.
    """
    choose("split", split, ("train", "heldout"))
    seen: set[str] = set()
    barren = 0
    while len(seen) < count:
        drawn = draw()
        latent = spelled(drawn)
        if latent in seen or split_of(latent) != split:
            barren += 1
            if barren == _TRIES:
                raise TooFewLatents(what, split, count, len(seen))
            continue
        seen.add(latent)
        barren = 0
        yield drawn


def split_of(latent: str) -> str:
    """The only split in which a latent is ever written."""
    return "heldout" if blake2b(latent.encode(), digest_size=1).digest()[0] % HELDOUT == 0 else "train"


def choose(what: str, given: str, known: tuple[str, ...]) -> None:
    """Raises UnknownChoice unless what is given is known."""
    if given not in known:
        raise UnknownChoice(what, given, known)


def check(where: str, **rules: tuple[object, bool, str]) -> None:
    """Raises BadValue for the first argument that is not as it must be; of each its value, whether it is, and how."""
    for key, (value, right, wanted) in rules.items():
        if not right:
            raise BadValue(where, key, value, wanted)
