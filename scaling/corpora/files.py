"""Documents from files: the standard library, installed packages or a folder as code and prose; or any text as text."""

from __future__ import annotations

import importlib.metadata
import platform
import sysconfig
from collections.abc import Iterator, Set
from functools import partial
from pathlib import Path

from scaling.corpora.source import DOMAINS, ONE_DOMAIN, SPLIT_ENDINGS, CorpusSource
from scaling.corpora.split import SPLITTER, split_python
from scaling.corpora.write import HELD_OUT_EVERY, Document, is_held_out
from scaling.errors import CorpusError
from scaling.files import sha256_of, short_hash


class MissingFolder(CorpusError):
    """A folder or file of text that is not there."""

    path: str | Path

    def __str__(self) -> str:
        return f"asked for text in {self.path}, but there is no such file or folder. Check the path in the study file."


class PackageNotInstalled(CorpusError):
    """A package named as a source of text that is not installed."""

    name: str

    def __str__(self) -> str:
        return (
            f"asked for the text of the package {self.name!r}, but it is not installed here. "
            f"Install it (pip install {self.name}), or take it out of corpus.packages."
        )


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


class Files:
    """The files of a source, each content once.

    Raises:
        MissingFolder: `path`, or one of `paths`, is not there.
        PackageNotInstalled: a package is not installed.
    """

    unreadable = "not readable as Python or text"

    def __init__(self, source: CorpusSource):
        self._source = source
        files = sorted(set(_files(source)))
        digests = {path: sha256_of(path) for path in files}
        self._unique = {
            digest: path for path, digest in reversed(digests.items())
        }  # one path for each content
        self.left_out = {"same file again": len(files) - len(self._unique)}
        self.total = len(self._unique)

    @property
    def fingerprint(self) -> str:
        """What decides how the corpus will look, hashed."""
        recipe = [SPLITTER, str(HELD_OUT_EVERY), platform.python_version(), *sorted(self._unique)]
        if self._source.source == "files":
            recipe.append(ONE_DOMAIN)
        recipe += map(repr, self._source.endings)
        return short_hash("\n".join(recipe))

    @property
    def versions(self) -> dict[str, str]:
        """Versions of Python and of the packages that the text comes from."""
        packages = {name: importlib.metadata.version(name) for name in self._source.packages}
        return {"python": platform.python_version(), **packages}

    def __iter__(self) -> Iterator[Document]:
        """Documents in the order of their hashes, so that no package comes first."""
        for digest in sorted(self._unique):
            yield Document(is_held_out(digest), self._parts(self._unique[digest]))

    def _parts(self, path: Path) -> list[tuple[str, str]]:
        """(domain, text) of one file; none where it cannot be read."""
        domain = (
            ONE_DOMAIN if self._source.source == "files" else _ending_domains(self._source).get(path.suffix)
        )
        if domain is not None:
            text = _text(path)
            return [] if text is None else [(domain, text)]
        parts = _split(path)
        return list(zip(DOMAINS, parts, strict=True)) if parts else []


def _ending_domains(source: CorpusSource) -> dict[str, str]:
    return {ending: domain for domain, endings in source.endings for ending in endings}


def _files(source: CorpusSource) -> Iterator[Path]:
    wanted = partial(_wanted, {*SPLIT_ENDINGS, *_ending_domains(source)})
    if source.source == "files":
        for root in map(Path, source.paths):
            yield from (path for path in _below(root) if path.is_file())
    elif source.source == "folder":
        root = Path(source.path or "")
        yield from (path for path in _below(root) if wanted(path, path.relative_to(root)))
    else:
        library = Path(sysconfig.get_path("stdlib"))
        yield from (path for path in library.rglob("*.py") if wanted(path, path.relative_to(library)))
        for name in source.packages:
            try:
                listed = importlib.metadata.distribution(name).files or []
            except importlib.metadata.PackageNotFoundError:
                raise PackageNotInstalled(name) from None
            located = ((Path(str(file.locate())), Path(str(file))) for file in listed)
            yield from (path for path, relative in located if wanted(path, relative))


def _below(root: Path) -> Iterator[Path]:
    """A file, or all that is in a folder."""
    if not root.exists():
        raise MissingFolder(root)
    yield from [root] if root.is_file() else root.rglob("*")


def _wanted(endings: Set[str], path: Path, relative: Path) -> bool:
    if _LEFT_OUT.intersection(relative.parts) or relative.name.startswith("_sysconfigdata"):
        return False
    return (path.suffix in endings or path.name == "METADATA") and path.is_file()


def _text(path: Path) -> str | None:
    """The text of one file, or nothing where it is none: not UTF-8, or with the zero byte that ends a document."""
    try:
        text = path.read_bytes().decode()
    except ValueError:
        return None
    return None if "\0" in text else text


def _split(path: Path) -> tuple[str, str] | None:
    """(code, prose) of one file, or nothing where it cannot be read."""
    try:
        data = path.read_bytes()
        if path.suffix == ".py":
            return split_python(data)
        text = data.decode()
    except (SyntaxError, ValueError):
        return None
    return "", text.partition("\n\n")[2] if path.name == "METADATA" else text
