"""Questions with a known answer, asked of models beside their held-out text: a file of JSON lines, an item a line.

    {"prompt": "2 + 2 =", "answer": " 4", "choices": [" 3", " 4", " 5"], "group": "sums"}

Or questions about the flags of programs, drawn of the corpus's own manuals (`corpora.flags`). `answer` alone is needed;
`choices`, which hold the answer, are for multiple choice. Text is written in the corpus's own tokens, each part by
itself, and a prompt is read behind the token that parts documents, as a document's beginning is. Lists of token numbers
stand for text where a corpus has no text, and are taken as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

from scaling.corpora.bpe import TOKENIZER_FILE, texts
from scaling.corpora.corpus import BYTES, SPLITS, Corpus
from scaling.corpora.flags import flag_questions
from scaling.corpora.source import MANUALS
from scaling.errors import CorpusError, check_installed, require
from scaling.files import written_whole


class UnreadableItems(CorpusError):
    """A file of items that is not there, has none, or has a line that is no item."""

    path: str | Path
    line: int
    reason: str

    def __str__(self) -> str:
        at = f"line {self.line} of {self.path}" if self.line else str(self.path)
        return (
            f"asked to read items from {at}, but {self.reason}. A line is an object such as "
            '{"prompt": "2 + 2 =", "answer": " 4", "choices": [" 3", " 4"], "group": "sums"}.'
        )


class ItemTooLong(CorpusError):
    """A prompt that leaves no room for an answer in the window of a model."""

    path: str | Path
    line: int
    tokens: int
    context: int

    def __str__(self) -> str:
        return (
            f"asked models with a context of {self.context} for the item in line {self.line} of {self.path}, which "
            f"takes {self.tokens} tokens. Shorten it, or raise context."
        )


class NoFlags(CorpusError):
    """Manuals that nothing can be asked about."""

    group: str
    context: int

    def __str__(self) -> str:
        return (
            f"asked for questions about flags, but no manual of the corpus gives one for the group {self.group!r} that "
            f"fits into {self.context} tokens. Take more sections or paths of manuals, or raise context."
        )


@dataclass(frozen=True, kw_only=True)
class ItemSource:
    """Where a study's items are, and how they are asked.

    Raises:
        BadValue: a value is out of range.
    """

    path: str = ""
    """A file of JSON lines."""
    flags: int = 0
    """In its place so many questions of each group, or all there are, about the flags in the corpus's manuals."""
    samples: int = 1
    """Answers that are generated for each prompt."""
    temperature: float = 0.0
    """Of generation; at 0, the default, the likeliest token is taken."""
    stop: str = ""
    """What must follow a generated answer, one token; by default an answer is right whatever follows."""
    per_token: bool = False
    """Choices are ranked by log-probability per token in place of their own."""

    def __post_init__(self) -> None:
        require(
            self,
            "items",
            flags=(type(self.flags) is int and self.flags >= 0, "a whole number, at least 0"),
            path=(
                isinstance(self.path, str) and (self.path == "") == (self.flags != 0),
                "the name of a file of JSON lines, or flags in its place",
            ),
            samples=(type(self.samples) is int and self.samples >= 1, "a whole number of at least 1"),
            temperature=(
                isinstance(self.temperature, int | float) and 0 <= self.temperature < 1e9,
                "at least 0",
            ),
            stop=(isinstance(self.stop, str), "text"),
            per_token=(isinstance(self.per_token, bool), "true or false"),
        )


