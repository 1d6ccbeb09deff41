"""Carry a study out: plan it, deal its stacks out to workers, hear them, until every row is there.

The launcher imports no torch. It holds a lease of every trunk that is trained for it, so two launchers on one store
share the work, whatever their workers; what a worker that dies was at goes on from its checkpoint in another; Ctrl-C,
SIGKILL or a power cut leave a store from which the same command goes on.
"""

from __future__ import annotations

import itertools
import os
import queue
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from scaling.arguments import checked
from scaling.errors import TrainError
from scaling.files import naming_a_full_disk
from scaling.leases import Held
from scaling.store import StoreUnreachable, open_runs, shared_or_own
from scaling.store.shared import Patience
from scaling.study import Study, read_study
from scaling.sweeps.engines import make_engine
from scaling.sweeps.engines.base import Asked, Elsewhere, Engine, Fleet, Worker
from scaling.sweeps.job import EXIT_LOST, EXIT_NO_ROOM, EXIT_STOPPED, Message, StackSpec
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
LOSSES = 20
"""Of the places where one stack ran, nodes that a cluster takes back say, which are not counted among its starts."""
_POLL_SECONDS = 0.2
_WATCH_SECONDS = 2.0
_REFRESH_SECONDS = 10.0
_STOP_SECONDS = 20.0
_LOG_TAIL = 12


@checked
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
    engine: str | Engine | Fleet = "local",
    options: Mapping[str, Any] | None = None,
    store: str | None = None,
) -> pl.DataFrame:
    """Train what the store does not have yet, and return the study's runs.

    Args:
        study: a study file, its folder, or a `Study`.
        workers: stacks at once; by default what the engine has room for, here one for each core or each GPU.
        device: "auto", "cpu" or "cuda".
        here: train on this machine also what is committed already, to compare.
        progress: show a live table: each stack at work, runs done, tokens/s, time left.
        precision: "fp32", "bf16" or "auto", which is bf16 on a GPU; of activations and products alone.
        graph: record steps as CUDA graphs on a GPU.
        compile: fuse element-wise work by torch.compile, which takes ten seconds and more for each shape.
        ranks: processes, each with a core or a GPU of its own, that train one stack together.
        engine: where the workers run: "local", processes of this machine, "ray" or "slurm"; or an `Engine`
            or `Fleet`.
        options: of an engine that is named, e.g. {"address": "head:6379"}; each engine's file says which it has.
        store: a URL that fsspec knows, e.g. "s3://bucket/prefix", where launchers on other machines find rows, leases
            and checkpoints too; by default the store is a folder of this machine.

    Returns:
        `open_runs` of the study.

    Raises:
        StudyChanged: the study file is not the one that the store's rows were made from.
        BudgetBeyondCorpus, EmptyDomain, MissingFolder, PackageNotInstalled: the corpus cannot give what is asked.
        HeldOutTool: labels that are trained on are of a tool that is tested as held out.
        UnreadableItems, ItemTooLong: its probes cannot ask what the study's items say.
        DeviceNotFound: CUDA was asked for and is absent.
        BadOption: a precision or an engine that there is not, or no rank.
        StoreUnreachable: the shared store does not answer or refuses.
        MissingPackage, UnknownEngineOption: the engine's package is not installed, or it has no such option.
        TooManyRanks: a step has fewer windows than there are ranks to share them.
        ModelTooLarge: a model does not fit into a worker's share of the memory.
        WorkersFailed: a stack failed `ATTEMPTS` times, or once for want of room on the disk; the others were finished
            first.
        DiskFull: there was no room for a working file; workers have stopped.
        KeyboardInterrupt: Ctrl-C; workers have saved their state.
    """
    study = study if isinstance(study, Study) else read_study(study)
    asked = Asked(
        workers=workers, device=device, precision=precision, graph=graph, compile=compile, ranks=ranks
    )
    place: Engine | Fleet = make_engine(engine, options) if isinstance(engine, str) else engine
    rows = shared_or_own(study, store)
    plan = plan_sweep(study, place.capacity(asked), asked, here=here, progress=progress, store=rows)
    if plan.stacks:
        if progress and plan.leaks:
            print(plan.likeness, file=sys.stderr)
        with naming_a_full_disk("the working files of a sweep", plan.store.local):
            plan.write_down()
            if isinstance(place, Fleet):
                _watch(plan, place, store, shown=progress)
            else:
                _Launcher(plan, place, shown=progress).run()
    return open_runs(study)


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


