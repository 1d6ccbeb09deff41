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
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol

Hear = Callable[[dict[str, Any]], None]
"""Takes what a worker says, a dictionary at a time; called from any thread."""
EXIT_STOPPED = 3
"""A worker was asked to stop, or its launcher is gone; everything is resumable."""
EXIT_DISK_FULL = 4
"""A worker had no room for a row or a checkpoint, and said so; everything is resumable."""


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
    """Processes of this machine, one thread each."""

    def start(self, job: Path, log: Path, hear: Hear) -> Task:
        """A process in a session of its own: Ctrl-C reaches the launcher alone, which then asks the workers to stop."""
        with log.open("a") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "scaling.train.worker", str(job)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                start_new_session=True,
            )
        return _LocalTask(process, hear)


class _LocalTask:
    """A process, and the thread that reads what it says."""

    def __init__(self, process: subprocess.Popen[str], hear: Hear):
        self.process, self.hear = process, hear
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
