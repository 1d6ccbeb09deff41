"""Faults that are done to the suite, and what came of each: counts of rows lost, doubled and silently changed.

Rows are the same function of a trunk and a budget however often they are made, as those of a training run are; so what
is left after faults and a last undisturbed attempt is compared bit by bit with what an undisturbed one leaves.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scaling.errors import ScalingError
from scaling.records import Evaluation, Run, append_rows, read_rows
from scaling.store import Store
from scaling.study import Trunk, identity, read_study

STUDY = """
[corpus]
source = "language"
languages = { markov = { kind = "markov" } }
train_tokens = "64Ki"
heldout_tokens = "16Ki"
[defaults]
budgets = ["8Ki", "16Ki"]
warmup_tokens = 0
width = 16
[[grid]]
seed = [0, 1, 2, 3]
"""


@dataclass
class Tally:
    """What came of faults of one kind."""

    what: str
    faults: int = 0
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    named: int = 0
    """Refused in words, by an error of the suite."""
    unnamed: list[str] = field(default_factory=list)
    """Errors that are not of the suite."""

    @property
    def is_clean(self) -> bool:
        """Nothing lost, doubled or changed, and no error but those of the suite."""
        return not (self.lost or self.doubled or self.changed or self.unnamed)

    def add(self, other: Tally) -> None:
        """Count what came of others too."""
        for name in ("faults", "lost", "doubled", "changed", "named", "unnamed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def compare(self, rows: list[Any], sound: list[Any]) -> None:
        """Count what rows lack, have twice and have otherwise, beside those of an undisturbed run."""
        keys, wanted = [row["run_id"] for row in rows], {row["run_id"]: row for row in sound}
        self.lost += len(wanted.keys() - set(keys))
        self.doubled += len(keys) - len(set(keys))
        self.changed += sum(wanted.get(row["run_id"]) != row for row in rows)

    def attempt(self, act: Callable[[], Any], is_sound: Callable[[Any], bool] = lambda got: True) -> None:
        """Do something under a fault: it goes well, with what it should give, or is refused by name."""
        self.faults += 1
        try:
            self.changed += not is_sound(act())
        except ScalingError:
            self.named += 1
        except Exception as problem:
            places = [
                f.name for f in traceback.extract_tb(problem.__traceback__) if "/scaling/" in f.filename
            ]
            self.unnamed.append(f"{type(problem).__name__} in {' > '.join(places)}: {problem}"[:300])


# --- bits, bytes and room --------------------------------------------------------------------------


def harm(path: Path, rng: np.random.Generator, count: int, *, cut: bool = False) -> Iterator[None]:
    """A file with one bit turned over, or cut short, anew at every turn; whole again at the end."""
    whole = path.read_bytes()
    try:
        for _ in range(count):
            place = int(rng.integers(len(whole)))
            data = bytearray(whole[:place] if cut else whole)
            if not cut:
                data[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(data)
            yield
    finally:
        path.write_bytes(whole)


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """The system refuses to let a file grow beyond so many bytes, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# --- a study and its rows --------------------------------------------------------------------------


def make_study(root: Path, name: str = "made", text: str = STUDY) -> Path:
    """A study's folder below `root`/runs."""
    folder = root / "runs" / name
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(text)
    return folder


def rows_of(trunk: Trunk, corpus_hash: str = "c0", study: str = "made") -> list[list[dict[str, Any]]]:
    """What a worker writes of a trunk, budget by budget: a learning curve's point, then the run."""
    model, schedule, groups = trunk.model, trunk.schedule, []
    counts = dict.fromkeys(
        ("N", "params_embedding", "params_head", "params_total", "unique_tokens", "unique_budget", "C",
         "flops_matrix", "flops_attention", "flops_head", "seconds", "loss_stderr"), 1
    )  # fmt: skip
    for budget in schedule.budgets:
        run_id = identity.run_id(trunk, corpus_hash, budget)
        loss, steps = 2 + int(run_id, 16) % 10**6 / 10**6, budget // schedule.tokens_per_step
        run = Run(
            **counts, run_id=run_id, trunk_id=identity.trunk_id(trunk, corpus_hash), study=study, name=trunk.name,
            kind="annealed", D=budget, epochs=1.0, steps=steps, seed=trunk.seed, schedule="constant",
            peak_lr=trunk.optim.peak_lr, weight_decay=trunk.optim.weight_decay, beta2=0.98, width=model.width,
            depth=model.depth, head_dim=model.head_dim, context=model.context, vocabulary=model.vocabulary,
            tokens_per_step=schedule.tokens_per_step, blend=dict(trunk.data.blend), corpus_hash=corpus_hash,
            config_hash=identity.config_hash(trunk), corpus_bytes={}, corpus_versions={}, versions={},
            loss=loss, loss_bits_per_byte=loss, device="here",
        )  # fmt: skip
        point = Evaluation(
            run_id=run_id, step=steps, tokens=budget, domain="markov", loss=loss, loss_stderr=0.1,
            loss_bits_per_byte=loss,
        )  # fmt: skip
        groups.append([{"evaluation": vars(point)}, {"run": run.to_json()}])
    return groups


def file_of(local: Path, group: list[list[dict[str, Any]]]) -> Path:
    """Where the rows of a trunk are."""
    return local / "rows" / f"{group[0][-1]['run']['trunk_id']}.jsonl"


def write_missing(
    path: Path, groups: list[list[dict[str, Any]]], each: Callable[[], None] = lambda: None
) -> None:
    """Add those rows that a file lacks, as a worker that goes on does."""
    for rows in groups:
        there = {row["run_id"] for row in read_rows(path, "run")}
        if rows[-1]["run"]["run_id"] not in there:
            append_rows(path, *rows)
        each()


def runs_on_disk(folder: Path) -> list[dict[str, Any]]:
    """Every run of a study's local folder, as its files have them, in order."""
    local = Store(read_study(folder)).local
    rows = [row for file in sorted(local.glob("rows/*.jsonl")) for row in read_rows(file, "run")]
    return sorted(rows, key=lambda row: row["run_id"])


# --- kills -----------------------------------------------------------------------------------------


def kill_forked(act: Callable[[], object], seconds: float) -> bool:
    """Whether a process that does something was killed after so long, before it ended."""
    pid = os.fork()
    if pid == 0:
        status = 1
        with suppress(BaseException):
            act()
            status = 0
        os._exit(status)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(min(0.001, seconds / 10))
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def kill_spawned(seconds: float | None, *arguments: str) -> bool:
    """Whether a Python process with these arguments was killed after so long, before it ended."""
    silent: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    process = subprocess.Popen([sys.executable, *arguments], **silent)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait() == -signal.SIGKILL