def _watch(plan: Plan, fleet: Fleet, store: str | None, *, shown: bool) -> None:
    """Have launchers elsewhere carry a plan out, and see in the store what they have done, until all is done."""
    what = Elsewhere(str(plan.study.folder.resolve()), plan.asked, plan.here, store)
    cost, done, patience = sum(stack.cost for stack in plan.stacks), plan.done, Patience()
    with (
        Progress(plan.study.name, plan.runs, done, cost, shown=shown) as progress,
        _termination_as_interrupt(),
    ):
        launched = fleet.launch(what, plan.store.local)
        try:
            running = True
            while done < plan.runs:
                if not running:
                    log, tail = launched.tail()
                    raise WorkersFailed([f"{plan.runs - done} runs are not done"], log, tail)
                time.sleep(_WATCH_SECONDS)
                running = launched.left() > 0  # before the store is looked at, where their last row may be
                finished = patience.attempt(lambda: plan.store.finished(here=plan.here))
                if finished is None:
                    running = True  # as far as is known: the last rows may be there
                    continue
                before, done = done, len(plan.run_ids & finished)
                progress.skip(cost * (done - before) / (plan.runs - plan.done), done=done)
        except KeyboardInterrupt:
            launched.stop()
            raise


@dataclass(eq=False)
class _Hand:
    """A worker, and the stack that it is at with its lease, where it is at one."""

    worker: Worker
    log: Path
    at: tuple[StackSpec, Held] | None = None


