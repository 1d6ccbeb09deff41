"""What can only be memorised, with its exact bits: biographies of people who do not exist, and uniform strings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.synthetic.chance import Dice, check, distinct
from scaling.corpora.synthetic.documents import Page

_NAME = ("first", "middle", "last")
_FACTS = {
    "city": ("lives at {v} .", "{v} is home ."),
    "month": ("was born during {v} .", "{v} saw the birth ."),
    "college": ("went to {v} .", "{v} taught this person ."),
    "subject": ("studied {v} .", "{v} was the subject ."),
    "employer": ("works for {v} .", "{v} pays the wages ."),
    "language": ("speaks {v} .", "{v} is the mother tongue ."),
    "hobby": ("likes {v} .", "{v} fills the weekends ."),
    "street": ("walks along {v} .", "{v} is the street ."),
}
"""What there is to know of a person, and the ways to say it."""


@dataclass(frozen=True)
class Biographies:
    """A writer of biographies; `biographies` makes one."""

    facts: int
    values: int
    names: int
    paraphrases: int
    seed: int

    @property
    def words(self) -> tuple[str, ...]:
        """Every word that may stand on a page, sorted."""
        told = {word for kind in self._kinds for form in _FACTS[kind] for word in form.split()} - {"{v}"}
        values = {f"{kind}-{i}" for kind in self._kinds for i in range(self.values)}
        return tuple(sorted(told | values | {f"{part}-{i}" for part in _NAME for i in range(self.names)}))

    @property
    def longest(self) -> int:
        """Words of the longest page."""
        return len(_NAME) + sum(max(len(form.split()) for form in _FACTS[kind]) for kind in self._kinds)

    @property
    def fact_bits(self) -> float:
        """What is to be known of one person: the logarithm of how many there could be of one name."""
        return self.facts * math.log2(self.values)

    def pages(self, split: str, count: int) -> Iterator[Page]:
        """The first pages of a split: all of the first person, then of the next; nobody is in both splits.

        Raises:
            TooFewLatents: there are not so many names.
        """
        forms, facts = (Dice(part, self.seed, split) for part in ("forms", "facts"))
        for left, name in zip(range(count, 0, -self.paraphrases), self._people(split, count), strict=False):
            values = {kind: f"{kind}-{facts(self.values)}" for kind in self._kinds}
            for _ in range(min(left, self.paraphrases)):
                words, scored = name.split(), list[int]()
                for kind in forms.several(self._kinds, self.facts):
                    said = forms.pick(_FACTS[kind]).split()
                    scored.append(len(words) + said.index("{v}"))
                    words += [values[kind] if word == "{v}" else word for word in said]
                yield Page(words, scored, name)

    def bits(self, split: str, count: int) -> NDArray[np.float64]:
        """-log2 of the probability of each page of `pages` for one who has read no other: name, facts, forms."""
        forms = math.log2(math.factorial(self.facts)) + self.facts
        name = len(_NAME) * math.log2(self.names)
        return np.full(count, name + self.fact_bits + forms)

    @property
    def _kinds(self) -> tuple[str, ...]:
        return tuple(_FACTS)[: self.facts]

    def _people(self, split: str, pages: int) -> Iterator[str]:
        dice = Dice("names", self.seed, split)
        people = -(-pages // self.paraphrases)
        return distinct(
            lambda: " ".join(f"{part}-{dice(self.names)}" for part in _NAME), str, split, people, "people"
        )


@dataclass(frozen=True)
class Strings:
    """A writer of uniform random strings; `strings` makes one."""

    symbols: int
    length: int
    seed: int

    @property
    def words(self) -> tuple[str, ...]:
        """Every symbol, sorted."""
        return tuple(sorted(f"#{i}" for i in range(self.symbols)))

    @property
    def longest(self) -> int:
        """Words of every page."""
        return self.length

    def pages(self, split: str, count: int) -> Iterator[Page]:
        """The first strings of a split, no two alike; the second half of each is scored.

        Raises:
            TooFewLatents: there are not so many strings.
        """
        dice, places = Dice("strings", self.seed, split), range(self.length // 2, self.length)

        def draw() -> str:
            return " ".join([f"#{dice.draw(self.symbols)}" for _ in range(self.length)])

        for string in distinct(draw, str, split, count, "strings"):
            yield Page(string.split(), places, string)

    def bits(self, split: str, count: int) -> NDArray[np.float64]:
        """-log2 of the probability of each string for a reader who has read no other: length · log2(symbols)."""
        return np.full(count, self.length * math.log2(self.symbols))


def biographies(
    *, facts: int = 5, values: int = 16, names: int = 16, paraphrases: int = 1, seed: int = 0
) -> Biographies:
    """A page about one person: a name of three parts, then facts in any order, each told in one of two ways.

    Every fact is drawn evenly and for each person apart, so facts · log2(values) bits are to be known of everyone, and
    nothing of them can be guessed. The facts are scored.

    Args:
        facts: of each person, from 1 to 8.
        values: that each fact may have.
        names: words for each of the three parts of a name.
        paraphrases: pages about each person, which differ in order and wording.
        seed: of all draws.

    Raises:
        BadValue: a number is out of range.

    Source:
        Allen-Zhu and Li 2024, arXiv:2404.05405, section 2.2, whose bioS it follows at the size of a CPU.
    """
    check(
        "biographies",
        facts=(facts, 1 <= facts <= len(_FACTS), f"from 1 to {len(_FACTS)}"),
        values=(values, 2 <= values <= 1000, "from 2 to 1000"),
        names=(names, 2 <= names <= 1000, "from 2 to 1000"),
        paraphrases=(paraphrases, paraphrases >= 1, "at least 1"),
    )
    return Biographies(facts, values, names, paraphrases, seed)


def strings(*, symbols: int = 64, length: int = 16, seed: int = 0) -> Strings:
    """Strings of symbols drawn evenly and independently: nothing to generalise, length · log2(symbols) bits to know.

    Args:
        symbols: distinct ones.
        length: symbols of each string.
        seed: of all draws.

    Raises:
        BadValue: a number is out of range.

    Source:
        Morris et al. 2025, arXiv:2505.24832, section 3.
    """
    check(
        "strings",
        symbols=(symbols, 2 <= symbols <= 4096, "from 2 to 4096"),
        length=(length, 2 <= length <= 1024, "from 2 to 1024"),
    )
    return Strings(symbols, length, seed)
