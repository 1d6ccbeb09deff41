"""A worker as a launcher starts it, with its pipes and signals, that writes rows at once instead of training.

    python pretending.py      # in place of python -m scaling.train.worker

A sweep is launched with such workers by `launch`; as a script with a study's folder it does that.

    python pretending.py FOLDER [WORKERS]
"""

from __future__ import annotations

import os
import sys
import time
import types
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

SECONDS = float(os.environ.get("PRETENDED_SECONDS", "0.02"))
"""That a pretended run takes."""


def carry_out(job: Any, stopping: Any, say: Any) -> int:
    """Write the rows of a job that are missing, each after a while."""
    from disturb import file_of, rows_of, write_missing

    from scaling.sweeps.job import EXIT_STOPPED, Message

    for trunk in job.stack.trunks:
        groups = rows_of(trunk, job.stack.corpus_hash, job.study)

        def each(trunk: Any = trunk) -> None:
            time.sleep(SECONDS)
            say(Message(tokens=trunk.schedule.tokens_per_step, run=trunk.name))

        if stopping():
            return EXIT_STOPPED
        write_missing(file_of(job.folder, groups), groups, each)
    return 0


def work() -> int:
    """Be a worker, but for its training."""
    module: Any = types.ModuleType("scaling.train.carry_out")
    module.carry_out, module.follow = carry_out, None
    sys.modules["scaling.train.carry_out"] = module
    from scaling.train import worker

    return worker.main()


def launch(folder: str | Path, workers: int = 2, *, store: str | None = None) -> Any:
    """Sweep a study with such workers, into a store of its own or a shared one."""
    import subprocess

    import scaling
    from scaling.sweeps import machine
    from scaling.sweeps.engines import local

    class Popen(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, command: list[str], **options: Any):
            pretends = "scaling.train.worker" in command
            super().__init__([sys.executable, __file__] if pretends else command, **options)

    before = local.subprocess.Popen, machine.product_ceiling
    try:
        local.subprocess.Popen, machine.product_ceiling = Popen, lambda: 1e9  # type: ignore[misc]
        return scaling.sweep(folder, workers=workers, progress=False, device="cpu", store=store)
    finally:
        local.subprocess.Popen, machine.product_ceiling = before  # type: ignore[misc]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        launch(sys.argv[1], *map(int, sys.argv[2:]))
    else:
        os._exit(work())
