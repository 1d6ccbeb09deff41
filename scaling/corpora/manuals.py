"""Documents from a machine itself: its manual pages as plain text, and the shell scripts that lie on it.

Manuals and scripts are two domains beside the code and prose of the installed packages. Programs are held out whole,
one in eight by the hash of its name: all of its pages, and the scripts with its name. What others write about such a
program, scripts that call it among them, stays in the training text.

Pages and scripts have licences of their own, many of them, from public domain to the GNU FDL: a corpus of them is for
the machine that has them, and is not for handing on. Scripts under /etc are the owner's.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from scaling.corpora.files import Files, MissingFolder
from scaling.corpora.source import MANUALS, SCRIPTS, CorpusSource
from scaling.corpora.troff import plain
from scaling.corpora.write import Document
from scaling.errors import CorpusError
from scaling.files import sha256_of, short_hash


class NoManuals(CorpusError):
    """A machine, or a folder, without manual pages."""

    paths: tuple[str, ...]
    sections: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked for manual pages of section {' or '.join(self.sections)}, but there are none under "
            f"{', '.join(self.paths)}; containers often come without. Install them (Debian: take the line path-exclude "
            "of /usr/share/man out of /etc/dpkg/dpkg.cfg.d, then apt-get install --reinstall coreutils man-db git; "
            "Ubuntu: unminimize; Fedora: dnf reinstall --setopt=tsflags= coreutils; Alpine: apk add man-pages docs), "
            "or name a folder with man1 or man8 in it as corpus.paths."
        )


PATHS = ("/usr/share", "/usr/local", "/usr/bin", "/usr/sbin", "/etc")
"""Where manuals and scripts lie, if a study names no other place."""
HELD_OUT_EVERY = 8
"""One program in so many is held out."""
_READER = "1"
"""Raised when the rules below or those of `troff` change, so that old caches and new ones are never mixed."""
_MOST_BYTES = 1 << 20
"""Of a script; what is larger carries something else behind it."""
_PAGE = re.compile(r"(?P<name>.+)\.(?P<section>\d\w*)(?P<packed>\.gz|\.bz2|\.xz)?")
_LOCALE = re.compile(r"(?!man$|en\b)[a-z]{2,3}([_.@].*)?")
_SHEBANG = re.compile(rb"#![^\n]*\b(sh|bash|dash|ksh|zsh)\b")
_UNPACK: Mapping[str | None, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    None: bytes,
}


def program_of(name: str, names: frozenset[str] | set[str]) -> str:
    """The program that a page or script belongs to: `git` for `git-add`, where there is a page of `git` itself."""
    stem = name.removesuffix(".sh")
    starts = (stem[: match.start()] for match in re.finditer(r"[-_.]", stem))
    return next((start for start in starts if start in names), stem)


def is_program_held_out(program: str) -> bool:
    """Whether models are tested on what this program's manual says."""
    return int(short_hash(f"program {program}")[:8], 16) % HELD_OUT_EVERY == 0


class Manuals:
    """The text of installed packages, then every page and script under some folders, each content once.

    Raises:
        NoManuals: there is no manual page of these sections.
        MissingFolder: a folder that the study names is not there.
        PackageNotInstalled: a package is not installed.
    """

    unreadable = "not readable as text"

    def __init__(self, source: CorpusSource):
        self._installed = Files(source)
        pages, scripts = _lying(source)
        if not pages:
            raise NoManuals(source.paths or PATHS, source.sections)
        names = {name for _, name, _ in pages}
        counted: Counter[str] = Counter()
        every: list[tuple[Path, str, str]] = [(path, program_of(path.name, names), "") for path in scripts]
        for path, name, title in sorted(pages, key=lambda page: short_hash(page[2])):
            program = program_of(name, names)
            counted[program] += 1
            if counted[program] <= source.pages_per_program:
                every.append((path, program, title))
        unique = {sha256_of(one[0]): one for one in reversed(every)}
        self._each = dict(sorted(unique.items()))
        self.left_out = {
            **self._installed.left_out,
            "same page or script again": len(every) - len(unique),
            "more pages of one program": len(pages) + len(scripts) - len(every),
        }
        self.total = self._installed.total + len(self._each)

    @property
    def fingerprint(self) -> str:
        """What decides how the corpus will look, hashed."""
        recipe = [f"manuals {_READER} {HELD_OUT_EVERY}", self._installed.fingerprint]
        each = [f"{digest} {program} {title}" for digest, (_, program, title) in self._each.items()]
        return short_hash("\n".join(recipe + each))

    @property
    def versions(self) -> dict[str, str]:
        """Versions of Python and of the packages; pages and scripts tell theirs by their hashes."""
        return self._installed.versions

    def __iter__(self) -> Iterator[Document]:
        """Documents of the packages, then pages and scripts in the order of their hashes."""
        yield from self._installed
        for path, program, title in self._each.values():
            yield Document(is_program_held_out(program), _parts(path, title))


def _parts(path: Path, title: str) -> list[tuple[str, str]]:
    """(domain, text) of a page with its title above it, or of a script; none where it cannot be read or has no text."""
    try:
        data = path.read_bytes()
        if not title:
            return [(SCRIPTS, data.decode())] if b"\0" not in data else []
        packed = _PAGE.fullmatch(path.name)
        text = plain(_UNPACK[packed and packed["packed"]](data).decode(errors="replace"))
    except (OSError, EOFError, ValueError, lzma.LZMAError):
        return []
    return [(MANUALS, f"{title}\n\n{text}")] if text else []


def _lying(source: CorpusSource) -> tuple[list[tuple[Path, str, str]], list[Path]]:
    """Pages, each with its name and its title, and scripts, in the order of their paths."""
    pages, scripts = [], []
    for root in source.paths or PATHS:
        if source.paths and not Path(root).exists():
            raise MissingFolder(root)
        for folder, _, names in os.walk(root):
            here = Path(folder)
            for name in names:
                path = here / name
                if here.name[:3] == "man" and here.name[3:4].isdigit():
                    page = _PAGE.fullmatch(name)
                    wanted = page and page["section"].startswith(source.sections)
                    if page and wanted and not _LOCALE.fullmatch(here.parent.name) and not path.is_symlink():
                        pages.append((path, page["name"], f"{page['name']}({page['section']})"))
                elif _is_script(path):
                    scripts.append(path)
    return sorted(set(pages)), sorted(set(scripts))


def _is_script(path: Path) -> bool:
    try:
        about = path.lstat()
        runs = stat.S_ISREG(about.st_mode) and (about.st_mode & 0o111 or path.suffix == ".sh")
        if not runs or about.st_size > _MOST_BYTES:
            return False
        with path.open("rb") as file:
            return _SHEBANG.match(file.read(64)) is not None
    except OSError:
        return False
