"""What a launcher and its workers say to each other: jobs one way, messages the other. No torch, no polars.

A worker is told of jobs by the paths of their files, a line each, and answers with messages, a line of JSON each. Its
last word is its exit status: only a job that went well leaves the process alive for the next one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Set
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from scaling.files import written_whole
from scaling.flops import count_flops, count_parameters
from scaling.study import Trunk, identity
from scaling.sweeps import cost
from scaling.sweeps.mode import PLAIN, Mode

EXIT_STOPPED = 3
"""A worker was asked to stop, or its launcher is gone; everything is resumable."""
EXIT_NO_ROOM = 4
"""A worker had no room on the disk or in the memory, and said so; everything is resumable, but not as it is."""
EXIT_LOST = 5
"""The place where a worker ran is gone, say a node of a cluster, which is no fault of its stack; all is resumable."""

_CHECKPOINTS = 5  # of a trunk and of the branch under way: checkpoint.KEPT each, and the one being written
_ROW_BYTES = 3_000
"""Of one run: its row, its share of the learning curve, each domain's loss."""


# --- what is to be trained --------------------------------------------------------------------------


@dataclass(frozen=True)
class StackSpec:
    """Trunks of one shape that train in one program at once, and the text they train on."""

    trunks: tuple[Trunk, ...]
    corpus_hash: str

    @cached_property
    def id(self) -> str:
        """Hash of its trunks."""
        return identity.digest(self.trunk_ids)

    @cached_property
    def trunk_ids(self) -> tuple[str, ...]:
        """What is to be held while it trains."""
        return tuple(identity.trunk_id(t, self.corpus_hash) for t in self.trunks)

    @cached_property
    def run_ids(self) -> frozenset[str]:
        """The runs that it will write."""
        return frozenset(run_ids(self.trunks, self.corpus_hash))

    @cached_property
    def parents(self) -> frozenset[str]:
        """The runs whose weights it starts from."""
        parents = (identity.parent_run(t, self.corpus_hash) for t in self.trunks)
        return frozenset(run for run in parents if run)

    def left(self, finished: Set[str]) -> StackSpec | None:
        """Its trunks that still have a run to write, if there are any."""
        trunks = unfinished(self.trunks, self.corpus_hash, finished)
        return replace(self, trunks=trunks) if trunks else None

    @cached_property
    def tokens(self) -> int:
        """Tokens that it trains on, trunks and cooldowns together."""
        return len(self.trunks) * cost.tokens_to_train(cost.together(self.trunks))

    @cached_property
    def cost(self) -> float:
        """Expected time of its steps, in units of one FLOP at full speed; small matrices reach less of the peak."""
        return len(self.trunks) * cost.relative_cost(cost.together(self.trunks))

    @cached_property
    def flops(self) -> float:
        """FLOPs of its steps."""
        return count_flops(self.trunks[0].model, self.tokens).total

    @property
    def checkpoint_bytes(self) -> int:
        """Most that its checkpoints take on the disk at once; they go when it is done."""
        first = self.trunks[0]
        weights = count_parameters(first.model).total
        return _CHECKPOINTS * len(self.trunks) * weights * cost.state_floats(first) * cost.FLOAT

    @property
    def row_bytes(self) -> int:
        """What its rows take on the disk."""
        return len(self.run_ids) * _ROW_BYTES


def run_ids(trunks: Iterable[Trunk], corpus_hash: str) -> set[str]:
    """The runs that trunks are asked for."""
    return {identity.run_id(t, corpus_hash, b) for t in trunks for b in t.schedule.budgets}


def unfinished(trunks: Iterable[Trunk], corpus_hash: str, finished: Set[str]) -> tuple[Trunk, ...]:
    """Those with a run that is not finished, and with them all members of their ensembles: they predict together."""
    left = {t.ensemble_key for t in trunks if run_ids([t], corpus_hash) - finished}
    return tuple(t for t in trunks if t.ensemble_key in left)


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that a worker needs to know to train one stack and write its rows."""

    study: str
    """The name that rows carry."""
    folder: Path
    """The store's working folder, which holds jobs, rows and checkpoints."""
    corpus: Path
    """The folder of its tokens."""
    stack: StackSpec
    device: str = "cpu"
    """Either "cpu" or "cuda"."""
    mode: Mode = PLAIN
    keep: str = "none"
    """Of each finished run beside its rows: "none", or its "weights"."""
    probes: tuple[str, ...] = ()
    """What is measured beside held-out loss, as `records.check_probes` reads it."""
    items: Path | None = None
    """The file of what some probes ask, as `Items.load` reads it."""

    @property
    def path(self) -> Path:
        """The file that says it."""
        return self.folder / "jobs" / f"{self.stack.id}.json"

    @property
    def checkpoints(self) -> Path:
        """Where the state of its stack is kept until it is done."""
        return self.folder / "checkpoints" / self.stack.id

    def write(self) -> Path:
        """Write the file, which a plan may be reading; its path comes back."""
        with written_whole(self.path, "a job") as scratch:
            scratch.write_text(json.dumps(self.to_json()))
        return self.path

    @staticmethod
    def read(path: str | Path) -> Job:
        """The job in a file."""
        return Job.from_json(json.loads(Path(path).read_text()))

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes."""
        stack = {"trunks": [t.flat for t in self.stack.trunks], "corpus_hash": self.stack.corpus_hash}
        items = None if self.items is None else str(self.items)
        paths = {"folder": str(self.folder), "corpus": str(self.corpus), "items": items}
        return asdict(self) | paths | {"stack": stack}

    @staticmethod
    def from_json(said: dict[str, Any]) -> Job:
        """The job that `to_json` and JSON made a dictionary of."""
        trunks = tuple(Trunk.of(**flat) for flat in said["stack"]["trunks"])
        stack = StackSpec(trunks, said["stack"]["corpus_hash"])
        parts: dict[str, Any] = {
            "stack": stack,
            "mode": Mode(**said["mode"]),
            "probes": tuple(said.get("probes", ())),
        }
        parts |= {name: Path(said[name]) for name in ("folder", "corpus", "items") if said.get(name)}
        return Job(**said | parts)


# --- what a worker says -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Message:
    """What has happened to a job since its worker last spoke; what is not said has not."""

    tokens: int = 0
    """Trained on, all models of the stack together."""
    earlier_tokens: int = 0
    """Trained on by an earlier attempt, so that this one need not."""
    loss: float | None = None
    """Mean of the models where they stand, nats/token."""
    run: str | None = None
    """The name of a run whose row is on the disk now."""
    problem: str | None = None
    """Why the worker is about to end, in words."""
    done: bool = False
    """Every row of the job is on the disk, and the worker waits for another job."""

    def __str__(self) -> str:
        return json.dumps({name: value for name, value in asdict(self).items() if value != _SILENCE[name]})

    @staticmethod
    def read(line: str) -> Message | None:
        """The message that was printed as a line; None where it is none, as after a kill that cut it short."""
        try:
            return Message(**json.loads(line))
        except (ValueError, TypeError):
            return None


_SILENCE = asdict(Message())
