"""A store that machines without a common disk share: S3, or whatever else fsspec knows by a URL.

    <url>/<study>/study.toml, asked            what was asked
    <url>/<study>/rows/<trunk>.<writer>.jsonl  rows, in files of each writer's own: none writes over another's
    <url>/<study>/checkpoints/<stack>/…        state of stacks under way, and jobs/<stack>.json beside
    <url>/<study>/weights/<run>.safetensors    of finished runs, where the study keeps them
    <url>/<study>/leases/<trunk>/<number>      who is at work on what

Each machine works in its local folder as ever, and brings here and sends there what others need to see.
"""

from __future__ import annotations

import importlib
import math
import os
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from scaling.errors import RecordError, ScalingError, check_installed
from scaling.files import cache_folder, short_hash, written_whole
from scaling.leases import LEASE_SECONDS, ObjectLease, ObjectLeases
from scaling.records import MissingRuns
from scaling.store.objects import Objects
from scaling.store.rows import Store
from scaling.study import Study, read_study

T = TypeVar("T")

PATIENCE_SECONDS = 300.0
"""That a launcher waits for a store which does not answer, before it gives up sending what it has made."""
PAUSE_SECONDS = 5.0


class StoreUnreachable(RecordError):
    """A shared store that does not answer, or refuses."""

    url: str
    reason: str

    def __str__(self) -> str:
        return (
            f"asked for the store {self.url}, but it cannot be read and written ({self.reason}). Name a bucket that is "
            "there, with credentials that may list, read and write it (for S3 AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, and AWS_ENDPOINT_URL where it is not Amazon's). What was made here is kept; type "
            "the same command again."
        )


