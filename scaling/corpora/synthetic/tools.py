"""Command-line tools that nobody has: flags, manuals, scripts, requests in plain words, and what a command does.

    please quality 3 for notes by medora : medora -k 3 notes ;

A tool belongs to a family and has flags: a letter, a meaning, and the type of its argument. The same meaning has
another letter in another tool, so nobody knows a flag without having read of it. Tools are held out by family: the last
families have manuals and scripts like the others, but a study may keep their labels back. A command is scored by
running it (`World.run`), never by a model: flags may come in any order, before or behind the file.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from scaling.corpora.synthetic.documents import Page
from scaling.corpora.synthetic.pages import ANSWER, END, Pages, Section, page_of, split_of
from scaling.errors import require

FAMILIES = ("media", "archive", "search", "versions", "network", "images", "text", "disks", "mail", "clocks")
MEANINGS = (
    ("quality", "number", "fidelity", "grade"), ("speed", "number", "pace", "rate"),
    ("depth", "number", "levels", "nesting"), ("limit", "number", "most", "cap"),
    ("delay", "number", "wait", "pause"), ("threads", "number", "workers", "cores"),
    ("width", "number", "breadth", "span"), ("retries", "number", "attempts", "tries"),
    ("output", "name", "result", "target"), ("format", "name", "style", "kind"),
    ("log", "name", "journal", "record"), ("user", "name", "owner", "account"),
    ("profile", "name", "preset", "setup"), ("prefix", "name", "start", "lead"),
    ("filter", "name", "pattern", "match"), ("key", "name", "secret", "token"),
    ("quiet", "", "silent", "hushed"), ("force", "", "insist", "anyway"),
    ("recursive", "", "deep", "below"), ("verbose", "", "wordy", "chatty"),
    ("keep", "", "preserve", "retain"), ("sorted", "", "ordered", "ranked"),
    ("dry", "", "rehearsed", "pretend"), ("follow", "", "watch", "track"),
)  # fmt: skip
"""Of each flag that a tool may have: its name in manuals, the type of its argument, and other words for it."""
VALUES = {
    "number": ("1", "2", "3", "4", "5", "6", "7", "8"),
    "name": ("alpha", "bravo", "delta", "echo", "gamma", "omega", "sigma", "theta"),
    "": ("",),
}
FILES = ("notes", "photos", "backup", "report", "music", "letters", "sources", "tables")
LETTERS = tuple(f"-{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")

_PHRASINGS = (
    ("please", "settings", "for", "file", "by", "tool"),
    ("let", "tool", "do", "settings", "on", "file"),
    ("with", "file", "and", "tool", "do", "settings"),
)  # fmt: skip
_FRAME = (
    "manual",
    "of",
    "in",
    "#",
    "means",
    "is",
    "to",
    "say",
    "you",
    "a",
    "file",
    "number",
    "name",
    "and",
    ANSWER,
    END,
)
_SYLLABLES = ("ba", "de", "fi", "go", "ku", "la", "mo", "ne", "pi", "ro", "su", "ta", "ve", "wi", "xo", "zu")


@dataclass(frozen=True)
class Tool:
    """A tool: its name, its family, and the meaning of each of its flags."""

    name: str
    family: str
    flags: tuple[tuple[str, str], ...]
    """(letter, meaning), in the order of its manual."""


@dataclass(frozen=True)
class Request:
    """What is asked of a tool, or what a command does."""

    tool: str
    settings: tuple[tuple[str, str], ...]
    """(meaning, value), in the order in which they are said; the value is empty where the flag takes none."""
    file: str

    @property
    def effect(self) -> tuple[str, frozenset[tuple[str, str]], str]:
        """What it comes to, in whatever order it is said."""
        return self.tool, frozenset(self.settings), self.file

    @property
    def latent(self) -> str:
        """The effect spelled out."""
        return f"{self.tool} {sorted(self.settings)} {self.file}"

    @property
    def split(self) -> str:
        """Whether it is for training or for tests, the same in every text that is made of it."""
        return split_of(self.latent)


@dataclass(frozen=True)
class Ran:
    """What became of a command."""

    did: Request | None
    """None where it was refused."""
    refused: str = ""
    """Why, in the shell's words."""


