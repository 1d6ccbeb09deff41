"""What this machine has: cores, memory, a GPU, and how fast it multiplies. Asked without importing torch."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
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


def on_gpu(device: str) -> bool:
    """Whether a sweep on this device ("auto", "cpu" or "cuda") will use a GPU.

    Raises:
        DeviceNotFound: CUDA was asked for and is absent.
    """
    found = device != "cpu" and find_gpu() is not None
    if device == "cuda" and not found:
        raise DeviceNotFound(device)
    return found


@cache
def find_gpu() -> Gpu | None:
    """Asked of torch in a process of its own, and only where a driver is installed: importing torch takes seconds."""
    if shutil.which("nvidia-smi") is None:
        return None
    question = (
        "import json, torch; found = torch.cuda.get_device_properties(0)\n"
        "print(json.dumps([found.name, found.total_memory, torch.cuda.device_count()]))"
    )
    answer = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=False)
    return Gpu(*json.loads(answer.stdout)) if answer.returncode == 0 else None


def default_workers(device: str, ranks: int = 1) -> int:
    """One process for each core this process may use; one for each GPU, or for each `ranks` of them."""
    gpu = find_gpu() if on_gpu(device) else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, (gpu.count if gpu else cores) // ranks)


def device_name(device: str) -> str:
    """What rows that are trained here will say in `Run.device`."""
    gpu = find_gpu() if on_gpu(device) else None
    return gpu.name if gpu else f"{processor()}, one thread"


def processor() -> str:
    """The processor's own name, so that rows of two machines can be told apart."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def total_memory() -> int:
    """Bytes that this machine, or the control group it is confined to, has in all.

    Not what is free just now: a study is packed alike at all times, so that its checkpoints are found again.
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
        "import numpy, time; a = numpy.ones((512, 512), 'f'); t = [time.perf_counter()]\n"
        "for _ in range(20): a @ a; t.append(time.perf_counter())\n"
        "print(2 * 512**3 / min(b - a for a, b in zip(t, t[1:])))"
    )
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-c", question]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | threads)
    return float(answer.stdout)
