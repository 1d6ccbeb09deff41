"""How well an exchange rate is known after blends that `scaling.propose` says, and after others for the same FLOPs.

    python benchmarks/propose_blends.py --worlds 40

A token of code is worth tau of one of prose, tau from .05 to .9. A pilot of eight blends by three budgets is fitted;
then each design spends the pilot's FLOPs again, or four times these, and the law of `scaling.blend` is fitted to all.

    again     the pilot's blends and budgets once more, the cheapest first
    random    shares and budgets drawn evenly from what was tried
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402

import scaling  # noqa: E402
from scaling.flops import count_flops, ladder  # noqa: E402
from scaling.show import table  # noqa: E402

FIRST, LEVEL, DRAWS, TIMES = 110_000, 0.8, 100, (1.0, 4.0)
N, SHARES, BUDGETS = 24_576, (0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0), (2**19, 2**20, 2**21)
KINDS = {"true law": (np.inf, 0.0), "heavy tails": (2.5, 0.0), "wrong law": (np.inf, 0.06)}
"""Degrees of freedom of the noise; how much more a blend of both is worth than the law says, in ln."""
Runs = list[tuple[float, int]]


class World:
    """A rate, and runs on blends of prose with code."""

    def __init__(self, kind: str, number: int):
        self.tails, self.both = KINDS[kind]
        self.number, self.rng = number, np.random.default_rng([number, list(KINDS).index(kind)])
        self.tau, self.beta, self.floor = (
            self.rng.uniform(0.05, 0.9),
            self.rng.uniform(0.2, 0.4),
            self.rng.uniform(1, 2),
        )
        self.seeds = 0
        self.pilot = self.runs([(share, D) for share in SHARES for D in BUDGETS])

    def runs(self, plan: Runs) -> pl.DataFrame:
        rows = []
        for share, D in plan:
            noise = self.rng.normal() if np.isinf(self.tails) else self.rng.standard_t(self.tails)
            worth = (share + self.tau * (1 - share)) * np.exp(self.both * 4 * share * (1 - share))
            loss = (self.floor + (D * worth / 2**20) ** -self.beta) * np.exp(0.005 * noise)
            rows.append((N, D, self.seeds, share, 1 - share, loss))
            self.seeds += 1
        schema = ["N", "D", "seed", "w_prose", "w_code", "loss_prose"]
        return pl.DataFrame(rows, schema=schema, orient="row").with_columns(loss=pl.col("loss_prose"))


def designs(world: World, times: float) -> Iterator[tuple[str, Runs]]:
    """What each design trains for as many tokens; a run is a trunk, and all are of one size."""
    tokens = times * sum(world.pilot["D"])
    flops: dict[str, Any] = {"flops": times * _flops(world.pilot)}
    made = scaling.propose(
        world.pilot, question="exchange", target="prose", bootstrap=DRAWS, seed=world.number, **flops
    )
    yield (
        "proposed",
        [(lot.keys["blend"].get("prose", 0.0), lot.budgets[0]) for lot in made.lots for _ in lot.seeds],
    )
    again = sorted(((s, D) for s in SHARES for D in BUDGETS), key=lambda run: run[1]) * 8
    yield "again", _within(again, tokens)
    drawn = zip(world.rng.uniform(min(SHARES), 1.0, 400), world.rng.choice(BUDGETS, 400), strict=True)
    yield "random", _within([(float(s), int(D)) for s, D in drawn], tokens)


def _flops(runs: pl.DataFrame) -> float:
    return count_flops(ladder(N)).total * float(sum(runs["D"]))


def _within(plan: Runs, tokens: float) -> Runs:
    kept: Runs = []
    for run in plan:
        if sum(D for _, D in kept) + run[1] <= tokens:
            kept.append(run)
    return kept


def judged(world: World, plan: Runs) -> tuple[float, ...]:
    """Runs, error, width and interval score of the rate, and whether its interval holds it."""
    runs = pl.concat([world.pilot, world.runs(plan)]) if plan else world.pilot
    fitted = scaling.blend(
        runs, "prose", law="exchange", bootstrap=DRAWS, level=LEVEL, seed=world.number
    ).fits["prose"]
    low, high = fitted.intervals(LEVEL)["tau_code"]
    missed = max(low - world.tau, 0) + max(world.tau - high, 0)
    error = abs(fitted.params["tau_code"] - world.tau)
    return len(plan), error, high - low, high - low + 2 / (1 - LEVEL) * missed, float(missed == 0)


def main() -> None:
    parser = argparse.ArgumentParser(description="An exchange rate after proposed blends and after others.")
    parser.add_argument("--worlds", type=int, default=40, help="of each kind")
    asked = parser.parse_args()
    rows, began = [], time.process_time()
    for kind in KINDS:
        every: dict[tuple[float, str], list[tuple[float, ...]]] = {}
        for number in range(FIRST, FIRST + asked.worlds):
            world = World(kind, number)
            every.setdefault((0.0, "pilot"), []).append(judged(world, []))
            for times in TIMES:
                for design, plan in designs(world, times):
                    every.setdefault((times, design), []).append(judged(world, plan))
        for (times, design), said in every.items():
            runs, error, width, score, held = np.mean(said, axis=0)
            numbers = [
                f"{runs:.0f}",
                *(f"{value:.3f}" for value in (error, width, score)),
                f"{100 * held:.0f}",
            ]
            rows.append([kind, f"{times:g}×", design, *numbers])
    header = [
        "worlds",
        "budget",
        "design",
        "runs",
        "error of tau",
        "width",
        "interval score",
        f"held of {LEVEL:.0%}",
    ]
    print(table(header, rows))
    print(f"{time.process_time() - began:.0f} CPU seconds")


if __name__ == "__main__":
    main()
