"""Placebos: the words of a domain without what its order says, so that a gain from order is told from one of words.

[corpus]
placebos = { "shuffled code" = { of = "code", kind = "shuffled" } }   # a name of one's own, which is the domain

A piece is a word with the signs and the white space up to the next, so that words stay whole. Each document is made
anew from its own pieces, training and held-out text alike, by a generator that its own text seeds: the same document
gives the same placebo in any corpus.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from scaling.corpora.corpus import SPLITS, Corpus, cached_corpus, token_file
from scaling.corpora.source import PLACEBO_KINDS, Placebo, check_placebos
from scaling.corpora.write import SEPARATOR, documents
from scaling.files import short_hash

_SCHEME = "1"
"""Raised when the rules below change, so that old caches and new ones are never mixed."""
_PIECES = re.compile(r"\w+\W*|\W+")

Remake = Callable[[list[str], np.random.Generator], Sequence[str]]
"""From the pieces of a document to those of its placebo."""


def with_placebos(corpus: Corpus, placebos: Sequence[Placebo]) -> Corpus:
    """The same corpus with a domain more for each placebo.

    Args:
        corpus: of bytes; every document ends with a zero byte.
        placebos: what each is made of, and how.

    Raises:
        PlaceboWithoutSource: the corpus has no such domain.
        DiskFull, NotWritten: nothing is left of it.
    """
    check_placebos(placebos, corpus.domains)
    recipe = json.dumps([_SCHEME, np.__version__, corpus.corpus_hash, *map(asdict, placebos)])

    def write(folder: Path) -> dict[str, Any]:
        for path in corpus.folder.glob("*.bin"):
            shutil.copyfile(path, folder / path.name)
        for placebo in placebos:
            remake = _REMAKES[placebo.kind](corpus, placebo.of)
            for split in SPLITS:
                _write(corpus, placebo, split, remake, folder / token_file(placebo.name, split))
        sizes = {p.name: (folder / token_file(p.name, "train")).stat().st_size for p in placebos}
        return corpus.record | {
            "bytes": {**corpus.bytes, **sizes},
            "placebos": {p.name: {"of": p.of, "kind": p.kind} for p in placebos},
        }

    return cached_corpus(short_hash(f"placebos {recipe}"), write)


def _write(corpus: Corpus, placebo: Placebo, split: str, remake: Remake, path: Path) -> None:
    with path.open("wb") as file:
        for text in documents(corpus.tokens(placebo.of, split)):
            seed = int.from_bytes(hashlib.sha256(f"{placebo.kind} {text}".encode()).digest()[:8], "little")
            made = remake(_pieces(text), np.random.default_rng(seed))
            file.write("".join(made).encode() + SEPARATOR)


def _pieces(text: str) -> list[str]:
    """The last one with an end of line behind it, so that its word joins no other."""
    return _PIECES.findall(text + "\n")


def _shuffled(corpus: Corpus, domain: str) -> Remake:
    """The pieces of each document in random order."""
    return lambda pieces, rng: [pieces[i] for i in rng.permutation(len(pieces)).tolist()]


def _reversed(corpus: Corpus, domain: str) -> Remake:
    """The pieces of each document from the last to the first."""
    return lambda pieces, rng: pieces[::-1]


def _noise(corpus: Corpus, domain: str) -> Remake:
    """As many pieces as the document has, each drawn by its frequency in the domain's training text."""
    counts = Counter(piece for text in documents(corpus.tokens(domain)) for piece in _pieces(text))
    words, shares = list(counts), np.cumsum(list(counts.values()))

    def remake(pieces: list[str], rng: np.random.Generator) -> Sequence[str]:
        drawn = np.searchsorted(shares, rng.integers(shares[-1], size=len(pieces)), side="right")
        return [words[i] for i in drawn.tolist()]

    return remake


_REMAKES: Mapping[str, Callable[[Corpus, str], Remake]] = dict(
    zip(PLACEBO_KINDS, (_shuffled, _reversed, _noise), strict=True)
)
