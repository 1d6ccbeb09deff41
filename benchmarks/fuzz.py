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

from hostile import alarms, spoiled, targets


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
    crashes, examples = Counter[str](), dict[str, str]()
    total = Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder).resolve()
        for name, target in targets(scratch).items():
            if options.only not in (None, name):
                continue
            rng, came = np.random.default_rng(options.seed), Counter[str]()
            path = scratch / "weights" / f"seed{target.suffix}"
            with alarms(scratch) as heard:
                for _ in range(options.each):
                    path.write_bytes(spoiled(target.seeds, rng))
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
                        where = [
                            f"{Path(f.filename).name}:{f.name}"
                            for f in traceback.extract_tb(problem.__traceback__)
                            if "/scaling/" in f.filename
                        ]
                        crash = f"{name}: {type(problem).__name__} in {' > '.join(where[-3:])}"
                        crashes[crash] += 1
                        examples.setdefault(crash, f"{problem}"[:200])
            came["alarms"] = len(heard)
            for alarm in heard[:5]:
                crashes[f"{name}: ALARM {alarm}"[:240]] += 1
            total += came
            _print(name, options.each, came)
    _print("all", sum(total[key] for key in ("read", "named", "other")), total)
    for crash, times in crashes.most_common(40):
        print(f"{times} × {crash}: {examples.get(crash, '')}")
    sys.exit(bool(crashes))


def _print(name: str, count: int, came: Counter[str]) -> None:
    cells = (count, *(came[key] for key in ("read", "named", "other", "alarms")))
    print(f"| {name} | " + " | ".join(f"{cell:,}" for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
