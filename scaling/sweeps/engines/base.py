"""What an engine is: it says what it has, and starts workers there.

Each stands behind one of two interfaces in a file of its own. An `Engine` starts workers for the launcher here: a job
file names everything that one needs, and all that it does is in the store. A `Fleet` starts launchers elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from scaling.errors import BadOption
from scaling.sweeps.job import Message
from scaling.sweeps.mode import PLAIN, PRECISIONS, Mode

Hear = Callable[[Message], None]
"""Takes what a worker says, a message at a time; called from any thread."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a user may say of how a sweep is computed; the rest follows from the engine and the model.

    Raises:
        BadOption: a precision that there is not, or no worker or rank.
    """

    workers: int | None = None
    """Stacks at once; as many as the engine has room for by default."""
    device: str = "auto"
    """One of "auto", "cpu" and "cuda"."""
    precision: str = "auto"
    """The default, "auto", is bf16 on a GPU, fp32 elsewhere."""
    graph: bool = True
    """On a GPU, where a run is not spread over several."""
    compile: bool = False
    ranks: int = 1
    """Processes, each with its core or GPU, that compute one stack's gradients together."""

    def __post_init__(self) -> None:
        if self.precision not in ("auto", *PRECISIONS):
            raise BadOption("precision", self.precision, " or ".join(map(repr, ("auto", *PRECISIONS))))
        if self.ranks < 1:
            raise BadOption("ranks", self.ranks, "at least 1")
        if self.workers is not None and self.workers < 1:
            raise BadOption("workers", self.workers, "at least 1")

    def mode(self, passes: int, *, gpu: bool) -> Mode:
        """For a stack that needs so many passes."""
        automatic = "bf16" if gpu else "fp32"
        return Mode(
            precision=automatic if self.precision == "auto" else self.precision,
            passes=passes,
            graph=self.graph and gpu and self.ranks == 1,
            compile=self.compile,
        )


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What an engine has for what was asked."""

    workers: int = 1
    """Stacks that can train at once."""
    device: str = "cpu"
    """What a job is told: "cpu" or "cuda"."""
    device_name: str = ""
    """What rows will say in `Run.device`."""
    memory: float = math.inf
    """Bytes that one process may plan with."""
    ceiling: float | None = None
    """FLOP/s of a plain matrix product in one worker; None where that says little of a step, as on a GPU."""
    start_seconds: float = 0.0
    """From the start of a worker to its first job."""
    mode: Mode = PLAIN
    """How workers compute where a batch fits into memory."""
    ranks: int = 1
    """Processes that share each batch."""
    launchers: int = 1
    """That share the study alike, each with as many workers; stacks are cut for the workers of all."""

    @property
    def gpu(self) -> bool:
        """Whether workers train on a GPU."""
        return self.device == "cuda"


class Worker(Protocol):
    """A worker that takes one job after another."""

    def take(self, job: Path) -> None:
        """Give it a job file; only after it has said that it is done with the one before."""
        ...

    def poll(self) -> int | None:
        """Its exit status once it has ended and all that it said was heard; None before."""
        ...

    def stop(self) -> None:
        """Ask it to save its state and end."""
        ...

    def end(self, seconds: float) -> None:
        """Wait until it has ended; after so many seconds make it."""
        ...


class Engine(Protocol):
    """A place where workers run. A worker ends by itself, its state saved, when its launcher is gone."""

    def capacity(self, asked: Asked) -> Capacity:
        """What there is for what is asked.

        Raises:
            DeviceNotFound: CUDA was asked for and is absent.
        """
        ...

    def start(self, asked: Asked, log: Path, hear: Hear) -> Worker:
        """A worker, its errors appended to a log (see `train.worker`)."""
        ...


@dataclass(frozen=True)
class Elsewhere:
    """What launchers on other machines are to carry out, as `sweep` takes it."""

    study: str
    """The path of its folder, which they see too."""
    asked: Asked
    here: bool
    store: str | None


class Launched(Protocol):
    """Launchers on other machines; each ends by itself when the study is done, or when it has failed."""

    def left(self) -> int:
        """How many wait or run."""
        ...

    def stop(self) -> None:
        """Ask them to save their state and end."""
        ...

    def tail(self) -> tuple[Path, str]:
        """A log, and what a launcher that failed said last."""
        ...


@runtime_checkable
class Fleet(Protocol):
    """A place where launchers run, which find in the store what no other has taken; here they are only watched."""

    def capacity(self, asked: Asked) -> Capacity:
        """What they have together."""
        ...

    def launch(self, what: Elsewhere, folder: Path) -> Launched:
        """Start them, or take up those that an earlier command has started; the folder is the store's."""
        ...
