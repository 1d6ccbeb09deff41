"""A stack on its way through its trunk and branches: steps, checkpoints, rows as JSON lines.

A row is on disk before the trunk goes on past its branch point, and a checkpoint is never further than the rows, so a
process killed at any moment loses seconds of work and no row.
"""

from __future__ import annotations

import contextlib
import math
import platform
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from scaling.artifacts import save_weights
from scaling.corpora.corpus import Corpus
from scaling.corpora.items import Items
from scaling.errors import TrainError
from scaling.records import Measurement, Run
from scaling.study import Trunk
from scaling.sweeps import machine
from scaling.sweeps.cost import together
from scaling.sweeps.curve import cooldown_steps, curve_steps, curve_windows
from scaling.sweeps.job import Job, Message
from scaling.train import checkpoint
from scaling.train.post import stack_of
from scaling.train.post.generation import said_of
from scaling.train.probes import Reading, asked_probes, heldout, measurements
from scaling.train.probes.heldout import domain_loss, final_windows, optimal_losses, outcome
from scaling.train.rows import Rows
from scaling.train.schedule import cooldown_share, trunk_share


class Diverged(TrainError):
    """A model that cannot learn any more; its rows say so, and training ends where all of a stack have come to it."""

    name: str
    what: str
    step: int

    def __str__(self) -> str:
        return (
            f"asked to train {self.name}, but its {self.what} not finite at step {self.step}. "
            "Lower its peak_lr, or lengthen warmup_tokens."
        )


CHECKPOINT_SECONDS = 15.0
PROGRESS_SECONDS = 0.5
DIVERGENCE_STEPS = 50
"""Steps between two looks at whether the weights are finite; one that is not never becomes so again."""


class Stopped(Exception):
    """Asked to stop between two steps."""