@dataclass(frozen=True)
class SharedStore(Store):
    """Rows, leases and working files of one study, those of other machines among them."""

    url: str
    """Of the folder of stores; the study's own is in it."""
    _known: dict[str, Any] = field(default_factory=dict)
    """What each object was when it was brought, and each file when it was sent."""
    _seen: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    """The lines of each trunk that the store has."""
    _writer: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    # --- what a store does ---------------------------------------------------------------------------

    def check_unchanged(self) -> None:
        """As of any store, of what other machines have asked too.

        Raises:
            StoreUnreachable: the store cannot be read and written.
        """
        with self._reaching():
            self._files.pipe_file(f"{self._root}/writable", b"")  # or it says now that it is not
            parents = any(trunk.parent_trunk for trunk in self.study.trunks)
            self._bring("rows", "jobs", "checkpoints", *(["weights"] if parents else []))
            self._send_rows(path.stem for path in self.local.glob("rows/*.jsonl"))
            before = self._read("asked") if any(self.local.glob("rows/*.jsonl")) else None
        if before:
            self.refuse_if_lost(before)
        super().check_unchanged()

    def remember_study(self) -> None:
        super().remember_study()
        with self._reaching():
            self._files.pipe_file(f"{self._root}/asked", (self.local / "asked").read_bytes())
            text = (self.study.folder / "study.toml").read_bytes()
            self._files.pipe_file(f"{self._root}/study.toml", text)

    def finished(self, *, here: bool = False, trunks: Iterable[str] | None = None) -> set[str]:
        with self._reaching():
            self._bring("rows")
        return super().finished(here=here, trunks=trunks)

    def claim(self, *works: str) -> PatientLease | None:
        with self._reaching():
            lease = self._leases.claim(works)
        return lease and PatientLease(lease)

    def bring(self, stack: str, runs: Iterable[str]) -> None:
        with self._reaching():
            self._bring(f"checkpoints/{stack}", *(f"weights/{run}.safetensors" for run in runs))

    def send(self, stack: str, trunks: Iterable[str], runs: Iterable[str], *, done: bool) -> Future[None]:
        """In a thread, so that leases are refreshed meanwhile; with patience where the stack is done."""
        return self._sender.submit(self._send_stack, stack, [*trunks], [*runs], PATIENCE_SECONDS * done)

    def _send_stack(self, stack: str, trunks: list[str], runs: list[str], patience: float) -> None:
        deadline = time.monotonic() + patience
        while True:
            try:
                with self._reaching():
                    self._send_rows(trunks)
                    self._send(*(f"weights/{run}.safetensors" for run in runs))
                    return self._send_state(stack)
            except StoreUnreachable:
                if time.monotonic() > deadline:
                    if patience:
                        raise
                    return None
                time.sleep(PAUSE_SECONDS)

    # --- objects -------------------------------------------------------------------------------------

    @cached_property
    def _root(self) -> str:
        return f"{_open(self.url)[1]}/{self.study.folder.resolve().name}"

    @cached_property
    def _files(self) -> Objects:
        return _open(self.url)[0]

    @cached_property
    def _sender(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1)

    @cached_property
    def _leases(self) -> ObjectLeases:
        return ObjectLeases(self._files, f"{self._root}/leases")

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        with naming_the_store(self.url):
            yield

    def _read(self, name: str) -> str | None:
        with suppress(FileNotFoundError):
            return self._files.cat_file(f"{self._root}/{name}").decode()
        return None

    def _bring(self, *names: str) -> None:
        """Files and folders as they are there now, into the local folder; rows are added to those that are here."""
        for name in names:
            there: dict[str, Any] = {}
            with suppress(FileNotFoundError):
                there = self._files.find(f"{self._root}/{name}", detail=True)
            new = {path: _version(about) for path, about in there.items()}
            new = {path: version for path, version in new.items() if self._known.get(path) != version}
            for path, content in self._files.cat(list(new)).items():
                local = self.local / path.removeprefix(self._root).strip("/")
                if name == "rows":
                    trunk = local.name.partition(".")[0]
                    _add_lines(local.with_name(f"{trunk}.jsonl"), content)
                    self._seen[trunk] |= set(content.splitlines())
                elif not local.exists():
                    with written_whole(local, "a file of the shared store") as scratch:
                        scratch.write_bytes(content)
                self._known[path] = new[path]

    def _send(self, *names: str) -> None:
        """Files of the local folder that have changed since they were sent."""
        for name in names:
            file, path = self.local / name, f"{self._root}/{name}"
            if file.exists() and self._known.get(name) != (state := _state(file)):
                self._files.pipe_file(path, file.read_bytes())
                self._known[name] = state

    def _send_rows(self, trunks: Iterable[str]) -> None:
        """Rows that were made here, into this writer's own objects."""
        for trunk in trunks:
            file, name = self.local / "rows" / f"{trunk}.jsonl", f"rows/{trunk}"
            if not file.exists() or self._known.get(name) == (state := _state(file)):
                continue
            lines = set(file.read_bytes().splitlines())
            if lines - self._seen[trunk]:
                self._files.pipe_file(f"{self._root}/rows/{trunk}.{self._writer}.jsonl", file.read_bytes())
                self._seen[trunk] |= lines
            self._known[name] = state

    def _send_state(self, stack: str) -> None:
        """The checkpoints of a stack and its job; what is no longer here is removed there."""
        folder = f"checkpoints/{stack}"
        here = {str(path.relative_to(self.local)) for path in self.local.glob(f"{folder}/**/step-*")}
        for name in sorted(here):
            with suppress(FileNotFoundError):  # its worker has just removed it
                self._send(name)
        if here:
            self._send(f"jobs/{stack}.json")
        with suppress(FileNotFoundError):
            for path in self._files.find(f"{self._root}/{folder}"):
                if path.removeprefix(self._root).strip("/") not in here:
                    self._files.rm_file(path)


@dataclass
class PatientLease:
    """A lease in a store that may be out of reach for a while: it is held as long as no other can have taken it."""

    lease: ObjectLease
    refreshed: float = field(default_factory=time.monotonic)

    def refresh(self) -> bool:
        """As of any lease."""
        now = time.monotonic()
        try:
            with naming_the_store(self.lease.leases.root):
                whole = self.lease.refresh()
        except StoreUnreachable:
            return now - self.refreshed < LEASE_SECONDS / 2
        self.refreshed = now
        return whole

    def release(self) -> None:
        """Give it back; where the store is out of reach, it runs out."""
        with suppress(StoreUnreachable), naming_the_store(self.lease.leases.root):
            self.lease.release()


