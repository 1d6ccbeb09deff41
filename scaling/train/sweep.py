"""Carry a study out: pack its trunks into stacks, run the stacks in processes of their own, until every row is there.

The launcher imports no torch. It holds a lease for every stack that it runs, so two launchers on one store share the
work; a process that dies is started again from its checkpoint; Ctrl-C, SIGKILL or a power cut leave a store from which
the same command goes on.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import IO

import polars as pl

from scaling.corpora.text import Corpus, build_corpus
from scaling.errors import DeviceNotFound, WorkersFailed
from scaling.flops import count_flops
from scaling.store import Store, open_runs
from scaling.study import Study, Trunk, digest, read_study
from scaling.train.progress import Progress
from scaling.units import print_count

CPU_STACK = 8
"""Most models in one stack on a CPU: beyond it nothing is gained."""
GPU_STACK = 64
CPU_STACK_TOKENS = 2_048
"""Tokens a step of one model above which stacking does not pay on a CPU."""
ATTEMPTS = 3
"""Starts of one stack before the sweep gives it up."""
_POLL_SECONDS = 0.2
_REFRESH_SECONDS = 10.0
_STOP_SECONDS = 20.0
_LOG_TAIL = 12
_STOPPED = 3  # worker.EXIT_STOPPED, which cannot be imported without torch


@dataclass(frozen=True)
class Pack:
    """Trunks of one shape that train in one process at once."""

    trunks: tuple[Trunk, ...]
    corpus_hash: str

    @property
    def id(self) -> str:
        """Hash of its trunks."""
        return digest([t.trunk_id(self.corpus_hash) for t in self.trunks])

    @property
    def run_ids(self) -> set[str]:
        """The runs that it will write."""
        return {t.run_id(self.corpus_hash, b) for t in self.trunks for b in t.budgets}

    @property
    def tokens(self) -> int:
        """Tokens that it trains on, trunks and cooldowns together."""
        return sum(tokens_to_train(t) for t in self.trunks)

    @property
    def cost(self) -> float:
        """Expected time, in units of one FLOP at full speed; small matrices reach a smaller share of the peak."""
        return sum(relative_cost(t) for t in self.trunks)


@dataclass(frozen=True)
class Plan:
    """What a sweep would do."""

    runs: int
    done: int
    tokens: int
    flops: float
    packs: tuple[Pack, ...]
    corpus: Corpus

    def __str__(self) -> str:
        text = ", ".join(f"{print_count(n)} bytes of {d}" for d, n in self.corpus.bytes.items())
        return (
            f"{self.runs} runs, {self.done} of them done; to train: {print_count(self.tokens)} tokens, "
            f"{print_count(self.flops)} FLOPs in {len(self.packs)} stacks\n"
            f"corpus {self.corpus.corpus_hash}: {text} in {self.corpus.files} files"
        )


def sweep(
    study: str | Path | Study,
    *,
    workers: int | None = None,
    device: str = "auto",
    here: bool = False,
    progress: bool = True,
) -> pl.DataFrame:
    """Train what the store does not have yet, and return the study's runs.

    Args:
        study: a study file, its folder, or a `Study`.
        workers: processes at once; one for each core by default, one on a GPU.
        device: "auto", "cpu" or "cuda".
        here: train on this machine also what is committed already, to compare.
        progress: show a bar: runs done, tokens/s, time left.

    Returns:
        `open_runs` of the study.

    Raises:
        StudyChanged: the study file is not the one that the store's rows were made from.
        BudgetBeyondCorpus, EmptyDomain, MissingFolder, PackageNotInstalled: the corpus cannot give what is asked.
        DeviceNotFound: CUDA was asked for and is absent.
        WorkersFailed: a stack failed `ATTEMPTS` times; the others were finished first.
        KeyboardInterrupt: Ctrl-C; workers have saved their state.
    """
    study = study if isinstance(study, Study) else read_study(study)
    plan = plan_sweep(study, workers=workers, device=device, here=here, progress=progress)
    if plan.packs:
        Store(study).remember_study()
        _Launcher(study, plan, workers or default_workers(device), device, here, progress).run()
    return open_runs(study)


def plan_sweep(
    study: Study,
    *,
    workers: int | None = None,
    device: str = "auto",
    here: bool = False,
    progress: bool = True,
) -> Plan:
    """What `sweep` would do, every refusal included, without doing it."""
    store = Store(study)
    store.check_unchanged()
    corpus = build_corpus(study.source, progress=progress)
    for trunk in study.trunks:
        trunk.sampler(corpus).check_budget(trunk.steps(max(trunk.budgets)), trunk.max_epochs)
    finished = store.finished(here=here)
    packs = pack_trunks(study.trunks, corpus.corpus_hash, workers or default_workers(device), on_gpu(device))
    todo = tuple(p for p in packs if p.run_ids - finished)
    asked = set().union(*(p.run_ids for p in packs))
    return Plan(
        runs=len(asked),
        done=len(asked & finished),
        tokens=sum(p.tokens for p in todo),
        flops=sum(count_flops(t.shape, tokens_to_train(t)).total for p in todo for t in p.trunks),
        packs=todo,
        corpus=corpus,
    )


def pack_trunks(trunks: tuple[Trunk, ...], corpus_hash: str, workers: int, gpu: bool) -> list[Pack]:
    """Stacks of trunks that can train together, the longest first.

    On a CPU every worker gets a share of each shape, in stacks of up to `CPU_STACK` where a step is short enough for
    stacking to pay; on a GPU a step costs the same whatever the stack, so stacks are as large as they can be.
    """
    groups: dict[Trunk, list[Trunk]] = defaultdict(list)
    for trunk in trunks:
        groups[trunk.stack_key].append(trunk)
    packs = []
    for key, group in groups.items():
        if gpu:
            size = GPU_STACK
        elif key.tokens_per_step > CPU_STACK_TOKENS:
            size = 1
        else:
            size = min(CPU_STACK, -(-len(group) // workers))
        packs += [Pack(tuple(stack), corpus_hash) for stack in _stacks(group, size)]
    return sorted(packs, key=lambda p: p.cost, reverse=True)


def _stacks(trunks: list[Trunk], size: int) -> list[list[Trunk]]:
    """Trunks dealt out in stacks of a size, an ensemble never torn apart: its members predict together."""
    ensembles: dict[Trunk, list[Trunk]] = defaultdict(list)
    for trunk in trunks:
        ensembles[trunk.ensemble_key].append(trunk)
    stacks: list[list[Trunk]] = [[]]
    for members in ensembles.values():
        if stacks[-1] and len(stacks[-1]) + len(members) > size:
            stacks.append([])
        stacks[-1] += members
    return stacks


def tokens_to_train(trunk: Trunk) -> int:
    """Tokens of a trunk up to its last branch, and of all its cooldowns."""
    branches = [trunk.branch_step(b) for b in trunk.budgets]
    cooldowns = sum(trunk.steps(b) - at for b, at in zip(trunk.budgets, branches, strict=True))
    return (max(branches) + cooldowns) * trunk.tokens_per_step


def relative_cost(trunk: Trunk) -> float:
    """FLOPs, and beside them the time of element-wise work that grows with width and not with its square."""
    overhead = 12_000 * trunk.width * trunk.depth / 2  # of 58 GFLOP/s, measured at widths 16 to 128
    return tokens_to_train(trunk) * (count_flops(trunk.shape).total + overhead)


def default_workers(device: str) -> int:
    """One process for each core this process may use; one on a GPU."""
    if on_gpu(device):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_gpu(device: str) -> bool:
    """Whether a sweep on this device will use a GPU.

    Raises:
        DeviceNotFound: CUDA was asked for and is absent.
    """
    found = device != "cpu" and _cuda_is_there()
    if device == "cuda" and not found:
        raise DeviceNotFound(device)
    return found


@cache
def _cuda_is_there() -> bool:
    """Asked of torch in a process of its own, and only where a driver is installed: importing torch takes seconds."""
    if shutil.which("nvidia-smi") is None:
        return False
    question = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", question], check=False).returncode == 0


@dataclass(frozen=True)
class _Running:
    """A stack at work: its process, and the thread that reads what the process says."""

    pack: Pack
    process: subprocess.Popen[str]
    reader: threading.Thread


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

    def __init__(self, study: Study, plan: Plan, workers: int, device: str, here: bool, progress: bool):
        self.study, self.plan, self.workers, self.device, self.here = study, plan, workers, device, here
        self.store = Store(study)
        self.waiting = list(plan.packs)
        self.running: dict[str, _Running] = {}
        self.attempts: dict[str, int] = defaultdict(int)
        self.failed: list[Pack] = []
        self.messages: queue.Queue[tuple[Pack, dict]] = queue.Queue()
        self.progress = Progress(
            study.name, plan.runs, plan.done, sum(p.cost for p in plan.packs), shown=progress
        )
        self._refreshed = time.monotonic()

    def run(self) -> None:
        with self.progress, _termination_as_interrupt():
            try:
                while self.waiting or self.running:
                    self._start_what_is_free()
                    self._reap()
                    self._listen()
                    self._refresh_leases()
            finally:
                self._stop_all()
        if self.failed:
            log = self._log(self.failed[0])
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL:])
            raise WorkersFailed([p.trunks[0].name for p in self.failed], log, tail)

    def _start_what_is_free(self) -> None:
        for pack in list(self.waiting):
            if len(self.running) >= self.workers:
                return
            if not self.store.claim(pack.id):
                continue  # another launcher has it
            self.waiting.remove(pack)
            if pack.run_ids <= self.store.finished(here=self.here):
                self.store.release(pack.id)  # another launcher has finished it
                self.progress.advance(pack.cost, 0)
                continue
            self.attempts[pack.id] += 1
            self.running[pack.id] = self._spawn(pack)

    def _spawn(self, pack: Pack) -> _Running:
        job = {
            "study": self.study.name,
            "folder": str(self.store.local),
            "pack": pack.id,
            "corpus": str(self.plan.corpus.folder.resolve()),
            "device": "cuda" if on_gpu(self.device) else "cpu",
            "trunks": [asdict(t) for t in pack.trunks],
        }
        path = self.store.local / "jobs" / f"{pack.id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(job))
        self._log(pack).parent.mkdir(parents=True, exist_ok=True)
        with self._log(pack).open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "scaling.train.worker", str(path)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C reaches the launcher alone, which then asks the workers to stop
            )
        reader = threading.Thread(target=self._read, args=(pack, process.stdout), daemon=True)
        reader.start()
        return _Running(pack, process, reader)

    def _read(self, pack: Pack, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                try:
                    self.messages.put((pack, json.loads(line)))
                except json.JSONDecodeError:
                    continue  # a line cut short by a kill

    def _listen(self) -> None:
        try:
            pack, message = self.messages.get(timeout=_POLL_SECONDS)
            while True:
                tokens = message.get("tokens", 0)
                self.progress.advance(pack.cost * tokens / pack.tokens, tokens, runs="run" in message)
                pack, message = self.messages.get_nowait()
        except queue.Empty:
            pass

    def _reap(self) -> None:
        for pack, process, reader in [(r.pack, r.process, r.reader) for r in self.running.values()]:
            status = process.poll()
            if status is None:
                continue
            reader.join()
            del self.running[pack.id]
            self.store.release(pack.id)
            if status == 0:
                continue
            if status != _STOPPED and self.attempts[pack.id] >= ATTEMPTS:
                self.failed.append(pack)
            else:
                self.waiting.append(pack)

    def _refresh_leases(self) -> None:
        if time.monotonic() - self._refreshed > _REFRESH_SECONDS:
            self._refreshed = time.monotonic()
            for pack_id in self.running:
                self.store.refresh(pack_id)

    def _stop_all(self) -> None:
        for running in self.running.values():
            running.process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for running in self.running.values():
            try:
                running.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()
            running.reader.join()
            self.store.release(running.pack.id)
        self._listen()

    def _log(self, pack: Pack) -> Path:
        return self.store.local / "logs" / f"{pack.id}.log"