@dataclass(frozen=True)
class Item:
    """A question in tokens."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    choices: tuple[tuple[int, ...], ...]
    """The answer among them; none where there is nothing to choose from."""
    group: str


@dataclass(frozen=True)
class Items:
    """All questions of a study, and how they are asked."""

    each: tuple[Item, ...]
    samples: int
    temperature: float
    stop: tuple[int, ...]
    per_token: bool

    def write(self, path: Path) -> None:
        """Write the file that `load` reads."""
        with written_whole(path, "items") as scratch:
            scratch.write_text(json.dumps(asdict(self)))

    @staticmethod
    def load(path: Path) -> Items:
        """The items in a file."""
        said = json.loads(path.read_text())
        each = tuple(Item(*(_frozen(item[f.name]) for f in fields(Item))) for item in said.pop("each"))
        return Items(each, **said | {"stop": tuple(said["stop"])})


def read_items(source: ItemSource, folder: Path, corpus: Corpus, context: int) -> Items:
    """The items of a source in a corpus's tokens.

    Args:
        source: what is asked for; its path is relative to `folder`.
        folder: of the study.
        corpus: whose tokens they are written in.
        context: of the models; with a shortest window of so many tokens.

    Raises:
        UnreadableItems: there is no such file, or a line is no item in this corpus's tokens.
        ItemTooLong: an item of a file does not fit into the window.
        UnknownDomain, NoFlags: questions about flags are asked of a corpus without manuals, or without enough.
        MissingPackage: `tokenizers` is needed and not installed.
    """
    if source.flags:
        each = tuple(_drawn(source.flags, corpus, context))
        return Items(each, source.samples, float(source.temperature), (), source.per_token)
    path = folder / source.path
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise UnreadableItems(path, 0, f"it cannot be read ({problem})") from None
    encode, before = _encoder(corpus)
    stop = _tokens(source.stop, encode, corpus.vocabulary) if source.stop else ()
    if len(stop) > 1:
        raise UnreadableItems(
            path, 0, f"stop = {source.stop!r} is {len(stop)} tokens of this corpus, and not one"
        )
    each = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            item = _item(json.loads(line), encode, before, corpus.vocabulary, path.stem)
        except (ValueError, TypeError) as problem:
            raise UnreadableItems(path, number, str(problem)) from None
        taken = len(item.prompt) + max(map(len, (item.answer + stop, *item.choices)))
        if taken > context + 1:  # the last token is never read
            raise ItemTooLong(path, number, taken, context)
        each.append(item)
    if not each:
        raise UnreadableItems(path, 0, "it has no line")
    return Items(tuple(each), source.samples, float(source.temperature), stop, source.per_token)


def _drawn(count: int, corpus: Corpus, context: int) -> Iterator[Item]:
    """Questions about the manuals that models read and about those held out; of each group those that fit."""
    encode, before = _encoder(corpus)
    for split, called in zip(SPLITS, ("known", "held out"), strict=True):
        for group, asked in flag_questions(texts(corpus, MANUALS, split), called).items():
            items = (_item(said, encode, before, corpus.vocabulary, group) for said in asked)
            fit = (i for i in items if len(i.prompt) + max(map(len, i.choices)) <= context + 1)
            if not (drawn := list(islice(fit, count))):
                raise NoFlags(group, context)
            yield from drawn


Encode = Callable[[str], Sequence[int]]


def _encoder(corpus: Corpus) -> tuple[Encode, tuple[int, ...]]:
    """What writes text in the corpus's tokens, and what stands before a document."""
    if corpus.words:
        numbers = {word: number for number, word in enumerate(corpus.words)}

        def by_word(text: str) -> list[int]:
            unknown = next((word for word in text.split() if word not in numbers), None)
            if unknown is not None:
                raise ValueError(f"the corpus has no word {unknown!r}")
            return [numbers[word] for word in text.split()]

        return by_word, (0,)
    if (corpus.folder / TOKENIZER_FILE).exists():
        check_installed("text", "tokenizers")
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(corpus.folder / TOKENIZER_FILE))
        return lambda text: tokenizer.encode(text).ids, tuple(tokenizer.encode("\0").ids)
    if corpus.languages or corpus.vocabulary != BYTES:

        def refuse(_: str) -> list[int]:
            raise ValueError(
                "this corpus has no text: give prompt, answer and choices as lists of token numbers"
            )

        return refuse, ()
    return lambda text: list(text.encode()), (0,)


def _item(said: Any, encode: Encode, before: tuple[int, ...], vocabulary: int, group: str) -> Item:
    if not isinstance(said, dict) or "answer" not in said:
        raise ValueError("it is no object with an answer")
    if unknown := said.keys() - {"prompt", "answer", "choices", "group"}:
        raise ValueError(f"there is no key {min(unknown)!r}")
    prompt = _tokens(said.get("prompt", ""), encode, vocabulary)
    if isinstance(said.get("prompt", ""), str):
        prompt = (*before, *prompt)
    answer = _tokens(said["answer"], encode, vocabulary)
    choices = tuple(_tokens(choice, encode, vocabulary) for choice in said.get("choices", ()))
    if not prompt or not answer or () in choices:
        raise ValueError("a prompt, an answer or a choice has no token")
    if choices and (choices.count(answer) != 1 or len(choices) < 2):
        raise ValueError("its choices are not two or more, the answer once among them")
    return Item(prompt, answer, choices, str(said.get("group", group)))


def _tokens(said: Any, encode: Encode, vocabulary: int) -> tuple[int, ...]:
    tokens = tuple(encode(said) if isinstance(said, str) else said)
    if not all(type(token) is int and 0 <= token < vocabulary for token in tokens):
        raise ValueError(f"{said!r} is neither text nor a list of token numbers below {vocabulary}")
    return tokens


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