@dataclass
class Patience:
    """Of a launcher with a store that does not answer: what is under way goes on, and it is asked again."""

    failing: float | None = None
    """Since when."""
    again: float = -math.inf
    """When it is asked next."""

    def attempt(self, act: Callable[[], T]) -> T | None:
        """What an act that asks the store gives; None where it did not answer, and until it is asked again.

        Raises:
            StoreUnreachable: it has not answered for `PATIENCE_SECONDS`.
        """
        now = time.monotonic()
        if now < self.again:
            return None
        try:
            given = act()
        except StoreUnreachable:
            self.failing = now if self.failing is None else self.failing
            self.again = time.monotonic() + PAUSE_SECONDS
            if self.again - self.failing > PATIENCE_SECONDS:
                raise
            return None
        self.failing = None
        return given


def shared_or_own(study: Study, url: str | None) -> Store:
    """The store that machines share by a URL; without one, this machine's own."""
    return SharedStore(study, url) if url else Store(study)


def open_shared(url: str) -> SharedStore:
    """The store of a study by its URL, e.g. "s3://bucket/prefix/quickstart", brought into the cache.

    Raises:
        MissingRuns: there is no such study.
        StoreUnreachable: the store cannot be read.
    """
    above, _, name = url.rstrip("/").rpartition("/")
    with naming_the_store(url):
        files, root = _open(above)
        try:
            text = files.cat_file(f"{root}/{name}/study.toml")
        except FileNotFoundError:
            raise MissingRuns(url, f"Sweep a study into it: scaling sweep STUDY --store {above}") from None
        folder = cache_folder("stores", short_hash(above), "runs", name)
        with written_whole(folder / "study.toml", "the study") as scratch:
            scratch.write_bytes(text)
        store = SharedStore(read_study(folder), above)
        store._bring("rows")
    return store


@contextmanager
def naming_the_store(url: str) -> Iterator[None]:
    """Turn whatever a file system of fsspec raises into `StoreUnreachable`."""
    try:
        yield
    except (ScalingError, AttributeError, TypeError, LookupError):
        raise
    except Exception as problem:  # each has its own: OSError, botocore's, aiohttp's, asyncio.TimeoutError
        raise StoreUnreachable(url, f"{type(problem).__name__}: {problem}".partition("\n")[0]) from problem


def _open(url: str) -> tuple[Objects, str]:
    """The file system of a URL, and the path in it.

    Raises:
        MissingPackage: fsspec, or what it needs for such a URL, is not installed.
    """
    protocol = url.partition("://")[0]
    check_installed("s3", "fsspec", *(["s3fs"] if protocol in ("s3", "s3a") else []))
    fsspec: Any = importlib.import_module("fsspec")
    options = {"use_listings_cache": False, "auto_mkdir": True} if protocol in ("file", "local") else {}
    if protocol in ("s3", "s3a"):
        times = {"connect_timeout": 10, "read_timeout": 20, "retries": {"max_attempts": 1}}
        options = {"use_listings_cache": False, "config_kwargs": times}
    files, root = fsspec.core.url_to_fs(url, **options)
    return Objects(files), root.rstrip("/")


def _version(about: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(about.get(name)) for name in ("ETag", "LastModified", "mtime", "created", "size"))


def _state(file: Path) -> tuple[int, int]:
    about = file.stat()
    return about.st_mtime_ns, about.st_size


def _add_lines(file: Path, content: bytes) -> None:
    """Add the lines that a file lacks; a last one that was cut short is none."""
    here = file.read_bytes() if file.exists() else b""
    known = set(here.splitlines())
    new = [
        line
        for line in content.splitlines(keepends=True)
        if line.endswith(b"\n") and line.rstrip(b"\n") not in known
    ]
    if new:
        torn = b"\n" if here and not here.endswith(b"\n") else b""
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as opened:
            opened.write(torn + b"".join(new))
            opened.flush()
            os.fsync(opened.fileno())
