"""From a page back to its program, and whether the answer on it is the one that executing it brings.

A page that a model wrote is read by the forms of its surface, statement by statement; what stands on it must be a
program, not one of those that a writer would draw. Pictures and videos tell no steps, so they cannot be read; what a
trace says that a step leads to is not judged, the answer is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from scaling.corpora.synthetic.skills import Program, Step, Value, World, execute
from scaling.corpora.synthetic.surfaces import ORDERS, SURFACES
from scaling.errors import CorpusError

_NUMBERS = {"{v}", "{k}"}
_REPLACED = ("set", "copy", "sum", "product")
"""Steps after which a name has nothing left of what it had."""


class NotTold(CorpusError):
    """A surface whose pages cannot be read back."""

    surface: str
    told: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked to execute pages of the surface {self.surface!r}, which draws states and tells no steps. Ask for "
            f"one of {', '.join(self.told)}."
        )


@dataclass(frozen=True)
class Told:
    """What a page says: a program, and the words that stand for its answer."""

    program: Program
    answer: tuple[str, ...]

    def right(self, *, traced: bool) -> bool:
        """Whether the answer is what executing the program brings; traced, with the values on the way."""
        trace = self.executed() if traced else self.executed()[-1:]
        return bool(trace) and self.answer == tuple(map(str, trace))

    def executed(self) -> Sequence[Value]:
        """What executing the program brings, after the values on the way; nothing where it has no answer, as it reads a
        name before that has a value."""
        try:
            return execute(self.program).trace
        except (KeyError, AssertionError):
            return ()


def check_told(surface: str) -> None:
    """Refuse a surface that draws.

    Raises:
        NotTold: names those that tell.
    """
    if SURFACES[surface].pixels is not None:
        raise NotTold(surface, tuple(name for name, one in SURFACES.items() if one.pixels is None))


def read_page(
    words: Sequence[str], surface: str, kinds: Sequence[str], world: World, *, orders: str, stretch: int
) -> Told | None:
    """The program on a page and its answer; None where the words are no whole page.

    Args:
        words: of the page.
        surface: it is written on.
        kinds: of the statements that it may have.
        world: names and numbers that there are.
        orders, stretch: as of `surfaces.write`.

    Raises:
        NotTold: the surface draws.
    """
    check_told(surface)
    text, at, steps = " ".join(words) + " ", 0, []
    asks = "asks up" if world.values == "names" else "asks"
    forms = _forms(surface, (*kinds, asks), world, orders, stretch)
    while at < len(text):
        matches = ((kind, match) for kind, form in forms if (match := form.match(text, at)))
        kind, match = next(matches, ("", None))
        if match is None:
            return None
        slots, at = match.groupdict(), match.end()
        if kind == asks:
            asked, hops = slots["t"], int(slots.get("k", 0))
            program = Program(tuple(steps), _chain(steps, asked, hops), asked, world.modulus, hops)
            return Told(program, tuple(slots["answer"].split())) if at == len(text) else None
        numbers = tuple(int(slots[name]) for name in ("v", "k") if name in slots)
        steps.append(Step(kind, slots["t"], tuple(slots[s] for s in ("a", "b") if s in slots), numbers))
    return None


@lru_cache(maxsize=64)
def _forms(
    surface: str, kinds: tuple[str, ...], world: World, orders: str, stretch: int
) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Each form of each kind as a pattern of words, every one with a blank behind it."""
    told = SURFACES[surface]
    names = "|".join(map(re.escape, world.names))
    # a number more than the modulus has is read, and then executed to another answer
    values = names if world.values == "names" else r"\d+"
    filler = "|".join(map(re.escape, told.filler))

    def pattern(form: str) -> str:
        made, named = "", set()
        for part in form.split():
            if part == "~":
                made += f"(?:(?:{filler}) ){{0,{stretch}}}"
            elif part == "{!}":
                made += f"(?P<answer>(?:(?:{values}) )+)"
            elif part == "{r}":
                made += f"(?:(?:{values}) )+"
            elif part[0] == "{" and len(part) == 3:
                inside = r"\d+" if part in _NUMBERS else names
                slot = part[1]
                made += f"(?P={slot}) " if slot in named else f"(?P<{slot}>{inside}) "
                named.add(slot)
            else:
                made += re.escape(part) + " "
        return made

    kept = [(kind, form) for kind in dict.fromkeys(kinds) for form in told.forms[kind][ORDERS[orders]]]
    return tuple((kind, re.compile(pattern(form))) for kind, form in kept)


def _chain(steps: Sequence[Step], asked: str, hops: int) -> tuple[int, ...]:
    """Places of the steps that the answer hangs on, in the order in which they are needed."""
    if hops:
        place, line = {step.target: i for i, step in enumerate(steps)}, []
        for _ in range(hops):
            if asked not in place:
                return ()
            line.append(place[asked])
            asked = steps[place[asked]].sources[0]
        return tuple(line)
    needed, chain = {asked}, []
    for i, step in reversed([*enumerate(steps)]):
        paid = step.kind == "move" and step.sources[0] in needed
        if step.target not in needed and not paid:
            continue
        chain.append(i)
        if step.kind in _REPLACED:
            needed.remove(step.target)
            needed.update(step.sources)
    return tuple(reversed(chain))
