"""A file system of fsspec that is asked again where it fails, as one over a network does now and then."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TRIES = 5
"""Of each call."""
_PAUSE_SECONDS = 0.1
"""After a call that failed, twice as long after each further one, and by chance up to as long again."""
_ENOUGH_SECONDS = 20.0
"""A call that has taken so long, its tries together, is not tried again: leases want to be refreshed."""
_ANSWERS = (
    AttributeError, FileExistsError, FileNotFoundError, IsADirectoryError, LookupError, NotADirectoryError,
    PermissionError, TypeError, ValueError,
)  # fmt: skip
"""What would be said again."""


@dataclass(frozen=True)
class Objects:
    """What stores and leases need of a file system, each call tried `TRIES` times.

    A call that has done its work, but whose answer was lost, may be made again: what is written is the same, and an
    object that is to be new and has been written so by this very call is taken as written.
    """

    files: Any

    def find(self, folder: str, *, detail: bool = False) -> Any:
        """The paths of all files below a folder, in order, or a dictionary of them and what is said of each.

        Raises:
            FileNotFoundError: there is no such folder, or no file in it, as some systems say and others do not.
        """

        def not_missed(problem: Exception) -> None:
            if not isinstance(problem, FileNotFoundError):
                raise problem

        # of these two, where what cannot be listed counts as empty
        walks = _owner(self.files, "find") in ("AbstractFileSystem", "AsyncFileSystem")
        options = {"on_error": not_missed} if walks else {}
        return self._again(lambda: self.files.find(folder, detail=detail, **options))

    def cat(self, paths: list[str]) -> dict[str, bytes]:
        """The contents of files; those that have gone meanwhile are left out."""

        def read() -> dict[str, bytes]:
            contents = self.files.cat(paths, on_error="return")
            problems = [got for got in contents.values() if isinstance(got, Exception)]
            for problem in problems:
                if not isinstance(problem, FileNotFoundError):
                    raise problem
            return {path: got for path, got in contents.items() if isinstance(got, bytes)}

        return self._again(read) if paths else {}

    def cat_file(self, path: str) -> bytes:
        """The contents of a file."""
        return self._again(lambda: self.files.cat_file(path))

    def pipe_file(self, path: str, content: bytes, *, mode: str = "overwrite") -> None:
        """Write a file; with mode "create" only where there is none.

        Raises:
            FileExistsError: there is one, of other contents.
        """

        def write() -> None:
            try:
                if mode == "create" and _owner(self.files, "pipe_file") == "AbstractFileSystem":
                    with self.files.open(path, "xb") as file:  # as that one looks and then writes
                        file.write(content)
                else:
                    self.files.pipe_file(path, content, mode=mode)
            except FileExistsError:
                if self.files.cat_file(path) != content:
                    raise

        self._again(write)

    def rm_file(self, path: str) -> None:
        """Remove a file; FileNotFoundError where there is none."""
        self._again(lambda: self.files.rm_file(path))

    def makedirs(self, path: str, *, exist_ok: bool) -> None:
        """Make a folder, on a file system that has them."""
        self._again(lambda: self.files.makedirs(path, exist_ok=exist_ok))

    def _again(self, act: Callable[[], Any]) -> Any:
        started, tried = time.monotonic(), 0
        while True:
            try:
                return act()
            except _ANSWERS:
                raise
            except Exception:  # each system has its own: OSError, botocore's, aiohttp's, asyncio.TimeoutError
                tried += 1
                if tried == TRIES or time.monotonic() - started > _ENOUGH_SECONDS:
                    raise
            time.sleep(_PAUSE_SECONDS * 2 ** (tried - 1) * (1 + random.random()))


def _owner(files: Any, method: str) -> str:
    """The class of fsspec that a file system has a method from."""
    kind = type(files)
    return getattr(kind, f"_{method}", getattr(kind, method)).__qualname__.partition(".")[0]
