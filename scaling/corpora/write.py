"""Documents to files of tokens: deduplicated, cut into training and held-out text, put in place at once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from scaling.errors import CorpusError
from scaling.records import naming_a_full_disk


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
SPLITS = ("train", "heldout")
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


def token_file(domain: str, split: str) -> str:
    """Name of the file with a domain's tokens, whatever characters the domain has."""
    return f"{quote(domain, safe='')}.{split}.bin"


def write_documents(
    folder: Path, documents: Iterable[Document], *, domains: Sequence[str], unreadable: str, asked: str
) -> dict[str, Any]:
    """Write every document's bytes, a zero byte between two, and return the counts for the corpus's record.

    A text that has come before is left out and counted, so nothing is in training and held-out text at once.

    Args:
        folder: an empty folder.
        documents: in the order in which they are to lie.
        domains: domains that get a file even if nothing is found for them; others are added as they come.
        unreadable: what a document without parts is counted as.
        asked: the source in words, for the error.

    Raises:
        NoText: there is no training text in any domain.
        TooManyDomains: there are more than `MOST_DOMAINS`.
    """
    left_out = {unreadable: 0, "same text again": 0}
    seen: set[bytes] = set()
    sizes = {(d, s): 0 for d in domains for s in SPLITS}
    files = 0
    with contextlib.ExitStack() as stack:
        streams: dict[tuple[str, str], BinaryIO] = {}

        def add(domain: str) -> None:
            if len(streams) >= 2 * MOST_DOMAINS:
                raise TooManyDomains(MOST_DOMAINS, asked)
            for split in SPLITS:
                streams[domain, split] = stack.enter_context((folder / token_file(domain, split)).open("wb"))
                sizes[domain, split] = 0

        for domain in domains:
            add(domain)
        for document in documents:
            files += 1
            if not document.parts:
                left_out[unreadable] += 1
            split = SPLITS[document.held_out]
            for domain, text in document.parts:
                data = text.replace("\0", "").encode(errors="replace")
                key = hashlib.sha256(data).digest()
                if key in seen:
                    left_out["same text again"] += bool(data)
                elif data:
                    seen.add(key)
                    if (domain, split) not in streams:
                        add(domain)
                    streams[domain, split].write(data + SEPARATOR)
                    sizes[domain, split] += len(data) + 1
    if not any(size for (_, split), size in sizes.items() if split == "train"):
        raise NoText(asked, files, left_out)
    return {
        "bytes": {d: size for (d, split), size in sizes.items() if split == "train"},
        "files": files,
        "left_out": left_out,
    }


def put_in_place(folder: Path, fill: Callable[[Path], Mapping[str, Any]]) -> None:
    """Let `fill` write token files into a folder aside and return the record, then rename it to `folder`.

    The record gets the hash of all token files; a folder that is there is whole.

    Raises:
        DiskFull: there was no room; nothing is left of it.
    """
    with naming_a_full_disk("a corpus", folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            record = fill(scratch)
            record = {"corpus_hash": _hash_of_files(scratch), **record}
            (scratch / "corpus.json").write_text(json.dumps(record, indent=1))
            try:
                scratch.rename(folder)
            except OSError:  # perhaps another process was faster, with the same content
                if not (folder / "corpus.json").exists():
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _hash_of_files(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(folder.glob("*.bin")):
        whole.update(f"{path.name} {path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                whole.update(block)
    return whole.hexdigest()[:16]
