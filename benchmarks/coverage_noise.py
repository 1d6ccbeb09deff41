"""Intervals for new runs where scatter changes with scale, and where it does not.

    python benchmarks/coverage_noise.py               # about three minutes
    python benchmarks/coverage_noise.py --worlds 100  # fewer simulated worlds of each kind

In each world an additive law is fitted to a grid, and 2000 new runs are drawn in the lowest, the middle and the top
cell of its compute. Pooled residuals (before) and scatter by scale (after) are compared by the share of those runs
inside 80 and 95 % intervals, and by pinball loss over the quantiles that end 50, 80 and 95 % intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.fitting import fit
from scaling.laws import chinchilla
from scaling.show import table

FIRST = 10_000  # number of the first reported world; the prior was chosen on worlds 0 to 59
LEVELS = (0.5, 0.8, 0.95)
NEW = 2000
Sd = Callable[[NDArray], NDArray]

KINDS: dict[str, tuple[Sd, int, bool]] = {
    "0.8 % everywhere": (lambda x: 0.008 + 0 * x, 7, False),
    "0.8 % everywhere, heavy tails": (lambda x: 0.008 + 0 * x, 7, True),
    "0.8 % everywhere, 16 runs": (lambda x: 0.008 + 0 * x, 4, False),
    "1.5 % to 0.3 %": (lambda x: 0.015 * 5.0**-x, 7, False),
    "1.5 % to 0.3 %, heavy tails": (lambda x: 0.015 * 5.0**-x, 7, True),
    "1.5 % to 0.3 %, 16 runs": (lambda x: 0.015 * 5.0**-x, 4, False),
    "0.4 % to 0.8 %": (lambda x: 0.004 * 2.0**x, 7, False),
    "2 % below the middle, 0.5 % above": (lambda x: np.where(x < 0.5, 0.02, 0.005), 7, False),
}
"""Standard deviation against the share x of the way through log compute, sizes and budgets of the grid, and whether
the misses are of a t law with three degrees of freedom."""


def world(kind: str, number: int) -> tuple[pl.DataFrame, dict[str, Any], NDArray]:
    """Runs, where to predict, and new runs there, shape (points, runs)."""
    sd, count, heavy = KINDS[kind]
    rng = np.random.default_rng([number, list(KINDS).index(kind)])
    E, alpha, beta = rng.uniform(1.2, 2.2), *rng.uniform(0.25, 0.45, 2)
    truth = {"E": E, "A": 0.6 * 2e7**alpha, "B": 0.6 * 2e8**beta, "alpha": alpha, "beta": beta}
    sizes, budgets = np.geomspace(2e6, 2e8, count), np.geomspace(2e7, 4e9, count)
    N, D = np.repeat(sizes, count), np.tile(budgets, count)
    ask: dict[str, Any] = {"N": sizes[[0, count // 2, -1]], "D": budgets[[0, count // 2, -1]]}

    def runs(N: NDArray, D: NDArray, *shape: int) -> NDArray:
        x = (np.log10(N * D) - np.log10(N * D).min()) / np.ptp(np.log10(sizes[[0, -1]] * budgets[[0, -1]]))
        z = rng.standard_t(3, (*shape, len(N))) / np.sqrt(3) if heavy else rng.normal(size=(*shape, len(N)))
        return chinchilla(N, D, **truth) * np.exp(sd(x) * z)

    return pl.DataFrame({"N": N, "D": D, "loss": runs(N, D)}), ask, runs(*ask.values(), NEW).T


def score(kind: str, number: int) -> NDArray:
    """Before and after; inside at 80 and 95 % and pinball loss, percent; lowest, middle and top: shape (2, 3, 3)."""
    runs, ask, new = world(kind, number)
    fitted = fit(chinchilla, runs, bootstrap=300, seed=number, cluster="rows")
    out = []
    for one in (replace(fitted, noise=None), fitted):
        bands = [one.predict(level=level, new_run=True, **ask) for level in LEVELS]
        inside = [((b.low[:, None] <= new) & (new <= b.high[:, None])).mean(1) for b in bands[1:]]
        pinball = [
            _pinball(new, end[:, None], share)
            for b in bands
            for end, share in ((b.low, 0.5 - 0.5 * b.level), (b.high, 0.5 + 0.5 * b.level))
        ]
        out.append([*inside, np.mean(pinball, axis=0) / new.mean(1)])
    return 100 * np.array(out)


def _pinball(new: NDArray, quantile: NDArray, share: float) -> NDArray:
    """Mean over new runs; lowest where the quantile is the true one."""
    return np.mean(np.maximum(share * (new - quantile), (share - 1.0) * (new - quantile)), axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Intervals for new runs where scatter changes with scale.")
    parser.add_argument("--worlds", type=int, default=200, help="simulated worlds of each kind")
    rows = []
    for kind in KINDS:
        worlds = parser.parse_args().worlds
        before, after = np.mean([score(kind, FIRST + i) for i in range(worlds)], axis=0)
        cells = [[f"{a:.0f} → {b:.0f}" for a, b in zip(before[i], after[i], strict=True)] for i in (0, 1)]
        won = " ".join(f"{100 * (b / a - 1):+.1f}" for a, b in zip(before[2], after[2], strict=True))
        rows.append([kind, *cells[0], *cells[1], won])
    places = ("low", "mid", "top")
    header = ["scatter", *(f"80 % {p}" for p in places), *(f"95 % {p}" for p in places)]
    print(table([*header, "pinball loss, % change"], rows))


if __name__ == "__main__":
    main()
