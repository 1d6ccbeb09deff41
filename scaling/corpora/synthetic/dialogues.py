"""Requests and answers of five domains, some better than others, and what a checker makes of each answer.

    lamb stew please warmly : well lamb stew thyme friend ;

A request asks about a subject, and in which form. A good answer is helpful in four ways that can be checked: it is
about what was asked, it is true, it has the form that was asked for, and no padding. The first, third and fourth are
the same in every domain, while what is true must be known of each: the herb for a dish, the way between two towns, a
sum, the letter of a tool's flag. Dialogues have answers of every kind, as text at large has; in pairs the better answer
comes first.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import TypeVar

from scaling.corpora.synthetic.pages import ANSWER, END, Pages, PairPages, Section, split_of
from scaling.corpora.synthetic.tools import World
from scaling.errors import require

STEM = ("arithmetic", "tools")
"""Domains of science and engineering."""
DOMAINS = ("small talk", "recipes", "travel", *STEM)
FORMS = {
    "plainly": ((), ()),
    "politely": (("gladly",), ()),
    "warmly": ((), ("friend",)),
    "formally": (("sir",), ("regards",)),
}
"""What stands before and behind an answer in each form."""
PADDING = ("well", "really", "so", "indeed")
ASPECTS = ("asked", "true", "form", "brief")
"""Of an answer, in the order of `Marks`."""
SHARES = {"asked": 0.7, "true": 0.6, "form": 0.6, "brief": 0.5}
"""Of the answers in dialogues: how many are good in each way, one independent of another."""

_FORM_WORDS = tuple(dict.fromkeys(itertools.chain(*itertools.chain(*FORMS.values()))))
_PHRASINGS = (
    ("FORM", "tell", "me", "SUBJECT"),
    ("SUBJECT", "please", "FORM"),
    ("what", "of", "SUBJECT", "FORM"),
)
_TABLES = {
    "small talk": (
        (("anna", "bruno", "clara", "david", "emma", "felix"), ("sad", "tired", "merry", "cross", "bored")),
        ("sorry", "rest", "hurray", "breathe", "dance", "listen", "sing", "smile"),
    ),
    "recipes": (
        (("lamb", "bean", "fish", "duck", "rice", "leek"), ("stew", "soup", "pie", "curry", "salad")),
        ("thyme", "mint", "cumin", "sage", "dill", "basil", "ginger", "parsley"),
    ),
    "travel": (
        (("oslo", "lima", "cairo", "delhi", "perth", "quito"), ("coast", "hills", "lake", "desert", "forest")),
        ("rail", "ferry", "coach", "bicycle", "tram", "horse", "canoe", "plane"),
    ),
}  # fmt: skip
"""Both words of a subject, and what may be said of it; which goes with which is drawn for each world."""
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

T = TypeVar("T")
Facts = Mapping[tuple[str, ...], str]


@dataclass(frozen=True)
class Asked:
    """A request, and what a good answer to it must be like."""

    domain: str
    words: tuple[str, ...]
    """As said, up to the word behind which the answer stands."""
    subject: tuple[str, ...]
    form: str


@dataclass(frozen=True)
class Marks:
    """How good an answer is, in four ways."""

    asked: bool
    """It is about the subject of the request."""
    true: bool
    """What it says of its subject, whichever that is, is so."""
    form: bool
    """Before and behind it stands what the form asks for, and nothing else of the kind."""
    brief: bool
    """It ends, and has no word too many."""

    @property
    def gold(self) -> float:
        """Share of the four ways in which it is good."""
        return sum(astuple(self)) / len(ASPECTS)


@lru_cache
def facts(world: int, domain: str) -> Facts:
    """What is true in a domain, by subject."""
    if domain == "arithmetic":
        numbers = tuple(enumerate(_NUMBERS[:6]))
        return {(a, "plus", b): _NUMBERS[i + j] for (i, a), (j, b) in itertools.product(numbers, numbers)}
    if domain == "tools":
        tools = World(world=world, families=2, held_out=1, flags=4).tools
        return {(tool.name, meaning): letter for tool in tools for letter, meaning in tool.flags}
    rng, (words, said) = random.Random(f"{domain} {world}"), _TABLES[domain]
    return {subject: rng.choice(said) for subject in itertools.product(*words)}


@dataclass(frozen=True, kw_only=True)
class Dialogues(Pages):
    """Requests of one domain or of all, each with an answer that is good in some ways and bad in others."""

    longest: int = 32
    domain: str = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        known = (self.domain in (*DOMAINS, "all"), " or ".join((*DOMAINS, "all")))
        require(self, "dialogues", domain=known, longest=(self.longest >= _LONGEST, f"at least {_LONGEST}"))

    @property
    def domains(self) -> tuple[str, ...]:
        """Those asked about."""
        return DOMAINS if self.domain == "all" else (self.domain,)

    @property
    def words(self) -> tuple[str, ...]:
        """Every word of these pages."""
        every = [facts(self.world, domain) for domain in self.domains]
        known = [word for table in every for subject, said in table.items() for word in (*subject, said)]
        frame = [word for phrasing in _PHRASINGS for word in phrasing if word.islower()]
        return tuple(dict.fromkeys([*frame, *FORMS, *_FORM_WORDS, *PADDING, ANSWER, END, *known]))

    def requests(self, domain: str, split: str) -> tuple[Asked, ...]:
        """All that may be asked in a domain, of one split."""
        return _requests(self.world, domain)[split]

    def check(self, asked: Asked, answer: Sequence[str]) -> Marks:
        """What an answer is worth, its end among its words if it has one."""
        words = list(answer)
        ended = words[-1:] == [END]
        said = words[:-1] if ended else words
        core = [word for word in said if word not in PADDING and word not in _FORM_WORDS]
        before, behind = FORMS[asked.form]
        subject = tuple(core[:-1])
        plain = [word for word in said if word not in PADDING]
        return Marks(
            asked=subject == asked.subject,
            true=facts(self.world, asked.domain).get(subject) == core[-1] if core else False,
            form=bool(core) and plain == [*before, *core, *behind],
            brief=ended and not set(said) & set(PADDING) and 0 < len(core) <= len(asked.subject) + 1,
        )

    def answer(self, rng: random.Random, asked: Asked) -> list[str]:
        """One as text at large has it, its end included."""
        good = {aspect: rng.random() < share for aspect, share in SHARES.items()}
        known = facts(self.world, asked.domain)
        subject = asked.subject if good["asked"] else _other(rng, tuple(known), asked.subject)
        said = known[subject] if good["true"] else _other(rng, tuple(known.values()), known[subject])
        form = asked.form if good["form"] else _other(rng, tuple(FORMS), asked.form)
        before, behind = FORMS[form]
        words = [*before, *subject, said, *behind]
        for _ in range(0 if good["brief"] else rng.randint(1, _MOST_PADDING)):
            words.insert(rng.randint(0, len(words)), rng.choice(PADDING))
        return [*words, END]

    def draw(self, rng: random.Random, split: str) -> Asked:
        """A request of a split."""
        return rng.choice(self.requests(rng.choice(self.domains), split))

    def sections(self, rng: random.Random, split: str) -> Iterator[Section]:
        """A request and its answer."""
        while True:
            asked = self.draw(rng, split)
            answer = self.answer(rng, asked)
            yield Section([*asked.words, *answer], " ".join(asked.words), len(answer))


_MOST_PADDING = 2
_LONGEST = 7 + 9
"""Words of a request about a sum, and of the longest answer to it."""


@dataclass(frozen=True, kw_only=True)
class DialoguePairs(PairPages, Dialogues):
    """Requests with two answers each, as dialogues have them, the one that is good in more ways before the other."""

    longest: int = 32
    pairs: int = 1

    @property
    def longest_text(self) -> int:
        """Words of a request and an answer."""
        return _LONGEST

    def compared(self, rng: random.Random, split: str) -> Iterator[tuple[str, list[str], list[str]]]:
        """A request with two answers of unequal worth."""
        while True:
            asked = self.draw(rng, split)
            one, other = self.answer(rng, asked), self.answer(rng, asked)
            worth = [self.check(asked, answer).gold for answer in (one, other)]
            if worth[0] == worth[1]:
                continue
            better, worse = (one, other) if worth[0] > worth[1] else (other, one)
            yield " ".join(asked.words), [*asked.words, *better], [*asked.words, *worse]


@lru_cache
def _requests(world: int, domain: str) -> dict[str, tuple[Asked, ...]]:
    split: dict[str, list[Asked]] = {"train": [], "heldout": []}
    for subject, form, phrasing in itertools.product(facts(world, domain), FORMS, _PHRASINGS):
        parts = {"FORM": (form,), "SUBJECT": subject}
        words = (*itertools.chain(*(parts.get(word, (word,)) for word in phrasing)), ANSWER)
        split[split_of(" ".join(words))].append(Asked(domain, words, subject, form))
    return {name: tuple(asked) for name, asked in split.items()}


def _other(rng: random.Random, things: Sequence[T], one: T) -> T:
    return rng.choice([thing for thing in things if thing != one])
