"""Faults by the hundred: kills, full and read-only disks, clocks that are set, dead hosts, harmed files, slow stores.

    nice python benchmarks/faults.py             # some minutes of one core
    python benchmarks/faults.py --times 0.1      # a tenth of each

Asked of every line: no row lost, doubled or silently changed, and no error but the suite's own. What is left after the
faults and one undisturbed attempt is compared bit by bit with what an undisturbed run leaves. Workers that are killed
train for real; launchers that are killed start workers that write their rows without training.
"""

from __future__ import annotations

import argparse
import errno
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "faults"))  # the faults themselves, which the tests do a few of

from disturb import (  # noqa: E402
    Tally,
    file_of,
    harm,
    kill_forked,
    kill_spawned,
    make_study,
    no_file_beyond,
    rows_of,
    runs_on_disk,
    write_missing,
)
from networks import share_a_study  # noqa: E402

from scaling import leases  # noqa: E402
from scaling.artifacts import read_weights, save_weights  # noqa: E402
from scaling.flops import Shape  # noqa: E402
from scaling.records import append_rows, read_rows  # noqa: E402
from scaling.store import Store, objects, open_evaluations, open_runs, shared  # noqa: E402
from scaling.study import read_study  # noqa: E402
from scaling.sweeps import machine  # noqa: E402
from scaling.sweeps.engines.base import Asked, Capacity  # noqa: E402
from scaling.sweeps.plan import plan_sweep  # noqa: E402
from scaling.train import checkpoint  # noqa: E402
from scaling.train.carry_out import carry_out  # noqa: E402

TENSORS = {"weights": torch.arange(2_000.0)}
MATRICES = {
    "embedding": np.arange(512, dtype=np.float32).reshape(32, 16),
    "head": np.ones((16, 32), np.float32),
}
TIMED = {"seconds", "flops_per_second", "ceiling"}
COMMIT = """\
import sys
from scaling.store import Store
from scaling.study import read_study
Store(read_study(sys.argv[1])).commit()"""


def made(root: Path, name: str = "made") -> tuple[Store, list[dict[str, Any]]]:
    """A store with the rows of an undisturbed run, and these rows."""
    store = Store(read_study(make_study(root, name)))
    store.remember_study()
    for trunk in store.study.trunks:
        write_missing(file_of(store.local, rows_of(trunk)), rows_of(trunk))
    return store, runs_on_disk(store.study.folder)


# --- kill -9 ---------------------------------------------------------------------------------------


def writers(root: Path, count: int, rng: np.random.Generator) -> Tally:
    """A process that adds rows is killed, and another goes on."""
    tally = Tally("kill -9 of a writer of rows")
    groups = [group for trunk in read_study(make_study(root)).trunks for group in rows_of(trunk)]
    sound, number = [rows[-1]["run"] for rows in groups], 0
    while tally.faults < count:
        path, number = root / f"{number}.jsonl", number + 1
        while kill_forked(partial(write_missing, path, groups), rng.uniform(0, 0.02)):
            tally.faults += 1
        write_missing(path, groups)
        tally.compare(read_rows(path, "run"), sound)
    return tally


def workers(root: Path, count: int, rng: np.random.Generator) -> Tally:
    """A worker that trains is killed, and another goes on from its checkpoint, or from its rows."""
    tally = Tally("kill -9 of a worker that trains")
    sound: list[dict[str, Any]] = []
    torch.set_num_threads(1)
    seconds, number = 1.0, 0
    while tally.faults < count:
        folder, number = make_study(root, f"trained{number}"), number + 1
        plan = plan_sweep(read_study(folder), Capacity(), Asked(), progress=False)
        plan.write_down()
        act = partial(_train, [plan.job(stack) for stack in plan.stacks])
        if sound:
            while kill_forked(act, rng.uniform(0, 1.2 * seconds)):
                tally.faults += 1
        started = time.monotonic()
        kill_forked(act, 600.0)
        seconds = seconds if sound else time.monotonic() - started
        rows = [{k: v for k, v in row.items() if k not in {*TIMED, "study"}} for row in runs_on_disk(folder)]
        sound = sound or rows
        tally.compare(rows, sound)
    return tally


def _train(jobs: list[Any]) -> None:
    for job in jobs:
        carry_out(job, lambda: False, lambda message: None)


