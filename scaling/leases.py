"""Leases: who is at work on what, so that launchers on one store share the work and none of it is done twice.

A lease is a file that names its holder, and is stamped anew as long as that is alive. It is free again where its holder
is a process of this machine that has died, and where whoever wants it has seen it unchanged for `LEASE_SECONDS` by a
clock of its own: no clock that can be set, and no two machines' clocks, are ever compared. Who looks and then acts does
both under one lock, so of two that find a lease free the first gets it, and the second sees the new one.
"""

from __future__ import annotations

import json
import math
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from scaling.files import NotWritten, naming_a_full_disk

LEASE_SECONDS = 60.0
"""A lease seen unchanged for so long is free again."""
_LOOK_SECONDS = 1.0
"""Between two looks at all leases of an object store."""
_VERSION = ("ETag", "etag", "generation", "LastModified", "mtime", "created", "size")
"""What file systems say of an object that changes when it is written anew; each says some of it."""
_seen: dict[Path, tuple[object, float]] = {}
"""Of each lease that was another's when this process met it: how it was stamped then, and when that was."""


class Held(Protocol):
    """A lease of whatever kind."""

    def refresh(self) -> bool:
        """Say that the holder is alive; false where a piece is no longer its own, as after a long sleep."""
        ...

    def release(self) -> None:
        """Give back what is still the holder's."""
        ...


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
    looked = monotonic()
    holder, stamp = _holder(path)
    dead = holder.get("host") == socket.gethostname() and not is_alive(holder["pid"])
    if stamp is None or dead:
        _seen.pop(path, None)
        return False
    before, since = _seen.get(path, (None, 0.0))
    if stamp != before:
        since = monotonic()
        _seen[path] = stamp, since
    return looked - since <= LEASE_SECONDS


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


# --- in an object store -----------------------------------------------------------------------------


class ObjectLeases:
    """Leases in an object store, which knows neither locks nor a common clock: only "write where nothing is".

    Each claim of a piece of work makes an object with the next number, and of two who try for one number the store
    refuses one; whoever has the highest number is the holder. The holder writes its object anew to say that it is
    alive, and writes into it that it has given it back. A lease is free again where who wants it has seen it unchanged
    for `LEASE_SECONDS` of a clock of its own, from the end of one look to the start of another, so that clocks may
    differ or step and a look may take long.

        <root>/<work>/<number>
    """

    def __init__(self, files: Any, root: str):
        """Of a file system of fsspec, and a folder in it."""
        self.files, self.root = files, root
        self.given_up: set[str] = set()
        """Tokens of its own leases, whether or not the store has heard of it."""
        self._sights: dict[str, _Sight] = {}
        self._looked = -math.inf
        self._newest: dict[str, _Sight] = {}

    def claim(self, works: tuple[str, ...]) -> ObjectLease | None:
        """A lease of all the pieces of work; None, and none of them, where another holds one."""
        newest = self._look()
        if any(work in newest and self._is_held(newest[work]) for work in works):
            return None
        lease = ObjectLease(self, {}, uuid.uuid4().hex)
        self._looked = -math.inf
        with ExitStack() as undo:
            undo.callback(lease.release)  # also where the store stops answering
            for work in sorted(works):
                number = newest[work].number + 1 if work in newest else 0
                lease.paths[work] = f"{self.root}/{work}/{number:09d}"
                try:
                    self._create(lease.paths[work], lease.text(0))
                except FileExistsError:
                    return None
            if not (lease.is_newest() and lease.is_own()):
                return None
            for work in works:
                self._remove_before(work, lease.paths[work])
            undo.pop_all()
        return lease

    def _create(self, path: str, text: bytes) -> None:
        """Write an object where there is none; FileExistsError where there is."""
        try:
            self.files.pipe_file(path, text, mode="create")
        except FileNotFoundError:  # a file system with folders
            self.files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self.files.pipe_file(path, text, mode="create")

    def objects(self, work: str) -> list[str]:
        """The paths of a piece of work, the holder's last."""
        with suppress(FileNotFoundError):
            return sorted(self.files.find(f"{self.root}/{work}"))
        return []

    def _look(self) -> dict[str, _Sight]:
        """The newest object of each piece of work, as it was a moment ago at most."""
        if monotonic() - self._looked < _LOOK_SECONDS:
            return self._newest
        looked = monotonic()
        listed: dict[str, Any] = {}
        with suppress(FileNotFoundError):
            listed = self.files.find(self.root, detail=True)
        newest: dict[str, _Sight] = {}
        for path, about in sorted(listed.items()):
            work, _, number = path.removeprefix(self.root).strip("/").rpartition("/")
            version = tuple(str(about.get(field)) for field in _VERSION)
            before = self._sights.get(path)
            if before is None or before.version != version:
                before = _Sight(path, int(number), version, monotonic())
            newest[work] = before
        self._sights = {sight.path: sight for sight in newest.values()}
        self._newest, self._looked = newest, looked
        return newest

    def _is_held(self, sight: _Sight) -> bool:
        if self._looked - sight.since > LEASE_SECONDS:
            return False
        if sight.holder is None:
            sight.holder = self.holder(sight.path)
        if sight.holder.get("token") in self.given_up:
            return False
        if sight.holder.get("host") == socket.gethostname():
            return is_alive(sight.holder["pid"])
        return not sight.holder.get("released")

    def holder(self, path: str) -> dict[str, Any]:
        """What an object says of its holder; nothing where there is none."""
        with suppress(FileNotFoundError, ValueError):
            return json.loads(self.files.cat_file(path))
        return {}

    def _remove_before(self, work: str, mine: str) -> None:
        for path in self.objects(work):
            if path.rpartition("/")[2] < mine.rpartition("/")[2]:
                with suppress(FileNotFoundError):
                    self.files.rm_file(path)


@dataclass
class _Sight:
    """An object as it was seen last, and when it was first seen so."""

    path: str
    number: int
    version: tuple[str, ...]
    since: float
    holder: dict[str, Any] | None = None


@dataclass
class ObjectLease:
    """Pieces of work that one holder has claimed together in an object store; another's lease is never touched."""

    leases: ObjectLeases
    paths: dict[str, str]
    token: str
    beats: int = 0

    def text(self, beats: int) -> bytes:
        """What an object of this lease says; another text at each beat."""
        me = {"pid": os.getpid(), "host": socket.gethostname(), "token": self.token, "beats": beats}
        return json.dumps(me).encode()

    def is_newest(self) -> bool:
        """Whether nobody has claimed a piece of it since."""
        return all(self.leases.objects(work)[-1:] == [mine] for work, mine in self.paths.items())

    def is_own(self) -> bool:
        """Whether every object is its own; a store that knows no "write where nothing is" says so here."""
        return all(self.leases.holder(path).get("token") == self.token for path in self.paths.values())

    def refresh(self) -> bool:
        """Say that the holder is alive; false where a piece is no longer its own, as after a long sleep."""
        if not self.is_newest():
            return False
        self.beats += 1
        for path in self.paths.values():
            self.leases.files.pipe_file(path, self.text(self.beats))
        return True

    def release(self) -> None:
        """Give back what is still the holder's."""
        self.leases.given_up.add(self.token)
        for path in self.paths.values():
            if self.leases.holder(path).get("token") == self.token:
                self.leases.files.pipe_file(path, b'{"released": true}')
