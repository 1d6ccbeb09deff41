"""Workers on a Ray cluster: a task for each job. Needs the extra "ray".

    RayEngine(address="head:6379", cpus=1, gpus=0.25)

A task reads the job, trains and writes rows where it runs, so every node must see the study's store and the corpus
cache under the same path. Ray places tasks and says which are lost; what was at one of them goes on from its
checkpoint in another, as under any engine. Ray ends the tasks of a launcher that is gone.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import math
import os
import queue
import socket
import threading
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from scaling.errors import BadOption, TrainError
from scaling.sweeps.engines.base import Asked, Capacity, Hear, Worker
from scaling.sweeps.engines.local import MEMORY_SHARE, LocalEngine
from scaling.sweeps.job import EXIT_LOST, EXIT_STOPPED, Job, Message

_CONNECT_SECONDS = 5.0
_POLL_SECONDS = 0.2


class ClusterUnreachable(TrainError):
    """A Ray cluster that does not answer."""

    address: str
    reason: str

    def __str__(self) -> str:
        return (
            f"asked for the Ray cluster at {self.address!r}, but it does not answer ({self.reason}). Start it with "
            "ray start --head there and ray start --address=… on the other nodes, or leave the address out for a "
            "cluster of this machine alone."
        )


class NoPlaceInCluster(TrainError):
    """A job that no node of a cluster has the processors for."""

    wanted: str
    largest: str

    def __str__(self) -> str:
        return (
            f"asked for {self.wanted} a job, but no node of the Ray cluster has that; the largest has {self.largest}. "
            "Ask for less with the options cpus and gpus, or add a node."
        )


class RayEngine:
    """Tasks of a Ray cluster, one for each job."""

    def __init__(self, *, address: str | None = None, cpus: float = 1.0, gpus: float | None = None):
        """Of an address, "host:port" or "auto"; None takes the cluster that this process is in, or makes a local one.

        Args:
            address: of the cluster's head.
            cpus: that each job is given.
            gpus: that each job is given; of a fraction several jobs share one. By default 1 where there are any.

        Raises:
            BadOption: fewer than no processors, or an address that Ray reaches by its client, which cannot hear tasks.
        """
        if address and address.startswith("ray://"):
            raise BadOption(
                "address", address, "host:port of the cluster's head, the launcher being on one of its nodes"
            )
        if not cpus > 0:
            raise BadOption("cpus", cpus, "above 0")
        if gpus is not None and not (0 < gpus < 1 or (gpus >= 0 and gpus == int(gpus))):
            raise BadOption("gpus", gpus, "a part of one, or a whole number")
        self.address, self.cpus, self.gpus = address, cpus, gpus

    def capacity(self, asked: Asked) -> Capacity:
        """A worker for each job that the nodes have the processors for.

        Raises:
            ClusterUnreachable: nothing answers at the address.
            NoPlaceInCluster: no node is large enough for a job.
            BadOption: more than one rank.
            DeviceNotFound: CUDA was asked for, and no node has any.
        """
        if asked.ranks > 1:
            raise BadOption("ranks", asked.ranks, "1 with the engine 'ray'")
        ray = self._connected()
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        slots = [self._slots(node, asked) for node in nodes]
        if not any(slots):
            largest = max(nodes, key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)))
            cpus, gpus = self._each(asked)
            raise NoPlaceInCluster(
                f"{cpus:g} CPUs and {gpus:g} GPUs", f"{largest.get('CPU', 0):g} and {largest.get('GPU', 0):g}"
            )
        cpus, gpus = self._each(asked)
        look = ray.remote(num_cpus=cpus, num_gpus=gpus)(_look)
        there: Capacity = ray.get(look.remote(replace(asked, workers=1)))
        share = [node["memory"] / slot for node, slot in zip(nodes, slots, strict=True) if slot]
        on_gpu = there.memory * min(1.0, gpus)
        memory = on_gpu if there.gpu else min(there.memory, MEMORY_SHARE * min(share))
        return replace(there, workers=asked.workers or sum(slots), memory=memory)

    def start(self, asked: Asked, log: Path, hear: Hear) -> Worker:
        """A slot, whose jobs are tasks wherever there is room."""
        cpus, gpus = self._each(asked)
        ray = self._connected()
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0, num_returns="streaming")(_train)
        return _RayWorker(ray, task, log, hear)

    def _connected(self) -> Any:
        """The package, connected to the cluster."""
        ray = importlib.import_module("ray")
        if not ray.is_initialized():
            host, _, port = (self.address or "").rpartition(":")
            try:
                if port.isdigit():  # Ray itself would try for a minute
                    socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
                ray.init(
                    self.address or os.environ.get("RAY_ADDRESS"),
                    include_dashboard=None if self.address else False,
                    logging_level=logging.ERROR,
                    log_to_driver=False,
                )
            except (OSError, RuntimeError, ValueError) as problem:
                if self.address is None:
                    raise
                raise ClusterUnreachable(self.address, str(problem).partition("\n")[0]) from None
        return ray

    def _each(self, asked: Asked) -> tuple[float, float]:
        """CPUs and GPUs of each job."""
        if asked.device == "cpu":
            return self.cpus, 0.0
        if self.gpus is not None:
            return self.cpus, self.gpus
        there = self._connected().cluster_resources().get("GPU", 0)
        return self.cpus, 1.0 if there or asked.device == "cuda" else 0.0

    def _slots(self, node: dict[str, float], asked: Asked) -> int:
        """Jobs that fit on a node."""
        cpus, gpus = self._each(asked)
        by_gpu = (
            node.get("GPU", 0) * (1 // gpus) if 0 < gpus < 1 else node.get("GPU", 0) // (gpus or math.inf)
        )
        return int(min(node.get("CPU", 0) // cpus, by_gpu if gpus else math.inf))


class _RayWorker:
    """A slot of the cluster; the job that it is at is a task, whose messages a thread reads."""

    def __init__(self, ray: Any, task: Any, log: Path, hear: Hear):
        self.ray, self.task, self.log, self.hear = ray, task, log, hear
        self.status: int | None = None
        self.said: Any = None
        self.reader: threading.Thread | None = None
        self.stops = log.with_suffix(".stop")

    def take(self, job: Path) -> None:
        if self.reader:
            self.reader.join()
        self.stops.unlink(missing_ok=True)
        self.said = self.task.remote(str(job), str(self.log), str(self.stops))
        self.reader = threading.Thread(target=self._read, args=(self.said,), daemon=True)
        self.reader.start()

    def poll(self) -> int | None:
        return self.status

    def stop(self) -> None:
        if self.reader and self.reader.is_alive():
            self.stops.touch()  # and no ray.cancel, which would not let it save its state
        elif self.status is None:
            self.status = 0

    def end(self, seconds: float) -> None:
        if self.reader:
            self.reader.join(seconds)
            if self.reader.is_alive():
                self.ray.cancel(self.said, force=True)
                self.reader.join()
        self.stops.unlink(missing_ok=True)

    def _read(self, said: Any) -> None:
        """Hear a task to its end; the last that it yields is its exit status."""
        status, problem = EXIT_LOST, ""
        lost = self.ray.exceptions
        try:
            for reference in said:
                word = self.ray.get(reference)
                if isinstance(word, int):
                    status = word
                else:
                    self.hear(word)
        except lost.TaskCancelledError:
            status = EXIT_STOPPED
        except lost.RayTaskError as failed:
            status, problem = 1, str(failed.cause)
        except lost.OutOfMemoryError as failed:
            status, problem = 1, str(failed).partition("\n")[0]
        except lost.RayError as failed:
            problem = f"Ray has lost its worker or node: {str(failed).partition(chr(10))[0]}"
        if problem:
            self.hear(Message(problem=problem))
        if status:
            self.status = status
        else:
            self.hear(Message(done=True))


# --- in the cluster -----------------------------------------------------------------------------------


def _look(asked: Asked) -> Capacity:
    """What the node where it runs has for one worker."""
    return LocalEngine().capacity(asked)


def _train(path: str, log: str, stops: str) -> Iterator[Message | int]:
    """Carry a job out, say what its worker says, and its exit status at last; stop once there is a file to say so."""
    stopping, said = threading.Event(), queue.SimpleQueue[Message | int]()
    trainer = threading.Thread(target=_carry_out, args=(Path(path), Path(log), stopping, said))
    trainer.start()
    word: Message | int = Message()
    try:
        while not isinstance(word, int):
            with contextlib.suppress(queue.Empty):
                word = said.get(timeout=_POLL_SECONDS)
                yield word
            if Path(stops).exists():
                stopping.set()
    finally:
        stopping.set()  # where Ray ends the task, too
        trainer.join()


def _carry_out(
    path: Path, log: Path, stopping: threading.Event, said: queue.SimpleQueue[Message | int]
) -> None:
    status = 1
    try:
        if not path.exists():
            where = f"{socket.gethostname()} of the Ray cluster does not see {path}"
            said.put(Message(problem=f"{where}. Put the study on a file system that all nodes share."))
            return
        train: Any = importlib.import_module("scaling.train.carry_out")  # by name, as a worker is started
        with log.open("a") as errors, contextlib.redirect_stderr(errors):
            status = train.carry_out(Job.read(path), stopping.is_set, said.put)
    except Exception:
        said.put(Message(problem=traceback.format_exc(limit=-3)))
    finally:
        said.put(status)
