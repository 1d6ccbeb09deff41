"""What a general blend has beside tools: prose, errands of other kinds with their answers, and preferences about them.

    please reverse notes alpha 3 : 3 alpha notes ;
    the old captain saw a green door near the river ;

Errands have the frame of requests to tools, and ask tools, those of every family, for what needs no flag:

    please open notes by medora : medora notes ;

So answering one, seeing a few answered, or naming a tool in an answer is nothing new when a flag is asked for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from scaling.corpora.synthetic.pages import ANSWER, END, Pages, PairPages, Section, split_of
from scaling.corpora.synthetic.tools import FILES, FRAMES, VALUES, Texts, phrase

_THINGS = (*VALUES["number"], *VALUES["name"], *FILES)
_KINDS: dict[str, Callable[[Sequence[str]], Sequence[str]]] = {
    "copy": lambda words: words,
    "reverse": lambda words: words[::-1],
    "first": lambda words: words[:1],
    "last": lambda words: words[-1:],
    "double": lambda words: (*words, *words),
    "swap": lambda words: (words[-1], *words[1:-1], words[0]),
}
_ALL_KINDS = [*_KINDS, "opposite", "form", "open"]
_OPPOSITES = (
    ("hot", "cold"), ("old", "new"), ("big", "small"), ("dark", "light"),
    ("wet", "dry"), ("near", "far"), ("loud", "still"), ("open", "shut"),
)  # fmt: skip
_QUALITIES = tuple(word for pair in _OPPOSITES for word in pair)
_NOUNS = (
    "captain",
    "door",
    "river",
    "garden",
    "letter",
    "horse",
    "window",
    "road",
    "bird",
    "stone",
    "king",
    "boat",
)
_VERBS = ("saw", "found", "left", "moved", "painted", "sold", "heard", "crossed")
_FRAME = (*FRAMES, "opposite", "form", "open", "the", "a", "under", "beside", ANSWER, END)


@dataclass(frozen=True, kw_only=True)
class Prose(Pages):
    """Sentences about nothing in particular."""

    words = tuple(dict.fromkeys([*_FRAME, *_QUALITIES, *_NOUNS, *_VERBS]))

    def sections(self, rng: random.Random, split: str) -> Iterator[Section]:
        """A sentence."""
        while True:
            one, other, third = rng.sample(_NOUNS, 3)
            quality, verb = rng.choice(_QUALITIES), rng.choice(_VERBS)
            place = rng.choice(("under", "beside"))
            words = ["the", quality, one, verb, "a", other, place, "the", third, END]
            if split_of(" ".join(words)) == split:
                yield Section(words, " ".join(words))


@dataclass(frozen=True, kw_only=True)
class Errands(Texts):
    """Errands of other kinds, each with its answer: of all kinds on a page or of one; the form of some answers is the
    page's own, so that only its first ones show it."""

    @property
    def words(self) -> tuple[str, ...]:
        """Every word of these pages."""
        names = (tool.name for tool in self.tools)
        return tuple(dict.fromkeys([*_FRAME, *_KINDS, *_THINGS, *_QUALITIES, *names]))

    def sections(self, rng: random.Random, split: str) -> Iterator[Section]:
        """An errand and its answer."""
        form = rng.sample(range(4), 4)
        kinds = rng.choice([_ALL_KINDS, [rng.choice(_ALL_KINDS)], ["open"], ["open", "form"]])
        while True:
            asked, answer = self._errand(rng, rng.choice(kinds), form)
            if split_of(" ".join(asked)) == split:
                yield Section([*asked, ANSWER, *answer, END], " ".join(asked), len(answer) + 1)

    def _errand(self, rng: random.Random, kind: str, form: Sequence[int]) -> tuple[list[str], Sequence[str]]:
        """What is asked and the answer."""
        name = rng.choice(self.tools).name
        if kind == "opposite":
            one, other = rng.sample(rng.choice(_OPPOSITES), 2)
            return ["please", kind, one], [other]
        if kind == "open":
            file = rng.choice(FILES)
            return phrase(rng, ["open"], file, name), [name, file]
        if kind == "form":
            quality, value, file = rng.choice(_QUALITIES), rng.choice(_THINGS[:16]), rng.choice(FILES)
            slots = [quality, value, file, name]
            return phrase(rng, [quality, value], file, name), [slots[i] for i in form]
        words = rng.sample([*_THINGS, name], rng.randint(2, 3 if kind == "double" else 4))
        if rng.random() < 0.5:
            words[rng.randrange(len(words))] = name
        return ["please", kind, *words], _KINDS[kind](words)


@dataclass(frozen=True, kw_only=True)
class ErrandPairs(PairPages, Errands):
    """Errands with two answers each: the right one, and behind it the same errand with a wrong one.

    A wrong answer has a word too few, too many, another, or two in each other's place.
    """

    @property
    def longest_text(self) -> int:
        """Words of an errand and its answer, were it one too long."""
        return 14

    def compared(self, rng: random.Random, split: str) -> Iterator[tuple[str, list[str], list[str]]]:
        """An errand with its answer, and with a wrong one."""
        for one in self.sections(rng, split):
            asked, answer = one.words[: -one.answer], one.words[-one.answer : -1]
            yield one.latent, [*asked, *answer, END], [*asked, *_wrong(rng, answer), END]


def _wrong(rng: random.Random, answer: Sequence[str]) -> list[str]:
    """An answer that is not the right one."""
    while True:
        wrong = [*answer]
        place = rng.randrange(len(wrong))
        what = rng.choice(("fewer", "more", "other", "swap"))
        if what == "fewer" and len(wrong) > 1:
            del wrong[place]
        elif what == "more":
            wrong.insert(place, rng.choice(_THINGS))
        elif what == "other":
            wrong[place] = rng.choice(_THINGS)
        elif what == "swap":
            other = rng.randrange(len(wrong))
            wrong[place], wrong[other] = wrong[other], wrong[place]
        if wrong != [*answer]:
            return wrong