class _Launcher:
    """Workers, what they are at and their messages, until nothing is left to train."""

    def __init__(self, plan: Plan, engine: Engine, *, shown: bool):
        self.plan, self.engine, self.store = plan, engine, plan.store
        self.waiting = list(plan.stacks)
        self.hands: dict[int, _Hand] = {}
        self._numbers = itertools.count()
        self.attempts: dict[str, int] = defaultdict(int)
        self.lost: dict[str, int] = defaultdict(int)
        self.problems: dict[str, str] = {}
        """What a stack's worker said before it ended, or last wrote into its log."""
        self.failed: list[tuple[StackSpec, Path]] = []
        self.sent: list[tuple[StackSpec, Held, Future[None]]] = []
        """Stacks that are done, on their way to where others see their rows."""
        self.messages: queue.Queue[tuple[int, Message]] = queue.Queue()
        cost = sum(stack.cost for stack in plan.stacks)
        self.progress = Progress(plan.study.name, plan.runs, plan.done, cost, shown=shown)
        self._refreshed = time.monotonic()
        self.finished = set(plan.finished)
        """Runs with rows, as far as this launcher has heard."""
        self.patience = Patience()

    def run(self) -> None:
        with self.progress, _termination_as_interrupt():
            try:
                while self.waiting or self.sent or any(hand.at for hand in self.hands.values()):
                    self.patience.attempt(self._hand_out)
                    self._listen(_POLL_SECONDS)
                    self._settle()
                    self._reap()
                    self._refresh_leases()
            finally:
                self._stop_all()
        if self.failed:
            first, log = self.failed[0]
            names = [stack.trunks[0].name for stack, _ in self.failed]
            raise WorkersFailed(names, log, self.problems[first.id])

    def _hand_out(self) -> None:
        """Give what is waiting, and free, to workers without a job; start workers where there are too few."""
        for stack in list(self.waiting):
            idle = [hand for hand in self.hands.values() if not hand.at]
            if not idle and len(self.hands) >= self.plan.capacity.workers:
                return
            if not stack.parents <= self.finished:
                continue  # its parents are being trained, here or elsewhere
            lease = self.store.claim(*stack.trunk_ids)
            if lease is None:
                continue  # another launcher has one of them
            self.waiting.remove(stack)
            try:
                self.store.bring(stack.id, stack.parents)
                left = self._left(stack)
            except StoreUnreachable:
                lease.release()
                self.waiting.append(stack)
                raise
            if left is None:
                lease.release()
                continue
            hand = idle[0] if idle else self._start()
            self.attempts[left.id] += 1
            self.problems.pop(left.id, None)
            self.progress.start(left, attempt=self.attempts[left.id])
            hand.at = left, lease
            hand.worker.take(self.plan.job(left).write())

    def _left(self, stack: StackSpec) -> StackSpec | None:
        """What other launchers have not finished of a stack; one with a checkpoint goes on as it is."""
        self.finished |= self.store.finished(trunks=stack.trunk_ids)  # all rows would be ever more to read
        left = stack.left(self.finished)
        if left and self.plan.job(stack).checkpoints.exists():
            return stack
        if left != stack:
            cost = stack.cost - (left.cost if left else 0.0)
            self.progress.skip(cost, done=len(self.plan.run_ids & self.finished))
        return left

    def _start(self) -> _Hand:
        number = next(self._numbers)
        log = self.store.local / "logs" / f"{os.getpid()}-{number}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        worker = self.engine.start(self.plan.asked, log, lambda said: self.messages.put((number, said)))
        self.hands[number] = _Hand(worker, log)
        return self.hands[number]

    def _listen(self, seconds: float) -> None:
        """Take in what workers have said; wait for the first word so long."""
        with suppress(queue.Empty):
            self._hear(*self.messages.get(timeout=seconds))
            while True:
                self._hear(*self.messages.get_nowait())

    def _hear(self, number: int, message: Message) -> None:
        hand = self.hands[number]
        assert hand.at
        stack, lease = hand.at
        self.progress.hear(stack, message)
        if message.problem:
            self.problems[stack.id] = message.problem
        if message.done:
            hand.at = None
            self.sent.append((stack, lease, self._send(stack, done=True)))

    def _send(self, stack: StackSpec, *, done: bool = False) -> Future[None]:
        runs = stack.run_ids if done and self.plan.study.keep == "weights" else ()
        return self.store.send(stack.id, stack.trunk_ids, runs, done=done)

    def _settle(self) -> None:
        """Give back the leases of stacks whose rows others can see."""
        for stack, lease, sent in [one for one in self.sent if one[2].done()]:
            sent.result()
            self.sent.remove((stack, lease, sent))
            self.finished |= stack.run_ids
            lease.release()
            self.progress.finish(stack, done=True)

    def _reap(self) -> None:
        """Part with workers that have ended; what one was at waits for another, or is given up."""
        for number, hand in list(self.hands.items()):
            status = hand.worker.poll()
            if status is None:
                continue
            self._listen(0)
            del self.hands[number]
            if not hand.at:
                continue
            stack, lease = hand.at
            lease.release()
            self.progress.finish(stack, done=False)
            if status == EXIT_LOST and self.lost[stack.id] < LOSSES:
                self.lost[stack.id] += 1
                self.attempts[stack.id] -= 1
            if status != EXIT_NO_ROOM and self.attempts[stack.id] < ATTEMPTS:
                self.waiting.append(stack)
            else:
                self.failed.append((stack, hand.log))
                self.problems.setdefault(stack.id, self._why(stack, status, hand.log))
                self._give_up_children(stack)

    def _give_up_children(self, failed: StackSpec) -> None:
        """Do not wait for weights that will not come."""
        lost = set(failed.run_ids)
        while children := [stack for stack in self.waiting if stack.parents & lost]:
            for child in children:
                self.waiting.remove(child)
                self.failed.append((child, self.failed[0][1]))
                lost |= child.run_ids

    def _why(self, stack: StackSpec, status: int, log: Path) -> str:
        if status == EXIT_STOPPED:
            return f"something stopped it {self.attempts[stack.id]} times, and not this sweep"
        return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL:])

    def _refresh_leases(self) -> None:
        if time.monotonic() - self._refreshed > _REFRESH_SECONDS:
            self._refreshed = time.monotonic()
            if any(stack.parents for stack in self.waiting):
                self.finished |= (
                    self.patience.attempt(lambda: self.store.finished(here=self.plan.here)) or set()
                )
            for _, lease, _ in self.sent:
                lease.refresh()
            for hand in self.hands.values():
                if hand.at and not hand.at[1].refresh():
                    hand.worker.stop()  # this machine slept, and another launcher has taken over
                elif hand.at:
                    self._send(hand.at[0])

    def _stop_all(self) -> None:
        for hand in self.hands.values():
            hand.worker.stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for hand in self.hands.values():
            hand.worker.end(max(0.1, deadline - time.monotonic()))
        self._listen(0)
        for stack, lease in [hand.at for hand in self.hands.values() if hand.at]:
            self._send(stack).result()
            lease.release()
        self._settle()
