"""A corpus: tokens of each domain on disk, memory-mapped, cut into training and held-out text, with their record.

The text that every machine with this suite has is the standard library and the installed packages; folders, tables and
datasets of one's own and synthetic languages go through the same door. Without a tokeniser tokens are bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.files import UNREADABLE, Files
from scaling.corpora.languages import GENERATOR, blend_losses, language
from scaling.corpora.source import BYTES, CorpusSource
from scaling.corpora.tables import EMPTY, Table
from scaling.corpora.write import SPLITS, Document, put_in_place, token_file, write_documents
from scaling.errors import CorpusError


class UnknownDomain(CorpusError):
    """A domain that the corpus has no text of."""

    domain: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked for text of the domain {self.domain!r}, but the corpus has {', '.join(map(repr, self.known))}. "
            "Name these in the blend, e.g. blend = { "
            + f'"{self.known[0] if self.known else "text"}" = 1.0 }}.'
        )


@dataclass(frozen=True)
class Corpus:
    """Tokens on disk, and the record of where they came from."""

    folder: Path
    corpus_hash: str
    """SHA-256 of the tokens of every domain and split, the first 16 hex digits."""
    bytes: Mapping[str, int]
    """Training bytes of each domain; of a synthetic language, tokens."""
    versions: Mapping[str, str]
    files: int
    """Documents that were read: files, rows, or languages."""
    left_out: Mapping[str, int]
    """Documents that were not used, by reason."""
    vocabulary: int = BYTES
    """Distinct tokens; two bytes each on disk where one is not enough."""
    bytes_per_token: Mapping[str, float] = field(default_factory=dict)
    """Held-out bytes for each token of a domain, where a token is not a byte."""
    languages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Kind and parameters of the language of each domain, where the corpus is synthetic."""

    @staticmethod
    def load(folder: str | Path) -> Corpus:
        """The corpus written in a folder by `build_corpus`."""
        record = json.loads((Path(folder) / "corpus.json").read_text())
        return Corpus(folder=Path(folder), **record)

    @property
    def domains(self) -> tuple[str, ...]:
        """What the source has text of."""
        return tuple(self.bytes)

    def tokens(self, domain: str, split: str = "train") -> NDArray[np.unsignedinteger]:
        """Tokens of one domain, memory-mapped; `split` is "train" or "heldout".

        Raises:
            UnknownDomain: the corpus has no such domain.
        """
        if domain not in self.bytes:
            raise UnknownDomain(domain, self.domains)
        path = self.folder / token_file(domain, split)
        kind = token_type(self.vocabulary)
        if not path.exists() or path.stat().st_size == 0:
            return np.empty(0, kind)
        return np.memmap(path, kind, mode="r")

    def optimal_losses(
        self, windows: NDArray[np.integer], blend: Mapping[str, float]
    ) -> NDArray[np.float64] | None:
        """Loss of the best possible model of a blend on given windows, nats, or None where it is not known.

        Known where every domain is a synthetic language. The model knows the languages and their shares, but is not
        told which one a window is in; see `languages.blend_losses`.

        Args:
            windows: tokens `[windows, T + 1]`, the first given and not predicted, as from `held_out_windows`.
            blend: share of each domain in the training tokens.

        Returns:
            `[windows, T]`: -log p(x_t | x_0 ... x_t-1), to be set beside a model's losses on the same tokens.
        """
        if not self.languages:
            return None
        spoken = {
            domain: language(record["kind"], tuple(tuple(p) for p in record["parameters"]))
            for domain, record in self.languages.items()
        }
        return blend_losses(spoken, blend, windows)


def token_type(vocabulary: int) -> type[np.unsignedinteger]:
    """The smallest of one and two bytes that holds every token."""
    return np.uint8 if vocabulary <= BYTES else np.uint16


def cache_folder() -> Path:
    """Where corpora are kept: SCALING_CACHE, else the user's cache folder."""
    named = os.environ.get("SCALING_CACHE")
    return (
        Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "scaling"
    )


def build_corpus(source: CorpusSource, *, progress: bool = True) -> Corpus:
    """The corpus of a source, from the cache where the very same documents have been through before.

    Raises:
        MissingFolder, PackageNotInstalled, DatasetNotFound: the source is not there.
        MissingTextColumn, UnreadableText: a table has no such column, or a row that cannot be read.
        NoText, TooManyDomains: nothing to train on, or domains without end.
        VocabularyBeyondText: the text has too few different pieces for so many tokens.
        MissingPackage: `tokenizers` or `datasets` is needed and not installed.
        DiskFull: there is no room for its tokens; nothing of it is left.
    """
    if source.source == "language":
        return _build_language(source)
    from scaling.corpora.bpe import check_tokenizers, encode_corpus  # here, because bpe builds on this file

    if source.vocabulary != BYTES:
        check_tokenizers()
    documents = (
        Files(source)
        if source.source in ("installed", "folder", "files")
        else Table(source, progress=progress)
    )
    folder = cache_folder() / "corpora" / documents.fingerprint

    def fill(scratch: Path) -> dict[str, Any]:
        counted = write_documents(
            scratch,
            _tracked(documents, progress),
            domains=source.domains,
            unreadable=UNREADABLE if isinstance(documents, Files) else EMPTY,
            asked=source.path or source.name or ", ".join(source.paths) or "installed packages",
        )
        if isinstance(documents, Files):
            counted["left_out"] = {"same file again": documents.duplicates, **counted["left_out"]}
        return {"versions": documents.versions, **counted}

    if not (folder / "corpus.json").exists():
        put_in_place(folder, fill)
    corpus = Corpus.load(folder)
    return (
        corpus if source.vocabulary == BYTES else encode_corpus(corpus, source.vocabulary, progress=progress)
    )


def _build_language(source: CorpusSource) -> Corpus:
    """Text of every language, each split from a seed of its own."""
    asked = json.dumps([GENERATOR, np.__version__, asdict(source)], sort_keys=True)
    folder = cache_folder() / "corpora" / hashlib.sha256(f"languages {asked}".encode()).hexdigest()[:16]

    def fill(scratch: Path) -> dict[str, Any]:
        for one in source.languages:
            spoken = language(one.kind, one.parameters)
            for number, (split, tokens) in enumerate(
                zip(SPLITS, (source.train_tokens, source.heldout_tokens), strict=True)
            ):
                text = spoken.sample(tokens, [number, *one.name.encode()])
                text = text.astype(token_type(source.model_vocabulary))
                (scratch / token_file(one.name, split)).write_bytes(
                    text.data
                )  # tofile hides the system's error
        return {
            "bytes": {one.name: source.train_tokens for one in source.languages},
            "versions": {"numpy": np.__version__},
            "files": len(source.languages),
            "left_out": {},
            "vocabulary": source.model_vocabulary,
            "languages": {
                one.name: {"kind": one.kind, "parameters": one.parameters} for one in source.languages
            },
        }

    if not (folder / "corpus.json").exists():
        put_in_place(folder, fill)
    return Corpus.load(folder)


def _tracked(documents: Files | Table, progress: bool) -> Iterator[Document]:
    from rich.console import Console  # here, because a worker opens a corpus without it
    from rich.progress import track

    yield from track(
        documents,
        "reading text",
        total=len(documents) if isinstance(documents, Files) else None,
        console=Console(stderr=True),
        disable=not progress,
        transient=True,
    )