def launchers(root: Path, count: int, rng: np.random.Generator, *, at_once: int = 1) -> Tally:
    """A launcher is killed, or one of two on one store, and another goes on."""
    tally = Tally("kill -9 of a launcher" if at_once == 1 else "kill -9 of one of two launchers on one store")
    number, seconds = 0, 6.0
    sound = None
    while tally.faults < count:
        folder, number = make_study(root, f"launched{number}"), number + 1
        script = ["-P", str(ROOT / "tests" / "faults" / "pretending.py"), str(folder), "2"]
        if sound is None:
            started = time.monotonic()
            kill_spawned(None, *script)
            seconds, sound = time.monotonic() - started, runs_on_disk(folder)
            continue
        for _ in range(3):
            living = [_start(script) for _ in range(at_once - 1)]
            tally.faults += kill_spawned(rng.uniform(0.3, 1.0) * seconds, *script)
            for process in living:
                process.wait()
        kill_spawned(None, *script)
        rows = runs_on_disk(folder)
        tally.compare([{**row, "study": "launched0"} for row in rows], sound)
    return tally


def _start(script: list[str]) -> Any:
    silent: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    return subprocess.Popen([sys.executable, *script], **silent)


def commits(root: Path, count: int, rng: np.random.Generator) -> Tally:
    """A process that compacts rows is killed; what is committed opens, and another goes on."""
    tally = Tally("kill -9 of a compaction")
    store, sound = made(root)
    folder = str(store.study.folder)
    started = time.monotonic()
    kill_spawned(None, "-c", COMMIT, folder)
    seconds = time.monotonic() - started
    while tally.faults < count:
        tally.faults += kill_spawned(rng.uniform(0.5, 1.0) * seconds, "-c", COMMIT, folder)
        tally.compare(open_runs(folder, origin="committed").select("run_id").to_dicts(), _ids(sound))
    kill_spawned(None, "-c", COMMIT, folder)
    tally.compare(open_runs(folder, origin="committed").select("run_id").to_dicts(), _ids(sound))
    return tally


def _ids(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"run_id": row["run_id"]} for row in rows]


# --- disks -----------------------------------------------------------------------------------------


def full_disk(root: Path, count: int, rng: np.random.Generator) -> Tally:
    """Every kind of file is cut at a random byte as it is written; what was there is whole."""
    tally = Tally("full disk, at each kind of write")
    store, sound = made(root)
    store.commit()
    committed = open_runs(store.study.folder, origin="committed")
    local, state = store.local, root / "state"
    checkpoint.save(state, 1, TENSORS, {})
    save_weights(local, "a1", MATRICES, Shape(width=16))
    extra = rows_of(store.study.trunks[0].but(seed=9))[0]
    acts: list[tuple[Callable[[], object], int]] = [
        (lambda: append_rows(local / "rows" / "z.jsonl", *extra), 4_000),
        (store.remember_study, 4_000),
        (store.commit, 12_000),
        (lambda: checkpoint.save(state, 2, TENSORS, {}), 9_000),
        (lambda: save_weights(local, "a1", MATRICES, Shape(width=16)), 5_000),
        (lambda: store.claim("a", "b"), 300),
    ]
    for turn in range(count):
        act, size = acts[turn % len(acts)]
        with no_file_beyond(int(rng.integers(size))):
            tally.attempt(act)
        (local / "rows" / "z.jsonl").unlink(missing_ok=True)
        for left in (local / "leases").glob("*.json"):
            left.unlink()
        store.check_unchanged()
        tally.compare(runs_on_disk(store.study.folder), sound)
        tally.changed += not open_runs(store.study.folder, origin="committed").equals(committed)
        tensors, _, damaged = checkpoint.load_newest(state) or ({}, {}, ["none"])
        tally.changed += bool(damaged) or not torch.equal(tensors["weights"], TENSORS["weights"])
        tally.changed += not np.array_equal(read_weights(local, "a1").matrices["head"], MATRICES["head"])
    return tally


def read_only(root: Path, count: int, rng: np.random.Generator) -> Tally:
    """A user who may not write reads everything, and is refused by name whatever would be written."""
    del rng
    tally = Tally("read-only store")
    store, sound = made(root)
    store.commit()
    study = store.study.folder
    with mock.patch.object(Path, "open", _refusing(Path.open)), mock.patch("os.mkdir", _refused):
        acts: list[Callable[[], object]] = [
            lambda: append_rows(store.local / "rows" / "z.jsonl", {"run": {}}), store.remember_study, store.commit,
            lambda: save_weights(store.local, "a1", MATRICES, Shape(width=16)), lambda: store.claim("a"),
            lambda: checkpoint.save(root / "state", 2, TENSORS, {}),
        ]  # fmt: skip
        for turn in range(count):
            tally.attempt(acts[turn % len(acts)], lambda got: False)
        tally.compare(open_runs(study, origin="local").select("run_id").to_dicts(), _ids(sound))
    tally.compare(open_runs(study).select("run_id").to_dicts(), _ids(sound))
    return tally


