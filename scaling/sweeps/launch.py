"""Carry a study out: pack its trunks into stacks, run the stacks in processes of their own, until every row is there.

The launcher imports no torch. It holds a lease of every trunk that it runs, so two launchers on one store share the
work, whatever their workers; a process that dies is started again from its checkpoint; Ctrl-C, SIGKILL or a power cut
leave a store from which the same command goes on.
"""

from __future__ import annotations

import json
import queue
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from scaling.errors import TrainError
from scaling.files import naming_a_full_disk, written_whole
from scaling.leases import Lease
from scaling.store import Store, open_runs
from scaling.study import Study, read_study
from scaling.sweeps.engines.local import EXIT_NO_ROOM, EXIT_STOPPED, Engine, LocalEngine, Task
from scaling.sweeps.job import Asked
from scaling.sweeps.machine import find_gpu, on_gpu
from scaling.sweeps.pack import Pack
from scaling.sweeps.plan import Plan, plan_sweep
from scaling.sweeps.progress import Progress


class WorkersFailed(TrainError):
    """Processes of a sweep that ended with an error; what they had finished is in the store."""

    names: list[str]
    log: str | Path
    tail: str

    def __str__(self) -> str:
        return (
            f"{len(self.names)} of the sweep's processes failed ({'; '.join(self.names)}). "
            f"What the first said last, its log being {self.log}:\n{self.tail}\n"
            "The rows and checkpoints made so far are kept; mend the cause and type the same command again."
        )


ATTEMPTS = 3
"""Starts of one stack before the sweep gives it up."""
_POLL_SECONDS = 0.2
_REFRESH_SECONDS = 10.0
_STOP_SECONDS = 20.0
_LOG_TAIL = 12


def sweep(
    study: str | Path | Study,
    *,
    workers: int | None = None,
    device: str = "auto",
    here: bool = False,
    progress: bool = True,
    precision: str = "auto",
    graph: bool = True,
    compile: bool = False,
    ranks: int = 1,
    engine: Engine | None = None,
) -> pl.DataFrame:
    """Train what the store does not have yet, and return the study's runs.

    Args:
        study: a study file, its folder, or a `Study`.
        workers: stacks at once; one for each core, or each GPU, by default.
        device: "auto", "cpu" or "cuda".
        here: train on this machine also what is committed already, to compare.
        progress: show a live table: each stack at work, runs done, tokens/s, time left.
        precision: "fp32", "bf16" or "auto", which is bf16 on a GPU; of activations and products alone.
        graph: record steps as CUDA graphs on a GPU.
        compile: fuse element-wise work by torch.compile, which takes ten seconds and more for each shape.
        ranks: processes, each with a core or a GPU of its own, that train one stack together.
        engine: where the workers run; processes of this machine by default.

    Returns:
        `open_runs` of the study.

    Raises:
        StudyChanged: the study file is not the one that the store's rows were made from.
        BudgetBeyondCorpus, EmptyDomain, MissingFolder, PackageNotInstalled: the corpus cannot give what is asked.
        DeviceNotFound: CUDA was asked for and is absent.
        BadOption: a precision that there is not, or no rank.
        ModelTooLarge: a model does not fit into a worker's share of the memory.
        WorkersFailed: a stack failed `ATTEMPTS` times, or once for want of room on the disk; the others were finished
            first.
        DiskFull: there was no room for a working file; workers have stopped.
        KeyboardInterrupt: Ctrl-C; workers have saved their state.
    """
    study = study if isinstance(study, Study) else read_study(study)
    asked = Asked(precision=precision, graph=graph, compile=compile, ranks=ranks)
    plan = plan_sweep(study, workers=workers, device=device, here=here, progress=progress, asked=asked)
    if plan.packs:
        store, gpu = Store(study), find_gpu() if on_gpu(device) else None
        store.remember_study()
        with naming_a_full_disk("the working files of a sweep", store.local):
            _Launcher(plan, here, progress, engine or LocalEngine(ranks, gpu.count if gpu else 0)).run()
    return open_runs(study)


