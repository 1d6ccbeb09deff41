"""How a program is written down: as code, as a trace, a table or English, as a picture or a video.

A surface has several forms of each kind of step and of the question, which differ in the order of their parts and in
the distances between them; the name stands first in every other one. In a form `{t}` is the name that changes, `{a}`
and `{b}` the names that are read, `{v}` and `{k}` the numbers, `{r}` the values that the step leads to, `{!}` the
answer, and `~` a gap where filler words may stand. Surfaces share nothing but names and digits.

Code is Python as it stands: its words joined by blanks, with line ends for "⏎", can be executed. A trace tells the
steps and what they lead to. A picture shows the state at the end and a video a frame for every change: there values are
rows of pixels, and no step is told.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from scaling.corpora.synthetic.chance import Dice
from scaling.corpora.synthetic.skills import Change, Outcome, Program, Value, World

ORDERS: Mapping[str, slice] = {"all": slice(None), "first": slice(0, None, 2), "second": slice(1, None, 2)}
"""Which forms are used: all, those with the name first, or the others."""
MENTION, ANSWER = 1, 2
"""What a word is: a name that says which value is meant, or a part of the answer; 0 is anything else."""


@dataclass(frozen=True)
class Surface:
    """A way to write programs down; the form "row" is that of a change that is drawn."""

    filler: tuple[str, ...]
    forms: Mapping[str, tuple[str, ...]]
    pixels: tuple[str, str] | None = None
    """A dark one and a lit one, where values are drawn; None where the steps are told, so that a page says them all."""
    still: bool = False
    """Whether the state at the end alone is drawn."""

    @property
    def literals(self) -> set[str]:
        """Words of its own."""
        parts = {part for forms in self.forms.values() for form in forms for part in form.split()}
        return {part for part in parts if part != "~" and part[0] != "{"}.union(
            self.filler, self.pixels or ()
        )

    def longest(self, kind: str, changes: int, world: World, stretch: int, answer: int = 0) -> int:
        """Words of the longest form of a kind, of a step that leads to so many values."""
        drawn = _row_length(world) if self.pixels else 1
        expanded = {"~": stretch, "{r}": changes * drawn, "{!}": answer}
        return max(sum(expanded.get(part, 1) for part in form.split()) for form in self.forms[kind])


SURFACES: Mapping[str, Surface] = {
    "english": Surface(
        ("well", "indeed", "today", "they", "say"),
        {
            "set": (
                "{t} holds ~ {v} .",
                "{v} went ~ to {t} .",
                "let {t} ~ have {v} .",
                "put {v} ~ by {t} .",
            ),
            "copy": ("{t} is ~ like {a} .", "like {a} ~ is {t} ."),
            "add": ("{t} gets ~ {v} more .", "{v} more ~ reach {t} ."),
            "repeat": ("{t} gets ~ {v} more and this {k} times .", "{k} times ~ come {v} more to {t} ."),
            "move": ("{t} is paid ~ {v} by {a} .", "{v} pass ~ from {a} to {t} ."),
            "sum": (
                "{t} has ~ as many as {a} and {b} together .",
                "{a} and {b} together ~ have what {t} has .",
            ),
            "product": ("{t} has ~ {a} times {b} .", "{a} times {b} ~ is what {t} has ."),
            "parent": ("{t} is ~ a daughter of {a} .", "{a} is ~ the mother of {t} ."),
            "asks": (
                "how many ~ has {t} ? {!} .",
                "{t} has ~ what ? {!} .",
                "tell me ~ what {t} has ? {!} .",
                "and {t} ~ ? {!} .",
            ),
            "asks up": ("{t} is ~ {k} below whom ? {!} .", "who is ~ {k} above {t} ? {!} ."),
        },
    ),
    "code": Surface(
        ("+",),
        {
            "set": (
                "{t} = ~ {v} ⏎",
                "for _ in [ ~ {v} ] : {t} = _ ⏎",
                "( {t} := ~ {v} ) ⏎",
                "_ = ~ {v} ; {t} = _ ⏎",
            ),
            "copy": ("{t} = ~ {a} ⏎", "for _ in [ ~ {a} ] : {t} = _ ⏎"),
            "add": ("{t} += ~ {v} ⏎", "for _ in [ ~ {v} ] : {t} += _ ⏎"),
            "repeat": ("{t} += ~ {v} * {k} ⏎", "for _ in range ( ~ {k} ) : {t} += {v} ⏎"),
            "move": ("{a} -= {v} ; {t} += ~ {v} ⏎", "_ = ~ {v} ; {a} , {t} = {a} - _ , {t} + _ ⏎"),
            "sum": ("{t} = ~ {a} + {b} ⏎", "for _ in [ ~ {a} ] : {t} = _ + {b} ⏎"),
            "product": ("{t} = ~ {a} * {b} ⏎", "for _ in [ ~ {a} ] : {t} = _ * {b} ⏎"),
            "parent": ("up [ {t} ] = ~ {a} ⏎", "for _ in [ ~ {a} ] : up [ {t} ] = _ ⏎"),
            "asks": (
                "print ( ~ {t} ) # {!} ⏎",
                "for _ in [ ~ {t} ] : print ( _ ) # {!} ⏎",
                "_ = ~ {t} ; print ( _ ) # {!} ⏎",
                "print ( sep = '' , * [ ~ {t} ] ) # {!} ⏎",
            ),
            "asks up": (
                "_ = {t} ⏎ for i in range ( ~ {k} ) : _ = up [ _ ] ⏎ print ( _ ) # {!} ⏎",
                "i = ~ {k} ; _ = {t} ⏎ while i : i -= True ; _ = up [ _ ] ⏎ print ( _ ) # {!} ⏎",
            ),
        },
    ),
    "trace": Surface(
        ("NOP", "NIL"),
        {
            "set": ("PUT {t} ~ LIT {v} ;;", "LIT {v} ~ TO {t} ;;"),
            "copy": ("PUT {t} ~ GET {a} YIELDS {r} ;;", "GET {a} ~ TO {t} YIELDS {r} ;;"),
            "add": ("INC {t} ~ LIT {v} YIELDS {r} ;;", "LIT {v} ~ INTO {t} YIELDS {r} ;;"),
            "repeat": (
                "LOOP {t} ~ LIT {v} COUNT {k} YIELDS {r} ;;",
                "COUNT {k} ~ LIT {v} LOOP {t} YIELDS {r} ;;",
            ),
            "move": (
                "CREDIT {t} ~ DEBIT {a} LIT {v} YIELDS {r} ;;",
                "LIT {v} ~ FROM {a} TO {t} YIELDS {r} ;;",
            ),
            "sum": ("PUT {t} ~ GET {a} ADD {b} YIELDS {r} ;;", "GET {a} ~ ADD {b} TO {t} YIELDS {r} ;;"),
            "product": ("PUT {t} ~ GET {a} MUL {b} YIELDS {r} ;;", "GET {a} ~ MUL {b} TO {t} YIELDS {r} ;;"),
            "parent": ("CHILD {t} ~ PARENT {a} ;;", "PARENT {a} ~ CHILD {t} ;;"),
            "asks": (
                "READ {t} ~ OUT {!} ;;",
                "STATE OF {t} ~ AT END IS {!} ;;",
            ),
            "asks up": ("CLIMB {t} ~ STEPS {k} OUT {!} ;;", "STEPS {k} ~ CLIMB {t} OUT {!} ;;"),
        },
    ),
    "table": Surface(
        ("--", "=="),
        {
            "set": ("| start | {t} | ~ {v} |", "| {v} ~ | {t} | start |"),
            "copy": ("| same | {t} | ~ {a} |", "| {a} ~ | {t} | same |"),
            "add": ("| plus | {t} | ~ {v} |", "| {v} ~ | {t} | plus |"),
            "repeat": ("| plus | {t} | ~ {v} | × {k} |", "| {k} × | {v} ~ | plus | {t} |"),
            "move": ("| credit | {t} | debit | {a} | ~ {v} |", "| {v} ~ | debit | {a} | credit | {t} |"),
            "sum": ("| total | {t} | ~ {a} | {b} |", "| {a} | {b} ~ | total | {t} |"),
            "product": ("| product | {t} | ~ {a} | {b} |", "| {a} | {b} ~ | product | {t} |"),
            "parent": ("| child | {t} | parent | ~ {a} |", "| parent | {a} ~ | child | {t} |"),
            "asks": ("| end | {t} | ~ | {!} |", "| query | {t} | end ~ | | {!} |"),
            "asks up": ("| {t} | generation | ~ {k} | {!} |", "| generation | {k} ~ | {t} | {!} |"),
        },
    ),
    "picture": Surface(
        ("▒",),
        {
            "row": ("{t} ~ {r} ╱", "{r} ~ {t} ╲"),
            "asks": ("zoom {t} ~ {!} ╳", "caption ~ {t} reads {!} ╳"),
            "asks up": ("zoom {t} ~ lines {k} {!} ╳", "caption {k} lines ~ {t} reads {!} ╳"),
        },
        pixels=("░", "▓"),
        still=True,
    ),
    "video": Surface(
        ("▫",),
        {
            "row": ("frame {t} ~ {r}", "cut {r} ~ {t}"),
            "asks": ("pause {t} ~ {!} stop", "rewind ~ {t} play {!} stop"),
            "asks up": ("pause {t} ~ skip {k} {!} stop", "rewind {k} skip ~ {t} play {!} stop"),
        },
        pixels=("·", "█"),
    ),
}


@dataclass(slots=True)
class Habits:
    """Forms and gaps of one page: with even odds each kind is chosen once for the whole page, or anew every time."""

    dice: Dice
    steady: bool
    _chosen: dict[str, list[int]] = field(default_factory=dict)
    _outcomes: dict[str, int] = field(default_factory=dict)

    def __call__(self, kind: str, outcomes: int) -> int:
        """A whole number from 0 to `outcomes` - 1."""
        chosen = self._chosen.setdefault(kind, [])
        self._outcomes[kind] = outcomes
        chosen.append(chosen[0] if self.steady and chosen else self.dice.draw(outcomes))
        return chosen[-1]

    @property
    def bits(self) -> float:
        """-log2 of the probability of all choices, whichever of the two kinds of page it was."""
        once = sum(map(math.log2, self._outcomes.values()))
        anew = sum(len(self._chosen[kind]) * math.log2(n) for kind, n in self._outcomes.items())
        same = all(len(set(chosen)) == 1 for chosen in self._chosen.values())
        return 1 - math.log2(same * 2.0**-once + 2.0**-anew)


@dataclass(frozen=True, slots=True)
class Text:
    """A page under way."""

    words: list[str]
    roles: list[int]
    """What each word is."""
    told: int
    """Words before the question."""
    bits: float
    """What its forms and fillers cost."""


def write(
    surface: Surface,
    program: Program,
    outcome: Outcome,
    answer: Sequence[Value],
    world: World,
    dice: Dice,
    *,
    orders: str = "all",
    stretch: int = 2,
) -> Text:
    """A program on a surface.

    Args:
        surface: one of `SURFACES`.
        program, outcome: what is told, and what comes of it.
        answer: the values that stand where the answer stands.
        world: that the program was drawn from.
        dice: of forms and fillers.
        orders: which of the forms are used, in `ORDERS`.
        stretch: filler words in a gap, at the most.
    """
    habits, before = Habits(dice, bool(dice.draw(2))), dice.bits
    words: list[str] = []
    roles: list[int] = []

    def put(kind: str, slots: Mapping[str, Sequence[str]], mentions: str) -> None:
        forms = surface.forms[kind][ORDERS[orders]]
        for part in forms[habits(kind, len(forms))].split():
            if part == "~":
                said: Sequence[str] = [
                    dice.pick(surface.filler) for _ in range(habits("gap", stretch + 1) if stretch else 0)
                ]
            else:
                said = slots.get(part, (part,))
            words.extend(said)
            role = ANSWER if part == "{!}" else MENTION if part in mentions else 0
            roles.extend([role] * len(said))

    for kind, slots, mentions in _statements(surface, program, outcome, world, dice):
        put(kind, slots, mentions)
    told = len(words)
    slots = {"{t}": (program.asked,), "{k}": (str(program.hops),), "{!}": [*map(str, answer)]}
    put("asks up" if program.hops else "asks", slots, "{t}")
    return Text(words, roles, told, dice.bits - before + habits.bits)


def _statements(
    surface: Surface, program: Program, outcome: Outcome, world: World, dice: Dice
) -> Iterator[tuple[str, Mapping[str, Sequence[str]], str]]:
    """Kind and slots of everything that stands before the question, and which slots are mentions."""
    if surface.pixels is None:
        for step, changes in zip(program.steps, outcome.changes, strict=True):
            slots: dict[str, Sequence[str]] = {"{t}": (step.target,), "{r}": [str(v) for _, v in changes]}
            slots |= zip(("{a}", "{b}"), ((name,) for name in step.sources), strict=False)
            slots |= zip(("{v}", "{k}"), ((str(number),) for number in step.numbers), strict=False)
            yield step.kind, slots, "{t}" if step.kind == "parent" else "{t}{a}{b}"
        return
    shown: Sequence[Change] = [change for changes in outcome.changes for change in changes]
    if surface.still:
        shown = dice.several([*outcome.state.items()], len(outcome.state))
    for name, value in shown:
        yield "row", {"{t}": (name,), "{r}": _drawn(value, world, surface.pixels)}, "{t}"


def _drawn(value: Value, world: World, pixels: tuple[str, str]) -> list[str]:
    """A number as a bar, a name as the one lit pixel of a row with a place for each."""
    dark, lit = pixels
    if isinstance(value, int):
        return [lit] * value + [dark] * (world.modulus - 1 - value)
    return [lit if name == value else dark for name in world.names]


def _row_length(world: World) -> int:
    return len(world.names) if world.values == "names" else world.modulus - 1


def vocabulary(surface: Surface, world: World) -> set[str]:
    """Every word that may stand on a page: the surface's own, the names and the digits."""
    numbers = range(max(world.modulus, world.depth + 1))
    return surface.literals.union(world.names, map(str, numbers))


def ngrams(pages: Sequence[Sequence[str]], length: int) -> Counter[tuple[str, ...]]:
    """How often each run of so many words stands on some pages."""
    return Counter(gram for words in pages for gram in zip(*(words[i:] for i in range(length)), strict=False))
