"""The rows of a stack's models: which are on disk, which are missing, and what stands in one."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from scaling.corpora.corpus import Corpus
from scaling.flops import count_flops, count_parameters
from scaling.records import Asked, Cost, DomainLoss, Evaluation, Measurement, Run, append_rows, read_rows
from scaling.study import ScheduleSpec, Trunk, identity
from scaling.sweeps.cost import together
from scaling.train.stack import Stack
from scaling.units import print_count


class Rows:
    """A file of rows for each trunk of a stack; `asked`, `cost` and an outcome make a run's."""

    def __init__(self, folder: Path, study: str, stack: Stack):
        self.folder, self.study, self.stack = folder, study, stack
        self.trunks: Sequence[Trunk] = stack.trunks
        self.corpus: Corpus = stack.corpus
        self.ids = [identity.trunk_id(t, self.corpus.corpus_hash) for t in self.trunks]
        folder.mkdir(parents=True, exist_ok=True)

    # --- what is there -----------------------------------------------------------------------------

    def run_id(self, k: int, budget: int, kind: str = "annealed", members: int = 1) -> str:
        """Of a run of model k."""
        return identity.run_id(self.trunks[k], self.corpus.corpus_hash, budget, kind, members)

    def has_run(self, k: int, budget: int, kind: str = "annealed", members: int = 1) -> bool:
        """Whether such a run of model k has its row."""
        run_id = self.run_id(k, budget, kind, members)
        return any(row["run_id"] == run_id for row in read_rows(self._file(k), "run"))

    def missing(self, budget: int, kind: str = "annealed") -> list[int]:
        """The models that are asked for such a run and have none yet."""
        asked = [t.schedule.budgets if kind == "annealed" else t.schedule.averages() for t in self.trunks]
        return [
            k for k, budgets in enumerate(asked) if budget in budgets and not self.has_run(k, budget, kind)
        ]

    def first_gap(self) -> float:
        """The trunk's first step at which a row is missing: a state beyond it cannot make that row."""
        schedule = together(self.trunks).schedule
        at = [(schedule.branch_step(b), b, "annealed") for b in schedule.budgets]
        at += [(schedule.steps(b), b, "average") for b in schedule.averages()]
        return min((s for s, b, kind in at if self.missing(b, kind)), default=math.inf)

    def has_point(self, k: int, run_id: str, step: int, domains: Collection[str]) -> bool:
        """Whether a learning curve of model k has its point at a step, for each of these domains."""
        known = read_rows(self._file(k), "evaluation")
        return {r["domain"] for r in known if (r["run_id"], r["step"]) == (run_id, step)} >= set(domains)

    def _file(self, k: int) -> Path:
        return self.folder / f"{self.ids[k]}.jsonl"

    # --- what is added -----------------------------------------------------------------------------

    def add(
        self,
        k: int,
        run_id: str,
        domains: Sequence[DomainLoss],
        measured: Sequence[Measurement] = (),
        run: Run | None = None,
    ) -> None:
        """Write what was measured of model k at the stack's step, the run's own row last.

        So a run or a point that is there has all its measurements, and a job that was killed here adds what is missing.
        """
        step = self.stack.step
        at = {"run_id": run_id, "step": step, "tokens": step * self.trunks[k].schedule.tokens_per_step}
        known = read_rows(self._file(k), "measurement") if measured else []
        rows = [{"measurement": row} for row in map(asdict, measured) if row not in known]
        rows += [{"evaluation": asdict(Evaluation(**at, **asdict(d)))} for d in domains]
        append_rows(self._file(k), *rows, *([{"run": run.to_json()}] if run else []))

    def asked(self, k: int, budget: int, kind: str, members: int = 1) -> Asked:
        """What was asked of a run of model k."""
        trunk, corpus, sampler = self.trunks[k], self.corpus, self.stack.samplers[k]
        asked, parameters, step = trunk.flat, count_parameters(trunk.model), trunk.schedule.tokens_per_step
        same: dict[str, Any] = {f.name: asked[f.name] for f in fields(Asked) if f.name in asked}
        windows = sum(map(sampler.windows, sampler.domains))
        of = "" if kind == "annealed" else f" {kind}" + (f" of {members}" if members > 1 else "")
        same |= {"unique_budget": windows * trunk.model.context, "blend": dict(trunk.data.blend)}
        same |= {
            "generation": trunk.generation or None,
            "generated": trunk.generated if trunk.generation else None,
        }
        return Asked(
            **same,
            run_id=self.run_id(k, budget, kind, members),
            trunk_id=self.ids[k],
            parent_run=identity.parent_run(trunk, corpus.corpus_hash),
            study=self.study,
            name=f"{trunk.name} tokens {print_count(budget - budget % step)}{of}",
            kind=kind,
            N=parameters.matrices,
            params_embedding=parameters.embedding,
            params_head=parameters.head,
            params_total=parameters.total * members,
            schedule=_schedule(trunk.schedule, kind),
            beta2=trunk.optim.beta2(step),
            members=members,
            config_hash=identity.config_hash(trunk),
            corpus_hash=corpus.corpus_hash,
            corpus_bytes=dict(corpus.bytes),
            corpus_versions=dict(corpus.versions),
        )

    def cost(
        self, k: int, members: int, seconds: float, ceiling: float, device: str, versions: dict[str, str]
    ) -> Cost:
        """What a run of model k has spent by the stack's step, of `seconds` for the whole stack."""
        trunk, steps, sampler = self.trunks[k], self.stack.step, self.stack.samplers[k]
        tokens, unique = steps * trunk.schedule.tokens_per_step, sampler.unique_tokens(steps)
        flops, models = count_flops(trunk.model, tokens * members), len(self.trunks)
        return Cost(
            steps=steps,
            D=tokens,
            unique_tokens=unique,
            epochs=tokens / unique,
            domain_epochs=sampler.domain_epochs(steps),
            domain_unique=sampler.domain_unique(steps),
            C=flops.total,
            flops_matrix=flops.matrices,
            flops_attention=flops.attention_causal,
            flops_head=flops.head,
            seconds=seconds * members / models,
            flops_per_second=flops.total * models / members / seconds,
            ceiling=ceiling,
            device=device,
            precision=self.stack.mode.precision,
            versions=versions,
        )


def _schedule(schedule: ScheduleSpec, kind: str) -> str:
    if kind == "average":
        return f"constant, weights averaged with power {schedule.average_gamma:g}"
    before = "constant, " if schedule.cooldown < 1 else ""
    return f"{before}{schedule.cooldown_shape} cooldown over the last {schedule.cooldown:.0%}"
