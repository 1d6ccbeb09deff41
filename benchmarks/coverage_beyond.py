"""How often intervals for the mean hold the truth half a decade, one and two decades beyond all the runs.

    python benchmarks/coverage_beyond.py              # about four minutes
    python benchmarks/coverage_beyond.py --worlds 60  # fewer simulated worlds

`coverage.py` holds out runs of the same grid. Here the whole grid is fitted, on its own or with trunks, and the truth
is known beyond it: size and data times the root of 10 for each decade of compute. Half of the worlds are of another law
than the fitted one, by the makers of `coverage.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from coverage import LEVELS, RIGHT, WRONG, Law, budgets, trunks

from scaling.fitting import fit
from scaling.laws import describe
from scaling.show import table

FIRST = 50_000  # number of the first reported world; what predictions allow for was chosen on worlds 0 to 209
DECADES = np.array([0.5, 1.0, 2.0])
DRAWS = 200


@dataclass(frozen=True)
class Beyond:
    """Runs to fit a law to, and the truth beyond them."""

    kind: str
    law: Law
    runs: pl.DataFrame
    ask: dict[str, Any]
    truth: np.ndarray


def world(number: int, *, right: bool) -> Beyond:
    """A world by its number: what is true in it, the grid, and the noise, shared by trunks in some."""
    kinds = RIGHT if right else WRONG
    make, fitted = kinds[number % len(kinds)]
    rng = np.random.default_rng([number, right, 77])
    truth = make(rng)
    shared, own = rng.uniform(0.0, 0.010) * rng.integers(0, 2), rng.uniform(0.002, 0.008)
    columns = describe(truth).column_names
    grid = budgets(rng) if "N" not in columns else trunks(rng) if rng.random() < 0.5 else _square(rng)
    exact = truth(*(grid[c].to_numpy() for c in columns))
    noise = own * rng.normal(size=len(grid))
    if "trunk_id" in grid.columns:
        noise += shared * rng.normal(size=grid["trunk_id"].n_unique())[grid["trunk_id"].to_numpy()]
    ask = {c: grid[c].to_numpy().max() * 10 ** (DECADES / len(columns)) for c in columns}
    words = f"{make.__name__.strip('_').replace('_', ' ')}, {describe(fitted).name} fitted"
    runs = grid.with_columns(loss=exact * np.exp(noise))
    return Beyond(words, fitted, runs, ask, truth(*ask.values()))


def _square(rng: np.random.Generator) -> pl.DataFrame:
    """Five to eight sizes, each at as many budgets."""
    count = rng.integers(5, 9)
    sizes = np.geomspace(2e6, 2e8, count)
    tokens = np.geomspace(2e7, 2e9 * 10 ** rng.uniform(0.0, 0.5), count)
    N, D = np.repeat(sizes, count), np.tile(tokens, count)
    return pl.DataFrame({"N": N, "D": D, "C": 6.0 * N * D})


def score(one: Beyond, seed: int) -> np.ndarray:
    """Rows: inside at each of `LEVELS`, width of the 80 % interval and miss in percent; columns: `DECADES`."""
    fitted = fit(one.law, one.runs, bootstrap=DRAWS, seed=seed)
    bands = [fitted.predict(level=level, **one.ask) for level in LEVELS]
    inside = [(b.low <= one.truth) & (one.truth <= b.high) for b in bands]
    middle = bands[1]
    width = 100 * (middle.high - middle.low) / middle.median
    return np.array([*inside, width, 100 * np.abs(middle.median / one.truth - 1)], float)


def rows(worlds: int, *, right: bool) -> Iterator[list[str]]:
    """Of the table: all worlds together, then each kind."""
    made = [world(FIRST + i, right=right) for i in range(worlds)]
    scores = np.array([score(one, i) for i, one in enumerate(made)])
    kinds = np.array([one.kind for one in made])
    words = "the fitted law is true" if right else "another law is true"
    for name in (words, *dict.fromkeys(kinds)):
        own = scores if name == words else scores[kinds == name]
        shares = [" ".join(f"{100 * each:.0f}" for each in own[:, i].mean(0)) for i in range(len(LEVELS))]
        sizes = [" ".join(f"{each:.2g}" for each in np.median(own[:, i], axis=0)) for i in (-2, -1)]
        yield [name if name == words else f"  {name}", *shares, *sizes, str(len(own))]


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage of intervals for the mean far beyond the runs.")
    parser.add_argument("--worlds", type=int, default=420, help="simulated worlds, half of another law")
    half = parser.parse_args().worlds // 2
    header = ["0.5, 1 and 2 decades beyond", *(f"{100 * level:.0f} %" for level in LEVELS)]
    header += ["width of the 80 %, % of loss", "miss, % of loss", "worlds"]
    print(table(header, [*rows(half, right=True), *rows(half, right=False)]))


if __name__ == "__main__":
    main()
