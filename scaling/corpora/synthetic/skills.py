"""What a synthetic program is about: a few steps on named values, and the executor that says what comes out.

    lookup   names are given values, some of them twice; hops copy a value from name to name
    sums     a value, to which one number after another is added
    loops    a value, to which a number is added again and again
    ledger   two accounts and what passes between them
    family   who is whose parent; asked is the forebear so many generations up
    graph    values that are sums and products of values before them

All arithmetic is modulo `modulus`. `depth` counts the steps that the answer hangs on beyond the first, `distractors`
the steps that it does not hang on; these stand anywhere among the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from scaling.corpora.synthetic.chance import Dice

NAMES = (
    "ada", "bea", "cy", "dov", "eli", "fay", "gus", "hal",
    "ida", "jon", "kit", "lea", "max", "nan", "oda", "pia",
)  # fmt: skip
"""Shared by all surfaces, as the digits are."""
Value = int | str
"""What a name has: a number, or in families another name."""
Change = tuple[str, Value]
"""A name and what it has from now on."""


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a program."""

    kind: str
    """"set", "copy", "add", "repeat", "move", "sum", "product" or "parent"."""
    target: str
    """The name that changes."""
    sources: tuple[str, ...] = ()
    """Names that are read; of "move" the account that pays."""
    numbers: tuple[int, ...] = ()
    """Numbers that are written out; of "repeat" the summand, then how often."""

    def __str__(self) -> str:
        return " ".join([self.kind, self.target, *self.sources, *map(str, self.numbers)])


@dataclass(frozen=True, slots=True)
class Program:
    """Steps and a question about what they lead to."""

    steps: tuple[Step, ...]
    chain: tuple[int, ...]
    """Places of the steps that the answer hangs on, in the order in which they are needed."""
    asked: str
    """The name whose value is asked for."""
    modulus: int
    hops: int = 0
    """Generations up from `asked`, in families."""

    def __str__(self) -> str:
        return f"{'; '.join(map(str, self.steps))}; {self.asked} {self.hops} mod {self.modulus}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What executing a program brings."""

    changes: tuple[tuple[Change, ...], ...]
    """Of each step in turn; of a loop one for each time round."""
    state: Mapping[str, Value]
    """What every name has at the end."""
    trace: tuple[Value, ...]
    """The values on the way to the answer, which is the last of them."""


def execute(program: Program) -> Outcome:
    """What a program's steps change one after another, and the answer to its question."""
    state: dict[str, Value] = {}
    changes = tuple(tuple(_carry_out(step, state, program.modulus)) for step in program.steps)
    if program.hops:
        trace, name = [], program.asked
        for _ in range(program.hops):
            name = str(state[name])
            trace.append(name)
        return Outcome(changes, state, tuple(trace))
    paid = (program.steps[place].kind == "move" for place in program.chain)
    on_chain = zip(program.chain, paid, strict=True)
    trace = [v for i, p in on_chain for name, v in changes[i] if not p or name == program.asked]
    return Outcome(changes, state, tuple(trace))


def _carry_out(step: Step, state: dict[str, Value], modulus: int) -> list[Change]:
    """What a step changes, entered into the state."""
    t, read, numbers = step.target, [state.get(name, name) for name in step.sources], step.numbers
    made: list[Change]
    match step.kind:
        case "set":
            made = [(t, numbers[0])]
        case "copy":
            made = [(t, read[0])]
        case "add":
            made = [(t, (_number(state[t]) + numbers[0]) % modulus)]
        case "repeat":
            start, (summand, times) = _number(state[t]), numbers
            made = [(t, (start + summand * i) % modulus) for i in range(1, times + 1)]
        case "move":
            made = [
                (step.sources[0], (_number(read[0]) - numbers[0]) % modulus),
                (t, (_number(state[t]) + numbers[0]) % modulus),
            ]
        case "sum":
            made = [(t, (_number(read[0]) + _number(read[1])) % modulus)]
        case "product":
            made = [(t, _number(read[0]) * _number(read[1]) % modulus)]
        case _:
            made = [(t, step.sources[0])]
    state.update(made)
    return made


def _number(value: Value) -> int:
    assert isinstance(value, int)
    return value


# --- drawing a program ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class World:
    """What programs of a skill are drawn from."""

    depth: int
    distractors: int
    names: tuple[str, ...]
    modulus: int
    values: str = "numbers"
    """Or "names"."""


Bystander = Callable[[Dice, Sequence[Step], int], Step]
"""Draws a step that changes nothing the answer hangs on: from the steps before it, and how many of them are on the
chain."""


def lookup(dice: Dice, world: World) -> Program:
    """A value handed from name to name; a bystander changes any name but the one that holds it at the time."""
    chain = dice.several(world.names, world.depth + 1)
    steps = [Step("set", chain[0], (), (dice(world.modulus),))]
    steps += [Step("copy", new, (old,)) for old, new in itertools.pairwise(chain)]

    def bystander(dice: Dice, before: Sequence[Step], done: int) -> Step:
        free = [name for name in world.names if not done or name != chain[done - 1]]
        return Step("set", dice.pick(free), (), (dice(world.modulus),))

    return _woven(dice, world, steps, chain[-1], bystander)


def sums(dice: Dice, world: World) -> Program:
    """A value and the numbers that are added to it; bystanders do the same to other names."""
    name = dice.pick(world.names)
    steps = [Step("set", name, (), (dice(world.modulus),))]
    steps += [Step("add", name, (), (1 + dice(world.modulus - 1),)) for _ in range(world.depth)]
    return _woven(dice, world, steps, name, _elsewhere(world, [name]))


