"""A process of a sweep: it carries out one job after another, until its launcher has no more, or is gone.

    python -m scaling.train.worker

Its input is the path of a job file a line, its output a message a line (see `sweeps.job`). The end of its input tells
it to stop: the system closes the pipe when the launcher dies, however it dies.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from scaling.sweeps.job import EXIT_STOPPED, Job, Message

_GRACE_SECONDS = 10.0
"""That a rank above 0 gives rank 0 to save the state and let it go."""


class Launcher:
    """The other end of a worker's pipes, watched by a thread."""

    def __init__(self, jobs: FileIO, *, grace: float | None = None):
        self.jobs, self.grace = jobs, grace
        self.waiting: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self.gone = threading.Event()
        self.busy = False
        threading.Thread(target=self._read, daemon=True).start()

    def __iter__(self) -> Iterator[Job]:
        """Jobs, as they come."""
        while path := self.waiting.get():
            self.busy = True
            yield Job.read(path)
            self.busy = False

    def stop(self, *_: object) -> None:
        """There is no more to do but to save what is under way; where nothing is, the process ends here."""
        self.gone.set()
        self.waiting.put(None)
        if not self.busy:
            os._exit(EXIT_STOPPED)

    def say(self, message: Message) -> None:
        """Tell it something, if it still listens."""
        try:
            print(message, flush=True)
        except BrokenPipeError:
            self.gone.set()

    def _read(self) -> None:
        for line in self.jobs:
            self.waiting.put(Path(line.decode().rstrip("\n")))
        self.stop()
        if self.grace is not None:
            time.sleep(self.grace)
            os._exit(EXIT_STOPPED)


def _die_with_parent(sent: int) -> None:
    """Have the system send a signal when the launcher dies, or 0 for none; elsewhere the pipe's end says so later."""
    set_parent_death_signal = 1  # as Linux numbers it
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(set_parent_death_signal, sent)


def main() -> int:
    """Carry out jobs until there are no more.

    With ranks, which find each other as under torchrun, rank 0 trains and writes, and the others compute their shares
    of its gradients.

    Returns:
        The exit status: that of the first job that did not go well, 0 or `EXIT_STOPPED` without one.
    """
    follows = int(os.environ.get("RANK", "0")) > 0
    pipe = FileIO(0)  # not sys.stdin, which locks at exit
    launcher = Launcher(pipe, grace=_GRACE_SECONDS if follows else None)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if follows else launcher.stop)
    signal.signal(
        signal.SIGUSR2, signal.SIG_IGN
    )  # a batch system's notice to all processes; the launcher acts on it
    _die_with_parent(signal.SIGKILL)  # torch holds up the thread that reads, and there is nothing to save yet
    from scaling.train.carry_out import carry_out, follow

    _die_with_parent(0)
    for job in launcher:
        status = follow(job) if follows else carry_out(job, launcher.gone.is_set, launcher.say)
        if status:
            return status
        launcher.say(Message(done=True))
    return 0


if __name__ == "__main__":
    status = main()
    os._exit(status)  # the interpreter would take torch down piece by piece, for nothing