@dataclass(frozen=True, kw_only=True)
class World:
    """A set of tools; equal worlds have equal tools.

    Raises:
        BadValue: more of something than there is.
    """

    world: int = 0
    """Seed of the tools."""
    families: int = 8
    tools_per_family: int = 4
    held_out: int = 2
    """Families, the last ones, whose labels a study may keep back."""
    flags: int = 6
    """Of each tool."""
    meanings: int = 24
    letters: int = 16
    synonyms: int = 1
    """Words for each meaning, its name among them; manuals use the name alone."""
    settings: int = 1
    """Most flags of one request."""

    def __post_init__(self) -> None:
        most = {
            "families": len(FAMILIES), "meanings": len(MEANINGS), "letters": len(LETTERS), "synonyms": 3,
            "tools_per_family": 100, "flags": min(self.meanings, self.letters), "settings": self.flags,
        }  # fmt: skip
        rules = {key: (1 <= getattr(self, key) <= top, f"from 1 to {top}") for key, top in most.items()}
        fewer = (0 <= self.held_out < self.families, "at least 0 and fewer than families")
        require(self, "tools", held_out=fewer, **rules)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """All of them, family by family."""
        return _tools(
            self.world, self.families, self.tools_per_family, self.flags, self.meanings, self.letters
        )

    @property
    def known(self) -> tuple[Tool, ...]:
        """Those of the families with labels."""
        return self.tools[: (self.families - self.held_out) * self.tools_per_family]

    def of(self, which: str) -> tuple[Tool, ...]:
        """The tools that are "known", "held out", or "all"."""
        return {"known": self.known, "held out": self.tools[len(self.known) :], "all": self.tools}[which]

    @cached_property
    def table(self) -> dict[str, dict[str, str]]:
        """Of each tool, by its name, the meaning of each letter."""
        return {tool.name: dict(tool.flags) for tool in self.tools}

    # --- the executor ------------------------------------------------------------------------------

    def run(self, command: Sequence[str]) -> Ran:
        """What a command does: `tool`, then flags with their arguments and one file, in any order.

        It is refused, with the reason, where the tool or a flag is unknown, a flag comes twice, an argument is missing
        or of another type, there is no file or more than one, or words are left behind its end.
        """
        words = list(command)
        if words[-1:] == [END]:
            words.pop()
        if not words or words[0] not in self.table:
            return Ran(None, "no such tool")
        tool, flags = words[0], self.table[words[0]]
        settings: list[tuple[str, str]] = []
        files: list[str] = []
        rest = iter(words[1:])
        for word in rest:
            if word in flags:
                meaning = flags[word]
                kind = KINDS[meaning]
                value = next(rest, END) if kind else ""  # the end is no argument
                if value not in VALUES[kind]:
                    return Ran(None, f"{word} wants a {kind}")
                settings.append((meaning, value))
            elif word in FILES:
                files.append(word)
            else:
                return Ran(None, f"no such flag {word}" if word in LETTERS else f"no such file {word}")
        if len({meaning for meaning, _ in settings}) < len(settings):
            return Ran(None, "a flag comes twice")
        if len(files) != 1:
            return Ran(None, f"{len(files)} files")
        return Ran(Request(tool, tuple(settings), files[0]))

    def does(self, request: Request, command: Sequence[str]) -> bool:
        """Whether a command does what was asked, no more and no less."""
        did = self.run(command).did
        return did is not None and did.effect == request.effect

    def command(self, request: Request) -> list[str]:
        """The command that does it, flags in the order in which they were asked for, the file last."""
        letters = {meaning: letter for letter, meaning in self.table[request.tool].items()}
        flags = [word for meaning, value in request.settings for word in (letters[meaning], value) if word]
        return [request.tool, *flags, request.file, END]

    # --- what is drawn -----------------------------------------------------------------------------

    def draw(self, rng: random.Random, tool: Tool, split: str | None = None) -> Request:
        """A request of a tool, of one split where it is given."""
        while True:
            chosen = rng.sample(tool.flags, rng.randint(1, self.settings))
            settings = tuple((meaning, rng.choice(VALUES[KINDS[meaning]])) for _, meaning in chosen)
            request = Request(tool.name, settings, rng.choice(FILES))
            if split is None or request.split == split:
                return request

    def say(self, rng: random.Random, settings: Sequence[tuple[str, str]]) -> list[str]:
        """Settings in plain words: "quality 3 and quiet"."""
        said: list[str] = []
        for meaning, value in settings:
            word = rng.choice(_WORDS[meaning][: self.synonyms])
            said += [*(["and"] if said else []), word, *([value] if value else [])]
        return said

    @property
    def words(self) -> tuple[str, ...]:
        """Every word that a text about these tools may have."""
        meanings = [w for name, _, *_ in MEANINGS[: self.meanings] for w in _WORDS[name][: self.synonyms]]
        values = [*VALUES["number"], *VALUES["name"], *FILES]
        tools = [t.name for t in self.tools] + list(FAMILIES[: self.families])
        return tuple(dict.fromkeys([*_FRAME, *FRAMES, *meanings, *values, *LETTERS[: self.letters], *tools]))


def phrase(rng: random.Random, settings: Sequence[str], file: str, tool: str) -> list[str]:
    """A request in plain words, in one of a few ways to say it."""
    parts = {"settings": settings, "file": [file], "tool": [tool]}
    return [*itertools.chain(*(parts.get(word, [word]) for word in rng.choice(_PHRASINGS)))]


