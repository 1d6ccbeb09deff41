"""What a sweep would do, and what it would take: FLOPs, hours, memory, disk."""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from scaling.corpora.corpus import Corpus
from scaling.corpora.text import build_corpus
from scaling.flops import count_flops
from scaling.store import Store, ceiling_share
from scaling.study import Study, Trunk, identity
from scaling.sweeps.job import Asked, Mode
from scaling.sweeps.machine import (
    default_workers,
    device_name,
    find_gpu,
    on_gpu,
    product_ceiling,
    total_memory,
)
from scaling.sweeps.pack import (
    Pack,
    cost_per_token,
    pack_trunks,
    passes_and_bytes,
    run_ids,
    unfinished,
)
from scaling.units import print_count

DEFAULT = Asked()
MEMORY_SHARE = 0.8
"""Part of the memory that workers may plan with; the rest is for everything else."""
CEILING_SHARE = 0.75
"""Part of a plain product's speed that training reaches, in units of `relative_cost`: 0.70 to 0.84 in the committed
studies (medians of `runs/ladder`, `known-entropy` and `depth`)."""


@dataclass(frozen=True)
class Part:
    """Everything of one width and depth that a study asks for."""

    width: int
    depth: int
    runs: int
    done: int
    flops: float
    """Of what is left."""
    hours: float | None
    """Of one process, for what is left; None where the speed is not known."""


@dataclass(frozen=True)
class Plan:
    """What a sweep would do."""

    study: Study
    packs: tuple[Pack, ...]
    """Stacks with something left to train, the longest first."""
    run_ids: frozenset[str]
    """Every run that the study asks for."""
    finished: frozenset[str]
    """Those of them that need no training."""
    corpus: Corpus
    workers: int
    device: str
    asked: Asked = DEFAULT

    @property
    def runs(self) -> int:
        """Runs asked for."""
        return len(self.run_ids)

    @property
    def done(self) -> int:
        """Runs that need no training."""
        return len(self.finished)

    @property
    def tokens(self) -> int:
        """Tokens to train on."""
        return sum(p.tokens for p in self.packs)

    @property
    def flops(self) -> float:
        """FLOPs to spend."""
        return sum(_flops(p) for p in self.packs)

    @property
    def memory(self) -> float:
        """Bytes that the largest stack takes while it trains."""
        return max((self._passes_and_bytes(p)[1] for p in self.packs), default=0.0)

    def mode(self, pack: Pack) -> Mode:
        """How the steps of a stack are computed."""
        return self.asked.mode(self._passes_and_bytes(pack)[0], gpu=on_gpu(self.device))

    def _passes_and_bytes(self, pack: Pack) -> tuple[int, float]:
        room = room_of(self.device, self.workers, self.asked.ranks)
        return passes_and_bytes(pack.trunks[0], len(pack.trunks), room, gpu=on_gpu(self.device))

    @property
    def disk(self) -> int:
        """Most bytes that rows, and the checkpoints of the stacks at work, take at once."""
        at_work = heapq.nlargest(self.workers, (p.checkpoint_bytes for p in self.packs))
        return sum(at_work) + sum(p.row_bytes for p in self.packs)

    @property
    def hours(self) -> float | None:
        """From the first step to the last, the stacks dealt out to workers longest first; evaluations are not in it."""
        busy = [0.0] * self.workers
        for pack in self.packs:
            if (hours := self._hours(pack)) is None:
                return None
            heapq.heapreplace(busy, busy[0] + hours)
        return max(busy)

    @property
    def parts(self) -> list[Part]:
        """One for each width and depth."""
        left: dict[tuple[int, int], list[Pack]] = defaultdict(list)
        for pack in self.packs:
            left[pack.trunks[0].model.width, pack.trunks[0].model.depth].append(pack)
        asked: dict[tuple[int, int], set[str]] = defaultdict(set)
        for trunk in self.study.trunks:
            ids = {identity.run_id(trunk, self.corpus.corpus_hash, b) for b in trunk.schedule.budgets}
            asked[trunk.model.width, trunk.model.depth] |= ids
        parts = []
        for (width, depth), ids in sorted(asked.items()):
            hours = [self._hours(p) for p in left[width, depth]]
            known = None if None in hours else sum(h for h in hours if h is not None)
            flops = sum(_flops(p) for p in left[width, depth])
            parts.append(Part(width, depth, len(ids), len(ids & self.finished), flops, known))
        return parts

    @cached_property
    def speeds(self) -> dict[tuple[int, int] | None, float]:
        """Units of `relative_cost` a second of one process, by width and depth and, under None, of any other shape.

        The medians of this study's rows of the same device; without any, a share of the ceiling on a CPU and nothing
        on a GPU, where a step takes as long as its operations and not as its FLOPs.
        """
        rows = self._rows
        if rows.is_empty():
            return {} if on_gpu(self.device) else {None: CEILING_SHARE * product_ceiling()}
        per_token = [
            cost_per_token(*row) for row in rows.select(pl.col("C") / pl.col("D"), "width", "depth").rows()
        ]
        rows = rows.with_columns(speed=pl.Series(per_token) * pl.col("D") / pl.col("seconds"))
        by_shape = rows.group_by("width", "depth").agg(pl.col("speed").median()).rows()
        overall = float(np.median(rows["speed"].to_numpy()))
        return {None: overall} | {(width, depth): speed for width, depth, speed in by_shape}

    @cached_property
    def ceiling_share(self) -> float | None:
        """What this study's rows of the same device reached of a plain product's FLOP/s; None without any."""
        return ceiling_share(self._rows)

    @cached_property
    def _rows(self) -> pl.DataFrame:
        store = Store(self.study)
        rows = pl.concat([store.rows("run", origin) for origin in ("local", "committed")])
        return rows.filter(
            pl.col("device") == device_name(self.device), pl.col("kind") == "annealed", pl.col("seconds") > 0
        )

    def _hours(self, pack: Pack) -> float | None:
        first = pack.trunks[0]
        speed = self.speeds.get((first.model.width, first.model.depth), self.speeds.get(None))
        return pack.cost / speed / 3600 if speed else None

    def __str__(self) -> str:
        text = ", ".join(f"{print_count(n)} bytes of {d}" for d, n in self.corpus.bytes.items())
        lines = [
            f"{self.runs} runs, {self.done} of them done; to train: {print_count(self.tokens)} tokens, "
            f"{print_count(self.flops)} FLOPs in {_some(len(self.packs), 'stack')}"
        ]
        if self.packs:
            source = "this study's rows of" if len(self.speeds) > 1 else "the speed of a plain product on"
            rests_on = (
                f"from {source} {device_name(self.device)}" if self.speeds else "no row of this GPU yet"
            )
            if self.ceiling_share:
                rests_on += f", at {self.ceiling_share:.0%} of the ceiling measured"
            lines += [
                f"time   {_about(self.hours)} with {_some(self.workers, 'worker')} ({rests_on})",
                f"memory {_bytes(self.memory)} for the largest stack",
                f"disk   up to {_bytes(self.disk)} for checkpoints and rows",
            ]
        lines += [f"corpus {self.corpus.corpus_hash}: {text} in {self.corpus.files} files", self._table()]
        return "\n".join(lines)

    def _table(self) -> str:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for name in ("width", "depth", "runs", "done", "left", "FLOPs left", "process time left"):
            table.add_column(name, justify="right")
        for part in self.parts:
            left = part.runs - part.done
            cells = (
                part.width,
                part.depth,
                part.runs,
                part.done,
                left,
                print_count(part.flops),
                _time(part.hours),
            )
            table.add_row(*map(str, cells))
        console = Console(width=100, color_system=None)
        with console.capture() as captured:
            console.print(table)
        return "\n".join(line.rstrip() for line in captured.get().splitlines())


