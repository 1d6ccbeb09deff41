"""A corpus from files: gathered, split into domains, deduplicated, cut into training and held-out files, memory-mapped.

The text is what every machine with this suite has: the standard library and the installed packages. A folder of one's
own goes through the same door. Tokens are bytes; a zero byte stands between two files.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.split import SPLITTER, split_python
from scaling.errors import MissingFolder, PackageNotInstalled

DOMAINS = ("code", "prose")
HELD_OUT_EVERY = 20
"""One file in so many is held out, chosen by the hash of what it says."""
VOCABULARY = 256
SEPARATOR = b"\0"

_PROSE_SUFFIXES = {".md", ".rst", ".txt"}
_LEFT_OUT = {
    "site-packages",
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "ensurepip",
    "__pycache__",
    "node_modules",
}


@dataclass(frozen=True, kw_only=True)
class CorpusSource:
    """Where text comes from: "installed" (standard library and `packages`) or "folder" (everything under `path`)."""

    source: str = "installed"
    packages: tuple[str, ...] = ()
    path: str | None = None


@dataclass(frozen=True)
class Corpus:
    """Tokens on disk, and the record of where they came from."""

    folder: Path
    corpus_hash: str
    """SHA-256 of the tokens of every domain and split, the first 16 hex digits."""
    bytes: Mapping[str, int]
    """Training bytes of each domain."""
    versions: Mapping[str, str]
    files: int
    left_out: Mapping[str, int]
    """Files that were not used, by reason."""

    @staticmethod
    def load(folder: str | Path) -> Corpus:
        """The corpus written in a folder by `build_corpus`."""
        record = json.loads((Path(folder) / "corpus.json").read_text())
        return Corpus(folder=Path(folder), **record)

    def tokens(self, domain: str, split: str = "train") -> NDArray[np.uint8]:
        """Tokens of one domain, memory-mapped; `split` is "train" or "heldout"."""
        path = self.folder / f"{domain}.{split}.bin"
        if not path.exists() or path.stat().st_size == 0:
            return np.empty(0, np.uint8)
        return np.memmap(path, np.uint8, mode="r")


def cache_folder() -> Path:
    """Where corpora are kept: SCALING_CACHE, else the user's cache folder."""
    named = os.environ.get("SCALING_CACHE")
    return (
        Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "scaling"
    )


def build_corpus(source: CorpusSource, *, progress: bool = True) -> Corpus:
    """The corpus of a source, from the cache where the very same files have been through before.

    Raises:
        MissingFolder: `path` is not there.
        PackageNotInstalled: a package is not installed.
    """
    files = sorted(set(_files(source)))
    digests = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    unique = {digest: path for path, digest in reversed(digests.items())}  # one path for each content
    recipe = [SPLITTER, str(HELD_OUT_EVERY), platform.python_version(), *sorted(unique)]
    fingerprint = hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:16]
    folder = cache_folder() / "corpora" / fingerprint
    if not (folder / "corpus.json").exists():
        _write(
            folder, unique, duplicates=len(files) - len(unique), versions=_versions(source), progress=progress
        )
    return Corpus.load(folder)


def _files(source: CorpusSource) -> Iterator[Path]:
    if source.source == "folder":
        root = Path(source.path or "")
        if not source.path or not root.exists():
            raise MissingFolder(source.path or "(no path given)")
        yield from (
            p for p in ([root] if root.is_file() else root.rglob("*")) if _wanted(p, p.relative_to(root))
        )
        return
    library = Path(sysconfig.get_path("stdlib"))
    yield from (p for p in library.rglob("*.py") if _wanted(p, p.relative_to(library)))
    for name in source.packages:
        try:
            listed = importlib.metadata.distribution(name).files or []
        except importlib.metadata.PackageNotFoundError:
            raise PackageNotInstalled(name) from None
        yield from (Path(str(f.locate())) for f in listed if _wanted(Path(str(f.locate())), Path(str(f))))


def _wanted(path: Path, relative: Path) -> bool:
    if _LEFT_OUT.intersection(relative.parts) or relative.name.startswith("_sysconfigdata"):
        return False
    return (path.suffix in _PROSE_SUFFIXES | {".py"} or path.name == "METADATA") and path.is_file()


def _versions(source: CorpusSource) -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in source.packages}
    return {"python": platform.python_version(), **found}


def _domains_of(path: Path) -> tuple[str, str] | None:
    """(code, prose) of one file, or nothing where it cannot be read."""
    try:
        data = path.read_bytes()
        if path.suffix == ".py":
            return split_python(data)
        text = data.decode()
    except (SyntaxError, ValueError):
        return None
    return "", text.partition("\n\n")[2] if path.name == "METADATA" else text


def _write(
    folder: Path, unique: Mapping[str, Path], *, duplicates: int, versions: dict[str, str], progress: bool
) -> None:
    order = sorted(unique)  # by hash, so that no package comes first
    left_out = {"same file again": duplicates, "not readable as Python or text": 0, "same text again": 0}
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    seen: set[bytes] = set()
    try:
        streams = {
            (d, s): (scratch / f"{d}.{s}.bin").open("wb") for d in DOMAINS for s in ("train", "heldout")
        }
        for digest, parts in zip(order, _extract([unique[d] for d in order], progress), strict=True):
            if parts is None:
                left_out["not readable as Python or text"] += 1
                continue
            split = "heldout" if int(digest[:8], 16) % HELD_OUT_EVERY == 0 else "train"
            for domain, text in zip(DOMAINS, parts, strict=True):
                data = text.replace("\0", "").encode(errors="replace")
                key = hashlib.sha256(data).digest()
                if key in seen:
                    left_out["same text again"] += bool(data)
                elif data:
                    seen.add(key)
                    streams[domain, split].write(data + SEPARATOR)
        for stream in streams.values():
            stream.close()
        whole = hashlib.sha256()
        for path in sorted(scratch.glob("*.bin")):
            whole.update(f"{path.name} {path.stat().st_size}\n".encode())
            whole.update(path.read_bytes())
        record = {
            "corpus_hash": whole.hexdigest()[:16],
            "bytes": {d: (scratch / f"{d}.train.bin").stat().st_size for d in DOMAINS},
            "versions": versions,
            "files": len(order),
            "left_out": left_out,
        }
        (scratch / "corpus.json").write_text(json.dumps(record, indent=1))
        try:
            scratch.rename(folder)
        except OSError:
            if not (
                folder / "corpus.json"
            ).exists():  # else another process was faster, with the same content
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _extract(paths: Sequence[Path], progress: bool) -> Iterator[tuple[str, str] | None]:
    from rich.console import Console  # here, because a worker opens a corpus without it
    from rich.progress import track

    console = Console(stderr=True)
    return map(
        _domains_of, track(paths, "reading text", console=console, disable=not progress, transient=True)
    )
