"""How often what is said of flags is right, on invented studies whose answer is known.

    python -m benchmarks.coverage_manuals [--worlds 400]

A question that is easy for one model is half of the time easy for all, what is gained may differ from program to
program, and a model's seed shifts all of its answers a little. Worlds are seeded from 20,000 on, tests from 0.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
from studies.locality import flags_world

from scaling.questions import flags_known
from scaling.show import Table

CASES = {
    "nothing gained": (0.0, 0.0),
    "nothing gained in the mean, by program ± .08": (0.0, 0.5),
    ".10 gained": (0.1, 0.0),
    ".10 gained, by program ± .08": (0.1, 0.5),
    ".10 gained, by program ± .23": (0.1, 1.5),
    ".10 gained, by program ± .23, 14 programs": (0.1, 1.5),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worlds", type=int, default=400)
    worlds = parser.parse_args().worlds
    rows = []
    for name, (gain, alike) in CASES.items():
        inside: dict[float, list[bool]] = {0.8: [], 0.95: []}
        claims = []
        for seed in range(worlds):
            runs, measured = flags_world(
                gain, seed=20_000 + seed, alike=alike, programs=14 if "14" in name else 32
            )
            for level, held in inside.items():
                for row in (
                    flags_known(runs, measured, level=level).filter(read="manuals").iter_rows(named=True)
                ):
                    held.append(row["gain_low"] <= gain <= row["gain_high"])
                    if level == 0.95:
                        claims.append(row["gain_low"] > 0)
        rows.append((name, *(f"{np.mean(held):.3f}" for held in inside.values()), f"{np.mean(claims):.3f}"))
    print(Table(("world", "80 % holds the gain", "95 % holds it", "says it is above 0, at 95 %"), rows))


if __name__ == "__main__":
    main()
