"""One row of the store each: a `Run`, an `Evaluation` of a learning curve, a `Measurement` of a probe.

Rows travel as JSON lines, `{"run": {...}, "crc": "..."}`, with "evaluation" or "measurement" in place of "run"; "crc"
is the CRC-32 of the line without it, which older lines lack. A process killed while it writes leaves at most one line
cut short, which every reader leaves out; a line that is whole and is not what was written is refused.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scaling.errors import BadValue, RecordError
from scaling.files import NotWritten, naming_a_full_disk


class MissingRuns(RecordError):
    """Nothing to open where runs were expected."""

    where: object
    hint: str

    def __str__(self) -> str:
        return f"asked for runs at {self.where}, but there are none. {self.hint}"


class UnreadableTable(RecordError):
    """A file that is cut short, or not the format its name says."""

    path: str | Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path} cannot be read as a table ({self.reason}). Restore it from a copy, or write it again."


class DamagedRows(UnreadableTable):
    """A file of rows that is not what was written, as after a bit has turned over."""

    def __str__(self) -> str:
        return (
            f"the rows {self.path} cannot be used: {self.reason}. Delete the file and type the sweep's command again; "
            "its runs are trained anew, to the same bits."
        )


@contextmanager
def reading_table(path: str | Path) -> Iterator[None]:
    """Turn what is raised at a damaged file into `UnreadableTable`; polars may even panic, which is no Exception."""
    import polars as pl  # here, because a worker does without

    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, UnicodeDecodeError) as problem:
        words = str(problem) or type(problem).__name__
        raise UnreadableTable(path, words.splitlines()[0]) from None


@dataclass(frozen=True, kw_only=True)
class DomainLoss:
    """Held-out loss on one domain."""

    domain: str
    loss: float
    """nats/token."""
    loss_stderr: float
    """Standard error of `loss` over evaluation windows, nats/token."""
    loss_bits_per_byte: float


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked of a run."""

    run_id: str
    """Hash of configuration, seed, budget and corpus."""
    trunk_id: str
    """Hash of the constant-rate trunk that this run branched from; runs that share it are not independent."""
    study: str
    name: str
    """For people; nothing parses it."""
    kind: str
    """"annealed" (the rate was cooled to zero), "average" (a weight average of the trunk), "ensemble" (several
    annealed models predicting together) or "curve"."""
    stage: str = "pretrain"
    """What was trained: "pretrain" is plain next-token loss; older rows, all of them that, leave it out."""
    parent_run: str | None = None
    """The run whose weights this one started from, or whose pages it read; None where it had none."""
    generation: int | None = None
    """Generations of models between this one and real text; None where it read no pages of models."""
    generated: str | None = None
    """Which pages it read then: "replace", "accumulate" or "verified", as `study.Trunk` has them."""

    N: int
    """Weights of the matrices inside the blocks; embedding and head excluded."""
    params_embedding: int
    params_head: int
    params_total: int
    n_convention: str = "matrices"
    """What N counts: "matrices" here; a published table may say "total" or "no embedding"."""

    unique_budget: int
    """Distinct tokens the sampler was allowed to see."""
    blend: dict[str, float]
    """Share of each domain in the training tokens."""
    seed: int
    width: int
    depth: int
    head_dim: int
    context: int
    """Tokens in a window."""
    vocabulary: int
    tokens_per_step: int
    schedule: str
    peak_lr: float
    weight_decay: float
    decay_half_life: int | None = None
    """Tokens over which weights alone would halve at the peak rate; None where there is no such decay."""
    beta2: float
    optimizer: str | None = None
    """Of the matrices inside the blocks; older rows leave it out, and are AdamW's."""
    member: int | None = None
    """Which model of an ensemble this is, from 0; of an ensemble's own row, the first of them."""
    members: int | None = None
    """Models that predict together, 1 in all rows but those of kind "ensemble", in which params_total, C and seconds
    are of all of them, N and D of each; older rows leave it out."""
    config_hash: str
    """Hash of everything asked but seed, budget and corpus."""
    corpus_hash: str
    corpus_bytes: dict[str, int]
    """Training bytes of each domain."""
    corpus_versions: dict[str, str]
    """Versions of the packages that the text came from."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a run spent."""

    steps: int
    D: int
    """Tokens trained on, repeats counted."""
    unique_tokens: int
    """Distinct tokens actually seen."""
    epochs: float
    """D / unique_tokens, ≥ 1; 1.0 when no token repeats."""
    domain_epochs: dict[str, float] | None = None
    """The same for each domain of the blend; older rows leave it out."""
    domain_unique: dict[str, int] | None = None
    """Distinct tokens of each domain of the blend actually seen; older rows leave it out."""

    C: float
    """Training FLOPs: the sum of the three below, attention counted causally; 6ND only by name."""
    flops_matrix: float
    """Products with the matrices inside the blocks, forward and backward."""
    flops_attention: float
    """Attention scores and their use, over the causal half only."""
    flops_head: float
    """Product with the output head."""
    flops_convention: str = "matrix products, causal attention, head; three times forward"

    seconds: float
    """Wall time of this run's steps from the first, its trunk's included; of a stack, an equal share each."""
    flops_per_second: float | None = None
    """C / seconds: what the run achieved."""
    ceiling: float | None = None
    """FLOP/s of a plain matrix product on the same device, measured before the run."""
    device: str
    precision: str | None = None
    """Of activations and products, "fp32" or "bf16"; older rows, all of them fp32, leave it out."""
    versions: dict[str, str]
    """Versions of Python and of the packages that computed this row."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came out of a run."""

    status: str = "done"
    """"done" or "diverged"."""
    loss: float
    """Held-out loss at the end, nats/token: the mean over domains weighted by the blend."""
    loss_stderr: float
    """Standard error of `loss` over evaluation windows, nats/token."""
    loss_bits_per_byte: float
    domains: list[DomainLoss] = field(default_factory=list)
    """The same for each domain."""
    entropy: float | None = None
    """Loss of a perfect model on the same windows, nats/token, where it is known."""
    excess_stderr: float | None = None
    """Standard error of `loss` - `entropy`, nats/token; far below `loss_stderr`, for both are of the same windows."""
    note: str = ""
    """Why a run diverged or was cut short, or how it had to be trained."""


