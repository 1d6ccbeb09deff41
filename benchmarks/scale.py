"""Stores of a million runs: what opens, is filtered and is compacted, in which time and memory.

    python benchmarks/scale.py                       # a million runs, ten million evaluations: minutes of a core
    python benchmarks/scale.py --runs 1e5 --each 10  # smaller
    python benchmarks/scale.py --tiny 0 --only fit   # the lines whose names begin so

Stores are made in a temporary folder, as `scaling runs commit` lays them out, and removed. Every line is a process of
its own: processor seconds, of all threads and processes that it starts, are of the calls named, after the imports, and
on an idle core are what it takes at most; peak memory is of the process or, where it starts others, of all together,
what they share counted once. The launcher's workers write their rows instead of training.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl

import scaling
from scaling.files import sha256_of
from scaling.laws import chinchilla
from scaling.store import Store
from scaling.store.tables import SCHEMAS, SUMS, write_parquet
from scaling.study import read_study
from scaling.study.identity import spell_out
from scaling.sweeps import machine
from scaling.sweeps.job import run_ids

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "faults"))

import pretending
from disturb import STUDY as TINY
from disturb import file_of, rows_of, write_missing

STUDY = '[defaults]\nbudgets = ["64Ki"]\n[[grid]]\nwidth = 16\n'
DOMAINS = ("code", "prose")
_ROWS_WRITTEN = 10_000_000  # evaluations in memory at once


# --- stores ----------------------------------------------------------------------------------------


def make_store(folder: Path, runs: int, each: int) -> None:
    """A committed store of that many runs, with `each` evaluations of every one, in `folder`."""
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(STUDY)
    about = {"asked": spell_out(read_study(folder))}
    frame = make_runs(runs)
    write_parquet(frame.lazy(), folder / "runs.parquet", about)
    parts, ids = [], frame["run_id"].sort()
    for number, first in enumerate(range(0, runs, _ROWS_WRITTEN // each)):
        parts.append(folder / f"{number}.part")
        make_evaluations(ids[first : first + _ROWS_WRITTEN // each], each).write_parquet(parts[-1])
    path = folder / "evaluations.parquet"
    rows = pl.scan_parquet(parts, glob=False)
    rows.sink_parquet(path, compression="zstd", compression_level=3, metadata=about)
    with (folder / SUMS).open("a") as sums:
        sums.write(f"{sha256_of(path)}  {path.name}\n")
    for part in parts:
        part.unlink()


def make_runs(count: int) -> pl.DataFrame:
    """Invented rows in the schema of the store."""
    rng, number = np.random.default_rng(0), np.arange(count)
    N, D = 10 ** rng.uniform(4, 7, count), 10 ** rng.uniform(6, 9, count)
    loss = chinchilla(N, D, E=1.0, A=20.0, B=60.0, alpha=0.3, beta=0.3)
    loss *= np.exp(0.01 * rng.standard_normal(count))
    ids = pl.select(run_id=pl.lit(pl.Series(number)).hash(1)).to_series()
    text = {"blend": '{"code": 0.5, "prose": 0.5}', "corpus_bytes": '{"code": 10, "prose": 20}'}
    told: dict[str, Any] = {
        "run_id": [f"{i:016x}" for i in ids],
        "trunk_id": [f"{i:016x}" for i in ids[: -(-count // 4)] for _ in range(4)][:count],
        "kind": "annealed", "status": "done", "stage": "pretrain", "N": N.astype(int), "D": D.astype(int),
        "C": 6 * N * D, "loss": loss, "seed": number % 8, "width": 16 * (1 + number % 16), "epochs": 1.0,
        "name": [f"width {16 * (1 + n % 16)} depth 2 lr 0.004 seed {n % 8}" for n in number],
    }  # fmt: skip
    frame = pl.DataFrame({k: v for k, v in told.items() if not isinstance(v, str | float)})
    domain = pl.struct(
        pl.lit("").alias("domain"),
        *(pl.col("loss").alias(n) for n in ("loss", "loss_stderr", "loss_bits_per_byte")),
    )
    lists = pl.concat_list(*(domain.struct.with_fields(pl.lit(d).alias("domain")) for d in DOMAINS))
    columns = []
    for name, kind in SCHEMAS["run"].items():
        if name in frame.columns:
            column = pl.col(name)
        elif name == "domains":
            column = lists
        elif kind == pl.String:
            column = pl.lit(told.get(name, text.get(name, '{"python": "3.11.7", "torch": "2.13.0"}')))
        else:
            column = pl.lit(told.get(name, 512))
        columns.append(column.cast(kind).alias(name))
    return frame.select(columns).sort("corpus_hash", "N", "D", "run_id")


def make_evaluations(ids: pl.Series, each: int) -> pl.DataFrame:
    """A learning curve of `each` points for every run, half of them of either domain."""
    rng, rows = np.random.default_rng(int(ids[0], 16)), len(ids) * each
    place = pl.int_range(pl.len()) % each
    return (
        pl.DataFrame({"run_id": ids})
        .select(pl.col("run_id").repeat_by(each).explode())
        .with_columns(
            step=(512 * (1 + place // 2)).cast(pl.Int64),
            tokens=(2**18 * (1 + place // 2)).cast(pl.Int64),
            domain=pl.when(place % 2 == 0).then(pl.lit("code")).otherwise(pl.lit("prose")),
            loss=pl.Series(rng.uniform(2, 5, rows)),
            loss_stderr=pl.lit(0.01),
            loss_bits_per_byte=pl.Series(rng.uniform(1, 2, rows)),
        )
    )


# --- what is measured ------------------------------------------------------------------------------


def open_and_filter(folder: Path) -> object:
    """Runs of one width."""
    return scaling.open_runs(folder).filter(pl.col("width") == 32).height


def one_step(folder: Path) -> object:
    """The evaluations of one step of all runs."""
    return scaling.open_evaluations(folder, only="step = 1024").height


def one_run(folder: Path) -> object:
    """The learning curve of one run."""
    run_id = pl.scan_parquet(folder / "runs.parquet").select("run_id").head(1).collect().item()
    return scaling.open_evaluations(folder, only=f"run_id = '{run_id}'").height


def all_evaluations(folder: Path) -> object:
    """All of them."""
    return scaling.open_evaluations(folder).height


def refits(folder: Path) -> object:
    """A law fitted to all runs, with a bootstrap over their trunks."""
    return _fitted(folder).cluster


def looking_back(folder: Path) -> object:
    """The same, and its backtests and rival forms, as a prediction reads them."""
    return _fitted(folder).predict(N=1e8, D=1e10)


def _fitted(folder: Path) -> scaling.Fit:
    return scaling.fit(chinchilla, scaling.open_runs(folder), bootstrap=20)


def compaction(folder: Path) -> object:
    """A new run among them."""
    store = Store(read_study(folder))
    store.remember_study()
    for trunk in store.study.trunks:
        write_missing(file_of(store.local, rows_of(trunk)), rows_of(trunk))
    return store.commit()


def reading(folder: Path) -> object:
    """Opened again and again while another process compacts: how often, each of them whole."""
    before = pl.scan_parquet(folder / "runs.parquet").select(pl.len()).collect().item()
    other = subprocess.Popen(
        [sys.executable, __file__, "--child", "compaction", str(folder)], stdout=subprocess.DEVNULL
    )
    heights = []
    while other.poll() is None or len(heights) < 2:
        heights.append(scaling.open_runs(folder, origin="committed").height)
    assert other.returncode == 0
    assert set(heights) <= {before, before + len(run_ids(read_study(folder).trunks, "c0"))}, heights
    return f"{len(heights)} times, each whole"


def launching(folder: Path) -> object:
    """Tiny runs, whose workers write their rows instead of training: what each costs the launcher."""
    return _launched(lambda: pretending.launch(folder, workers=1))


def training(folder: Path) -> object:
    """Tiny runs that are trained."""
    return _launched(lambda: scaling.sweep(folder, workers=1, progress=False, device="cpu"))


def _launched(sweep: Callable[[], pl.DataFrame]) -> str:
    """Processor time of the launcher for each run of a sweep, and of its worker, which includes its start."""
    before = [_seconds(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    count = sweep().height
    after = [_seconds(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own, theirs = (1e3 * (b - a) / count for a, b in zip(before, after, strict=True))
    return f"{count:,} runs, {own:.1f} ms of the launcher each, {theirs:.1f} ms of the worker"


def _seconds(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _all_seconds() -> float:
    return _seconds(resource.RUSAGE_SELF) + _seconds(resource.RUSAGE_CHILDREN)


def _held(process: int) -> float:
    """Memory that a process and those it started hold, what they share counted once, GB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        others = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return 0.0
    own = next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return own / 2**20 + sum(_held(int(other)) for other in others)


