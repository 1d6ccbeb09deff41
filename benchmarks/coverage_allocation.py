"""How often the intervals of `scaling.allocate` hold the best size and its loss, beyond the runs, in simulated worlds.

    python benchmarks/coverage_allocation.py              # about three minutes
    python benchmarks/coverage_allocation.py --worlds 20

In each world a law is true, a grid of runs with noise shared by the runs of a trunk is fitted, and the budget is 10 and
100 times the compute of the largest run. The true law's own optimum at that budget is what the intervals should hold.
(The compute for a wanted loss is inverse draw by draw: its interval holds the budget where that of the loss holds the
loss.)
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

import scaling  # noqa: E402
from scaling.laws import chinchilla, kaplan, optimum, power_mean  # noqa: E402
from scaling.show import table  # noqa: E402

Law = Callable[..., Any]
FIRST = 60_000
LEVELS, TIMES, DRAWS = (0.8, 0.95), (10.0, 100.0), 300


def terms(rng: np.random.Generator) -> dict[str, Any]:
    """Constants of an additive law whose terms are a third of a nat to a nat in the middle of the grid."""
    alpha, beta = rng.uniform(0.25, 0.45, 2)
    return {
        "E": rng.uniform(1.2, 2.2), "alpha": alpha, "beta": beta,
        "A": rng.uniform(0.3, 1.0) * 2e7**alpha, "B": rng.uniform(0.3, 1.0) * 2e8**beta,
    }  # fmt: skip


def sized(N: Any, D: Any, *, E: float, A: float, B: float, alpha: float, beta: float, slope: float) -> Any:
    """An additive law whose data exponent grows with size by `slope` a decade."""
    return E + A / N**alpha + B / 2e8**beta / (D / 2e8) ** (beta + slope * np.log10(N / 2e7))


def coupled(rng: np.random.Generator) -> Law:
    alpha_D = rng.uniform(0.1, 0.25)
    alpha_N, loss = alpha_D * rng.uniform(0.5, 1.1), rng.uniform(2.0, 4.0)
    N_c, D_c = 2e7 * (0.6 * loss) ** (1 / alpha_N), 2e8 * (0.6 * loss) ** (1 / alpha_D)
    return partial(kaplan, N_c=N_c, D_c=D_c, alpha_N=alpha_N, alpha_D=alpha_D)


KINDS: dict[str, tuple[Callable[[np.random.Generator], Law], Law]] = {
    "additive, the fitted law": (lambda rng: partial(chinchilla, **terms(rng)), chinchilla),
    "power mean, the fitted law": (
        lambda rng: partial(power_mean, **terms(rng), q=rng.uniform(1.5, 4.0)),
        power_mean,
    ),
    "coupled, the fitted law": (coupled, kaplan),
    "power mean, additive fitted": (
        lambda rng: partial(power_mean, **terms(rng), q=rng.uniform(1.5, 4.0)),
        chinchilla,
    ),
    "data exponent grows with size, additive fitted": (
        lambda rng: partial(sized, **terms(rng), slope=rng.uniform(0.02, 0.06)),
        chinchilla,
    ),
    "coupled, additive fitted": (coupled, chinchilla),
}
"""What is true, and what is fitted."""


def runs_of(truth: Law, rng: np.random.Generator) -> pl.DataFrame:
    """Five to seven sizes over two decades, one to three trunks each, from which five to seven budgets branch."""
    sizes, budgets = np.geomspace(2e6, 2e8, rng.integers(5, 8)), np.geomspace(2e7, 4e9, rng.integers(5, 8))
    trunks = [(N, trunk) for N in sizes for trunk in range(rng.integers(1, 4))]
    shared, own = rng.uniform(0.002, 0.010), rng.uniform(0.002, 0.008)
    rows = []
    for i, (N, _) in enumerate(trunks):
        level = shared * rng.normal()
        rows += [
            (i, N, D, 6.0 * N * D, float(truth(N, D)) * np.exp(level + own * rng.normal())) for D in budgets
        ]
    return pl.DataFrame(rows, schema=["trunk_id", "N", "D", "C", "loss"], orient="row")


Marks = dict[str, NDArray[np.float64]]


def world(kind: str, number: int) -> Marks:
    """Of one world: whether each interval holds, over levels and budgets, and relative misses of the medians."""
    make, law = KINDS[kind]
    rng = np.random.default_rng([number, list(KINDS).index(kind)])
    truth = make(rng)
    runs = runs_of(truth, rng)
    fitted = scaling.fit(law, runs, bootstrap=DRAWS, seed=number)
    C = runs["C"].to_numpy().max() * np.array(TIMES)
    best = optimum(truth, C)
    marks: Marks = {}
    for level in LEVELS:
        bare, full = (scaling.allocate(fitted, runs, C, level=level, discrepancy=d) for d in (False, True))
        for name, one, true in (
            ("bare", bare.loss, best.loss),
            ("loss", full.loss, best.loss),
            ("N", full.N, best.N),
        ):
            marks[f"{name} {level}"] = ((one.low <= true) & (true <= one.high)).astype(float)
    marks["miss loss"] = 100 * np.abs(full.loss.median / best.loss - 1)
    marks["factor N"] = np.exp(np.abs(np.log(full.N.median / best.N)))
    marks["width N"] = full.N.high / full.N.low
    regret = truth(full.N.median, full.D.median) / best.loss - 1
    marks["regret"] = 100 * np.asarray(regret)
    return marks


def rows_of(kind: str, worlds: int) -> list[list[str]]:
    every = [world(kind, FIRST + i) for i in range(worlds)]
    rows = []
    for i, times in enumerate(TIMES):

        def held(name: str, i: int = i) -> str:
            return ", ".join(
                f"{100 * np.mean([w[f'{name} {level}'][i] for w in every]):.0f}" for level in LEVELS
            )

        def median(name: str, i: int = i) -> str:
            return f"{np.median([w[name][i] for w in every]):.2g}"

        shares = [f"{held('bare')} → {held('loss')}", held("N")]
        rows.append(
            [kind, f"{times:g}×", *shares, *map(median, ("miss loss", "factor N", "width N", "regret"))]
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage of the intervals of scaling.allocate.")
    parser.add_argument("--worlds", type=int, default=200, help="of each kind")
    worlds = parser.parse_args().worlds
    header = [
        "true law", "budget", "loss held, %", "N held, %", "miss of loss, %", "N off by ×",
        "95 % of N spans ×", "loss lost by N, %",
    ]  # fmt: skip
    print(
        f"{worlds} worlds of each kind, numbers {FIRST} on; 80 % and 95 % intervals; without → with discrepancy"
    )
    print(table(header, [row for kind in KINDS for row in rows_of(kind, worlds)]))


if __name__ == "__main__":
    main()
