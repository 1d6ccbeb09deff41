"""Which published runs to train: how well the rest is predicted after those that `scaling.propose` would choose.

    python benchmarks/propose_published.py

Of published runs of one recipe the cheapest half is the pilot. Half of the others, drawn ten times, is what a design
chooses from, each run at its own FLOPs, and the rest is predicted. Runs are proposed for the surface, the losses of all
that may be chosen, and beside it for the exponents. A design takes as many FLOPs for another's score as a power law
between its own budgets says; all runs are the largest.

    random            in random order
    compute-optimal   nearest to the best size by the pilot first
    isoFLOP           whole quarter decades of compute, the cheapest first
    grid              evenly over octaves of size and tokens
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from propose import flops_for, times_words  # noqa: E402

import scaling  # noqa: E402
from scaling.design.asked import Request, ask  # noqa: E402
from scaling.design.information import Units, best_batch  # noqa: E402
from scaling.laws import chinchilla, optimum  # noqa: E402
from scaling.laws.base import describe  # noqa: E402
from scaling.laws.optimal import TokenCost  # noqa: E402
from scaling.show import table  # noqa: E402

LEVEL, DRAWS = 0.8, 100
EXPONENTS = ("alpha", "beta")
RIVALS = ("grid", "random", "isoFLOP", "compute-optimal")
ANY: dict[str, Any] = {"bounds": {"E": (0.0, None)}}
"""Bounds that bind nowhere, with which no rival form is fitted: it would say nothing of a parameter."""
PUBLISHED = {
    "chinchilla": None,
    "overtraining": pl.col("dataset") == "c4_original",
    "isoflop": (pl.col("dataset") == "rw")
    & (pl.col("hparams") == "tuned")
    & (pl.col("param_count") == "standard"),
}
"""Names of published runs, and which of them are of one recipe."""
SHARES, RIVAL_SHARES = (0.1, 0.3), (0.05, 0.1, 0.2, 0.3, 0.6, 1.0)
"""Budgets of proposed runs and of the other designs, as shares of what all runs that may be chosen took."""
SPLITS = 10
PROPOSED = {"proposed": "surface", "for exponents": "exponent"}


class Published:
    """Published runs: the cheapest half is the pilot, half of the others may be chosen, and the rest is predicted."""

    def __init__(self, name: str, split: int):
        frame = scaling.open_runs(f"published:{name}")
        if (only := PUBLISHED[name]) is not None:
            frame = frame.filter(only)
        if "C" not in frame.columns:
            frame = frame.with_columns(C=6.0 * pl.col("N") * pl.col("D"))
        wanted = {c: pl.col(c).cast(pl.Float64) for c in ("N", "D", "C", "loss")}
        frame = frame.select(**wanted, unique_tokens=pl.col("D").cast(pl.Float64)).sort("C", "N", "loss")
        half = frame.height // 2
        self.rng = np.random.default_rng(split)
        order = half + self.rng.permutation(frame.height - half)
        self.pilot, self.split = frame[:half], split
        self.able, self.rest = frame[np.sort(order[::2])], frame[np.sort(order[1::2])]
        self.flops = self.able["C"].to_numpy()

    def within(self, order: NDArray, budget: float) -> list[int]:
        """Of runs in an order of preference those that are paid for."""
        chosen, spent = [], 0.0
        for row in order:
            if spent + self.flops[row] <= budget:
                chosen, spent = [*chosen, int(row)], spent + self.flops[row]
        return chosen

    def order(self, design: str) -> NDArray:
        """Preferences: at random, of the nearest to the best size first, around it by level, or evenly over a grid."""
        N, D = (np.log(self.able[c].to_numpy()) for c in "ND")
        cost = TokenCost.of(*(self.pilot[c].to_numpy() for c in ("N", "D", "C")))
        fitted = scaling.fit(chinchilla, self.pilot, bootstrap=0, **ANY).params
        best = np.log(optimum(cost.priced(describe(chinchilla)), self.flops, **dict[str, Any](fitted)).N)
        if design == "random":
            return self.rng.permutation(len(N))
        if design == "compute-optimal":
            return np.argsort(np.abs(N - best))
        if design == "isoFLOP":  # whole levels of a quarter decade, the cheapest first
            return np.lexsort((np.abs(N - best), np.round(4 * np.log10(self.flops))))
        cells = np.round(N / np.log(2)).astype(int) * 1000 + np.round(D / np.log(2)).astype(int)
        first = np.zeros(len(N))
        for cell in np.unique(cells):
            rows = self.rng.permutation(np.flatnonzero(cells == cell))
            first[rows] = np.arange(len(rows))
        return np.lexsort((self.rng.random(len(N)), first))

    def chosen(self, design: str, budget: float) -> list[int]:
        if design not in PROPOSED:
            return self.within(self.order(design), budget)
        places = {c: self.able[c].to_numpy() for c in ("N", "D", "C", "unique_tokens")}
        asked = ask(PROPOSED[design], Request(runs=self.pilot, bootstrap=2 * DRAWS), places)
        each = np.arange(len(self.flops))
        units = Units(each[:, None], asked.own, asked.shared, self.flops, each, 1)
        return list(best_batch(asked.belief, units, budget).chosen)

    @cache  # noqa: B019  # all runs are what every design ends with
    def judged(self, chosen: tuple[int, ...]) -> tuple[float, ...]:
        """Runs, FLOPs, width of the exponents' intervals, rms miss on the rest, score and share held for new runs."""
        rows = list(chosen)
        fitted = scaling.fit(
            chinchilla, pl.concat([self.pilot, self.able[rows]]), bootstrap=DRAWS, seed=self.split, **ANY
        )
        ends = fitted.intervals(LEVEL)
        width = np.mean([(ends[p][1] - ends[p][0]) / fitted.params[p] for p in EXPONENTS])
        N, D, loss = (self.rest[c].to_numpy() for c in ("N", "D", "loss"))
        said = fitted.predict(N=N, D=D, level=LEVEL, new_run=True)
        missed = np.maximum(said.low - loss, 0) + np.maximum(loss - said.high, 0)
        score = float(np.mean((said.high - said.low + 2 / (1 - LEVEL) * missed) / loss))
        rms = float(np.sqrt(np.mean(np.log(said.median / loss) ** 2)))
        return (
            len(chosen),
            float(self.flops[rows].sum()),
            float(width),
            rms,
            score,
            float(np.mean(missed == 0)),
        )