CHILDREN: dict[str, Callable[[Path], object]] = {
    "open and filter runs": open_and_filter, "evaluations of one run": one_run, "evaluations of one step": one_step,
    "all evaluations": all_evaluations, "fit with 20 refits": refits, "fit and look-back": looking_back,
    "opened while another compacts": reading,
}  # fmt: skip


def child(name: str, folder: Path) -> None:
    """One of these; what came of it, its processor seconds and its peak memory, as JSON."""
    act = {**CHILDREN, "compaction": compaction, "launcher": launching, "launcher, runs trained": training}[
        name
    ]
    before = _all_seconds()
    with contextlib.redirect_stdout(sys.stderr):
        came = act(folder)
    lines = (
        Path("/proc/self/status").read_text().splitlines()
    )  # getrusage tells what the parent had held, too
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 2**20
    print(json.dumps([str(came).splitlines()[0], _all_seconds() - before, peak]))


def measure(name: str, folder: Path) -> None:
    """A line of the table."""
    command = [sys.executable, "-P", __file__, "--child", name, str(folder)]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as act,
    ):
        together = 0.0
        while act.poll() is None:
            together = max(together, _held(act.pid))
            time.sleep(0.1)
        if act.returncode:
            errors.seek(0)
            raise RuntimeError(f"{name}: {errors.read()}")
        came, seconds, peak = json.loads(act.stdout.read())  # type: ignore[union-attr]
    print(f"| {name} | {came} | {seconds:.2f} s | {max(peak, together):.2f} GB |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Stores of a million runs; one table out.")
    parser.add_argument("--runs", type=float, default=1e6)
    parser.add_argument("--each", type=int, default=10, help="evaluations of every run")
    parser.add_argument("--tiny", type=int, default=10_000, help="runs for the launcher, 0 for none")
    parser.add_argument("--only", default="", help="the lines whose names begin so")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], Path(options.child[1]))
        return
    print(
        f"{date.today()}, {machine.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}\n"
    )
    print("| what | came of it | processor | peak memory |\n|---|---|---|---|", flush=True)
    with (
        tempfile.TemporaryDirectory() as root,
        mock.patch.dict(os.environ, {"SCALING_CACHE": root, "PRETENDED_SECONDS": "0"}),
    ):
        folder = Path(root) / "runs" / "many"
        if options.runs:
            make_store(folder, int(options.runs), options.each)
            for name in (name for name in CHILDREN if name.startswith(options.only)):
                measure(name, folder)
        if options.tiny:
            for name, count in (("launcher", options.tiny), ("launcher, runs trained", options.tiny // 20)):
                tiny = Path(root) / "runs" / name
                tiny.mkdir(parents=True)
                (tiny / "study.toml").write_text(TINY.replace("[0, 1, 2, 3]", str(list(range(count // 2)))))
                measure(name, tiny)


if __name__ == "__main__":
    main()
