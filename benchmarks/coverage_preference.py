"""How often the question of preferences is right, on studies whose answer is known.

    python -m benchmarks.coverage_preference [--worlds 200]

Gains follow the law of best of n; those of reward models spread by 0.03 over seeds, as in a pilot, requests are scored
with a standard deviation of 0.25. In the first rows the arm without has labels at random, like the control: whatever it
is said to carry over is false. Worlds are seeded from 10,000 on, tests from 0 and 1,000.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
import polars as pl
from studies.preference import STEM, world

from scaling.questions._preference.cells import GOLD, tables, without
from scaling.questions._preference.transfer import ratios
from scaling.questions._preference.words import CANNOT, CARRIES, NOT, PARTLY, answer
from scaling.show import Table

RANDOM = {"carried": math.nan, "shuffled": 0.0}
CASES = {
    "random labels, gain 0": RANDOM,
    "random labels, gain −.1": {"carried": math.nan},
    "random labels, heavy tails": RANDOM | {"degrees": 3.0},
    "random labels, 3 seeds": RANDOM | {"seeds": 3},
    "random labels, spread .06": RANDOM | {"spread": 0.06},
    "nothing carries over, control −.1": {"carried": 0.0},
    "a half, 5 seeds": {"carried": 0.5},
    "a half, heavy tails": {"carried": 0.5, "degrees": 3.0},
    "a half, 3 seeds": {"carried": 0.5, "seeds": 3},
    "all, 5 seeds": {"carried": 1.0},
    "all, 10 seeds": {"carried": 1.0, "seeds": 10},
    "no ceiling": {"carried": 0.5, "with_own": 0.0},
}
LEVEL = 0.8


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worlds", type=int, default=200)
    worlds = parser.parse_args().worlds
    rows = []
    for name, how in CASES.items():
        covered, answers = [], []
        truth = 0.0 if math.isnan(how["carried"]) else how["carried"]
        for seed in range(worlds):
            choices, _, _ = tables(*world(**how, seed=10_000 + seed, sizes=(100_000,)))
            at = choices.filter((pl.col("n") == 16) & (pl.col("way") == GOLD))
            (row,) = ratios(at, without(STEM), STEM, LEVEL).rows(named=True)
            defined = math.isfinite(row["ratio"])
            answers.append(answer(row["low"], row["high"], row["p"]) if defined else CANNOT)
            if defined and how.get("shuffled", 0.0 if truth else 1.0) == 0.0:
                covered.append(row["low"] <= truth <= row["high"])
        inside = f"{np.mean(covered):.3f}" if covered else "-"
        counts = [f"{answers.count(said) / worlds:.3f}" for said in (CARRIES, PARTLY, NOT, CANNOT)]
        rows.append((name, inside, *counts))
    header = (
        f"{worlds} worlds",
        f"{100 * LEVEL:.0f} % interval of the ratio holds it",
        CARRIES,
        PARTLY,
        NOT,
        CANNOT,
    )
    print(Table(header, rows))


if __name__ == "__main__":
    main()
