"""Work that falls into parts, on all cores: processes forked from this one, which need nothing handed over."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

T = TypeVar("T")
_WORTH_A_PROCESS = 1 << 17  # refits × rows: a tenth of a second, where starting a process takes a fiftieth


def cores() -> int:
    """Cores that this process may use; one where processes cannot be forked safely, or this one is a fork already."""
    if not sys.platform.startswith("linux") or multiprocessing.parent_process() is not None:
        return 1
    return len(os.sched_getaffinity(0))


def processes_for(refits: int, rows: int) -> int:
    """Processes that so many refits to so many rows are worth, at least one."""
    return max(1, min(cores(), refits * rows // _WORTH_A_PROCESS, refits))


def in_parts(job: Callable[[int], T], parts: int) -> list[T]:
    """`[job(0), …, job(parts - 1)]`, each in a process of its own but the first, which runs here.

    A forked process has the law, the runs and the weights already, so that a law typed into a notebook needs no
    pickling; only results travel. A part that fails, or whose process is killed, is done here once more, so that its
    exception is raised as if nothing had been forked. An interrupt (Ctrl-C) ends the parts before it is raised here.
    Threads were no faster: between small products the interpreter's lock is held.
    """
    others: list[tuple[BaseProcess, Connection]] = []
    try:
        others.extend(_fork(job, part) for part in range(1, parts))
        results = [job(0)]
        results += [_receive(heard, job, part) for part, (_, heard) in enumerate(others, 1)]
    finally:
        for process, heard in others:
            heard.close()
            process.terminate()
            process.join()
    return results


def _fork(job: Callable[[int], Any], part: int) -> tuple[BaseProcess, Connection]:
    heard, say = multiprocessing.Pipe(duplex=False)

    def run() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal interrupts all; who forked ends this one
        with contextlib.suppress(Exception):
            say.send(job(part))

    with warnings.catch_warnings():  # of locks that other threads may hold: a part calls numpy alone
        warnings.simplefilter("ignore", DeprecationWarning)
        process = multiprocessing.get_context("fork").Process(target=run, daemon=True)
        process.start()
    say.close()
    return process, heard


def _receive(heard: Connection, job: Callable[[int], T], part: int) -> T:
    try:
        return heard.recv()
    except EOFError:
        return job(part)
