"""Documents to files of bytes: deduplicated, cut into training and held-out text."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.corpus import SPLITS, token_file
from scaling.errors import CorpusError


class NoText(CorpusError):
    """A source without anything to train on."""

    asked: str
    documents: int
    left_out: dict[str, int]

    def __str__(self) -> str:
        why = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items() if count)
        return (
            f"asked for text to train on in {self.asked}, but its {self.documents} documents give none"
            f"{f' ({why})' if why else ''}. Add documents; one in twenty is held out."
        )


class TooManyDomains(CorpusError):
    """A column of domains that is no such thing."""

    most: int
    asked: str

    def __str__(self) -> str:
        return (
            f"asked to split {self.asked} into domains, but its column has more than {self.most} different values. "
            "Name a column with a few, or none."
        )


HELD_OUT_EVERY = 20
"""One document in so many is held out, chosen by the hash of what it says."""
SEPARATOR = b"\0"
MOST_DOMAINS = 256


@dataclass(frozen=True)
class Document:
    """One file or row: what it says in each domain, and whether a model is tested on it."""

    held_out: bool
    parts: Sequence[tuple[str, str]]
    """(domain, text); empty where the document could not be read."""


def is_held_out(digest: str) -> bool:
    """Whether the document with this SHA-256, in hex digits, is one of those a model is tested on."""
    return int(digest[:8], 16) % HELD_OUT_EVERY == 0


def write_documents(
    folder: Path, documents: Iterable[Document], *, domains: Sequence[str], unreadable: str, asked: str
) -> dict[str, Any]:
    """Write every document's bytes, a zero byte after each, and return the counts for the corpus's record.

    A text that has come before is left out and counted, so nothing is in training and held-out text at once.

    Args:
        folder: an empty folder.
        documents: in the order in which they are to lie.
        domains: domains that get a file even if there is no text of them; others are added as they come.
        unreadable: what a document without parts is counted as.
        asked: the source in words, for the error.

    Raises:
        NoText: there is no training text in any domain.
        TooManyDomains: there are more than `MOST_DOMAINS`.
    """
    left_out = {unreadable: 0, "same text again": 0}
    seen: set[bytes] = set()
    count = 0
    with contextlib.ExitStack() as stack:
        streams: dict[str, tuple[BinaryIO, ...]] = {}

        def streams_of(domain: str) -> tuple[BinaryIO, ...]:
            """The files of a domain, one for each split."""
            if domain not in streams:
                if len(streams) == MOST_DOMAINS:
                    raise TooManyDomains(MOST_DOMAINS, asked)
                paths = (folder / token_file(domain, split) for split in SPLITS)
                streams[domain] = tuple(stack.enter_context(path.open("wb")) for path in paths)
            return streams[domain]

        for domain in domains:
            streams_of(domain)
        for document in documents:
            count += 1
            left_out[unreadable] += not document.parts
            for domain, text in document.parts:
                data = text.replace("\0", "").encode(errors="replace")
                key = hashlib.sha256(data).digest()
                if key in seen:
                    left_out["same text again"] += 1
                elif data:
                    seen.add(key)
                    streams_of(domain)[document.held_out].write(data + SEPARATOR)
        sizes = {domain: streams[domain][0].tell() for domain in streams}
    if not any(sizes.values()):
        raise NoText(asked, count, left_out)
    return {"bytes": sizes, "files": count, "left_out": left_out}


def documents(data: NDArray[np.unsignedinteger]) -> Iterator[str]:
    """The documents of a file of bytes, each of which ends with a zero byte."""
    start = 0
    for end in np.flatnonzero(data == 0):
        yield data[start:end].tobytes().decode()
        start = end + 1