@dataclass(frozen=True)
class _Running:
    """A stack at work."""

    pack: Pack
    task: Task
    lease: Lease


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """SIGTERM, as a batch system sends it, stops a sweep as Ctrl-C does; a notebook's own threads are left alone."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Launcher:
    """Workers, their leases and their messages, until nothing is left to train."""

    def __init__(self, plan: Plan, here: bool, progress: bool, engine: Engine):
        self.plan, self.here, self.engine = plan, here, engine
        self.store = Store(plan.study)
        self.waiting = list(plan.packs)
        self.running: dict[str, _Running] = {}
        self.attempts: dict[str, int] = defaultdict(int)
        self.failed: list[Pack] = []
        self.problems: dict[str, str] = {}
        self.messages: queue.Queue[tuple[Pack, dict[str, Any]]] = queue.Queue()
        cost = sum(p.cost for p in plan.packs)
        self.progress = Progress(plan.study.name, plan.runs, plan.done, cost, shown=progress)
        self._refreshed = time.monotonic()

    def run(self) -> None:
        with self.progress, _termination_as_interrupt():
            try:
                while self.waiting or self.running:
                    self._start_what_is_free()
                    self._listen()
                    self._reap()
                    self._refresh_leases()
            finally:
                self._stop_all()
        if self.failed:
            log = self._log(self.failed[0])
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL:])
            said = self.problems.get(self.failed[0].id, tail)
            raise WorkersFailed([p.trunks[0].name for p in self.failed], log, said)

    def _start_what_is_free(self) -> None:
        for pack in list(self.waiting):
            if len(self.running) >= self.plan.workers:
                return
            lease = self.store.claim(*pack.trunk_ids)
            if lease is None:
                continue  # another launcher has one of them
            self.waiting.remove(pack)
            left = self._left(pack)
            if left is None:
                lease.release()
                continue
            self.attempts[left.id] += 1
            self.running[left.id] = _Running(left, self._start(left), lease)
            self.progress.start(left, attempt=self.attempts[left.id])

    def _left(self, pack: Pack) -> Pack | None:
        """What other launchers have not finished of a stack; one with a checkpoint goes on as it is."""
        finished = self.store.finished(here=self.here)
        left = pack.left(finished)
        if left and (self.store.local / "checkpoints" / pack.id).exists():
            return pack
        if left != pack:
            self.progress.skip(
                pack.cost - (left.cost if left else 0.0), done=len(self.plan.run_ids & finished)
            )
        return left

    def _start(self, pack: Pack) -> Task:
        job = {
            "study": self.plan.study.name,
            "folder": str(self.store.local),
            "pack": pack.id,
            "corpus": str(self.plan.corpus.folder.resolve()),
            "device": "cuda" if on_gpu(self.plan.device) else "cpu",
            "mode": asdict(self.plan.mode(pack)),
            "trunks": [t.flat for t in pack.trunks],
        }
        path = self.store.local / "jobs" / f"{pack.id}.json"
        with written_whole(path, "a job") as scratch:  # a plan may be reading it
            scratch.write_text(json.dumps(job))
        self._log(pack).parent.mkdir(parents=True, exist_ok=True)
        return self.engine.start(path, self._log(pack), lambda said: self.messages.put((pack, said)))

    def _listen(self, seconds: float = _POLL_SECONDS) -> None:
        """Pass on what workers say: `{"tokens": n}` since they last did, `{"found": n}` that an earlier attempt had
        trained, `{"run": name}`, `{"loss": x}`; keep a `{"problem": words}`."""
        try:
            pack, said = self.messages.get(timeout=seconds)
            while True:
                self.progress.advance(
                    pack,
                    said.get("tokens", 0),
                    found=said.get("found", 0),
                    runs="run" in said,
                    loss=said.get("loss"),
                )
                if "problem" in said:
                    self.problems[pack.id] = said["problem"]
                pack, said = self.messages.get_nowait()
        except queue.Empty:
            pass

    def _reap(self) -> None:
        for pack_id, running in list(self.running.items()):
            pack, status = running.pack, running.task.poll()
            if status is None:
                continue
            self._listen(0)
            del self.running[pack_id]
            running.lease.release()
            self.progress.finish(pack, done=status == 0)
            if status == 0:
                continue
            if status == EXIT_STOPPED:
                self.problems[pack_id] = (
                    f"something stopped it {self.attempts[pack_id]} times, and not this sweep"
                )
            if status == EXIT_NO_ROOM or self.attempts[pack_id] >= ATTEMPTS:
                self.failed.append(pack)
            else:
                self.waiting.append(pack)

    def _refresh_leases(self) -> None:
        if time.monotonic() - self._refreshed > _REFRESH_SECONDS:
            self._refreshed = time.monotonic()
            for running in self.running.values():
                if not running.lease.refresh():
                    running.task.stop()  # this machine slept, and another launcher has taken over

    def _stop_all(self) -> None:
        for running in self.running.values():
            running.task.stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for running in self.running.values():
            running.task.end(max(0.1, deadline - time.monotonic()))
            running.lease.release()
        self._listen(0)

    def _log(self, pack: Pack) -> Path:
        return self.store.local / "logs" / f"{pack.id}.log"