def plan_sweep(
    study: Study,
    *,
    workers: int | None = None,
    device: str = "auto",
    here: bool = False,
    progress: bool = True,
    asked: Asked = DEFAULT,
) -> Plan:
    """What `sweep` would do, every refusal included, without doing it.

    Raises:
        StudyChanged, BudgetBeyondCorpus, EmptyDomain, MissingFolder, PackageNotInstalled, DeviceNotFound: as `sweep`.
        ModelTooLarge: a model does not fit into a worker's share of the memory.
    """
    store = Store(study)
    store.check_unchanged()
    corpus = build_corpus(study.source, progress=progress)
    for trunk in study.trunks:
        longest = trunk.schedule.steps(max(trunk.schedule.budgets))
        trunk.sampler(corpus).check_budget(longest, trunk.data.max_epochs)
    workers = workers or default_workers(device, asked.ranks)
    wanted = frozenset(run_ids(study.trunks, corpus.corpus_hash))
    finished = wanted & store.finished(here=here)
    left = unfinished(study.trunks, corpus.corpus_hash, finished)
    begun = stacks_begun(store, corpus.corpus_hash)
    memory = workers * room_of(device, workers, asked.ranks)
    packs = pack_trunks(left, corpus.corpus_hash, workers, on_gpu(device), memory, begun)
    return Plan(
        study=study,
        packs=tuple(packs),
        run_ids=wanted,
        finished=finished,
        corpus=corpus,
        workers=workers,
        device=device,
        asked=asked,
    )


def room_of(device: str, workers: int, ranks: int) -> float:
    """Bytes that one process may plan with, of so many workers of so many ranks."""
    gpu = find_gpu() if on_gpu(device) else None
    if gpu:
        return MEMORY_SHARE * gpu.memory / -(-workers * ranks // gpu.count)
    return MEMORY_SHARE * total_memory() / (workers * ranks)


def stacks_begun(store: Store, corpus_hash: str) -> list[Pack]:
    """Stacks of which there is a checkpoint, as their job files have them, the farthest first."""
    steps: dict[Pack, str] = {}
    for folder in store.local.glob("checkpoints/*"):
        job = store.local / "jobs" / f"{folder.name}.json"
        saved = [path.name for path in folder.glob("step-*")]
        if saved and job.exists():
            pack = Pack(tuple(Trunk.of(**t) for t in json.loads(job.read_text())["trunks"]), corpus_hash)
            steps |= {pack: max(saved)} if pack.id == folder.name else {}
    return sorted(steps, key=lambda pack: steps[pack], reverse=True)


def _flops(pack: Pack) -> float:
    return count_flops(pack.trunks[0].model, pack.tokens).total


def _some(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _time(hours: float | None) -> str:
    if hours is None:
        return "unknown"
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    return f"{60 * hours:.0f} min" if hours < 2 else f"{hours:.1f} h"


def _about(hours: float | None) -> str:
    return "unknown" if hours is None else f"about {_time(hours)}"


def _bytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
