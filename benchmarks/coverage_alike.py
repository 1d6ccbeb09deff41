"""How often intervals hold the truth where runs that nothing marks as related miss alike.

    python benchmarks/coverage_alike.py --worlds 24

Five sizes by five budgets by the Chinchilla law, each size, each size and seed, or each seed off as a whole by 1 %,
and each run by 0.05 %; beside them runs that miss independently by 0.3 %. `auto` is what a fit does by itself,
`compute` what it did before it looked at its misses.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import polars as pl

import scaling
from scaling import show
from scaling.laws import chinchilla

TRUTH = {"E": 1.8, "A": 400.0, "B": 410.0, "alpha": 0.34, "beta": 0.28}
LEVEL = 0.8
N, D = np.repeat([1e7, 3e7, 1e8, 3e8, 1e9], 5), np.tile([2e8, 1e9, 4e9, 2e10, 1e11], 5)


def runs_of(
    off: Callable[[np.random.Generator], np.ndarray], seeds: int, spread: float, seed: int
) -> pl.DataFrame:
    """A table of so many seeds, each off as `off` draws."""
    rng, parts = np.random.default_rng([seed, 61]), []
    for k in range(seeds):
        loss = chinchilla(N, D, **TRUTH) * np.exp(off(rng) + spread * rng.standard_normal(25))
        table = pl.DataFrame({"N": N, "D": D, "loss": loss})
        parts.append(table.with_columns(seed=pl.lit(k)) if seeds > 1 else table)
    return pl.concat(parts)


KINDS = {
    "each size": (lambda rng: np.repeat(0.01 * rng.standard_normal(5), 5), 1, 5e-4),
    "each size and seed": (lambda rng: np.repeat(0.01 * rng.standard_normal(5), 5), 3, 5e-4),
    "each seed": (lambda rng: np.full(25, 0.01 * rng.standard_normal()), 3, 5e-4),
    "none": (lambda rng: np.zeros(25), 1, 3e-3),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--worlds", type=int, default=24)
    worlds = options.parse_args().worlds
    rows = []
    for kind, (off, seeds, spread) in KINDS.items():
        for cluster in ("compute", "auto"):
            held = dict.fromkeys((*TRUTH, "loss ahead"), 0)
            for seed in range(worlds):
                runs = runs_of(off, seeds, spread, seed)
                fitted = scaling.fit(chinchilla, runs, bootstrap=200, cluster=cluster)
                for name, (low, high) in fitted.intervals(LEVEL).items():
                    held[name] += low <= TRUTH[name] <= high
                ahead = fitted.predict(N=1e10, D=1e12, level=LEVEL)
                held["loss ahead"] += bool(ahead.low <= chinchilla(1e10, 1e12, **TRUTH) <= ahead.high)
            rows.append([kind, cluster, *(f"{100 * n / worlds:.0f} %" for n in held.values())])
    print(f"80 % intervals that hold the truth, {worlds} worlds each")
    print(show.table(("off as a whole", "cluster", *TRUTH, "loss ahead"), rows))


if __name__ == "__main__":
    main()
