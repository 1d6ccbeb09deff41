"""Input that means harm, led by the code that it reaches: as `fuzz.py`, but atheris chooses what is spoiled next.

    pip install atheris
    nice python benchmarks/fuzz_guided.py "study files" rows safetensors --each 20000

An input that reaches lines of the suite that none has reached before is kept and spoiled further.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description="Input led by the code that it reaches; one table out.")
    parser.add_argument("kinds", nargs="+", help="as in the table of fuzz.py")
    parser.add_argument("--each", type=int, default=20_000, help="inputs of each kind")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        spoil(options.kinds[0], options.each)
    print(
        "| input | spoiled | read | refused by name | other errors | alarms |\n|---|---|---|---|---|---|",
        flush=True,
    )
    failed = 0
    for kind in options.kinds:
        command = [sys.executable, __file__, kind, "--each", str(options.each), "--child"]
        failed += subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode != 0
    sys.exit(failed)


def spoil(kind: str, each: int) -> None:
    """So many inputs of a kind; its line of the table, and the end of the process."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["scaling"]):
        fuzz: Any = importlib.import_module("fuzz")
    scratch = Path(tempfile.mkdtemp()).resolve()
    target, came, crashes = fuzz.targets(scratch)[kind], Counter[str](), Counter[str]()
    path, seeds = scratch / "weights" / f"seed{target.suffix}", scratch / "seeds"
    seeds.mkdir()
    for number, content in enumerate(target.seeds):
        (seeds / str(number)).write_bytes(content)

    def one(content: bytes) -> None:
        with fuzz.alarms(scratch) as heard:
            fuzz.attempt(target, path, content, came, crashes)
        came["alarms"] += len(heard)
        if sum(came[key] for key in ("read", "named", "other")) >= each:
            fuzz.print_line(kind, came)
            for crash, times in crashes.most_common():
                print(f"{times} × {crash}", flush=True)
            os._exit(bool(crashes or came["alarms"]))

    atheris.Setup([sys.argv[0], "-max_len=4096", "-rss_limit_mb=4096", str(seeds)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
