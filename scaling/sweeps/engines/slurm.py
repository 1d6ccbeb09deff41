"""Launchers in an array of Slurm jobs. Needs the extra "slurm".

    SlurmEngine(jobs=8, minutes=240, cpus=4, partition="short")

Each job of the array sweeps the study on its node, as a launcher among others that share the store: it takes what no
other has, on whatever its node is. At the time limit, or when it is preempted, it saves its state and is queued again.
The command that submitted the array only watches it: it may end and be typed again, and other launchers may join.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import warnings
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from scaling.errors import BadOption, TrainError
from scaling.files import written_whole
from scaling.sweeps.engines.base import Asked, Capacity, Elsewhere
from scaling.sweeps.engines.local import LocalEngine

_TIMEOUTS = 10_000  # as often as Slurm lets it; submitit itself would give up after three
_SAVE_SHARE = 0.7  # of the notice that Slurm gives, for workers to save their state
_LOG_TAIL = 12


class SlurmNotFound(TrainError):
    """A machine from which nothing can be submitted to Slurm."""

    command: str

    def __str__(self) -> str:
        return (
            f"asked for the engine 'slurm', but this machine has no {self.command}. Type the command on a login "
            "node, or leave --engine out to train here."
        )


class SlurmRefused(TrainError):
    """An array that Slurm did not take."""

    reason: str

    def __str__(self) -> str:
        return (
            f"asked Slurm for an array of jobs, but it refused: {self.reason}. Change the options, e.g. "
            "-o partition=NAME -o account=NAME -o minutes=60; sinfo lists what there is."
        )


class SlurmEngine:
    """An array of jobs, each with a launcher."""

    def __init__(
        self,
        *,
        jobs: int = 8,
        minutes: int = 60,
        cpus: int = 1,
        gpus: int = 0,
        memory_gb: float | None = None,
        partition: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        constraint: str | None = None,
        notice: int = 90,
    ):
        """Of so many jobs on a node each.

        Args:
            jobs: in the array.
            minutes: time limit of each; it is queued again until the study is done.
            cpus, gpus, memory_gb: of each.
            partition, account, qos, constraint: as sbatch takes them.
            notice: seconds before the time limit at which it saves its state.

        Raises:
            BadOption: not one job or CPU, or a time limit that leaves none beside the notice.
        """
        for option, value, least in (
            ("jobs", jobs, 1),
            ("cpus", cpus, 1),
            ("gpus", gpus, 0),
            ("notice", notice, 1),
        ):
            if value < least:
                raise BadOption(option, value, f"at least {least}")
        if 60 * minutes <= notice:
            raise BadOption("minutes", minutes, f"more than the notice of {notice} s")
        self.jobs, self.minutes, self.cpus, self.gpus, self.notice = jobs, minutes, cpus, gpus, notice
        asked = {"partition": partition, "account": account, "qos": qos, "constraint": constraint}
        self.slurm = {f"slurm_{name}": value for name, value in asked.items() if value is not None}
        self.slurm |= {} if memory_gb is None else {"mem_gb": memory_gb}

    def capacity(self, asked: Asked) -> Capacity:
        """What the array has; what its nodes are is known when they are there.

        Raises:
            BadOption: a GPU is asked for and the jobs have none, or more ranks than a job has processors.
        """
        if asked.device == "cuda" and not self.gpus:
            raise BadOption("gpus", 0, "1 or more, as --device cuda was asked for")
        device = "cuda" if self.gpus and asked.device != "cpu" else "cpu"
        each = self._each(asked)
        if not each:
            raise BadOption("ranks", asked.ranks, f"at most {self.gpus or self.cpus}, what each job has")
        here = LocalEngine().capacity(replace(asked, device="cpu", workers=1))
        workers = each * self._jobs(asked)
        return replace(
            here,
            workers=workers,
            device=device,
            mode=asked.mode(1, gpu=device == "cuda"),
            memory=float("inf"),
        )

    def launch(self, what: Elsewhere, folder: Path) -> Array:
        """Submit the array, or watch the one that an earlier command has submitted and that is not done.

        Raises:
            SlurmNotFound: there is no sbatch.
            SlurmRefused: Slurm did not take it.
        """
        if shutil.which("sbatch") is None:
            raise SlurmNotFound("sbatch")
        folder = folder / "slurm"
        note = folder / "array"
        if note.exists() and (earlier := Array(note.read_text(), folder)).left():
            return earlier
        submitit: Any = importlib.import_module("submitit")
        executor = submitit.AutoExecutor(folder / "%A", cluster="slurm", slurm_max_num_timeout=_TIMEOUTS)
        executor.update_parameters(
            name=f"scaling-{Path(what.study).name}",
            timeout_min=self.minutes,
            cpus_per_task=self.cpus,
            slurm_signal_delay_s=self.notice,
            slurm_array_parallelism=self.jobs,
            slurm_additional_parameters={"requeue": True},
            **({"gpus_per_node": self.gpus} if self.gpus else {}),
            **self.slurm,
        )
        count = self._jobs(what.asked)
        on_node = replace(what.asked, workers=self._each(what.asked))
        launcher = Launcher(replace(what, asked=on_node), launchers=count, seconds=_SAVE_SHARE * self.notice)
        try:
            with warnings.catch_warnings(action="ignore"), executor.batch():
                jobs = [executor.submit(launcher) for _ in range(count)]
        except Exception as problem:  # submitit's own, of what sbatch said
            said = str(problem).strip().splitlines() or [type(problem).__name__]
            raise SlurmRefused(
                next((line for line in said if "error" in line), said[-1]).strip()
            ) from problem
        array = jobs[0].job_id.partition("_")[0]
        with written_whole(note, "the number of an array") as scratch:
            scratch.write_text(array)
        return Array(array, folder)

    def _each(self, asked: Asked) -> int:
        """Workers of each job."""
        return (self.gpus if self.gpus and asked.device != "cpu" else self.cpus) // asked.ranks

    def _jobs(self, asked: Asked) -> int:
        return min(self.jobs, -(-asked.workers // max(1, self._each(asked)))) if asked.workers else self.jobs


@dataclass(frozen=True)
class Array:
    """An array of jobs that Slurm has taken."""

    number: str
    folder: Path

    def left(self) -> int:
        """How many of its jobs wait or run; all of them where Slurm does not answer just now."""
        asked = ["squeue", "--noheader", "--array", "--format=%T", f"--jobs={self.number}"]
        said = subprocess.run(asked, capture_output=True, text=True, check=False)
        if said.returncode:
            return 0 if "Invalid job id" in said.stderr else 1
        return sum(state not in ("COMPLETING", "FAILED") for state in said.stdout.split())

    def stop(self) -> None:
        """Have its jobs save their state and end, and not be queued again."""
        subprocess.run(["scancel", self.number], capture_output=True, check=False)

    def tail(self) -> tuple[Path, str]:
        """The log of a job that failed, and what it said last."""
        logs = sorted(self.folder.glob(f"{self.number}/{self.number}*_log.err"))
        texts = [(log, log.read_text(errors="replace").splitlines()) for log in logs]
        log, lines = max(texts, key=lambda one: len(one[1]), default=(self.folder, ["its jobs left no log"]))
        return log, "\n".join(lines[-_LOG_TAIL:])


# --- on a node ----------------------------------------------------------------------------------------


class _Node(LocalEngine):
    """Processes of a node, which is one of several that share a study alike."""

    def __init__(self, launchers: int):
        super().__init__()
        self.launchers = launchers

    def capacity(self, asked: Asked) -> Capacity:
        return replace(super().capacity(asked), launchers=self.launchers)


@dataclass
class Launcher:
    """What each job of an array does, anew after it was queued again."""

    what: Elsewhere
    launchers: int
    seconds: float
    """That workers have to save their state."""
    engine: _Node | None = field(default=None, init=False)

    def __call__(self) -> None:
        launch: Any = importlib.import_module("scaling.sweeps.launch")  # which imports the engines
        self.engine = _Node(self.launchers)
        what = self.what
        launch.sweep(
            what.study,
            here=what.here,
            store=what.store,
            progress=False,
            engine=self.engine,
            **asdict(what.asked),
        )

    def checkpoint(self) -> Any:
        """Called by submitit before it has the job queued again: every state is saved then."""
        for worker in self.engine.workers if self.engine else ():
            worker.stop()
        for worker in self.engine.workers if self.engine else ():
            worker.end(self.seconds)
        helpers: Any = importlib.import_module("submitit.helpers")
        return helpers.DelayedSubmission(Launcher(self.what, self.launchers, self.seconds))
