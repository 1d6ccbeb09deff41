"""A corpus: tokens of each domain on disk, memory-mapped, cut into training and held-out text, with their record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.languages import blend_losses, language
from scaling.errors import CorpusError
from scaling.files import cache_folder, written_whole


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


class ChangedCorpus(CorpusError):
    """Tokens in the cache that are not those that were put there."""

    folder: str | Path
    expected: str
    got: str

    def __str__(self) -> str:
        return (
            f"asked for the corpus {self.expected}, but the tokens in {self.folder} are {self.got}: a bit has turned "
            "over, or somebody has written there. Delete the folder; the corpus is made again."
        )


BYTES = 256
"""The vocabulary without a tokeniser: a token is a byte."""
SPLITS = ("train", "heldout")
_RECORD = "corpus.json"


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
    """Documents that were read: files, rows, languages, or synthetic ones."""
    left_out: Mapping[str, int]
    """Documents that were not used, by reason."""
    vocabulary: int = BYTES
    """Distinct tokens; two bytes each on disk where one is not enough."""
    bytes_per_token: Mapping[str, float] = field(default_factory=dict)
    """Held-out bytes for each token of a domain, where a token is not a byte."""
    languages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Kind and parameters of the language of each domain, where the corpus is synthetic."""
    placebos: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Of which domain each placebo is made, and how."""
    words: Sequence[str] = ()
    """What each token stands for, where the corpus is of synthetic documents."""
    documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Kind and parameters of the synthetic documents of each domain."""

    @staticmethod
    def load(folder: str | Path) -> Corpus:
        """The corpus in a folder that `cached_corpus` made."""
        record = json.loads((Path(folder) / _RECORD).read_text())
        return Corpus(folder=Path(folder), **record)

    @property
    def record(self) -> dict[str, Any]:
        """All that is said of it, but for the hash of its tokens."""
        return {name: value for name, value in vars(self).items() if name not in ("folder", "corpus_hash")}

    @property
    def domains(self) -> tuple[str, ...]:
        """What the source has text of."""
        return tuple(self.bytes)

    def check_domain(self, domain: str) -> None:
        """Refuse a domain that the corpus has no text of.

        Raises:
            UnknownDomain: names those that it has.
        """
        if domain not in self.bytes:
            raise UnknownDomain(domain, self.domains)

    def tokens(self, domain: str, split: str = "train") -> NDArray[np.unsignedinteger]:
        """Tokens of one domain, memory-mapped; `split` is "train" or "heldout".

        Synthetic documents have "train.scored" and "heldout.scored" beside them: 1 where a token is part of an answer.

        Raises:
            UnknownDomain: the corpus has no such domain.
        """
        self.check_domain(domain)
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


def token_file(domain: str, split: str) -> str:
    """Name of the file with a domain's tokens, whatever characters the domain has."""
    return f"{quote(domain, safe='')}.{split}.bin"


def cached_corpus(key: str, write: Callable[[Path], Mapping[str, Any]]) -> Corpus:
    """The corpus of that key in the cache, made where it is not there yet.

    Args:
        key: hash of all that decides what the corpus will be.
        write: puts token files into an empty folder, and returns the record but for the hash of all of them.

    Raises:
        DiskFull, NotWritten: nothing is left of it.
        ChangedCorpus: the one in the cache has been harmed since.
    """
    folder = cache_folder("corpora", key)
    made = (folder / _RECORD).exists()
    if not made:
        with written_whole(folder, "a corpus") as scratch:
            scratch.mkdir()
            about = write(scratch)
            record = {"corpus_hash": _hash_of_files(scratch), **about}
            (scratch / _RECORD).write_text(json.dumps(record, indent=1))
    corpus = Corpus.load(folder)
    if made and (got := _hash_of_files(folder)) != corpus.corpus_hash:
        raise ChangedCorpus(folder, corpus.corpus_hash, got)
    return corpus


def _hash_of_files(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(folder.glob("*.bin")):
        whole.update(f"{path.name} {path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: whole)
    return whole.hexdigest()[:16]