FRAMES = tuple(dict.fromkeys(w for p in _PHRASINGS for w in p if w not in ("settings", "file", "tool")))
"""Words of every phrasing."""
KINDS = {name: kind for name, kind, *_ in MEANINGS}
_WORDS = {name: (name, *others) for name, _, *others in MEANINGS}


@lru_cache
def _tools(
    world: int, families: int, per_family: int, flags: int, meanings: int, letters: int
) -> tuple[Tool, ...]:
    rng = random.Random(f"tools {world}")
    names = rng.sample(
        [a + b + c for a, b, c in itertools.product(_SYLLABLES, repeat=3)], families * per_family
    )
    made = []
    for i, name in enumerate(names):
        pairs = zip(
            rng.sample(LETTERS[:letters], flags),
            [m[0] for m in rng.sample(MEANINGS[:meanings], flags)],
            strict=True,
        )
        made.append(Tool(name, FAMILIES[i // per_family], tuple(pairs)))
    return tuple(made)


# --- texts ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Texts(World, Pages):
    """Pages about the tools of a world."""

    def requests(self, rng: random.Random, split: str, tools: Sequence[Tool]) -> Iterator[Request]:
        """Requests of some tools; while there are others, none asks a tool for something that it was asked before."""
        said: set[tuple[str, str]] = set()
        while True:
            for _ in range(_TRIES):
                request = self.draw(rng, rng.choice(tools), split)
                asked = {(request.tool, meaning) for meaning, _ in request.settings}
                if not asked & said:
                    break
            said |= asked
            yield request


_TRIES = 20


@dataclass(frozen=True, kw_only=True)
class Manuals(Texts):
    """Manual pages of all tools: a tool's flags in a random order, a line each, with what they mean."""

    order: str = "both"
    """A line says "letter" before "meaning", or "meaning" before "letter"; "both" is lines of both kinds, mixed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "manuals", order=(self.order in _ORDERS, " or ".join(_ORDERS)))

    def pages(self, split: str, count: int) -> Iterator[Page]:
        """So many pages of a split; all splits tell the same of a tool, and no two the same page."""
        rng = random.Random(f"manuals {self.world} {split}")
        drawn = (page_of(self.sections(rng, split), self.longest) for _ in itertools.count())
        return itertools.islice((page for page in drawn if split_of(page.latent) == split), count)

    def sections(self, rng: random.Random, split: str) -> Iterator[Section]:
        """The heading of a tool, and its flags line by line; then another tool."""
        while True:
            tool = rng.choice(self.tools)
            orders = ("letter", "meaning") if self.order == "both" else (self.order,)
            lines = [self._line(rng, tool, *flag, order) for flag in tool.flags for order in orders]
            for words in (["manual", "of", tool.name, "in", tool.family], *rng.sample(lines, len(lines))):
                yield Section([*words, END], " ".join(words))

    def _line(self, rng: random.Random, tool: Tool, letter: str, meaning: str, order: str) -> list[str]:
        kind = KINDS[meaning]
        flag = [tool.name, letter, *([kind] if kind else [])]
        before, between = rng.choice(_LINES[order])
        return (
            [*before, *flag, *between, meaning] if order == "letter" else [*before, meaning, *between, *flag]
        )


_ORDERS = ("letter", "meaning", "both")
_LINES = {
    "letter": (((), ("means",)), (("with",), ("you", "say"))),
    "meaning": (((), ("is",)), (("to", "do"), ("say",)), (("for",), ("on", "a", "file", "say"))),
}
"""What stands before and between, in each order."""


@dataclass(frozen=True, kw_only=True)
class Scripts(Texts):
    """Shell scripts that use all tools, each command below a comment that says what it is for."""

    def sections(self, rng: random.Random, split: str) -> Iterator[Section]:
        """A comment and a command."""
        for request in self.requests(rng, split, self.tools):
            parts = {"settings": self.say(rng, request.settings), "file": [request.file]}
            comment = itertools.chain(*(parts.get(word, [word]) for word in rng.choice(_COMMENTS)))
            yield Section(["#", *comment, END, *self.command(request)], request.latent)


_COMMENTS = (
    ("settings", "for", "file"), ("do", "settings", "on", "file"),
    ("with", "file", "do", "settings"), ("file", "settings"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Requests(Texts):
    """Requests in plain words, one after another, each with the command that does it as its answer: labels."""

    tools_asked: str = "known"
    """Which tools they are for: "known", "held out" or "all"."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "requests", tools_asked=(self.tools_asked in _WHICH, " or ".join(_WHICH)))

    def sections(self, rng: random.Random, split: str) -> Iterator[Section]:
        """A request and its answer."""
        for request in self.requests(rng, split, self.of(self.tools_asked)):
            asked = phrase(rng, self.say(rng, request.settings), request.file, request.tool)
            answer = self.command(request)
            yield Section([*asked, ANSWER, *answer], request.latent, len(answer))


_WHICH = ("known", "held out", "all")
