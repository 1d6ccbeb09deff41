"""How often the verdict on memory is wrong on simulated studies, and what its intervals hold.

    python benchmarks/coverage_memory.py               # about half a minute
    python benchmarks/coverage_memory.py --worlds 20

Five sizes, five amounts of data from a quarter of capacity to four times, three seeds. What is true of skill past full
memory is given; capacity follows a power of size. Runs differ in both, and runs of one seed share a part of it. Below:
studies of duplicates, three sizes and three seeds, in which the log odds of what is memorised rise by a given step with
each doubling of how often it was seen, and duplicates cost a given loss on fresh answers.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
from studies.duplicates import RULED, STORED, duplicated
from studies.memory import World, simulate

from scaling.questions import duplicates, memory
from scaling.questions._duplicates.words import ANSWERS as DUPLICATES
from scaling.questions._memory.words import ANSWERS, RISES
from scaling.show import table

FIRST = 70_000
LEVEL = 0.9
WORLDS = {
    "skill rises": World(skill="rises"),
    "skill stalls": World(skill="stalls"),
    "memory alone": World(skill="memory"),
    "the rule came before": World(skill="before"),
    "stalls, seeds differ twice as much": World(skill="stalls", seed_spread=0.5, skill_spread=0.5),
    "rises, seeds differ twice as much": World(skill="rises", seed_spread=0.5, skill_spread=0.5),
    "stalls, capacity bends (slope .85)": World(skill="stalls", slope=0.85),
    "stalls, sizes scatter by 5 %": World(skill="stalls", size_spread=0.05),
}
DUPLICATED = {
    "kept the more the oftener, cost .1": {},
    "the same, 6 seeds": {"seeds": 6},
    "the same, 8 seeds": {"seeds": 8},
    "kept the more the oftener, no cost": {"cost": 0.0},
    "the same, heavy tails": {"cost": 0.0, "heavy": True},
    "the same, 2 seeds": {"cost": 0.0, "seeds": 2},
    "hardly more, .1 for each doubling": {"steep": 0.1, "cost": 0.0},
    "kept alike, log odds -1": {"steep": 0.0, "middle": 0.0, "cost": 0.0},
    "kept alike, heavy tails": {"steep": 0.0, "middle": 0.0, "cost": 0.0, "heavy": True},
    "kept alike, 2 seeds": {"steep": 0.0, "middle": 0.0, "cost": 0.0, "seeds": 2},
    "nothing is kept": {"steep": 0.1, "middle": 60.0, "cost": 0.0},
}
"""What `duplicated` is asked for."""


def row_of(name: str, world: World, worlds: int) -> list[str]:
    """Shares of the answers, of the intervals that hold the truth, and the median widths."""
    answers, held, widths = Counter[str](), list[tuple[bool, bool]](), list[tuple[float, float]]()
    sizes = np.array(world.sizes, float)
    truth = float(np.mean(world.bits * (sizes / sizes[0]) ** (world.slope - 1)))
    for number in range(FIRST, FIRST + worlds):
        said = memory(*simulate(world, number), skill="programs", chance=world.chance, level=LEVEL)
        answers[said.answer] += 1
        capacity, slope = list(said.numbers.values())[:2]
        held.append((capacity.low <= truth <= capacity.high, slope.low <= world.slope <= slope.high))
        widths.append((capacity.high - capacity.low, slope.high - slope.low))
    shares = [f"{100 * answers[answer] / worlds:.0f}" for answer in ANSWERS]
    holds = [f"{share:.0f}" for share in 100 * np.mean(held, axis=0)]
    return [name, *shares, *holds, *(f"{width:.2f}" for width in np.median(widths, axis=0))]


def row_of_duplicates(name: str, asked: dict[str, Any], worlds: int) -> list[str]:
    """Shares of the answers, of intervals of the cost that leave out zero, and of those that hold what is true."""
    answers, alarms, held = Counter[str](), 0, 0
    for number in range(FIRST, FIRST + worlds):
        said = duplicates(
            *duplicated(**asked, seed=number), stored=STORED, skill=RULED, chance=0.04, level=LEVEL
        )
        answers[said.answer] += 1
        cost = said.numbers["loss on fresh answers, over that without duplicates"]
        alarms += cost.low > 0 or cost.high < 0
        held += cost.low <= asked.get("cost", 0.1) <= cost.high
    return [name, *(f"{100 * n / worlds:.0f}" for n in (*(answers[a] for a in DUPLICATES), alarms, held))]


def main() -> None:
    parser = argparse.ArgumentParser(description="Errors of the verdict on memory.")
    parser.add_argument("--worlds", type=int, default=200, help="of each kind")
    worlds = parser.parse_args().worlds
    header = ["what is true", *ANSWERS, "capacity held", "slope held", "width of capacity", "of slope"]
    print(f"{worlds} studies of each kind, numbers {FIRST} on; percent of them; intervals of {LEVEL:.0%}")
    print(table(header, [row_of(name, world, worlds) for name, world in WORLDS.items()]))
    fewer = {seeds: replace(WORLDS["skill rises"], seeds=seeds) for seeds in (2, 3, 5)}
    rows = []
    for seeds, world in fewer.items():
        studies = [simulate(world, number) for number in range(FIRST, FIRST + worlds)]
        right = [
            memory(*study, skill="programs", chance=0.1, level=LEVEL).answer == RISES for study in studies
        ]
        rows.append([str(seeds), f"{100 * np.mean(right):.0f}"])
    header = ["duplicates", *DUPLICATES, "cost beyond chance", "cost held"]
    print(table(header, [row_of_duplicates(name, asked, worlds) for name, asked in DUPLICATED.items()]))
    print("\nwhere skill rises, how often that is said, by seeds")
    print(table(["seeds", "%"], rows))


if __name__ == "__main__":
    main()
