"""How often the question of synthetic text is right, on studies whose answer is known.

    python -m benchmarks.coverage_synthetic [--worlds 200]

What a written token is worth is set for each arm; losses follow a curve of the real text that does as well, and runs
differ by chance, those of a size and seed together too. Worlds are seeded from 20,000 on, tests from 0.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
from studies.synthetic import world

from scaling.questions import synthetic
from scaling.questions._synthetic.words import ANSWERS
from scaling.show import Table

FIRST = 20_000
NULL = {"replace": 1.0, "accumulate": 0.0, "verified": 0.0}
CASES = {
    "nothing differs": (NULL, {}),
    "nothing differs, heavy tails": (NULL, {"heavy": True}),
    "nothing differs, 2 seeds": (NULL, {"seeds": 2}),
    "nothing differs, one size": (NULL, {"sizes": (6_000,)}),
    "verified worth .25": (NULL | {"verified": 0.25}, {}),
    "verified worth .05": (NULL | {"verified": 0.05}, {}),
    "verified worth -.10": (NULL | {"verified": -0.1}, {}),
    "verified worth .25, spread .12": (NULL | {"verified": 0.25}, {"spread": 0.12}),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worlds", type=int, default=200)
    worlds = parser.parse_args().worlds
    rows = []
    for name, (worth, how) in CASES.items():
        answers, held, any_alarm = [], [], []
        for seed in range(worlds):
            said = synthetic(world(worth, seed=FIRST + seed, **how))
            answers.append(said.answer)
            gains = [n for key, n in said.numbers.items() if key.startswith("gain")]
            any_alarm.append(any(n.low > 0 or n.high < 0 for n in gains))
            priced = said.numbers.get("real tokens that a written one is worth, verified")
            if priced:
                held.append(priced.low <= worth["verified"] <= priced.high)
        shares = [f"{answers.count(answer) / worlds:.2f}" for answer in ANSWERS]
        rows.append((name, *shares, f"{np.mean(any_alarm):.2f}", f"{np.mean(held):.2f}" if held else "-"))
    header = ("world", *ANSWERS, "any arm beyond chance", "95 % interval of its worth holds the truth")
    print(Table(header, rows, f"answers about the arm verified, {worlds} worlds a row"))


if __name__ == "__main__":
    main()
