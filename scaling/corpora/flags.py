"""Questions about the manuals of a corpus: which of eight flags of a program does what is described.

A question is asked in two ways, and right by likelihood in both, one of eight by chance:

    as a manual says it     find(1), OPTIONS, then each flag with the same description below it
    as a script does        # the description, then the program with each flag

Eight flags of one manual, all of a letter or all of words, stand against each other, so that "short" flags cannot be
guessed from their description and "long" ones may be. The first sentence of what a manual says of a flag describes it.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

CHOICES = 8
MOST_OF_A_PAGE = 8
"""Questions about one page and one length of flags."""
_FEWEST_WORDS, _MOST_CHARACTERS = 4, 160
"""Of a description."""
_TAG = re.compile(r"( *)(--?[A-Za-z0-9].{0,78})")
_FLAG = re.compile(r"(?:(?<=[\s,|/])|^)(--?[A-Za-z0-9][\w-]*)")
_SENTENCE = re.compile(r"(?<=[.;])\s")


@dataclass(frozen=True)
class Option:
    """A flag and what its manual says first of it."""

    flag: str
    description: str


def options_of(page: str) -> Iterator[Option]:
    """Each flag of a manual page that `troff.plain` made, spelled in every way that its tag has, with its description.

    Left out are flags described in fewer than four words or by naming flags.
    """
    lines = page.split("\n")
    for tag, below in itertools.pairwise(lines):
        match = _TAG.fullmatch(tag)
        deeper = match and len(below) - len(below.lstrip()) > len(match[1])
        if match and deeper:
            said = _SENTENCE.split(below.strip(), maxsplit=1)[0]
            plain = len(said) <= _MOST_CHARACTERS and len(said.split()) >= _FEWEST_WORDS
            if plain and not _FLAG.search(said):
                yield from (Option(flag, said) for flag in _FLAG.findall(match[2]))


def flag_questions(pages: Iterable[str], known: str) -> dict[str, list[Mapping[str, object]]]:
    """Questions about pages, by group, in an order that is random and always the same.

    Args:
        pages: each with its title, as in "find(1)", in its first line.
        known: how their programs are called in the groups, "known" or "held out".

    Returns:
        Items as `corpora.items` reads them, under "known manual short" and so on.
    """
    rng = random.Random(f"flags {known}")
    asked: dict[str, list[Mapping[str, object]]] = {
        f"{known} {way} {length}": [] for length in ("short", "long") for way in ("manual", "script")
    }
    for page in pages:
        title = page.partition("\n")[0]
        options = {one.flag: one for one in reversed([*options_of(page)])}
        for length, short in (("short", True), ("long", False)):
            every = sorted(_kind(options.values(), short), key=lambda one: one.flag)
            for one in rng.sample(every, min(len(every), MOST_OF_A_PAGE)):
                others = [o.flag for o in every if o.description != one.description]
                if len(others) >= CHOICES - 1:
                    flags = [one.flag, *rng.sample(others, CHOICES - 1)]
                    for way, made in (("manual", _as_manual), ("script", _as_script)):
                        group = f"{known} {way} {length}"
                        asked[group].append(made(title, one, flags) | {"group": group})
    for questions in asked.values():
        rng.shuffle(questions)
    return asked


def _kind(options: Iterable[Option], short: bool) -> Iterator[Option]:
    """Flags of a letter, or those of words behind two dashes."""
    return (o for o in options if (len(o.flag) == 2) == short and (short or o.flag.startswith("--")))


def _as_manual(title: str, option: Option, flags: list[str]) -> dict[str, object]:
    said = [f"\n{flag}\n    {option.description}" for flag in flags]
    return {"prompt": f"{title}\n\nOPTIONS\n", "answer": said[0], "choices": said}


def _as_script(title: str, option: Option, flags: list[str]) -> dict[str, object]:
    said = [f" {flag}" for flag in flags]
    prompt = f"# {option.description}\n{title.partition('(')[0]}"
    return {"prompt": prompt, "answer": said[0], "choices": said}
