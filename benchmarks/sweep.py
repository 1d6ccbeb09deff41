"""What a sweep of many short runs takes, beside what its plan says: 4 widths, 3 seeds and 2 budgets are 24 runs.

    python benchmarks/sweep.py --times 5      # under a minute and a half on two idle cores

Taken are the seconds from the command to its end, after the last row. Processor seconds of the launcher and its workers
stand beside them: on a busy machine they say what an idle one would take.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from scaling.study import read_study
from scaling.sweeps.engines.base import Asked
from scaling.sweeps.engines.local import LocalEngine
from scaling.sweeps.plan import plan_sweep

STUDY = """
[corpus]
source = "installed"
[defaults]
budgets = ["32Ki", "64Ki"]
warmup_tokens = "8Ki"
peak_lr = 0.02
[[grid]]
width = [16, 32, 48, 64]
seed = [0, 1, 2]
"""
WORKERS = 2


def timed(folder: Path) -> tuple[float, float, float]:
    """Seconds planned, seconds taken, processor seconds, of one sweep."""
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(STUDY)
    asked = Asked(workers=WORKERS, device="cpu")
    plan = plan_sweep(read_study(folder), LocalEngine().capacity(asked), asked, progress=False)
    command = [sys.executable, "-m", "scaling", "sweep", str(folder), "--device", "cpu", "--quiet"]
    before, started = spent(), time.perf_counter()
    subprocess.run([*command, "--workers", str(WORKERS)], check=True, stdout=subprocess.DEVNULL)
    return 3600 * (plan.hours or 0.0), time.perf_counter() - started, spent() - before


def spent() -> float:
    """Processor seconds of the processes that this one has started, and theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description="24 runs: seconds planned, and taken.")
    parser.add_argument("--times", type=int, default=3, help="sweeps, each of a store of its own")
    options = parser.parse_args()
    print("| sweep | planned | taken | processor | load before |\n|---|---|---|---|---|")
    measured = []
    with tempfile.TemporaryDirectory() as root:
        for number in range(options.times):
            load = os.getloadavg()[0]
            measured.append(timed(Path(root) / str(number) / "runs" / "mini"))
            print(f"| {number} | " + " | ".join(f"{s:.1f} s" for s in measured[-1]) + f" | {load:.1f} |")
    print(
        "| median | "
        + " | ".join(f"{median(column):.1f} s" for column in zip(*measured, strict=True))
        + " | |"
    )


if __name__ == "__main__":
    main()