class Worker:
    """A stack on its way through its trunk and branches."""

    def __init__(
        self,
        job: Job,
        corpus: Corpus,
        *,
        stopping: Callable[[], bool] = lambda: False,
        say: Callable[[Message], None] = lambda _: None,
        note: str = "",
    ):
        """On a job and its corpus; `stopping` is asked after every step whether to save the state and stop.

        A `note` of how it is trained stands in the row of every run that ends well.
        """
        self.job, self.corpus, self.stopping, self.say, self.note = job, corpus, stopping, say, note
        self.trunks = trunks = list(job.stack.trunks)
        self.first = together(trunks)
        self.schedule = self.first.schedule
        items = Items.load(job.items) if job.items else None
        self.at_ends, self.on_curves = (
            asked_probes(job.probes, on_curves=c, items=items) for c in (False, True)
        )
        self.device = torch.device(job.device)
        self.stack = stack_of(job, corpus)
        self.rows = Rows(job.folder / "rows", job.study, self.stack)
        self.final = final_windows(self.stack)
        self.curve = {d: curve_windows(w) for d, w in self.final.items()}
        self.ensembles: dict[Trunk, list[int]] = defaultdict(list)
        for k in sorted(range(len(trunks)), key=lambda k: trunks[k].member):
            self.ensembles[trunks[k].ensemble_key].append(k)
        blends = {t.data.blend for t in trunks}
        self.optimal = {blend: optimal_losses(corpus, self.final, dict(blend)) for blend in blends}
        self.seconds = 0.0
        self.ceiling = product_ceiling(self.device, job.mode.precision)
        self.diverged: dict[int, str] = {}
        self._said = self._saved = time.monotonic()
        self._unsaid = 0

    def train(self) -> None:
        """Go on from the newest checkpoint that no row is missing before, to the last budget."""
        self._resume(last=self.rows.first_gap())
        budgets = sorted(self.schedule.budgets, key=self.schedule.branch_step)
        try:
            for budget in budgets:
                self._trunk_to(self.schedule.branch_step(budget))
                if not self.rows.missing(budget):
                    self._tell_earlier(self.schedule.steps(budget) - self.schedule.branch_step(budget))
                    continue
                self._checkpoint()
                self._branch(budget)
        except Diverged:
            for kind, ends in (("average", self.schedule.averages()), ("annealed", budgets)):
                for budget in ends:
                    self._write_runs(budget, kind)
        shutil.rmtree(self.job.checkpoints, ignore_errors=True)

    # --- training ----------------------------------------------------------------------------------

    def _trunk_to(self, step: int) -> None:
        warmup = self.schedule.warmup_steps
        curve, averages = curve_steps(self.schedule, step), self.schedule.averages()
        stops = {
            s for s in (*curve, *map(self.schedule.steps, averages), step) if self.stack.step <= s <= step
        }
        for stop in sorted(stops):  # the first may be here: a kill comes between a checkpoint and its rows
            self._advance(stop, lambda s: trunk_share(s, warmup))
            if stop in curve:
                ids = self.rows.ids
                self._write_curve(
                    {k: ids[k] for k, t in enumerate(self.trunks) if stop <= t.schedule.last_step}
                )
            for budget in (b for b in averages if self.schedule.steps(b) == stop):
                self._write_runs(budget, "average")

    def _branch(self, budget: int) -> None:
        """Cool a copy of the trunk down to its budget, write its rows, and come back to the trunk."""
        start, end = self.stack.step, self.schedule.steps(budget)
        trunk, trunk_seconds, trunk_diverged = self.stack.fork(), self.seconds, dict(self.diverged)
        shape, warmup = self.schedule.cooldown_shape, self.schedule.warmup_steps
        kept = self.job.checkpoints / f"branch-{end}"
        self._resume(kept)
        ids = {k: self.rows.run_id(k, budget) for k in self.rows.missing(budget)}
        with contextlib.suppress(Diverged):
            for stop in [s for s in cooldown_steps(self.schedule, start, end) if s >= self.stack.step]:
                self._advance(
                    stop, lambda s: trunk_share(s, warmup) * cooldown_share(s, start, end, shape), kept
                )
                if stop < end:
                    self._write_curve(ids)
        self._keep_weights(ids)
        self._write_ensembles(budget)
        self._write_runs(budget, "annealed")
        self.stack.restore(trunk, start)
        self.seconds, self.diverged = trunk_seconds, trunk_diverged
        shutil.rmtree(kept, ignore_errors=True)

    def _advance(self, to: int, share: Callable[[int], float], kept: Path | None = None) -> None:
        started = time.monotonic()

        def each() -> None:
            nonlocal started
            now = time.monotonic()
            self.seconds, started = self.seconds + now - started, now
            self._unsaid += self.schedule.tokens_per_step * len(self.trunks)
            if now - self._said > PROGRESS_SECONDS:
                self._tell(now)
            if self.stopping():
                self._checkpoint(kept)
                raise Stopped
            if self.stack.step % DIVERGENCE_STEPS == 0:
                self._note_diverged(torch.isfinite(self.stack.weights).all(1).tolist(), "weights are")
            if now - self._saved > CHECKPOINT_SECONDS:
                self._checkpoint(kept)

        self.stack.advance(to, share, each)
        self._tell(time.monotonic())

    def _note_diverged(self, finite: list[bool], what: str) -> None:
        """Note which models have diverged, each with the first step at which that was seen.

        Raises:
            Diverged: all of them have.
        """
        problems = [Diverged(trunk.name, what, self.stack.step) for trunk in self.trunks]
        for k in (k for k, fine in enumerate(finite) if not fine):
            self.diverged.setdefault(k, str(problems[k]))
        if len(self.diverged) == len(self.trunks):
            raise problems[0]

    def _tell(self, now: float) -> None:
        self.say(Message(tokens=self._unsaid))
        self._unsaid, self._said = 0, now

    def _tell_earlier(self, steps: int) -> None:
        """Steps of an earlier attempt that need not be taken again."""
        self.say(Message(earlier_tokens=steps * self.schedule.tokens_per_step * len(self.trunks)))

    # --- state on disk -----------------------------------------------------------------------------

    def _checkpoint(self, kept: Path | None = None) -> None:
        """Save the state, that of a trunk or, in a folder of its own, that of the branch under way."""
        facts = {"trunks": self.rows.ids, "seconds": self.seconds, "diverged": self.diverged}
        checkpoint.save(kept or self.job.checkpoints, self.stack.step, self.stack.state(), facts)
        self._saved = time.monotonic()

    def _resume(self, kept: Path | None = None, last: float = math.inf) -> None:
        newest = checkpoint.load_newest(kept or self.job.checkpoints, last)
        if newest is None:
            return
        tensors, facts, damaged = newest
        for line in damaged:
            print(line, file=sys.stderr)
        if facts["trunks"] == self.rows.ids:
            self._tell_earlier(facts["step"] - self.stack.step)
            self.stack.restore(tensors, facts["step"])
            self.seconds = facts["seconds"]
            self.diverged = {int(k): note for k, note in facts["diverged"].items()}

    # --- rows --------------------------------------------------------------------------------------

    def _write_curve(self, ids: dict[int, str]) -> None:
        """A point of the learning curve of some models, under the id of each, where there is none yet."""
        step = self.stack.step
        missing = {k: i for k, i in ids.items() if not self.rows.has_point(k, i, step, self.curve)}
        if not missing:
            return
        readings: list[list[Reading]] = [[] for _ in self.trunks]
        for reading in heldout.PROBE.measure(self.stack, self.curve):
            readings[reading.model].append(reading)
        finite = [all(math.isfinite(r.value) for r in mine) for mine in readings]
        measured = measurements(self.on_curves, self.stack, self.curve, self._sound(missing))
        for k, run_id in missing.items():
            domains = [domain_loss(r, self.corpus) for r in readings[k]]
            self.rows.add(k, run_id, domains, measured.get(k, []))
        self._note_diverged(finite, "losses are")
        self.say(Message(loss=self._mean_loss(readings)))

    def _mean_loss(self, readings: list[list[Reading]]) -> float:
        """Mean over the models that have not diverged of the loss on their blend, nats/token."""
        going = [
            sum(dict(trunk.data.blend).get(r.group, 0.0) * r.value for r in mine)
            for k, (trunk, mine) in enumerate(zip(self.trunks, readings, strict=True))
            if k not in self.diverged
        ]
        return sum(going) / len(going) if going else float("nan")

    def _write_runs(self, budget: int, kind: str) -> None:
        """A row for every model of the stack that has none yet, measured as it is now."""
        if missing := self.rows.missing(budget, kind):
            losses = {d: self.stack.evaluate(w, average=kind == "average") for d, w in self.final.items()}
            ids = {k: self.rows.run_id(k, budget) for k in missing} if kind == "annealed" else {}
            measured = measurements(self.at_ends, self.stack, self.final, self._sound(ids))
            for k in missing:
                mine = {d: table[k] for d, table in losses.items()}
                self._write_run(k, budget, kind, mine, measured=measured.get(k, []))

    def _write_ensembles(self, budget: int) -> None:
        """A row for the first 2, 4, 8, … members of every ensemble in the stack, measured as they are now."""
        members = {
            tuple(which[:size]): size
            for which in self.ensembles.values()
            for size in (2**i for i in range(1, len(which).bit_length()))
            if budget in self.trunks[which[0]].schedule.budgets
            and not self.rows.has_run(which[0], budget, "ensemble", size)
            and not self.diverged.keys() & which[:size]
        }
        if members:
            losses = {d: self.stack.evaluate_ensembles(w, [*members]) for d, w in self.final.items()}
            for i, (which, size) in enumerate(members.items()):
                self._write_run(which[0], budget, "ensemble", {d: t[i] for d, t in losses.items()}, size)

    def _write_run(
        self,
        k: int,
        budget: int,
        kind: str,
        losses: heldout.Losses,
        members: int = 1,
        measured: Sequence[Measurement] = (),
    ) -> None:
        trunk = self.trunks[k]
        device = device_name(self.device)
        spent = self.rows.cost(k, members, self.seconds, self.ceiling, device, versions())
        optimal, diverged = self.optimal[trunk.data.blend], self.diverged.get(k, "")
        came = outcome(losses, optimal, trunk, self.corpus, diverged, epochs=spent.epochs)
        said = said_of(trunk, self.stack.samplers[k])
        came = replace(came, note=came.note or self.note or said)
        run = Run.of(self.rows.asked(k, budget, kind, members), spent, came)
        self.rows.add(k, run.run_id, run.domains, measured, run)
        if kind == "annealed":
            self.say(Message(run=run.name))

    def _keep_weights(self, ids: dict[int, str]) -> None:
        """Save the weights of some models, where the study keeps them; before their rows, so that none is without."""
        for k, run_id in self._sound(ids).items() if self.job.keep == "weights" else ():
            mine = {name: view[k].cpu().numpy() for name, view in self.stack.views.items()}
            save_weights(self.job.folder, run_id, mine, self.stack.shape)

    def _sound(self, ids: dict[int, str]) -> dict[int, str]:
        """Those of some models that have not diverged."""
        finite = torch.isfinite(self.stack.weights).all(1).tolist()
        return {k: run_id for k, run_id in ids.items() if finite[k] and k not in self.diverged}


def versions() -> dict[str, str]:
    """What computed a row."""
    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}


def device_name(device: torch.device) -> str:
    """Of the very device that trains, where there are several."""
    return machine.device_name(torch.cuda.get_device_name(device) if device.type == "cuda" else None)


def product_ceiling(device: torch.device, precision: str = "fp32") -> float:
    """FLOP/s of the product of two square matrices, the best of a few: what no training step can exceed."""
    size = 4096 if device.type == "cuda" else 512
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    return machine.fastest_product(size, lambda: float(torch.mm(a, a)[0, 0]), times=8)  # waits for a GPU