@dataclass(frozen=True, kw_only=True)
class Run(Outcome, Cost, Asked):
    """A training run: what was asked, what was spent, what came out."""

    @staticmethod
    def of(asked: Asked, cost: Cost, outcome: Outcome) -> Run:
        """The row of a run."""
        return Run(**vars(asked), **vars(cost), **vars(outcome))

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One domain's held-out loss at one step of a trunk or a branch."""

    run_id: str
    """The run whose steps these are, in its cooldown and at its end; a trunk's own points carry its `trunk_id`."""
    step: int
    tokens: int
    """Tokens trained on so far."""
    domain: str
    loss: float
    """nats/token."""
    loss_stderr: float
    loss_bits_per_byte: float


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one probe measured of a model at one step, for one group of what it looked at."""

    run_id: str
    """The run whose step this is; a trunk's own points carry its `trunk_id`."""
    step: int
    probe: str
    """Its name, as a study asks for it."""
    group: str
    """What part of the measured things this is of, in the probe's own words; empty where there is only one."""
    value: float
    stderr: float
    """Standard error of `value`, in its unit."""
    n: int
    """Independent things, such as windows, that `value` is the mean of."""
    unit: str
    """Of `value`, e.g. "nats/token"."""


ROW_KEYS = {
    "run": ["run_id"],
    "evaluation": ["run_id", "step", "domain"],
    "measurement": ["run_id", "step", "probe", "group"],
}
"""The kinds of rows, and what a row of each is known by: of rows with one key, the last one written holds."""