def loops(dice: Dice, world: World) -> Program:
    """A value to which a number is added from one to `depth` times."""
    name = dice.pick(world.names)
    steps = [Step("set", name, (), (dice(world.modulus),))]
    steps.append(Step("repeat", name, (), (1 + dice(world.modulus - 1), 1 + dice(world.depth))))
    return _woven(dice, world, steps, name, _elsewhere(world, [name]))


def ledger(dice: Dice, world: World) -> Program:
    """Two accounts, `depth` payments from one to the other or back, and the question what one of them has."""
    pair = dice.several(world.names, 2)
    steps = [Step("set", name, (), (dice(world.modulus),)) for name in pair]
    for _ in range(world.depth):
        payer = dice(2)
        steps.append(Step("move", pair[1 - payer], (pair[payer],), (1 + dice(world.modulus - 1),)))
    asked = dice(2)
    needed = [asked, *range(2, len(steps))]
    return _woven(dice, world, steps, pair[asked], _elsewhere(world, pair), needed)


def family(dice: Dice, world: World) -> Program:
    """A line of forebears, told in any order, among children of others; nobody has two parents."""
    line = dice.several(world.names, world.depth + 1)
    facts = [Step("parent", child, (up,)) for child, up in itertools.pairwise(line)]
    told = dice.several(range(len(facts)), len(facts))
    needed = [told.index(generation) for generation in range(len(facts))]

    def bystander(dice: Dice, before: Sequence[Step], done: int) -> Step:
        taken = {*line[:-1], *(step.target for step in before)}
        child = dice.pick([name for name in world.names if name not in taken])
        return Step("parent", child, (dice.pick([name for name in world.names if name != child]),))

    return _woven(dice, world, [facts[i] for i in told], line[0], bystander, needed, hops=world.depth)


def graph(dice: Dice, world: World) -> Program:
    """Two given values, then `depth` names, each the sum or product of the one before it and any earlier one."""
    line = dice.several(world.names, world.depth + 2)
    steps = [Step("set", name, (), (dice(world.modulus),)) for name in line[:2]]
    for i in range(2, len(line)):
        read = [line[i - 1], dice.pick(line[: i - 1])]
        steps.append(Step(("sum", "product")[dice(2)], line[i], tuple(dice.several(read, 2))))

    def bystander(dice: Dice, before: Sequence[Step], done: int) -> Step:
        given = sorted({step.target for step in before})
        free = [name for name in world.names if name not in line]
        target, kind = dice.pick(free), ("set", "sum", "product")[dice(3)] if len(given) > 1 else "set"
        if kind == "set":
            return Step("set", target, (), (dice(world.modulus),))
        return Step(kind, target, tuple(dice.several(given, 2)))

    return _woven(dice, world, steps, line[-1], bystander)


def _elsewhere(world: World, kept: Sequence[str]) -> Bystander:
    """Sets another name than these, or adds to one that has been set."""
    free = [name for name in world.names if name not in kept]

    def bystander(dice: Dice, before: Sequence[Step], done: int) -> Step:
        name = dice.pick(free)
        if any(step.target == name for step in before) and dice(2):
            return Step("add", name, (), (1 + dice(world.modulus - 1),))
        return Step("set", name, (), (dice(world.modulus),))

    return bystander


def _woven(
    dice: Dice,
    world: World,
    steps: Sequence[Step],
    asked: str,
    bystander: Bystander,
    needed: Sequence[int] | None = None,
    *,
    hops: int = 0,
) -> Program:
    """The program with bystanders among its steps, every order of the two kinds as likely as any other."""
    woven: list[Step] = []
    places: list[int] = []
    for left in range(len(steps) + world.distractors, 0, -1):
        if dice.happens(len(steps) - len(places), left):
            places.append(len(woven))
            woven.append(steps[len(places) - 1])
        else:
            woven.append(bystander(dice, woven, len(places)))
    chain = range(len(steps)) if needed is None else needed
    return Program(tuple(woven), tuple(places[i] for i in chain), asked, world.modulus, hops)


@dataclass(frozen=True)
class Skill:
    """How a skill's programs are drawn, and what they are made of."""

    draw: Callable[[Dice, World], Program]
    chain: Callable[[int], tuple[str, ...]]
    """Kinds of the steps that an answer hangs on, by depth; where one of two is drawn, both, with a bar between."""
    bystanders: tuple[str, ...]
    """Kinds of the steps that it does not hang on."""
    names: Callable[[int, int], int]
    """How many it takes at the least, by depth and distractors."""
    least_depth: int = 1
    values: str = "numbers"
    """What is asked for: "numbers" or "names"."""
    prime: bool = False
    """Whether the modulus must be one."""

    def longest_trace(self, depth: int) -> int:
        """Values on the way to an answer, at the most."""
        unasked = "move" in self.chain(depth)
        loop = depth - 1 if "repeat" in self.chain(depth) else 0
        return len(self.chain(depth)) - unasked + loop


SKILLS: Mapping[str, Skill] = {
    "lookup": Skill(
        lookup, lambda depth: ("set",) + ("copy",) * depth, ("set",), lambda depth, _: depth + 2, 0
    ),
    "sums": Skill(sums, lambda depth: ("set",) + ("add",) * depth, ("set", "add"), lambda *_: 2),
    "loops": Skill(loops, lambda depth: ("set", "repeat"), ("set", "add"), lambda *_: 2),
    "ledger": Skill(ledger, lambda depth: ("set",) * 2 + ("move",) * depth, ("set", "add"), lambda *_: 3),
    "family": Skill(
        family, lambda depth: ("parent",) * depth, ("parent",), lambda depth, d: depth + 1 + d, values="names"
    ),
    "graph": Skill(
        graph,
        lambda depth: ("set",) * 2 + ("sum|product",) * depth,
        ("set", "sum", "product"),
        lambda depth, _: depth + 3,
        prime=True,
    ),
}
