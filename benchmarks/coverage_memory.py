"""How often the verdict on memory is wrong on simulated studies, and what its intervals hold.

    python benchmarks/coverage_memory.py               # about half a minute
    python benchmarks/coverage_memory.py --worlds 20

Five sizes, five amounts of data from a quarter of capacity to four times, three seeds. What is true of skill past full
memory is given; capacity follows a power of size. Runs differ in both, and runs of one seed share a part of it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace

import numpy as np

from scaling.questions import memory
from scaling.questions._memory.words import ANSWERS, RISES
from scaling.questions._memory.worlds import World, simulate
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
    print("\nwhere skill rises, how often that is said, by seeds")
    print(table(["seeds", "%"], rows))


if __name__ == "__main__":
    main()
