"""How often intervals for the mean hold the truth half a decade, one and two decades beyond all the runs.

    python benchmarks/coverage_beyond.py              # about four minutes
    python benchmarks/coverage_beyond.py --worlds 60  # fewer simulated worlds
    python benchmarks/coverage_beyond.py --part breaks --worlds 40  # laws of compute alone, 40 of each kind

`coverage.py` holds out runs of the same grid. Here the whole grid is fitted, on its own or with trunks, and the truth
is known beyond it: size and data times the root of 10 for each decade of compute. Half of the worlds are of another law
than the fitted one, by the makers of `coverage.py`. The second part asks what a form with a break does to laws of
compute alone: worlds of other numbers, their noise normal, of heavy tails, or shared by trunks; without → with it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from coverage import LEVELS, RIGHT, WRONG, Law, budgets, trunks

from scaling.fitting import Fit, fit
from scaling.laws import along, bnsl, compute_only, describe
from scaling.show import table

FIRST = 50_000  # number of the first reported world; what predictions allow for was chosen on worlds 0 to 209
DECADES = np.array([0.5, 1.0, 2.0])
DRAWS = 200
FIRST_BREAK = 80_000  # of the second part, whose forms were chosen on numbers 10,000 to 11,200
BREAK = describe(along(bnsl(1), "C")).name
LAWS = {"the fitted law is true": RIGHT[4][0], "broken": WRONG[5][0]}
NOISE = {
    "normal": (0, False),
    "heavy tails": (0, True),
    "half of it shared by 12 trunks": (12, False),
    "by 6 trunks": (6, False),
}


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


def frontier(
    number: int, make: Callable[[np.random.Generator], Law], trunk_count: int, heavy: bool
) -> Beyond:
    """Runs along compute alone, by the number of their world."""
    rng = np.random.default_rng([number, 78])
    truth, grid, own = make(rng), budgets(rng), rng.uniform(0.002, 0.008)
    C, noise = (
        grid["C"].to_numpy(),
        rng.standard_t(3, len(grid)) / np.sqrt(3) if heavy else rng.normal(size=len(grid)),
    )
    if trunk_count:
        trunk = np.arange(len(grid)) % trunk_count
        noise = (noise + rng.normal(size=trunk_count)[trunk]) / np.sqrt(2)
        grid = grid.with_columns(trunk_id=trunk)
    ask = {"C": C.max() * 10**DECADES}
    return Beyond(
        "", compute_only, grid.with_columns(loss=truth(C) * np.exp(own * noise)), ask, truth(ask["C"])
    )


def without_break(fitted: Fit) -> Fit:
    """The same fit, its other forms alone with the draws."""
    beyond = fitted.discrepancy
    if beyond is None:
        return fitted
    left = 1.0 - sum(form.share for form in beyond.forms if form.law == BREAK)
    forms = tuple(replace(form, share=form.share / left) for form in beyond.forms if form.law != BREAK)
    return replace(fitted, discrepancy=replace(beyond, forms=forms))


def breaks(worlds: int) -> Iterator[list[str]]:
    """Of the second table: without → with the form with a break."""
    for law, make in LAWS.items():
        for noise, how in NOISE.items():
            made = [frontier(FIRST_BREAK + i, make, *how) for i in range(worlds)]
            fits = [fit(one.law, one.runs, bootstrap=DRAWS, seed=i) for i, one in enumerate(made)]
            asked = np.mean([BREAK in str(one.discrepancy) for one in fits])
            sides = [
                cells(np.array([judged(one, f) for one, f in zip(made, some, strict=True)]))
                for some in ([without_break(one) for one in fits], fits)
            ]
            both = [f"{before} → {after}" for before, after in zip(*sides, strict=True)]
            yield [f"{law}, noise {noise}", *both, f"{100 * asked:.0f}"]


def score(one: Beyond, seed: int) -> np.ndarray:
    """As of `judged`."""
    return judged(one, fit(one.law, one.runs, bootstrap=DRAWS, seed=seed))


def judged(one: Beyond, fitted: Fit) -> np.ndarray:
    """Rows: inside at each of `LEVELS`, width of the 80 % interval and miss in percent; columns: `DECADES`."""
    bands = [fitted.predict(level=level, **one.ask) for level in LEVELS]
    inside = [(b.low <= one.truth) & (one.truth <= b.high) for b in bands]
    middle = bands[1]
    width = 100 * (middle.high - middle.low) / middle.median
    return np.array([*inside, width, 100 * np.abs(middle.median / one.truth - 1)], float)


def rows(worlds: int, *, right: bool, only: str) -> Iterator[list[str]]:
    """Of the table: all worlds together, then each kind."""
    made = [world(FIRST + i, right=right) for i in range(worlds)]
    made = [one for one in made if only in one.kind]
    scores = np.array([score(one, i) for i, one in enumerate(made)])
    kinds = np.array([one.kind for one in made])
    words = "the fitted law is true" if right else "another law is true"
    for name in (words, *dict.fromkeys(kinds)):
        own = scores if name == words else scores[kinds == name]
        yield [name if name == words else f"  {name}", *cells(own), str(len(own))]


def cells(scores: np.ndarray) -> list[str]:
    """Shares inside, then medians of width and miss, each at all `DECADES`; from shape (worlds, rows, decades)."""
    shares = [" ".join(f"{100 * each:.0f}" for each in scores[:, i].mean(0)) for i in range(len(LEVELS))]
    sizes = [" ".join(f"{each:.2g}" for each in np.median(scores[:, i], axis=0)) for i in (-2, -1)]
    return [*shares, *sizes]


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage of intervals for the mean far beyond the runs.")
    parser.add_argument("--worlds", type=int, default=420, help="simulated worlds, half of another law")
    parser.add_argument("--part", choices=("grids", "breaks"), default="grids")
    parser.add_argument("--only", default="", help="worlds of kinds that are called so, e.g. frontier")
    options = parser.parse_args()
    half = options.worlds // 2
    header = ["0.5, 1 and 2 decades beyond", *(f"{100 * level:.0f} %" for level in LEVELS)]
    header += ["width of the 80 %, % of loss", "miss, % of loss"]
    if options.part == "breaks":
        print(table([*header, "asked, %"], list(breaks(options.worlds))))
        return
    header.append("worlds")
    print(
        table(
            header, [*rows(half, right=True, only=options.only), *rows(half, right=False, only=options.only)]
        )
    )


if __name__ == "__main__":
    main()
