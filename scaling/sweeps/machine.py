"""What this machine has: cores, memory, a GPU, and how fast it multiplies. No torch.

Asked by those who compute on it, a worker and the engine that starts workers here; a plan asks its engine.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scaling.errors import TrainError


class DeviceNotFound(TrainError):
    """A device that was asked for and is not there."""

    asked: str

    def __str__(self) -> str:
        return (
            f"asked to train on {self.asked!r}, but this machine and this build of torch have no such device. "
            "Use --device cpu, or --device auto to take what there is."
        )


@dataclass(frozen=True)
class Gpu:
    """A CUDA device."""

    name: str
    memory: int
    """Bytes of one."""
    count: int
    """How many there are."""


def gpu_for(device: str) -> Gpu | None:
    """The GPUs that work on a device ("auto", "cpu" or "cuda") is done on; None where a CPU does it.

    Raises:
        DeviceNotFound: CUDA was asked for and is absent.
    """
    gpu = None if device == "cpu" else find_gpu()
    if device == "cuda" and gpu is None:
        raise DeviceNotFound(device)
    return gpu


@cache
def find_gpu() -> Gpu | None:
    """Asked of torch in a process of its own, and only where a driver is installed: importing torch takes seconds."""
    if shutil.which("nvidia-smi") is None:
        return None
    question = (
        "import json, torch; first = torch.cuda.get_device_properties(0)\n"
        "print(json.dumps([first.name, first.total_memory, torch.cuda.device_count()]))"
    )
    answer = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=False)
    return Gpu(*json.loads(answer.stdout)) if answer.returncode == 0 else None


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device_name(gpu: str | None = None) -> str:
    """What rows that are trained here say in `Run.device`: a GPU's name, or the processor's."""
    return gpu or f"{processor()}, one thread"


def processor() -> str:
    """The processor's own name, so that rows of two machines can be told apart."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def total_memory() -> int:
    """Bytes that this machine, or the control group it is confined to, has in all.

    Not what is free just now: a study is stacked alike at all times, so that its checkpoints serve again.
    """
    sizes = [sys.maxsize]
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    root, own = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
    inside = own.read_text().rpartition("::")[2].strip("/\n") if own.exists() else ""
    group = root / inside
    files = [f / "memory.max" for f in (group, *group.parents) if f.is_relative_to(root)]
    for file in [*files, root / "memory" / "memory.limit_in_bytes"]:
        limit = file.read_text().strip() if file.exists() else ""
        if limit.isdigit():
            sizes.append(int(limit))
    return min(sizes)


@cache
def product_ceiling() -> float:
    """FLOP/s of the product of two square matrices on one thread, the best of a few, in a process of its own."""
    question = (
        "import numpy; from scaling.sweeps.machine import fastest_product; a = numpy.ones((512, 512), 'f')\n"
        "print(fastest_product(512, lambda: a @ a, times=20))"
    )
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-c", question]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | threads)
    return float(answer.stdout)


def fastest_product(size: int, product: Callable[[], object], *, times: int) -> float:
    """FLOP/s of a product of two matrices of so many rows and columns: the fastest of some calls."""
    best = 0.0
    for _ in range(times):
        started = time.perf_counter()
        product()
        best = max(best, 2 * size**3 / (time.perf_counter() - started))
    return best
