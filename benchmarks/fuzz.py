"""Input that means harm, by the thousand: what was spoiled is read, or refused by name, and nothing else happens.

    nice python benchmarks/fuzz.py --each 3000     # a few minutes of one core

Seeds of every format are spoiled by changing, cutting and doubling bytes, and by marks put in (scripts, paths out of a
folder, pickles, formulas, endless brackets). Asked: errors of the suite alone; no process, connection or object of a
pickle; no file written outside the folder.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import platform
import sys
import tempfile
import traceback
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np

from scaling.errors import ScalingError
from scaling.sweeps import machine

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "faults"))

from hostile import Target, alarms, spoiled, targets


def main() -> None:
    parser = argparse.ArgumentParser(description="Spoiled input by the thousand; one table out.")
    parser.add_argument("--each", type=int, default=3000, help="inputs of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one kind")
    options = parser.parse_args()
    print(
        f"{date.today()}, {machine.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}\n"
    )
    print("| input | spoiled | read | refused by name | other errors | alarms |\n|---|---|---|---|---|---|")
    crashes, total = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder).resolve()
        for name, target in targets(scratch).items():
            if options.only not in (None, name):
                continue
            rng, came = np.random.default_rng(options.seed), Counter[str]()
            path = scratch / "weights" / f"seed{target.suffix}"
            with alarms(scratch) as heard:
                for _ in range(options.each):
                    attempt(target, path, spoiled(target.seeds, rng), came, crashes)
            came["alarms"] = len(heard)
            for alarm in heard[:5]:
                crashes[f"{name}: ALARM {alarm}"[:240]] += 1
            total += came
            print_line(name, came)
    print_line("all", total)
    for crash, times in crashes.most_common(40):
        print(f"{times} × {crash}")
    sys.exit(bool(crashes))


def attempt(target: Target, path: Path, content: bytes, came: Counter[str], crashes: Counter[str]) -> None:
    """Have an input read, and count what came of it."""
    path.write_bytes(content)
    try:
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            target.read(path)
        came["read"] += 1
    except ScalingError:
        came["named"] += 1
    except BaseException as problem:
        if isinstance(problem, KeyboardInterrupt | SystemExit):
            raise
        came["other"] += 1
        frames = [f for f in traceback.extract_tb(problem.__traceback__) if "/scaling/" in f.filename]
        where = " > ".join(f"{Path(f.filename).name}:{f.name}" for f in frames[-3:])
        crashes[f"{target.name}: {type(problem).__name__} in {where}"] += 1


def print_line(name: str, came: Counter[str]) -> None:
    """A line of the table."""
    cells = (
        sum(came[key] for key in ("read", "named", "other")),
        *(came[key] for key in ("read", "named", "other")),
    )
    print(f"| {name} | " + " | ".join(f"{cell:,}" for cell in (*cells, came["alarms"])) + " |", flush=True)


if __name__ == "__main__":
    main()
