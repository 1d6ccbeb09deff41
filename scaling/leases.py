"""Leases: who is at work on what, so that launchers on one store share the work and none of it is done twice.

A lease is a file that names its holder, and is stamped anew as long as that is alive. It is free again where its holder
is a process of this machine that has died, and where whoever wants it has seen it unchanged for `LEASE_SECONDS` by a
clock of its own: no clock that can be set, and no two machines' clocks, are ever compared. Who looks and then acts does
both under one lock, so of two that find a lease free the first gets it, and the second sees the new one.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from scaling.files import NotWritten, naming_a_full_disk

LEASE_SECONDS = 60.0
"""A lease seen unchanged for so long is free again."""
_seen: dict[Path, tuple[object, float]] = {}
"""Of each lease that was another's when this process met it: how it was stamped then, and when that was."""


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
        return [path for path in paths if _holder(path)[0].get("token") == self.token]


def claim(folder: Path, works: tuple[str, ...]) -> Lease | None:
    """A lease of all the pieces of work; None, and none of them, where another holds one.

    Raises:
        DiskFull, NotWritten: the system does not take it, here and where it is refreshed or given back.
    """
    lease = Lease(folder, works, uuid.uuid4().hex)
    me = {"pid": os.getpid(), "host": socket.gethostname(), "token": lease.token}
    with _lock(folder):
        held = [_is_held(_file(folder, work)) for work in works]  # each is looked at, so that its time runs
        if any(held):
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
    holder, stamp = _holder(path)
    dead = holder.get("host") == socket.gethostname() and not is_alive(holder["pid"])
    if stamp is None or dead:
        _seen.pop(path, None)
        return False
    before, since = _seen.get(path, (None, 0.0))
    if stamp != before:
        since = monotonic()
        _seen[path] = stamp, since
    return monotonic() - since <= LEASE_SECONDS


def _holder(path: Path) -> tuple[dict[str, Any], tuple[object, int] | None]:
    """What a lease says of its holder, nothing where it was cut short or harmed, and its stamp, None without one."""
    try:
        with path.open("rb") as file:
            said, changed = file.read(), os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return {}, None
    try:
        holder = json.loads(said)
        return (holder if isinstance(holder["pid"], int) else {}), (said, changed)
    except (ValueError, TypeError, KeyError):
        return {}, (said, changed)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Only one process at a time: the system lets go of the lock when its holder dies."""
    import fcntl  # not on Windows, where rows can be read and fitted all the same

    try:
        with naming_a_full_disk("a lease", folder):
            folder.mkdir(parents=True, exist_ok=True)
            with folder.with_name(f"{folder.name}.lock").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
    except OSError as problem:
        raise NotWritten("a lease", folder, str(problem)) from problem
