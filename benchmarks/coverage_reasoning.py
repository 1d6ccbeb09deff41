"""How often the question of what was read first is right, on studies whose answer is known.

    python -m benchmarks.coverage_reasoning [--worlds 200]

A skill is learned all of a sudden, after a number of tokens that differs from run to run and, by what was read first,
by a factor that is set. Below: what is read while the rate falls, at costs in nats/token that are set. Worlds are
seeded from 30,000 on, tests from 0.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
import polars as pl
from studies.reasoning import PLACEBO, SOURCE, TARGET, decayed, world

from scaling.questions import reasoning
from scaling.questions._reasoning.words import ANSWERS
from scaling.show import Table

FIRST = 30_000
CASES = {
    "nothing differs": ({}, {}),
    "nothing differs, onsets e^.8 apart": ({}, {"onset_spread": 0.8}),
    "nothing differs, learned by nobody": ({}, {"onset": 1e7}),
    "nothing differs, 2 seeds": ({}, {"seeds": 2}),
    "source 2 times sooner": ({"source": 2.0}, {}),
    "source 1.2 times sooner": ({"source": 1.2}, {}),
    "source 2 times sooner, onsets e^.8 apart": ({"source": 2.0}, {"onset_spread": 0.8}),
    "source and placebo 2 times sooner": ({"source": 2.0, "placebo": 2.0}, {}),
    "source 2 times later": ({"source": 0.5}, {}),
}
DECAYS = {
    "nothing differs": ({}, {}),
    "nothing differs, heavy tails": ({}, {"heavy": True}),
    "nothing differs, 2 seeds": ({}, {"seeds": 2}),
    "source .03 lower": ({"source": -0.03}, {}),
    "source .03 lower, heavy tails": ({"source": -0.03}, {"heavy": True}),
    "source and placebo .03 lower": ({"source": -0.03, "placebo": -0.03}, {}),
    "source and placebo .05 higher": ({"source": 0.05, "placebo": 0.05}, {}),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worlds", type=int, default=200)
    worlds = parser.parse_args().worlds
    for title, make, cases, when in (
        ("read first", world, CASES, "first"),
        ("decay", decayed, DECAYS, "decay"),
    ):
        rows = [row_of(name, make, differs, how, when, worlds) for name, (differs, how) in cases.items()]
        print(Table((title, *ANSWERS, "first contrast beyond chance"), rows, f"{worlds} worlds a row"))


def row_of(
    name: str,
    make: Callable[..., pl.DataFrame],
    differs: Mapping[str, float],
    how: Mapping[str, Any],
    when: str,
    worlds: int,
) -> tuple[str, ...]:
    """Shares of the answers, and of the worlds in which the contrast that is asked first is beyond chance."""
    answers, alarms = [], []
    for seed in range(worlds):
        runs = make(differs, seed=FIRST + seed, **how)
        said = reasoning(
            runs, target=TARGET, source=SOURCE, placebos={PLACEBO: SOURCE}, measure="loss", when=when
        )
        answers.append(said.answer)
        first = next(number for key, number in said.numbers.items() if key.startswith("gain"))
        alarms.append(first.low > 0 or first.high < 0)
    shares = [f"{answers.count(answer) / worlds:.2f}" for answer in ANSWERS]
    return (name, *shares, f"{np.mean(alarms):.2f}")


if __name__ == "__main__":
    main()
