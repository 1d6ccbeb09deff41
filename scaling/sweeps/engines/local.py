"""Workers that are processes of this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from signal import Signals
from typing import IO

from scaling.errors import TrainError
from scaling.sweeps import machine
from scaling.sweeps.engines.base import Asked, Capacity, Hear, Worker
from scaling.sweeps.job import EXIT_STOPPED, Message

MEMORY_SHARE = 0.8
"""Part of the memory that workers may plan with; the rest is for everything else."""
START_SECONDS = 1.5
"""Of a worker, nearly all of it for importing torch: 1.3 s alone on a core, 1.6 s for two side by side on two."""


class RankLost(TrainError):
    """A process of several that trained one stack together, which ended alone."""

    rank: int
    ranks: int
    status: int

    def __str__(self) -> str:
        how = f"was killed ({Signals(-self.status).name})" if self.status < 0 else "failed"
        return (
            f"asked {self.ranks} ranks to train one stack together, but rank {self.rank} {how}, and the others cannot "
            "go on without it. Look into the log and for want of memory, or train with fewer ranks."
        )


class LocalEngine:
    """Processes of this machine, one thread each; on GPUs, a GPU each."""

    def __init__(self) -> None:
        self.workers: list[_LocalWorker] = []

    def capacity(self, asked: Asked) -> Capacity:
        """A worker for each core that this process may use, or for each GPU, or for each `ranks` of them."""
        gpu = machine.gpu_for(asked.device)
        places = gpu.count if gpu else machine.cores()
        workers = asked.workers or max(1, places // asked.ranks)
        processes = workers * asked.ranks
        each = gpu.memory / -(-processes // gpu.count) if gpu else machine.total_memory() / processes
        return Capacity(
            workers=workers,
            device="cuda" if gpu else "cpu",
            device_name=machine.device_name(gpu.name if gpu else None),
            memory=MEMORY_SHARE * each,
            ceiling=None if gpu else machine.product_ceiling(),
            start_seconds=START_SECONDS,
            mode=asked.mode(1, gpu=gpu is not None),
            ranks=asked.ranks,
        )

    def start(self, asked: Asked, log: Path, hear: Hear) -> Worker:
        """Processes in sessions of their own: Ctrl-C reaches the launcher alone, which then asks workers to stop."""
        gpus = self._least_busy(asked)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        if gpus:  # of those that this process may use, as a batch system names them
            given = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
            names = [given[gpu] if given else str(gpu) for gpu in gpus]
            environment |= {"CUDA_VISIBLE_DEVICES": ",".join(names)}
        self.workers.append(_LocalWorker(_start_ranks(asked.ranks, log, environment), hear, gpus))
        return self.workers[-1]

    def _least_busy(self, asked: Asked) -> list[int]:
        """A GPU for each rank; with more workers than GPUs some are shared."""
        gpu = machine.gpu_for(asked.device)
        busy = Counter(gpu for worker in self.workers if worker.poll() is None for gpu in worker.gpus)
        return sorted(range(gpu.count if gpu else 0), key=lambda gpu: busy[gpu])[: asked.ranks]


def _start_ranks(ranks: int, log: Path, environment: dict[str, str]) -> list[subprocess.Popen[str]]:
    """The processes of one worker, which find each other as those of torchrun do; the first one speaks."""
    meeting = {}
    if ranks > 1:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    processes = []
    with log.open("a") as errors:
        for rank in range(ranks):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if ranks > 1 else {}
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "scaling.train.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE if rank == 0 else subprocess.DEVNULL,
                    stderr=errors,
                    text=True,
                    env=environment | meeting | own,
                    start_new_session=True,
                )
            )
    return processes


class _LocalWorker:
    """Its processes, and the thread that reads what the first of them says.

    Each reads jobs from a pipe of its own. The system closes the pipes when this process dies, however it dies, and
    their end tells the worker that its launcher is gone.
    """

    def __init__(self, processes: list[subprocess.Popen[str]], hear: Hear, gpus: list[int]):
        self.processes, self.hear, self.gpus = processes, hear, gpus
        self.status: int | None = None
        self.reader = threading.Thread(target=self._read, args=(processes[0].stdout,), daemon=True)
        self.reader.start()

    def take(self, job: Path) -> None:
        for process in self.processes:
            with contextlib.suppress(BrokenPipeError):  # it has died, as `poll` will say
                assert process.stdin is not None
                process.stdin.write(f"{job}\n")
                process.stdin.flush()

    def poll(self) -> int | None:
        """That of the first process; the others cannot go on where one has ended."""
        statuses = [process.poll() for process in self.processes]
        if self.status is None and any(status is not None for status in statuses):
            if lost := _lost(statuses):
                self.hear(Message(problem=str(lost)))
            self.end(0.0 if len(statuses) > 1 else None)
            ended = [status for status in statuses if status is not None]
            self.status = ended[0] if statuses[0] is None else statuses[0]
        return self.status

    def stop(self) -> None:
        for process in self.processes:
            with contextlib.suppress(BrokenPipeError):
                assert process.stdin is not None
                process.stdin.close()

    def end(self, seconds: float | None) -> None:
        deadline = None if seconds is None else time.monotonic() + seconds
        for process in self.processes:
            try:
                process.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.stop()
        self.reader.join()

    def _read(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                if message := Message.read(line):
                    self.hear(message)


def _lost(statuses: Sequence[int | None]) -> RankLost | None:
    """The rank that ended by itself, where there are several: one that was killed, or failed before the first did."""
    killed = [rank for rank, status in enumerate(statuses) if (status or 0) < 0]
    failed = [rank for rank, status in enumerate(statuses) if status not in (None, 0, EXIT_STOPPED)]
    rank = next(iter(killed or (failed if statuses[0] is None else [])), None)
    return None if rank is None or len(statuses) == 1 else RankLost(rank, len(statuses), statuses[rank] or 0)
