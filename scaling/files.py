"""Files: written whole or not at all, hashed, kept in the cache, fetched from the network as promised."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from scaling.errors import FileError


class NotWritten(FileError):
    """A file or folder that could not be written whole."""

    what: str
    path: str | Path
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.what} had to be written to {self.path}, but could not be ({self.reason}). "
            "What was there before is whole. Name another place, or make this one writable."
        )


class DiskFull(FileError):
    """A file that the disk, a quota or a size limit had no room for."""

    what: str
    path: str | Path
    reason: str
    free: int

    def __str__(self) -> str:
        return (
            f"{self.what} had to be written to {self.path}, but there was no room ({self.reason}; "
            f"{self.free / 1e9:.3g} GB free). What was there before is whole. Free some space and type the same "
            "command again; it goes on from there."
        )


class DownloadFailed(FileError):
    """A file that did not come from the network as promised."""

    url: str
    reason: str

    def __str__(self) -> str:
        return f"{self.url} was not fetched: {self.reason}. Nothing was kept of it; try again, or get it by hand."


_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PIECE = 1 << 14  # bytes that are downloaded at once


# --- writing ---------------------------------------------------------------------------------------


@contextmanager
def written_whole(path: str | Path, what: str) -> Iterator[Path]:
    """A place beside `path` to write a file or make a folder; at the end it is on disk and takes the place of `path`.

    A reader meets the old content or the new, never half of one. Of a folder that is there already, because another
    process was faster with the same content, the old one stays.

    Args:
        path: where the content is wanted; its folder is made.
        what: is being written, in words, for the error.

    Raises:
        DiskFull, NotWritten: nothing is left of the attempt, and what was there before is whole.
    """
    path = Path(path)
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.{os.getpid()}")
    try:
        with naming_a_full_disk(what, path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield scratch
            files = filter(Path.is_file, scratch.rglob("*")) if scratch.is_dir() else (scratch,)
            for file in files:
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
            try:
                scratch.replace(path)
            except OSError:
                if not (scratch.is_dir() and path.is_dir()):
                    raise
    except OSError as problem:
        raise NotWritten(what, path, str(problem)) from problem
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        with suppress(OSError):
            scratch.unlink()


@contextmanager
def naming_a_full_disk(what: str, path: Path) -> Iterator[None]:
    """Turn the system's word for a full disk, a quota or a file beyond its limit into `DiskFull`.

    Args:
        what: is being written, in words.
        path: the file; what is free where it lies is said too.
    """
    try:
        yield
    except Exception as problem:  # libraries written in Rust say the system's number in their text alone
        said = re.search(r"os error (\d+)", str(problem))
        code = getattr(problem, "errno", None) or (int(said[1]) if said else 0)
        if code not in _NO_ROOM:
            raise
        there = next(p for p in (path, *path.parents) if p.exists())
        raise DiskFull(what, path, os.strerror(code).lower(), shutil.disk_usage(there).free) from problem


# --- hashes and the cache --------------------------------------------------------------------------


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_hash(text: str) -> str:
    """The first 16 hexadecimal digits of a text's SHA-256: a name for what the text describes."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cache_folder(*parts: str) -> Path:
    """A folder of the cache, which is where SCALING_CACHE says, else the user's own cache folder."""
    named = os.environ.get("SCALING_CACHE")
    if not named:
        import platformdirs  # here, because a worker does without

        named = platformdirs.user_cache_dir("scaling", appauthor=False)
    return Path(named, *parts)


# --- downloads -------------------------------------------------------------------------------------


def download(
    url: str,
    path: Path,
    *,
    sha256: str,
    size: int,
    timeout: float = 30.0,
    show: Callable[[int], None] | None = None,
) -> None:
    """Put the file at a URL where `path` says, if it is the file that was promised; one that is there is not fetched.

    Args:
        url: http or https.
        path: where to; its folder is made.
        sha256: hexadecimal.
        size: in bytes; not much more than this is read.
        timeout: seconds without a byte before giving up.
        show: called with the bytes that have come so far, for a progress bar.

    Raises:
        DownloadFailed: no such file, a cut connection, a redirect to another host, a wrong hash.
        DiskFull: there was no room for it.
    """
    import pooch
    from requests.exceptions import RequestException  # of what pooch is built on

    pooch.get_logger().setLevel("WARNING")
    meter: Any = _Meter(url, size, show)
    hooks = {"response": _refuse}
    fetch: Any = pooch.HTTPDownloader(meter, _PIECE, timeout=timeout, hooks=hooks)
    try:
        with naming_a_full_disk("a download", path):
            pooch.retrieve(url, f"sha256:{sha256}", path.name, path.parent, downloader=fetch)
    except (RequestException, OSError) as problem:
        raise DownloadFailed(url, _first_cause(problem)) from problem
    except ValueError:
        raise DownloadFailed(url, f"its SHA-256 is not {sha256[:12]}…") from None


class _Meter:
    """A progress bar as pooch drives one; it stops a file that is longer than promised."""

    total = 0

    def __init__(self, url: str, size: int, show: Callable[[int], None] | None):
        self.url, self.size, self.show, self.come = url, size, show or (lambda come: None), 0

    def update(self, count: int) -> None:
        self.come += count
        if self.come >= self.size + _PIECE:
            raise DownloadFailed(self.url, f"{self.come:,} bytes or more came, of {self.size:,}")
        self.show(min(self.come, self.size))

    def reset(self) -> None:
        self.come = 0

    def close(self) -> None:
        self.show(self.size)


def _refuse(answer: Any, **_: Any) -> None:
    """Refuse a failure, and a redirect to another host: the hash would catch a wrong file, but not who was asked."""
    if answer.status_code >= 400:
        raise DownloadFailed(answer.url, f"the server answered {answer.status_code} {answer.reason}")
    offered = urlsplit(urljoin(answer.url, answer.headers.get("location", "")))
    if answer.is_redirect and offered[:2] != urlsplit(answer.url)[:2]:
        raise DownloadFailed(answer.url, f"it redirects to another host, {offered.netloc}")


def _first_cause(problem: BaseException) -> str:
    """The words of the error that the others wrap."""
    while problem.__context__:
        problem = problem.__context__
    return getattr(problem, "strerror", None) or str(problem)