OF_ITEMS = ("item_log_probability", "item_choice", "item_exact")
"""Probes that ask the `[items]` of a study."""
PROBES = (
    "heldout", "position", "answer_loss", "answer_exact", "memorised", "seen_exact", "executed", "preferred",
    "helpful", "divergence", "written",
    *OF_ITEMS,
)  # fmt: skip
"""What a study may ask to have measured: each is a file of `train.probes`. "heldout" is measured in any case."""
LOSSES = ("loss", "heldout", "position", "answer_loss", "divergence")
"""What is better the lower it is; of other probes more is better."""
ON_OFFER = " on offer"
"""Behind a domain's name: the group of the probe "memorised" that says how many bits there are to memorise."""
ON_CURVES = ":curve"
"""Behind a probe's name: not only at the end of each branch, but at every point of the learning curve."""


def check_probes(asked: Sequence[str], *, items: bool = True) -> None:
    """Refuse a probe that there is not, and one that asks `items` where there are none.

    Raises:
        BadValue: names it.
    """
    for name in asked:
        if name.removesuffix(ON_CURVES) not in PROBES:
            known = f"among {', '.join(PROBES)}, each as it is or with {ON_CURVES!r} behind it"
            raise BadValue("study", "probes", name, known)
        if name.removesuffix(ON_CURVES) in OF_ITEMS and not items:
            raise BadValue("study", "probes", name, "asked for where [items] names a file of them")


def local_folder(study: Path) -> Path:
    """Where this machine keeps what it makes of the study in a folder: `.store/<study>` beside `runs/`, else in it."""
    folder = study.resolve()
    root = folder.parent.parent if folder.parent.name == "runs" else folder
    return root / ".store" / folder.name


def append_rows(path: Path, *rows: dict[str, Any]) -> None:
    """Add rows to a file of JSON lines and have them on disk before returning; a torn last line is closed first.

    Raises:
        DiskFull, NotWritten: the file is as it was.
    """
    text = "".join(map(_sealed, rows)).encode()
    try:
        with naming_a_full_disk("rows", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab+", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                if size:
                    file.seek(size - 1)
                torn = size > 0 and file.read(1) != b"\n"
                left = memoryview(b"\n" * torn + text)
                try:
                    while left:
                        left = left[file.write(left) :]
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(size)
                    raise
    except OSError as problem:
        raise NotWritten("rows", path, str(problem)) from problem


def read_rows(path: Path, kind: str) -> list[dict[str, Any]]:
    """The rows of one kind of `ROW_KEYS`; none where there is no file.

    Raises:
        DamagedRows: a line is whole, and is not what was written.
        UnreadableTable: the system does not give the file.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as problem:
        raise UnreadableTable(path, str(problem)) from None
    rows = []
    for number, line in enumerate(lines, 1):
        row = _opened(line) if line else {}
        if row is None and not _is_torn(line):
            raise DamagedRows(path, f"line {number} is not what was written")
        if row and kind in row:
            rows.append(row[kind])
    return rows


_SEAL = re.compile(rb', "crc": "([0-9a-f]{8})"}$')
_SEALED_BUT_FOR_ITS_END = re.compile(rb'"crc": ".{8}".{1,2}$', re.DOTALL)


def _sealed(row: dict[str, Any]) -> str:
    """The line of a row, with the checksum of the line as it would be without one."""
    text = json.dumps(row)
    return f'{text[:-1]}, "crc": "{zlib.crc32(text.encode()):08x}"}}\n'


def _opened(line: bytes) -> dict[str, Any] | None:
    """What a line holds; None where it is not what was written."""
    if seal := _SEAL.search(line):
        line = line[: seal.start()] + b"}"
        if zlib.crc32(line) != int(seal[1], 16):
            return None
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(row, dict) and len(row) == 1 and all(isinstance(value, dict) for value in row.values())
    return row if whole and (seal or row.keys() <= ROW_KEYS.keys()) else None


def _is_torn(line: bytes) -> bool:
    """Whether a line breaks off, as a kill leaves it, and is not one of which a byte has changed."""
    if _SEALED_BUT_FOR_ITS_END.search(line):
        return False
    try:
        json.loads(line)
    except json.JSONDecodeError as problem:
        return not line.endswith(b"}") or problem.pos == len(line)
    except (ValueError, RecursionError):
        return not line.endswith(b"}")
    return False
