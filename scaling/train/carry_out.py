"""A job carried out: models made, trained and measured, and an exit status for what ended it."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.distributed as dist

from scaling.corpora.corpus import Corpus
from scaling.errors import ScalingError, TrainError
from scaling.files import DiskFull
from scaling.sweeps.job import EXIT_NO_ROOM, EXIT_STOPPED, Job, Message
from scaling.train.loop import Stopped, Worker
from scaling.train.post import stack_of


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
    """Tell the allocator to keep freed memory: a step frees and asks for the same pages again and again.

    The first 256 MiB of it are large pages where the system has them, for a step touches more small ones than a
    processor keeps the places of: a step and an evaluation at width 256 take 4 % less time. Pages that nothing uses
    take no memory.
    """
    if sys.platform != "linux" or not hasattr(libc := ctypes.CDLL(None), "mallopt"):
        return  # other C libraries have none
    trim_threshold, mmap_max, use_large_pages = -1, -4, 14  # as glibc and Linux number them
    libc.mallopt(mmap_max, 0)
    libc.mallopt(trim_threshold, 1 << 30)
    libc.aligned_alloc.restype = ctypes.c_void_p
    large, size = ctypes.c_size_t(1 << 21), ctypes.c_size_t(1 << 28)
    if reserved := ctypes.c_void_p(libc.aligned_alloc(large, size)):
        libc.madvise(reserved, size, use_large_pages)
        libc.free(reserved)


def carry_out(job: Job, stopping: Callable[[], bool], say: Callable[[Message], None]) -> int:
    """Train a job's stack to its last row, as `Worker` is told; its exit status comes back, 1 on an error in words."""
    _make_ready(job)
    note = ""
    while True:
        try:
            worker = Worker(job, Corpus.load(job.corpus), stopping=stopping, say=say, note=note)
            try:
                worker.train()
            finally:
                worker.stack.release()
        except Stopped:
            return EXIT_STOPPED
        except DiskFull as problem:
            say(Message(problem=str(problem)))  # not into the log: there may be no room for that either
            return EXIT_NO_ROOM
        except torch.OutOfMemoryError as problem:
            trunks, passes = job.stack.trunks, job.mode.passes
            if (more := _thriftier(job)) is None:
                full = OutOfDeviceMemory(trunks[0].name, len(trunks), passes, str(problem))
                say(Message(problem=str(full)))
                return EXIT_NO_ROOM
            note = f"trained in {more.mode.passes} passes a step, as {passes} did not fit into the memory"
            if more.mode.recompute:
                note = "trained with blocks computed twice, as one window did not fit into the memory"
            print(note, file=sys.stderr)
            job = more
        except ScalingError as problem:
            print(problem, file=sys.stderr)
            return 1
        else:
            del worker
            _forget(job)
            return 0
        _forget(job)  # outside the handler, whose traceback holds on to the tensors


def _thriftier(job: Job) -> Job | None:
    """The same in more parts of a batch, or, where a part is one window, with blocks computed again on the way back.

    None where neither is left, or ranks share a batch.
    """
    trunk, mode = job.stack.trunks[0], job.mode
    windows = trunk.schedule.tokens_per_step // trunk.model.context
    more = (replace(mode, passes=p) for p in range(2 * mode.passes, windows + 1) if windows % p == 0)
    fitted = next(more, None if mode.recompute else replace(mode, recompute=True))
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    return replace(job, mode=fitted) if fitted and alone else None


def follow(job: Job) -> int:
    """Take a rank's share in a job, until rank 0 has done with it; 0 comes back."""
    _make_ready(job)
    stack_of(job, Corpus.load(job.corpus)).follow()
    _forget(job)
    return 0


def _make_ready(job: Job) -> None:
    """Set this process up to train: one thread, memory that is kept, and the other ranks where there are any."""
    keep_pages()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")  # TF32 on a GPU; nothing changes on a CPU
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if job.device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("cpu:gloo,cuda:nccl" if job.device == "cuda" else "gloo")


def _forget(job: Job) -> None:
    """Leave nothing of a job to the next one: neither its memory nor its compiled shapes, of which there is a limit."""
    gc.collect()
    if job.mode.compile:
        torch.compiler.reset()
    if job.device == "cuda":
        torch.cuda.empty_cache()