def published_rows(name: str) -> Iterator[list[str]]:
    splits = [Published(name, split) for split in range(SPLITS)]
    whole = float(np.mean([s.flops.sum() for s in splits]))
    every = {
        (design, share): np.mean(
            [s.judged(tuple(sorted(s.chosen(design, share * float(s.flops.sum()))))) for s in splits], axis=0
        )
        for design in (*PROPOSED, *RIVALS)
        for share in (SHARES if design in PROPOSED else RIVAL_SHARES)
    }
    for (design, share), (runs, flops, width, rms, score, held) in every.items():
        needs = {}
        for rival in RIVALS if design in PROPOSED else ():
            own = np.array([every[rival, share] for share in RIVAL_SHARES])
            needs[rival] = flops_for(score, own[:, 1], own[:, 4]) / flops
        best = min(needs, key=lambda rival: needs[rival], default="")
        takes = f"{times_words(needs[best], whole / flops)} ({best})" if best else ""
        numbers = [f"{100 * value:.3g}" for value in (width, rms, score, held)]
        spent = f"{100 * flops / whole:.2g}"
        yield [f"published:{name}", f"{100 * share:g}", design, f"{runs:.0f}", spent, *numbers, takes]


HEADER = [
    "runs", "budget, % of the dearer half", "design", "chosen", "spent, %", "width of exponents, %",
    "rms miss on the rest, %", "interval score, %", f"held of {LEVEL:.0%}",
    "best rival takes, by score",
]  # fmt: skip


def main() -> None:
    for name in PUBLISHED:
        print(table(HEADER, list(published_rows(name))), flush=True)
    print(f"{time.process_time():.0f} CPU seconds")


if __name__ == "__main__":
    main()
