"""Where a sweep's workers run: an engine starts them, hears them and stops them. Here, processes of this machine.

Ray or Slurm can stand behind the same two interfaces: the job file names everything that a worker needs, and all that
it does is in the store.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol

Hear = Callable[[dict[str, Any]], None]
"""Takes what a worker says, a dictionary at a time; called from any thread."""
EXIT_STOPPED = 3
"""A worker was asked to stop, or its launcher is gone; everything is resumable."""
EXIT_NO_ROOM = 4
"""A worker had no room on the disk or in the memory, and said so; everything is resumable, but not as it is."""


class Task(Protocol):
    """A worker on its way."""

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
    """Starts workers somewhere."""

    def start(self, job: Path, log: Path, hear: Hear) -> Task:
        """A worker on a job file (see `worker.main`), its errors appended to a log."""
        ...


class LocalEngine:
    """Processes of this machine, one thread each; on GPUs, a GPU each."""

    def __init__(self, ranks: int = 1, gpus: int = 0):
        self.ranks, self.gpus = ranks, range(gpus)
        self.tasks: list[_LocalTask] = []

    def start(self, job: Path, log: Path, hear: Hear) -> Task:
        """A process in a session of its own: Ctrl-C reaches the launcher alone, which then asks the workers to stop."""
        gpus = self._least_busy()
        only = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))} if gpus else {}
        with log.open("a") as errors:
            process = subprocess.Popen(
                [sys.executable, *self._ranks(), "-m", "scaling.train.worker", str(job)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} | only,
                start_new_session=True,
            )
        self.tasks.append(_LocalTask(process, hear, gpus))
        return self.tasks[-1]

    def _ranks(self) -> list[str]:
        """Through torchrun, where a stack has several processes."""
        if self.ranks == 1:
            return []
        return ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={self.ranks}"]

    def _least_busy(self) -> list[int]:
        """A GPU for each rank; with more workers than GPUs some are shared."""
        busy = Counter(gpu for task in self.tasks if task.process.poll() is None for gpu in task.gpus)
        return sorted(self.gpus, key=lambda gpu: busy[gpu])[: self.ranks]


class _LocalTask:
    """A process, and the thread that reads what it says."""

    def __init__(self, process: subprocess.Popen[str], hear: Hear, gpus: list[int]):
        self.process, self.hear, self.gpus = process, hear, gpus
        self.reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self.reader.start()

    def poll(self) -> int | None:
        status = self.process.poll()
        if status is not None:
            self.reader.join()
        return status

    def stop(self) -> None:
        self.process.terminate()

    def end(self, seconds: float) -> None:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join()

    def _read(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                try:
                    self.hear(json.loads(line))
                except json.JSONDecodeError:
                    continue  # a line cut short by a kill
