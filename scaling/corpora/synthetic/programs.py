"""Programs of known skills on surfaces that share only names and digits, with their placebos and their entropy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, chain

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.synthetic.chance import Dice, check, choose, distinct
from scaling.corpora.synthetic.documents import Page, Writer
from scaling.corpora.synthetic.reading import Told, read_page
from scaling.corpora.synthetic.skills import NAMES, SKILLS, Program, Skill, Value, World, execute
from scaling.corpora.synthetic.surfaces import (
    ANSWER,
    MENTION,
    ORDERS,
    SURFACES,
    Surface,
    Text,
    ngrams,
    vocabulary,
    write,
)
from scaling.show import Table

_BRACKETS = ("<(", "<[", "<{"), (")>", "]>", "}>")
_ODD = "<>"
_COUNTED_PAGES = 2_000


@dataclass(frozen=True)
class Programs:
    """A writer of programs; `programs` makes one."""

    skill: str
    surface: str
    world: World
    traced: bool
    stretch: int
    orders: str
    placebo: str
    seed: int

    @property
    def words(self) -> tuple[str, ...]:
        """Every word that may stand on a page, sorted."""
        if self.placebo == "brackets":
            return tuple(sorted([*chain(*_BRACKETS), _ODD]))
        return tuple(sorted(vocabulary(self._surface, self.world)))

    @property
    def longest(self) -> int:
        """Words that no page exceeds."""
        skill, surface, world = self._skill, self._surface, self.world
        kinds = skill.chain(world.depth) + ("|".join(skill.bystanders),) * world.distractors
        if surface.still:
            rows = min(len(world.names), sum(kind not in ("add", "repeat", "move") for kind in kinds))
            steps = rows * surface.longest("row", 1, world, self.stretch)
        else:
            steps = sum(max(self._length(kind) for kind in one.split("|")) for one in kinds)
        if self.placebo == "statements":
            return steps
        answer = skill.longest_trace(world.depth) if self.traced else 1
        asks = "asks up" if skill.values == "names" else "asks"
        return steps + surface.longest(asks, 0, world, self.stretch, answer)

    def pages(self, split: str, count: int) -> Iterator[Page]:
        """The first pages of a split; no latent is ever written in the other split, whatever the surface or seed.

        Raises:
            TooFewLatents: there are not so many programs.
        """
        place, dice = PLACEBOS[self.placebo], Dice("placebo", self.seed, self.skill, self.surface, split)
        for program, text, _ in self._written(split, count):
            yield place(self, Page(text.words, _answers(text), str(program)), text, program, dice)

    def bits(self, split: str, count: int) -> NDArray[np.float64] | None:
        """-log2 of the probability of each page of `pages` for a reader who knows the world but not its draws.

        The answer costs such a reader nothing, unless it is random. None where it is not computable: for the other
        placebos, and where the steps are not told, so that several programs give one page.
        """
        if self._surface.pixels is not None or self.placebo not in ("none", "random"):
            return None
        free = len(self._values) if self.placebo == "random" else 1
        costs = [
            latent + text.bits + len(_answers(text)) * math.log2(free)
            for _, text, latent in self._written(split, count)
        ]
        return np.array(costs)

    @property
    def executable(self) -> bool:
        """Whether its pages tell programs, so that they can be read back and executed."""
        return self._surface.pixels is None and self.placebo == "none"

    def told(self, words: Sequence[str]) -> Told | None:
        """The program on a page of this kind, whoever wrote it, and its answer; None where it is no whole page.

        Raises:
            NotTold: the surface draws, so that no page of it tells a program.
        """
        skill = self._skill
        chain = "|".join(skill.chain(self.world.depth)).split("|")
        how = {"orders": self.orders, "stretch": self.stretch}
        return read_page(words, self.surface, (*chain, *skill.bystanders), self.world, **how)

    def right(self, words: Sequence[str]) -> bool:
        """Whether a page of this kind, whoever wrote it, is whole and its answer what executing it brings.

        Raises:
            NotTold: as of `told`.
        """
        told = self.told(words)
        return told is not None and told.right(traced=self.traced)

    def perturbed(self, words: Sequence[str], scored: Sequence[int]) -> Page | None:
        """The same page with one number or name of its steps another, and its answer as executing it then brings.

        Which word is changed is drawn, by the page, among those on which the answer hangs; a number becomes another one
        of the world, a name another one of the page. None where no single change gives a page with another answer.

        Args:
            words: of a page of this kind.
            scored: places of its answer.

        Raises:
            NotTold: as of `told`.
        """
        told, dice = self.told(words), Dice("perturbed", *words)
        if told is None:
            return None
        names = sorted(set(words) & set(self.world.names))
        numbers = [str(number) for number in range(self.world.modulus)]
        before, tries = execute(told.program).trace, list[tuple[int, str]]()
        for place in sorted(set(range(len(words))) - set(scored)):
            others = names if words[place] in names else numbers if words[place] in numbers else []
            tries += [(place, other) for other in others if other != words[place]]
        for place, other in dice.several(tries, len(tries)):
            changed = [*words[:place], other, *words[place + 1 :]]
            if (now := self.told(changed)) is None or not (trace := now.executed()):
                continue
            if trace[-1] != before[-1] and len(trace) == len(before):
                for at, value in zip(scored, trace if self.traced else trace[-1:], strict=True):
                    changed[at] = str(value)
                return Page(changed, scored, str(now.program))
        return None

    # --- inside ------------------------------------------------------------------------------------

    @property
    def _skill(self) -> Skill:
        return SKILLS[self.skill]

    @property
    def _surface(self) -> Surface:
        return SURFACES[self.surface]

    @property
    def _values(self) -> Sequence[Value]:
        return self.world.names if self.world.values == "names" else range(self.world.modulus)

    def _length(self, kind: str) -> int:
        changes = {"repeat": self.world.depth, "move": 2}.get(kind, 1)
        if self._surface.pixels is None:
            return self._surface.longest(kind, changes, self.world, self.stretch)
        return changes * self._surface.longest("row", 1, self.world, self.stretch)

    def _written(self, split: str, count: int) -> Iterator[tuple[Program, Text, float]]:
        """Programs of a split with their text, and the bits of the program."""
        latents = Dice(self.seed, self.skill, self.surface, split)
        forms = Dice("forms", self.seed, self.skill, self.surface, split)

        def draw() -> tuple[Program, float]:
            before = latents.bits
            return self._skill.draw(latents, self.world), latents.bits - before

        for program, cost in distinct(draw, lambda drawn: str(drawn[0]), split, count, "programs"):
            outcome = execute(program)
            answer = outcome.trace if self.traced else outcome.trace[-1:]
            how = {"orders": self.orders, "stretch": self.stretch}
            yield program, write(self._surface, program, outcome, answer, self.world, forms, **how), cost

    @cached_property
    def _unigrams(self) -> tuple[list[str], list[int]]:
        """Words of real pages, and how often each or one before it stands there."""
        pages = (text.words for _, text, _ in self._written("train", _COUNTED_PAGES))
        counts = ngrams([list(chain(*pages))], 1)
        return [word for (word,) in counts], list(accumulate(counts.values()))


def programs(
    *,
    skill: str = "lookup",
    surface: str = "english",
    depth: int = 0,
    distractors: int = 3,
    names: int = 8,
    modulus: int = 10,
    traced: int = 0,
    stretch: int = 2,
    orders: str = "all",
    placebo: str = "none",
    seed: int = 0,
) -> Programs:
    """Documents that each tell a program and end with a question about it and the answer.

    Args:
        skill: "lookup", "sums", "loops", "ledger", "family" or "graph", as `synthetic.skills` explains them.
        surface: "english", "code", "trace", "table", "picture" or "video", as `synthetic.surfaces` has them.
        depth: steps beyond the first that the answer hangs on; at least 1 but for "lookup".
        distractors: steps that it does not hang on.
        names: distinct names, of the 16 there are.
        modulus: of all arithmetic; values are 0 to modulus - 1.
        traced: 1 writes the values on the way before the answer, and scores them too.
        stretch: filler words in a gap, at the most: how far the distances between words vary.
        orders: forms that are used: "all", or those with the name "first" or "second".
        placebo: what is taken out of the pages:
            "none"        nothing
            "shuffled"    the order of the words of each page
            "random"      the answer: it is drawn evenly from all values
            "noise"       all but the frequency of the words
            "distances"   the names: drawn anew at each mention, while the answer repeats the number that the first step
                          it hangs on gives, so that the words to be joined are as far apart as ever
            "brackets"    the language: each page is as many nested brackets as it has words
            "statements"  the question and its answer
        seed: of all draws.

    Raises:
        UnknownChoice: there is no such skill, surface, order or placebo.
        BadValue: a number is out of range.
    """
    choose("skill", skill, tuple(SKILLS))
    choose("surface", surface, tuple(SURFACES))
    choose("order of words", orders, tuple(ORDERS))
    choose("placebo", placebo, tuple(PLACEBOS))
    made = SKILLS[skill]
    least, most = made.names(depth, distractors), len(NAMES)
    prime = modulus >= 2 and all(modulus % factor for factor in range(2, math.isqrt(modulus) + 1))
    check(
        "programs",
        depth=(depth, made.least_depth <= depth <= 12, f"from {made.least_depth} to 12 for {skill!r}"),
        distractors=(distractors, 0 <= distractors <= 32, "from 0 to 32"),
        names=(names, least <= names <= most, f"from {least} to {most} at this depth and these distractors"),
        modulus=(modulus, 2 <= modulus <= 100, "from 2 to 100"),
        traced=(traced, traced in (0, 1), "0 or 1"),
        stretch=(stretch, 0 <= stretch <= 16, "from 0 to 16"),
    )
    check("programs", modulus=(modulus, prime or not made.prime, f"a prime for {skill!r}"))
    world = World(depth, distractors, NAMES[:names], modulus, made.values)
    return Programs(skill, surface, world, bool(traced), stretch, orders, placebo, seed)


def overlap(writers: Mapping[str, Writer], *, longest: int = 3, pages: int = 500) -> Table:
    """Share of the runs of 1 to `longest` words on one writer's training pages that stand on another's too, percent.

    Args:
        writers: by name; compared two by two, each way.
        longest: words of the longest runs.
        pages: of each that are read.
    """
    read = {name: [page.words for page in writer.pages("train", pages)] for name, writer in writers.items()}
    grams = {name: [ngrams(text, n) for n in range(1, longest + 1)] for name, text in read.items()}
    rows = []
    for name, other in ((a, b) for a in grams for b in grams if a != b):
        shares = [
            100 * sum(times for gram, times in mine.items() if gram in theirs) / max(mine.total(), 1)
            for mine, theirs in zip(grams[name], grams[other], strict=True)
        ]
        rows.append([f"{name} in {other}", *(f"{share:.1f}" for share in shares)])
    header = ["runs of", *(f"{n} word{'s' if n > 1 else ''}" for n in range(1, longest + 1))]
    return Table(header, rows, f"percent of the runs of words on {pages:,} pages that the other has too")


# --- placebos ------------------------------------------------------------------------------------------


def _answers(text: Text) -> tuple[int, ...]:
    return tuple(place for place, role in enumerate(text.roles) if role == ANSWER)


def _none(writer: Programs, page: Page, text: Text, program: Program, dice: Dice) -> Page:
    return page


def _shuffled(writer: Programs, page: Page, text: Text, program: Program, dice: Dice) -> Page:
    return replace(page, words=dice.several(page.words, len(page.words)), scored=())


def _random(writer: Programs, page: Page, text: Text, program: Program, dice: Dice) -> Page:
    words = list(page.words)
    for place in page.scored:
        words[place] = str(dice.pick(writer._values))
    return replace(page, words=words)


def _noise(writer: Programs, page: Page, text: Text, program: Program, dice: Dice) -> Page:
    words, up_to = writer._unigrams
    drawn = [dice.draw(up_to[-1]) for _ in page.words]
    return replace(page, words=[words[int(i)] for i in np.searchsorted(up_to, drawn, "right")], scored=())


def _distances(writer: Programs, page: Page, text: Text, program: Program, dice: Dice) -> Page:
    redrawn = [
        dice.pick(writer.world.names) if role == MENTION else word
        for word, role in zip(page.words, text.roles, strict=True)
    ]
    first = program.steps[program.chain[0]]
    for place in page.scored if first.numbers else ():
        redrawn[place] = str(first.numbers[0])
    return replace(page, words=redrawn)


def _brackets(writer: Programs, page: Page, text: Text, program: Program, dice: Dice) -> Page:
    words, awaited = [_ODD] * (len(page.words) % 2), []
    for left in range(len(page.words) - len(words), 0, -1):
        if len(awaited) < left and (not awaited or dice.draw(2)):
            kind = dice.draw(len(_BRACKETS[0]))
            awaited.append(_BRACKETS[1][kind])
            words.append(_BRACKETS[0][kind])
        else:
            words.append(awaited.pop())
    return replace(page, words=words, scored=())


def _statements(writer: Programs, page: Page, text: Text, program: Program, dice: Dice) -> Page:
    return replace(page, words=page.words[: text.told], scored=())


PLACEBOS: Mapping[str, Callable[[Programs, Page, Text, Program, Dice], Page]] = {
    "none": _none,
    "shuffled": _shuffled,
    "random": _random,
    "noise": _noise,
    "distances": _distances,
    "brackets": _brackets,
    "statements": _statements,
}
OF_WORDS = ("shuffled", "noise")
"""Placebos that keep a source's words and nothing else; the others keep its form."""


def made_of(writers: Mapping[str, Writer], *, words: bool) -> dict[str, str]:
    """Of each placebo among some writers, of words or of form, the one that writes its pages whole, if there is one."""
    mine = {name: writer for name, writer in writers.items() if isinstance(writer, Programs)}
    whole = {writer: name for name, writer in mine.items() if writer.placebo == "none"}
    made = {name: whole.get(replace(w, placebo="none")) for name, w in mine.items() if w.placebo != "none"}
    return {name: of for name, of in made.items() if of and (mine[name].placebo in OF_WORDS) == words}


def other_forms(writers: Mapping[str, Writer]) -> dict[str, str]:
    """Of each writer that says what an earlier one says, on its surface in other orders or gaps, the earlier one."""
    first: dict[Programs, tuple[str, Programs]] = {}
    forms = {}
    for name, writer in writers.items():
        if isinstance(writer, Programs) and writer.placebo == "none":
            same = replace(writer, stretch=0, orders="all", seed=0)
            of, earlier = first.setdefault(same, (name, writer))
            if (writer.stretch, writer.orders) != (earlier.stretch, earlier.orders):
                forms[name] = of
    return forms
