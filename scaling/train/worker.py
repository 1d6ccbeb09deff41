"""One process of a sweep: carries out a job file.

    python -m scaling.train.worker JOB.json

Needs numpy and torch only.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from scaling.corpora.corpus import Corpus
from scaling.errors import ScalingError, TrainError
from scaling.files import DiskFull
from scaling.study import Trunk
from scaling.sweeps.engines.local import EXIT_NO_ROOM, EXIT_STOPPED
from scaling.sweeps.job import Mode
from scaling.train.loop import Stopped, Worker
from scaling.train.stack import Stack


class OutOfDeviceMemory(TrainError):
    """A stack that was planned to fit into a GPU's memory, and did not."""

    name: str
    models: int
    passes: int
    said: str

    def __str__(self) -> str:
        first = self.said.partition("\n")[0]
        return (
            f"asked to train {self.models} models ({self.name} and its like) in {self.passes} passes a step, but the "
            f"GPU has no room for them: {first} Lower tokens_per_step, or let what else is on it end; finished rows "
            "are kept."
        )


def keep_pages() -> None:
    """Tell the allocator to keep freed memory: a step frees and asks for the same pages again and again."""
    trim_threshold, mmap_max = -1, -4  # as glibc numbers them; other C libraries have no mallopt
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 1 << 30)


def main(job_path: str) -> int:
    """Carry out one job file.

    Under torchrun, which sets WORLD_SIZE, rank 0 trains and writes, the others compute their shares of gradients.

    Returns:
        The exit status: 0 when done, `EXIT_STOPPED`, `EXIT_NO_ROOM`, 1 on any other error.
    """
    job = json.loads(Path(job_path).read_text())
    trunks, mode = [Trunk.of(**t) for t in job["trunks"]], Mode(**job["mode"])
    device = torch.device(job["device"])
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        if device.type == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    keep_pages()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")  # TF32 on a GPU; nothing changes on a CPU

    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), flush=True)

    try:
        corpus = Corpus.load(job["corpus"])
        if int(os.environ.get("RANK", "0")) > 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # rank 0 stops, and then lets the others go
            Stack(trunks, corpus, device, mode).follow()
            return 0
        worker = Worker(
            trunks,
            corpus,
            study=job["study"],
            folder=Path(job["folder"]),
            pack=job["pack"],
            device=device,
            mode=mode,
            say=say,
        )
        signal.signal(signal.SIGTERM, lambda *_: setattr(worker, "stop", True))
        try:
            worker.train()
        finally:
            worker.stack.gradient.end()
    except (Stopped, BrokenPipeError):
        return EXIT_STOPPED
    except DiskFull as problem:
        say({"problem": str(problem)})  # not into the log: there may be no room for that either
        return EXIT_NO_ROOM
    except torch.OutOfMemoryError as problem:
        say({"problem": str(OutOfDeviceMemory(trunks[0].name, len(trunks), mode.passes, str(problem)))})
        return EXIT_NO_ROOM
    except ScalingError as problem:
        print(problem, file=sys.stderr)
        return 1
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
