"""What a sweep would do, and what it would take: FLOPs, hours, memory, disk."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from scaling.artifacts import has_weights
from scaling.corpora.corpus import Corpus
from scaling.corpora.items import Items
from scaling.corpora.synthetic.leakage import Leakage, leakages
from scaling.errors import StudyError, TrainError
from scaling.show import Table
from scaling.store import Store, ceiling_share
from scaling.study import Study, Trunk
from scaling.study.identity import parent_run, trunk_id
from scaling.sweeps.cost import cost_per_token, evaluation_cost, mode_and_bytes
from scaling.sweeps.engines.base import Asked, Capacity
from scaling.sweeps.fleet import Failures, Fleet, fleets
from scaling.sweeps.job import Job, StackSpec, run_ids, unfinished
from scaling.sweeps.mode import Mode
from scaling.sweeps.stacks import stack_trunks
from scaling.units import counted, print_count


class ParentWeightsGone(StudyError):
    """Runs that are to go on from weights which were not kept, or not on this machine."""

    study: str
    run_id: str
    waiting: int
    rows: str | Path

    def __str__(self) -> str:
        return (
            f"asked to train {counted(self.waiting, 'trunk')} from the weights of run {self.run_id}, which is done, "
            f"but its weights are not on this machine. Make them again: delete {self.rows} if it is there, and type "
            f"scaling sweep {self.study} --here"
        )


DEFAULT = Asked()
CEILING_SHARE = 0.75
"""Part of a plain product's speed that training reaches, in units of `relative_cost`: 0.70 to 0.84 in the committed
studies (medians of `runs/ladder`, `known-entropy` and `depth`)."""
JOB_SECONDS = 0.2
"""Of each stack beside its steps and evaluations: models and held-out windows made ready, rows and checkpoints."""


class SpeedUnknown(TrainError):
    """A fleet of devices of which no speed is known."""

    study: str

    def __str__(self) -> str:
        return (
            f"asked what {self.study} takes on a fleet, but it has no rows of this GPU, and nobody said how fast one "
            "is. Train a run of it on one, or give --gpu-flops, e.g. 2e14."
        )


class TooManyRanks(TrainError):
    """More processes for one stack than its steps have windows to share among them."""

    ranks: int
    name: str
    windows: int

    def __str__(self) -> str:
        return (
            f"asked {self.ranks} ranks to share a step of {self.name} of {counted(self.windows, 'window')}. "
            f"Ask for at most --ranks {self.windows}, or raise tokens_per_step."
        )


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
    asked: Asked
    capacity: Capacity
    """What the engine has for it."""
    here: bool
    """Whether runs that are committed are trained too."""
    corpus: Corpus
    stacks: tuple[StackSpec, ...]
    """Those with something left to train, the longest first."""
    run_ids: frozenset[str]
    """Every run that the study asks for."""
    finished: frozenset[str]
    """Those of them that need no training."""
    store: Store
    """Where rows go."""
    items: Items | None = None
    """What its probes ask."""
    leaks: Mapping[tuple[str, str], Leakage] = field(default_factory=dict)
    """How alike requests for held-out tools are to labels that are trained on, by the domains of both."""

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
        return sum(stack.tokens for stack in self.stacks)

    @property
    def flops(self) -> float:
        """FLOPs to spend."""
        return sum(stack.flops for stack in self.stacks)

    @property
    def memory(self) -> float:
        """Bytes that the largest stack takes while it trains."""
        return max((self._mode_and_bytes(stack)[1] for stack in self.stacks), default=0.0)

    def job(self, stack: StackSpec) -> Job:
        """What a worker is told, to train a stack."""
        return Job(
            study=self.study.name,
            folder=self.store.local,
            corpus=self.corpus.folder.resolve(),
            stack=stack,
            device=self.capacity.device,
            mode=self._mode_and_bytes(stack)[0],
            keep=self.study.keep,
            probes=self.study.probes,
            items=self.store.local / "items.json" if self.items else None,
        )

    def write_down(self) -> None:
        """Note what is asked, before the first job."""
        self.store.remember_study()
        if self.items:
            self.items.write(self.store.local / "items.json")

    def _mode_and_bytes(self, stack: StackSpec) -> tuple[Mode, float]:
        room, gpu = self.capacity.memory, self.capacity.gpu
        mode, ranks = self.asked.mode(1, gpu=gpu), self.asked.ranks
        return mode_and_bytes(stack.trunks[0], len(stack.trunks), room, gpu=gpu, mode=mode, ranks=ranks)

    @property
    def disk(self) -> int:
        """Most bytes that rows, and the checkpoints of the stacks at work, take at once."""
        at_work = heapq.nlargest(self.capacity.workers, (stack.checkpoint_bytes for stack in self.stacks))
        return sum(at_work) + sum(stack.row_bytes for stack in self.stacks)

    @property
    def hours(self) -> float | None:
        """From the command to the last row: workers start, and are dealt the stacks out, longest first."""
        busy = [self.capacity.start_seconds / 3600 if self.stacks else 0.0] * self.capacity.workers
        for stack in self.stacks:
            if (hours := self._hours(stack)) is None:
                return None
            heapq.heapreplace(busy, busy[0] + hours)
        return max(busy)

    @property
    def parts(self) -> list[Part]:
        """One for each width and depth."""
        parts = []
        for shape in sorted(set(map(_shape, self.study.trunks))):
            ids = run_ids((t for t in self.study.trunks if _shape(t) == shape), self.corpus.corpus_hash)
            stacks = [stack for stack in self.stacks if _shape(stack.trunks[0]) == shape]
            hours = [self._hours(stack) for stack in stacks]
            known = None if None in hours else sum(h for h in hours if h is not None)
            done, flops = len(ids & self.finished), sum(stack.flops for stack in stacks)
            parts.append(Part(*shape, len(ids), done, flops, known))
        return parts

    @cached_property
    def speeds(self) -> dict[tuple[int, int] | None, float]:
        """Units of `relative_cost` a second of one process, by width and depth and, under None, of any other shape.

        The medians of this study's rows of the same device; without any, a share of the ceiling on a CPU and nothing
        on a GPU, where a step takes as long as its operations and not as its FLOPs.
        """
        rows = self._rows
        if rows.is_empty():
            ceiling = self.capacity.ceiling
            return {None: CEILING_SHARE * ceiling} if ceiling else {}
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
        rows = pl.concat([self.store.rows("run", origin) for origin in ("local", "committed")])
        of_device = pl.col("device") == self.capacity.device_name
        return rows.filter(of_device, pl.col("kind") == "annealed", pl.col("seconds") > 0)

    def _hours(self, stack: StackSpec) -> float | None:
        """Of one worker, from taking a stack's job to its last row."""
        speed = self.speeds.get(_shape(stack.trunks[0]), self.speeds.get(None))
        if not speed:
            return None
        cost = stack.cost + evaluation_cost(stack.trunks, len(self.corpus.domains))
        return (JOB_SECONDS + cost / speed) / 3600

    def on_fleets(
        self,
        devices: Sequence[int],
        failures: Failures,
        *,
        flops_per_second: float | None = None,
        seed: int = 0,
    ) -> tuple[list[Fleet], str]:
        """What is left takes on so many devices each, and at which speed, in words.

        The speed of one device is the one that is given, else that of this study's rows of a GPU, else that of this
        machine.

        Raises:
            SpeedUnknown: none of them is there.
        """
        windows = min(
            (t.schedule.tokens_per_step // t.model.context for s in self.stacks for t in s.trunks), default=1
        )
        if flops_per_second is not None:
            hours: list[float | None] = [stack.flops / flops_per_second / 3600 for stack in self.stacks]
            said = f"{flops_per_second:.2g} FLOP/s a device, as given"
        else:
            rows = pl.concat([self.store.rows("run", origin) for origin in ("local", "committed")])
            of_gpu = rows.filter(pl.col("device").str.contains("NVIDIA|AMD Instinct"), pl.col("seconds") > 0)
            name = of_gpu["device"].mode().sort().first() if of_gpu.height else self.capacity.device_name
            there = replace(self, capacity=replace(self.capacity, device_name=str(name)))
            hours = [there._hours(stack) for stack in self.stacks]
            measured = (
                "the speed of this study's rows of" if len(there.speeds) > 1 else "the speed planned for"
            )
            said = f"{measured} {name}" + ("" if of_gpu.height else ", as the study has no rows of a GPU")
        if None in hours:
            raise SpeedUnknown(str(self.study))
        return fleets([h for h in hours if h is not None], windows, devices, failures, seed=seed), said

    @property
    def likeness(self) -> str:
        """What is said of the tools that are tested as held out; nothing where there are none."""
        return "\n".join(
            f"likeness of {tested!r}, tools held out, to the labels {labels!r}\n{leak}"
            for (labels, tested), leak in self.leaks.items()
        )

    def __str__(self) -> str:
        text = ", ".join(f"{print_count(n)} bytes of {d}" for d, n in self.corpus.bytes.items())
        lines = [
            f"{self.runs} runs, {self.done} of them done; to train: {print_count(self.tokens)} tokens, "
            f"{print_count(self.flops)} FLOPs in {counted(len(self.stacks), 'stack')}"
        ]
        if self.stacks:
            source = "this study's rows of" if len(self.speeds) > 1 else "the speed of a plain product on"
            rests_on = (
                f"from {source} {self.capacity.device_name}" if self.speeds else "no row of this GPU yet"
            )
            if self.ceiling_share:
                rests_on += f", at {self.ceiling_share:.0%} of the ceiling measured"
            time = "unknown" if self.hours is None else f"about {_time(self.hours)}"
            lines += [
                f"time   {time} with {counted(self.capacity.workers, 'worker')} ({rests_on})",
                f"memory {_bytes(self.memory)} for the largest stack",
                f"disk   up to {_bytes(self.disk)} for checkpoints and rows",
            ]
        lines += [
            f"corpus {self.corpus.corpus_hash}: {text} in {self.corpus.files:,} documents",
            str(self._table()),
            *([self.likeness] if self.leaks else []),
        ]
        return "\n".join(lines)

    def _table(self) -> Table:
        header = ("width", "depth", "runs", "done", "left", "FLOPs left", "process time left")
        rows = [
            (p.width, p.depth, p.runs, p.done, p.runs - p.done, print_count(p.flops), _time(p.hours))
            for p in self.parts
        ]
        return Table(header, [tuple(map(str, row)) for row in rows])


def plan_sweep(
    study: Study,
    capacity: Capacity,
    asked: Asked = DEFAULT,
    *,
    here: bool = False,
    progress: bool = True,
    store: Store | None = None,
) -> Plan:
    """What `sweep` would do with the capacity of its engine, every refusal included, without doing it."""
    store = store or Store(study)
    store.check_unchanged()
    leaks = _leaks(study)
    corpus = study.build_corpus(progress=progress)
    for trunk in study.trunks:
        windows = trunk.schedule.tokens_per_step // trunk.model.context
        if windows < asked.ranks:
            raise TooManyRanks(asked.ranks, trunk.name, windows)
        longest = trunk.schedule.steps(max(trunk.schedule.budgets))
        trunk.sampler(corpus).check_budget(longest, trunk.data.max_epochs)
    items = study.read_items(corpus)
    wanted = frozenset(run_ids(study.trunks, corpus.corpus_hash))
    finished = wanted & store.finished(here=here)
    left = unfinished(study.trunks, corpus.corpus_hash, finished)
    _check_weights(store, left, corpus.corpus_hash, finished)
    stacks = stack_trunks(left, corpus.corpus_hash, capacity, stacks_begun(store.local, corpus.corpus_hash))
    return Plan(study, asked, capacity, here, corpus, tuple(stacks), wanted, finished, store, items, leaks)


def _leaks(study: Study) -> Mapping[tuple[str, str], Leakage]:
    """Refuse labels of held-out tools, and tell how alike the others are."""
    trained = {domain for trunk in study.trunks for domain, share in trunk.data.blend if share > 0}
    return leakages(study.corpus.writers, trained) if study.corpus.documents else {}


def _check_weights(store: Store, trunks: Sequence[Trunk], corpus_hash: str, finished: frozenset[str]) -> None:
    """Refuse trunks whose parent is done and left no weights here."""
    waiting: dict[str, list[Trunk]] = {}
    for trunk in trunks:
        run = parent_run(trunk, corpus_hash)
        if run in finished and not has_weights(store.local, run):
            waiting.setdefault(run, []).append(trunk)
    for run, children in waiting.items():
        parent = children[0].parent_trunk
        assert parent
        rows = store.local / "rows" / f"{trunk_id(parent, corpus_hash)}.jsonl"
        raise ParentWeightsGone(str(store.study), run, len(children), rows)


def stacks_begun(folder: Path, corpus_hash: str) -> list[StackSpec]:
    """Stacks of which a store's working folder has a checkpoint, as their job files have them, the farthest first."""
    steps: dict[StackSpec, str] = {}
    for checkpoints in folder.glob("checkpoints/*"):
        saved = [path.name for path in checkpoints.glob("step-*")]
        with contextlib.suppress(
            OSError, ValueError, KeyError, TypeError
        ):  # no job, or one of an older version
            stack = Job.read(folder / "jobs" / f"{checkpoints.name}.json").stack
            if saved and stack.id == checkpoints.name and stack.corpus_hash == corpus_hash:
                steps[stack] = max(saved)
    return sorted(steps, key=lambda stack: steps[stack], reverse=True)


def _shape(trunk: Trunk) -> tuple[int, int]:
    return trunk.model.width, trunk.model.depth


def _time(hours: float | None) -> str:
    if hours is None:
        return "unknown"
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    return f"{60 * hours:.0f} min" if hours < 2 else f"{hours:.1f} h"


def _bytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
