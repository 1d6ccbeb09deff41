"""Leases: who is at work on what, so that launchers on one store share the work and none of it is done twice.

A lease is a file that names its holder. It is free again where it has not been refreshed for `LEASE_SECONDS`, and where
its holder is a process of this machine that has died. Who looks and then acts does both under one lock, so of two that
find a lease expired the first gets it, and the second sees the new one.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEASE_SECONDS = 60.0
"""A lease not refreshed for so long is free again."""


@dataclass(frozen=True)
class Lease:
    """Pieces of work that one holder has claimed together; another's lease is never touched."""

    folder: Path
    works: tuple[str, ...]
    token: str

    def refresh(self) -> bool:
        """Say that the holder is alive; false where a piece is no longer its own, as after a long sleep."""
        with _lock(self.folder):
            mine = self._mine()
            for path in mine:
                os.utime(path)
        return len(mine) == len(self.works)

    def release(self) -> None:
        """Give back what is still the holder's."""
        with _lock(self.folder):
            for path in self._mine():
                path.unlink()

    def _mine(self) -> list[Path]:
        paths = (_file(self.folder, work) for work in self.works)
        return [path for path in paths if _holder(path).get("token") == self.token]


def claim(folder: Path, works: tuple[str, ...]) -> Lease | None:
    """A lease of all the pieces of work; None, and none of them, where another holds one."""
    folder.mkdir(parents=True, exist_ok=True)
    lease = Lease(folder, works, uuid.uuid4().hex)
    me = {"pid": os.getpid(), "host": socket.gethostname(), "token": lease.token}
    with _lock(folder):
        if any(_is_held(_file(folder, work)) for work in works):
            return None
        for work in works:
            _file(folder, work).write_text(json.dumps(me))
    return lease


def is_alive(pid: int) -> bool:
    """Whether this machine has such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _file(folder: Path, work: str) -> Path:
    return folder / f"{work}.json"


def _is_held(path: Path) -> bool:
    if not path.exists():
        return False
    holder = _holder(path)
    if holder.get("host") == socket.gethostname() and not is_alive(holder["pid"]):
        return False
    return time.time() - path.stat().st_mtime <= LEASE_SECONDS


def _holder(path: Path) -> dict[str, Any]:
    """What a lease says of its holder; nothing where there is none, or one cut short by a kill."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Only one process at a time: the system lets go of the lock when its holder dies."""
    import fcntl  # not on Windows, where rows can be read and fitted all the same

    with folder.with_name(f"{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