def _refused(*arguments: object, **_: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system", str(arguments[0]))


def _refusing(opened: Callable[..., Any]) -> Callable[..., Any]:
    def open_(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if set(mode) & set("wax+"):
            _refused(path)
        return opened(path, mode, *arguments, **options)

    return open_


# --- stores that do not answer, clocks, hosts -------------------------------------------------------


def slow_store(root: Path, count: int, rng: np.random.Generator) -> Tally:
    """Each operation of the file system in turn runs out of time, as that of a server that has gone away."""
    tally = Tally("network store that times out, at each operation")
    store, sound = made(root)
    store.commit()
    state, study = root / "state", store.study.folder
    checkpoint.save(state, 1, TENSORS, {})
    save_weights(store.local, "a1", MATRICES, Shape(width=16))
    lease = store.claim("held")
    assert lease
    extra = rows_of(store.study.trunks[0].but(seed=9))[0]
    local = store.local / "rows" / "z.jsonl"
    acts: list[Callable[[], object]] = [
        lambda: append_rows(local, *extra), store.remember_study, store.commit, lambda: store.claim("a", "b"),
        lease.refresh, lambda: read_weights(store.local, "a1"), lambda: checkpoint.load_newest(state),
        lambda: save_weights(store.local, "a1", MATRICES, Shape(width=16)),
        lambda: checkpoint.save(state, 2, TENSORS, {}), lambda: open_runs(study), store.check_unchanged,
    ]  # fmt: skip
    for turn in range(count):
        with _timing_out(after=int(rng.integers(6))):
            tally.attempt(acts[turn % len(acts)])
        local.unlink(missing_ok=True)
        for left in (store.local / "leases").glob("[ab].json"):
            left.unlink()
        tally.compare(runs_on_disk(study), sound)
        tally.compare(open_runs(study, origin="committed").select("run_id").to_dicts(), _ids(sound))
    return tally


def _timing_out(after: int) -> ExitStack:
    """After so many calls of the system the next one runs out of time."""
    left = [after]

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def or_not(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == -1:
                raise OSError(errno.ETIMEDOUT, "Connection timed out")
            return call(*arguments, **options)

        return or_not

    names: list[tuple[Any, str]] = [
        (Path, n) for n in ("open", "mkdir", "replace", "read_text", "read_bytes", "write_bytes", "exists")
    ]
    names += [(os, "fsync"), (os, "utime")]
    stack = ExitStack()
    for owner, name in names:
        stack.enter_context(mock.patch.object(owner, name, timed(getattr(owner, name))))
    return stack


def clocks(root: Path, count: int, rng: np.random.Generator) -> Tally:
    """Two hosts want one lease while clocks are set by an hour; the holder works, then dies or gives it back."""
    tally = Tally("clock set by ± 1 h, lease of a dead host")
    now, wall = [0.0], [time.time()]
    with mock.patch.object(leases, "monotonic", lambda: now[0]):
        for turn in range(count):
            folder = root / f"leases{turn}"
            with mock.patch("socket.gethostname", lambda: "first"):
                held = leases.claim(folder, ("work",))
            assert held
            file = folder / "work.json"
            with mock.patch("socket.gethostname", lambda: "second"):
                for _ in range(12):  # the holder lives
                    now[0], wall[0] = now[0] + 10, wall[0] + 10 + 3600 * int(rng.integers(-1, 2))
                    tally.doubled += leases.claim(folder, ("work",)) is not None
                    tally.lost += not held.refresh()
                    os.utime(file, (wall[0], wall[0]))
                leases.claim(folder, ("work",))
                now[0] += leases.LEASE_SECONDS + 1  # and dies
                tally.lost += leases.claim(folder, ("work",)) is None
                tally.doubled += held.refresh()
            tally.faults += 13
    return tally


def bad_network(root: Path, count: int, rng: np.random.Generator) -> list[Tally]:
    """Three machines work at once on one shared store, of whose calls one in twenty, or four in ten, fail."""
    tallies = []
    with (
        mock.patch.object(objects, "_PAUSE_SECONDS", 0.001),
        mock.patch.object(shared, "PAUSE_SECONDS", 0.01),
    ):
        for share in (0.05, 0.4):
            total = Tally(f"shared store of whose calls {share:.0%} fail, three machines at once")
            for turn in range(count):
                tally, _ = share_a_study(root / f"{share}-{turn}", share, seed=int(rng.integers(2**31)))
                total.add(tally)
            tallies.append(total)
    return tallies


# --- harmed files ----------------------------------------------------------------------------------


def harmed(root: Path, count: int, rng: np.random.Generator, *, cut: bool) -> list[Tally]:
    """A bit turns over, or a file is cut short: what opens is what was written, or is refused by name."""
    store, _ = made(root)
    store.commit()
    study, state = store.study.folder, root / "state"
    checkpoint.save(state, 1, TENSORS, {})
    save_weights(store.local, "a1", MATRICES, Shape(width=16))
    (rows, *_), (saved,) = sorted(store.local.glob("rows/*")), state.iterdir()
    readers: dict[str, Callable[..., Any]] = {"runs": open_runs, "evaluations": open_evaluations}
    tables = {name: partial(reader, study, origin="committed") for name, reader in readers.items()}
    cases: list[tuple[str, Path, Callable[[], Any], Callable[[Any, Any], bool]]] = [
        ("rows", rows, partial(read_rows, rows, "run"), _same_rows),
        ("checkpoint", saved, lambda: checkpoint.load_newest(state), _same_state),
        ("weights", store.local / "weights" / "a1.safetensors", lambda: read_weights(store.local, "a1"), _same_weights),
        *((f"{n}.parquet", study / f"{n}.parquet", act, lambda a, b: a.equals(b)) for n, act in tables.items()),
        ("SHA256SUMS", study / "SHA256SUMS", tables["runs"], lambda a, b: a.equals(b)),
    ]  # fmt: skip
    tallies = []
    for name, path, act, same in cases:
        tally, sound = Tally(f"{name} cut short" if cut else f"flipped bits in {name}"), act()
        for _ in harm(path, rng, count, cut=cut):
            tally.attempt(act, lambda got, sound=sound, same=same: same(got, sound))
        tallies.append(tally)
    return tallies


def _same_rows(rows: list[Any], sound: list[Any]) -> bool:
    """A file cut at any place gives the rows before that place; a worker writes the rest again."""
    return rows == sound[: len(rows)] if len(rows) < len(sound) else rows == sound


def _same_state(state: Any, sound: Any) -> bool:
    return torch.equal(state[0]["weights"], sound[0]["weights"])


def _same_weights(weights: Any, sound: Any) -> bool:
    return all(np.array_equal(weights.matrices[name], matrix) for name, matrix in sound.matrices.items())


# --- all of it -------------------------------------------------------------------------------------

PARTS: dict[str, tuple[Callable[..., Tally | list[Tally]], int]] = {
    "writers": (writers, 60), "workers": (workers, 40), "launchers": (launchers, 15),
    "two": (partial(launchers, at_once=2), 9), "commits": (commits, 20), "full": (full_disk, 120),
    "read-only": (read_only, 30), "slow": (slow_store, 220), "network": (bad_network, 20), "clocks": (clocks, 20),
    "bits": (partial(harmed, cut=False), 400), "cut": (partial(harmed, cut=True), 100),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Faults by the hundred; one table out.")
    parser.add_argument("--times", type=float, default=1.0, help="of each count")
    parser.add_argument("--part", choices=PARTS, action="append", help="only these")
    options = parser.parse_args()
    print(
        f"{date.today()}, {machine.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}\n"
    )
    print("| fault | done | refused by name | rows lost | doubled | silently changed | other errors |")
    print("|---|---|---|---|---|---|---|", flush=True)
    total = Tally("all")
    for name in options.part or PARTS:
        part, count = PARTS[name]
        root = Path(tempfile.mkdtemp())
        with mock.patch.dict(os.environ, {"SCALING_CACHE": str(root / "cache")}):
            tallies = part(root, max(2, round(count * options.times)), np.random.default_rng(0))
        shutil.rmtree(root)
        for tally in tallies if isinstance(tallies, list) else [tallies]:
            _print(tally)
            total.add(tally)
    _print(total)
    for problem in sorted(set(total.unnamed)):
        print(problem)
    sys.exit(not total.is_clean)


def _print(tally: Tally) -> None:
    cells = (tally.faults, tally.named, tally.lost, tally.doubled, tally.changed, len(tally.unnamed))
    print(f"| {tally.what} | " + " | ".join(f"{cell:,}" for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
