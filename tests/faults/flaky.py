"""A file system as over a bad network: calls fail, hang and fail, or fail once they have done what was asked.

with flaky(0.3, seed=0) as network:
    SharedStore(study, f"flaky://{folder}")
network.failed, network.hung, network.unanswered      # counts
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

_ON_ITS_WAY = ".way"


@dataclass
class Network:
    """How it fails, and how often it has."""

    share: float
    """Of calls that fail: four in ten at once, two after they have hung, four once they have done it."""
    hangs: float = 0.01
    """Seconds."""
    rng: random.Random = field(default_factory=random.Random)
    calls: int = 0
    failed: int = 0
    hung: int = 0
    unanswered: int = 0
    _lock: Any = field(default_factory=threading.Lock)

    @property
    def faults(self) -> int:
        """Calls that failed in whatever way."""
        return self.failed + self.hung + self.unanswered

    def carry(self, act: Callable[[], Any]) -> Any:
        """What an act gives, or a fault."""
        with self._lock:
            self.calls += 1
            u = self.rng.random() / self.share if self.share else 1.0
            fails, hangs, after = u < 0.4, 0.4 <= u < 0.6, 0.6 <= u < 1.0
            self.failed, self.hung, self.unanswered = (
                self.failed + fails,
                self.hung + hangs,
                self.unanswered + after,
            )
        if fails:
            raise ConnectionResetError("the connection was reset")
        if hangs:
            time.sleep(self.hangs)
            raise TimeoutError("no answer")
        given = act()
        if after:
            raise TimeoutError("no answer, though it was done")
        return given


class Flaky(LocalFileSystem):
    """Files of this machine, reached by the network that is set."""

    protocol = "flaky"
    cachable = False
    network = Network(0.0)

    def __init__(self, **options: Any):
        super().__init__(auto_mkdir=True, **options)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return super()._strip_protocol(str(path).removeprefix("flaky://"))

    def ls(self, path: str, detail: bool = False, **options: Any) -> Any:
        listed = self.network.carry(lambda: super(Flaky, self).ls(path, detail=detail, **options))
        return [about for about in listed if not (about["name"] if detail else about).endswith(_ON_ITS_WAY)]

    def cat_file(self, path: str, *arguments: Any, **options: Any) -> Any:
        return self.network.carry(lambda: super(Flaky, self).cat_file(path, *arguments, **options))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> Any:
        return self.network.carry(lambda: self._put(Path(self._strip_protocol(path)), value, mode))

    def rm_file(self, path: str) -> Any:
        return self.network.carry(lambda: super(Flaky, self).rm_file(path))

    @staticmethod
    def _put(path: Path, value: bytes, mode: str) -> None:
        """All of it or nothing, and with "create" for one alone, as object stores do."""
        path.parent.mkdir(parents=True, exist_ok=True)
        way = path.with_name(f"{uuid.uuid4().hex}{_ON_ITS_WAY}")
        way.write_bytes(value)
        try:
            path.hardlink_to(way) if mode == "create" else way.replace(path)
        finally:
            way.unlink(missing_ok=True)


@contextmanager
def flaky(share: float, *, seed: int = 0, hangs: float = 0.01) -> Iterator[Network]:
    """Reach "flaky://" by such a network."""
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    before, Flaky.network = Flaky.network, Network(share, hangs, random.Random(seed))
    try:
        yield Flaky.network
    finally:
        Flaky.network = before
