"""How often approach 2 holds the true exponent, names a bad run, and a fit of its runs raises an alarm.

python benchmarks/coverage_optima.py              # some minutes
python benchmarks/coverage_optima.py --worlds 20
"""

from __future__ import annotations

import argparse
import os
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402
from coverage_allocation import terms  # noqa: E402

import scaling  # noqa: E402
from scaling.fitting.data import TooFewScales  # noqa: E402
from scaling.laws import chinchilla, optimum  # noqa: E402
from scaling.show import table  # noqa: E402

FIRST = 80_000
BAD = 1.05
"""What one run is multiplied by where it was trained badly."""


def isoflops(rng: np.random.Generator, budgets: int, sizes: int, noise: float) -> tuple[pl.DataFrame, float]:
    """Curves over three decades, sizes up to six times from a middle that is a fifth off; and the true exponent."""
    truth, rows = terms(rng), []
    for C in np.geomspace(1e16, 1e19, budgets):
        best: Any = optimum(chinchilla, C, **dict[str, Any](truth)).N
        middle = float(best) * np.exp(0.2 * rng.normal())
        N = middle * np.geomspace(1 / 6, 6, sizes)
        loss = chinchilla(N, C / 6 / N, **truth) * np.exp(noise * rng.normal(size=sizes))
        rows.append(pl.DataFrame({"N": N, "D": C / 6 / N, "C": np.full(sizes, C), "loss": loss}))
    return pl.concat(rows), truth["beta"] / (truth["alpha"] + truth["beta"])


def approach_2(budgets: int, sizes: int, noise: float, worlds: int) -> list[str]:
    held, alarms, named, plain, robust, notes = [], [], [], [], [], []
    for i in range(worlds):
        rng = np.random.default_rng([FIRST + i, budgets, sizes])
        runs, a = isoflops(rng, budgets, sizes, noise)
        bad = int(rng.integers(len(runs)))
        worse = runs.with_columns(
            loss=pl.col("loss") * pl.when(pl.int_range(pl.len()) == bad).then(BAD).otherwise(1.0)
        )
        try:
            sound, mended = scaling.isoflop(runs, bootstrap=300), scaling.isoflop(worse, bootstrap=0)
            naive = scaling.isoflop(worse, bootstrap=0, robust=False)
        except TooFewScales:
            continue
        held.append(sound.interval.low <= a <= sound.interval.high)
        alarms.append(len(sound.astray) > 0)
        named.append(bad in mended.astray["row"].to_list())
        plain.append(abs(naive.exponent - a))
        robust.append(abs(mended.exponent - a))
        fitted = scaling.fit(chinchilla, runs, bootstrap=60, seed=i)
        notes.append(any("hardly tell" in note or "constant" in note for note in fitted.notes))
    shares = [f"{100 * np.mean(x):.0f}" for x in (held, alarms, named)]
    misses = [f"{np.quantile(x, 0.9):.3f}" for x in (plain, robust)]
    design = f"{budgets} budgets of {sizes} sizes, noise {100 * noise:g} %"
    return [design, *shares, *misses, f"{100 * np.mean(notes):.0f}", f"{len(held)}"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Optima read off curves, in simulated worlds.")
    parser.add_argument("--worlds", type=int, default=100, help="of each design")
    worlds = parser.parse_args().worlds
    header = [
        "approach 2", "95 % holds a, %", "sound run left out, %", "bad run named, %", "a off by with it, 90th %",
        "without, 90th %", "fits with a note, %", "worlds",
    ]  # fmt: skip
    designs = [(b, s, noise) for b, s in ((4, 4), (5, 6), (9, 7)) for noise in (0.002, 0.006)]
    print(table(header, [approach_2(*design, worlds) for design in designs]))


if __name__ == "__main__":
    main()
