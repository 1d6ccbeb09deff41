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
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scaling.corpora.corpus import Corpus
from scaling.corpora.sampler import held_out_windows
from scaling.errors import TrainError
from scaling.flops import count_flops, count_parameters
from scaling.records import DomainLoss, Evaluation, Run, append_rows, read_rows
from scaling.study import Trunk
from scaling.sweeps import machine
from scaling.sweeps.cost import together
from scaling.sweeps.curve import FINAL_WINDOWS, cooldown_steps, curve_steps, curve_windows
from scaling.sweeps.job import Job, Message
from scaling.train import checkpoint
from scaling.train.schedule import cooldown_share, trunk_share
from scaling.train.stack import Stack
from scaling.units import bits_per_byte, print_count


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
    ):
        """On a job and its corpus; `stopping` is asked after every step whether to save the state and stop."""
        self.study, self.corpus, self.stopping, self.say = job.study, corpus, stopping, say
        self.trunks = trunks = list(job.stack.trunks)
        self.first = together(trunks)
        self.rows, self.checkpoints = job.folder / "rows", job.checkpoints
        self.rows.mkdir(parents=True, exist_ok=True)
        self.device = torch.device(job.device)
        self.ids = [t.trunk_id(corpus.corpus_hash) for t in trunks]
        self.stack = Stack(trunks, corpus, self.device, job.mode)
        self.final = {
            d: held_out_windows(corpus, d, self.first.context, FINAL_WINDOWS) for d in self._domains()
        }
        self.curve = {d: curve_windows(w) for d, w in self.final.items()}
        self.ensembles: dict[Trunk, list[int]] = defaultdict(list)
        for k in sorted(range(len(trunks)), key=lambda k: trunks[k].member):
            self.ensembles[trunks[k].ensemble_key].append(k)
        self.optimal = {blend: self._optimal(dict(blend)) for blend in {t.blend for t in trunks}}
        self.seconds = 0.0
        self.ceiling = product_ceiling(self.device, job.mode.precision)
        self.diverged: dict[int, str] = {}
        self._said = self._saved = time.monotonic()
        self._unsaid = 0

    def train(self) -> None:
        """Go on from the newest checkpoint that no row is missing before, to the last budget."""
        self._resume(last=self._first_gap())
        budgets = sorted(self.first.budgets, key=self.first.branch_step)
        try:
            for budget in budgets:
                self._trunk_to(self.first.branch_step(budget))
                if not self._missing(budget):
                    self._tell_earlier(self.first.steps(budget) - self.first.branch_step(budget))
                    continue
                self._checkpoint()
                self._branch(budget)
        except Diverged:
            for kind, ends in (("average", self.first.averages()), ("annealed", budgets)):
                for budget in ends:
                    self._write_runs(budget, kind)
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    # --- training ----------------------------------------------------------------------------------

    def _trunk_to(self, step: int) -> None:
        warmup = self.first.warmup_steps
        curve, averages = curve_steps(self.first, step), self.first.averages()
        stops = {s for s in (*curve, *map(self.first.steps, averages), step) if self.stack.step <= s <= step}
        for stop in sorted(stops):  # the first may be here: a kill comes between a checkpoint and its rows
            self._advance(stop, lambda s: trunk_share(s, warmup))
            if stop in curve:
                self._write_curve({k: self.ids[k] for k, t in enumerate(self.trunks) if stop <= t.last_step})
            for budget in (b for b in averages if self.first.steps(b) == stop):
                self._write_runs(budget, "average")

    def _branch(self, budget: int) -> None:
        """Cool a copy of the trunk down to its budget, write its rows, and come back to the trunk."""
        start, end = self.stack.step, self.first.steps(budget)
        trunk, trunk_seconds, trunk_diverged = self.stack.fork(), self.seconds, dict(self.diverged)
        shape, warmup = self.first.cooldown_shape, self.first.warmup_steps
        kept = self.checkpoints / f"branch-{end}"
        self._resume(kept)
        ids = {k: self._run_id(k, budget) for k in self._missing(budget)}
        with contextlib.suppress(Diverged):
            for stop in [s for s in cooldown_steps(self.first, start, end) if s >= self.stack.step]:
                self._advance(
                    stop, lambda s: trunk_share(s, warmup) * cooldown_share(s, start, end, shape), kept
                )
                if stop < end:
                    self._write_curve(ids)
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
            self._unsaid += self.first.tokens_per_step * len(self.trunks)
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
        found = [Diverged(trunk.name, what, self.stack.step) for trunk in self.trunks]
        for k in (k for k, fine in enumerate(finite) if not fine):
            self.diverged.setdefault(k, str(found[k]))
        if len(self.diverged) == len(self.trunks):
            raise found[0]

    def _tell(self, now: float) -> None:
        self.say(Message(tokens=self._unsaid))
        self._unsaid, self._said = 0, now

    def _tell_earlier(self, steps: int) -> None:
        """Steps of an earlier attempt that need not be taken again."""
        self.say(Message(earlier_tokens=steps * self.first.tokens_per_step * len(self.trunks)))

    # --- state on disk -----------------------------------------------------------------------------

    def _checkpoint(self, kept: Path | None = None) -> None:
        """Save the state, that of a trunk or, in a folder of its own, that of the branch under way."""
        facts = {"trunks": self.ids, "seconds": self.seconds, "diverged": self.diverged}
        checkpoint.save(kept or self.checkpoints, self.stack.step, self.stack.state(), facts)
        self._saved = time.monotonic()

    def _resume(self, kept: Path | None = None, last: float = math.inf) -> None:
        found = checkpoint.load_newest(kept or self.checkpoints, last)
        if found is None:
            return
        tensors, facts, damaged = found
        for line in damaged:
            print(line, file=sys.stderr)
        if facts["trunks"] == self.ids:
            self._tell_earlier(facts["step"] - self.stack.step)
            self.stack.restore(tensors, facts["step"])
            self.seconds = facts["seconds"]
            self.diverged = {int(k): note for k, note in facts["diverged"].items()}

    # --- rows --------------------------------------------------------------------------------------

    def _domains(self) -> list[str]:
        """Every domain with held-out text is measured, whether or not it is trained on."""
        blended = {d for t in self.trunks for d, share in t.blend if share > 0}
        return [
            d
            for d in sorted(self.corpus.domains)
            if d in blended or len(self.corpus.tokens(d, "heldout")) > self.first.context
        ]

    def _optimal(self, blend: dict[str, float]) -> dict[str, NDArray[np.float64]] | None:
        """Mean loss of a perfect model of a blend on each window that a run's own loss is the mean of, where known."""
        found = {}
        for domain in (d for d, share in blend.items() if share > 0):
            losses = self.corpus.optimal_losses(self.final[domain], blend)
            if losses is None:
                return None
            found[domain] = losses.mean(1)
        return found

    def _has_run(self, k: int, budget: int, kind: str = "annealed", members: int = 1) -> bool:
        run_id = self._run_id(k, budget, kind, members)
        return any(row["run_id"] == run_id for row in read_rows(self._file(k), "run"))

    def _run_id(self, k: int, budget: int, kind: str = "annealed", members: int = 1) -> str:
        return self.trunks[k].run_id(self.corpus.corpus_hash, budget, kind, members)

    def _missing(self, budget: int, kind: str = "annealed") -> list[int]:
        """The models that are asked for such a run and have none yet."""
        asked = [t.budgets if kind == "annealed" else t.averages() for t in self.trunks]
        return [
            k for k, budgets in enumerate(asked) if budget in budgets and not self._has_run(k, budget, kind)
        ]

    def _first_gap(self) -> float:
        """The trunk's first step at which a row is missing: a state beyond it cannot make that row."""
        at = [(self.first.branch_step(b), b, "annealed") for b in self.first.budgets]
        at += [(self.first.steps(b), b, "average") for b in self.first.averages()]
        return min((s for s, b, kind in at if self._missing(b, kind)), default=math.inf)

    def _file(self, k: int) -> Path:
        return self.rows / f"{self.ids[k]}.jsonl"

    def _write_curve(self, ids: dict[int, str]) -> None:
        """A point of the learning curve of some models, under the id of each, where there is none yet."""
        step = self.stack.step
        missing = {k: run_id for k, run_id in ids.items() if not self._has_point(k, run_id, step)}
        if not missing:
            return
        losses = {d: self.stack.evaluate(w) for d, w in self.curve.items()}
        for k, run_id in missing.items():
            domains = [self._domain_loss(d, table[k]) for d, table in losses.items()]
            append_rows(self._file(k), *self._evaluations(run_id, self.trunks[k], step, domains))
        finite = np.all([np.isfinite(table).all(1) for table in losses.values()], axis=0)
        self._note_diverged(finite.tolist(), "losses are")
        self.say(Message(loss=self._mean_loss(losses)))

    def _has_point(self, k: int, run_id: str, step: int) -> bool:
        known = read_rows(self._file(k), "evaluation")
        return any(row["run_id"] == run_id and row["step"] == step for row in known)

    def _mean_loss(self, losses: dict[str, NDArray[np.float64]]) -> float:
        """Mean over the models that have not diverged of the loss on their blend, nats/token."""
        going = [
            sum(share * float(losses[d][k].mean()) for d, share in trunk.blend if share > 0)
            for k, trunk in enumerate(self.trunks)
            if k not in self.diverged
        ]
        return sum(going) / len(going) if going else float("nan")

    def _write_runs(self, budget: int, kind: str) -> None:
        """A row for every model of the stack that has none yet, measured as it is now."""
        if missing := self._missing(budget, kind):
            losses = {d: self.stack.evaluate(w, average=kind == "average") for d, w in self.final.items()}
            for k in missing:
                self._write_run(k, budget, kind, {d: table[k] for d, table in losses.items()})

    def _write_ensembles(self, budget: int) -> None:
        """A row for the first 2, 4, 8, … members of every ensemble in the stack, measured as they are now."""
        members = {
            tuple(which[:size]): size
            for which in self.ensembles.values()
            for size in (2**i for i in range(1, len(which).bit_length()))
            if budget in self.trunks[which[0]].budgets
            and not self._has_run(which[0], budget, "ensemble", size)
            and not self.diverged.keys() & which[:size]
        }
        if members:
            losses = {d: self.stack.evaluate_ensembles(w, [*members]) for d, w in self.final.items()}
            for i, (which, size) in enumerate(members.items()):
                self._write_run(which[0], budget, "ensemble", {d: t[i] for d, t in losses.items()}, size)

    def _write_run(
        self, k: int, budget: int, kind: str, losses: dict[str, NDArray[np.float64]], members: int = 1
    ) -> None:
        trunk, steps = self.trunks[k], self.stack.step
        domains = [self._domain_loss(d, per_window) for d, per_window in losses.items()]
        shares = dict(trunk.blend)
        blended = [(shares[d.domain], d) for d in domains if shares.get(d.domain, 0) > 0]
        loss = sum(share * d.loss for share, d in blended)
        entropy = excess_stderr = None
        if optimal := self.optimal[trunk.blend]:
            entropy = sum(shares[d] * float(best.mean()) for d, best in optimal.items())
            excess = [shares[d] * _stderr(losses[d] - best) for d, best in optimal.items()]
            excess_stderr = sum(e**2 for e in excess) ** 0.5
        note = self.diverged.get(k, "")
        if not note and not loss < np.log(trunk.shape.vocabulary):
            note = f"loss {loss:.3g} at the end is no better than a uniform guess"
        tokens = steps * trunk.tokens_per_step
        unique = self.stack.samplers[k].unique_tokens(steps)
        parameters, flops = count_parameters(trunk.shape), count_flops(trunk.shape, tokens * members)
        of = "" if kind == "annealed" else f" {kind}" + (f" of {members}" if members > 1 else "")
        run = Run(
            run_id=self._run_id(k, budget, kind, members),
            trunk_id=self.ids[k],
            study=self.study,
            name=f"{trunk.name} tokens {print_count(trunk.steps(budget) * trunk.tokens_per_step)}{of}",
            kind=kind,
            status="diverged" if note else "done",
            N=parameters.matrices,
            params_embedding=parameters.embedding,
            params_head=parameters.head,
            params_total=parameters.total * members,
            D=tokens,
            unique_tokens=unique,
            unique_budget=sum(map(self.stack.samplers[k].windows, self.stack.samplers[k].domains))
            * trunk.context,
            epochs=tokens / unique,
            domain_epochs=self.stack.samplers[k].domain_epochs(steps),
            C=flops.total,
            flops_matrix=flops.matrices,
            flops_attention=flops.attention_causal,
            flops_head=flops.head,
            loss=loss,
            loss_stderr=sum((share * d.loss_stderr) ** 2 for share, d in blended) ** 0.5,
            loss_bits_per_byte=bits_per_byte(
                loss, sum(share * self.corpus.bytes_per_token.get(d.domain, 1.0) for share, d in blended)
            ),
            domains=domains,
            entropy=entropy,
            excess_stderr=excess_stderr,
            seed=trunk.seed,
            width=trunk.width,
            depth=trunk.depth,
            head_dim=trunk.head_dim,
            context=trunk.context,
            vocabulary=trunk.shape.vocabulary,
            tokens_per_step=trunk.tokens_per_step,
            steps=steps,
            schedule=_schedule(trunk, kind),
            peak_lr=trunk.peak_lr,
            weight_decay=trunk.weight_decay,
            decay_half_life=trunk.decay_half_life,
            beta2=trunk.beta2,
            optimizer=trunk.optimizer,
            member=trunk.member,
            members=members,
            blend=shares,
            config_hash=trunk.config_hash,
            corpus_hash=self.corpus.corpus_hash,
            corpus_bytes=dict(self.corpus.bytes),
            corpus_versions=dict(self.corpus.versions),
            versions=versions(),
            device=device_name(self.device),
            precision=self.stack.mode.precision,
            seconds=self.seconds * members / len(self.trunks),
            flops_per_second=flops.total * len(self.trunks) / members / self.seconds,
            ceiling=self.ceiling,
            note=note,
        )
        evaluations = self._evaluations(run.run_id, trunk, steps, domains)
        append_rows(self._file(k), *evaluations, {"run": run.to_json()})
        if kind == "annealed":
            self.say(Message(run=run.name))

    def _evaluations(
        self, run_id: str, trunk: Trunk, step: int, domains: list[DomainLoss]
    ) -> list[dict[str, Any]]:
        at = {"run_id": run_id, "step": step, "tokens": step * trunk.tokens_per_step}
        return [{"evaluation": asdict(Evaluation(**at, **asdict(d)))} for d in domains]

    def _domain_loss(self, domain: str, per_window: NDArray[np.float64]) -> DomainLoss:
        loss = float(per_window.mean())
        stderr = _stderr(per_window)
        bits = bits_per_byte(loss, self.corpus.bytes_per_token.get(domain, 1.0))
        return DomainLoss(domain=domain, loss=loss, loss_stderr=stderr, loss_bits_per_byte=bits)


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


def _schedule(trunk: Trunk, kind: str) -> str:
    if kind == "average":
        return f"constant, weights averaged with power {trunk.average_gamma:g}"
    before = "constant, " if trunk.cooldown < 1 else ""
    return f"{before}{trunk.cooldown_shape} cooldown over the last {trunk.cooldown:.0%}"


def _stderr(per_window: NDArray[np.float64]) -> float:
    return float(per_window.std(ddof=1) / len(per_window) ** 0.5) if len(per_window) > 1 else float("nan")
