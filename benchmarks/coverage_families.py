"""How often pooled fits of families hold what is true of them, and how far off they are beside other ways.

python benchmarks/coverage_families.py              # ten minutes of a free core
SCALING_PUBLISHED=DIR python benchmarks/coverage_families.py --published
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402
from scipy.optimize import minimize  # noqa: E402

import scaling  # noqa: E402
from scaling.laws import chinchilla  # noqa: E402
from scaling.published import open_published  # noqa: E402
from scaling.show import table  # noqa: E402

FIRST = 95_000
EXPONENTS = ("alpha", "beta")
MIDDLE = {"alpha": 0.34, "beta": 0.30}


@dataclass(frozen=True)
class Kind:
    """What worlds are like."""

    families: int
    runs: int
    spread: float
    """Of both exponents between families."""
    noise: str = "normal"
    """"heavy": t with three degrees of freedom. "trunks": half of the variance is shared by the runs of one size."""
    bend: float = 1.0
    """Power of the mean that joins the two terms: 1 is the law that is fitted."""
    small: int | None = None
    """Runs of the first family, where it has fewer than the others."""

    def __str__(self) -> str:
        words = f"{self.families} × {self.runs} runs, spread {self.spread:g}"
        words += {"normal": "", "heavy": ", heavy tails", "trunks": ", trunks"}[self.noise]
        words += f", the first of {self.small} runs" if self.small else ""
        return words + (", wrong law" if self.bend != 1.0 else "")


KINDS = [
    *(Kind(F, runs, spread) for F, runs in ((4, 8), (6, 12)) for spread in (0.0, 0.02, 0.1)), Kind(8, 30, 0.02),
    Kind(6, 12, 0.02, noise="heavy"), Kind(6, 16, 0.02, noise="trunks"), Kind(6, 12, 0.02, small=4),
    Kind(6, 12, 0.02, bend=1.3),
]  # fmt: skip


@dataclass(frozen=True)
class Family:
    """One family's truth, and its largest run."""

    truth: dict[str, float]
    bend: float
    N: float
    D: float

    def loss(self, N: Any, D: Any) -> Any:
        A, B = self.truth["A"] / N ** self.truth["alpha"], self.truth["B"] / D ** self.truth["beta"]
        return self.truth["E"] + (A**self.bend + B**self.bend) ** (1.0 / self.bend)


def world(number: int, kind: Kind) -> tuple[pl.DataFrame, list[Family]]:
    """Runs of all families, and the families; the last has no runs."""
    rng = np.random.default_rng([number, kind.families, kind.runs, int(1000 * kind.spread)])
    tables, families = [], []
    for f in range(kind.families + 1):
        alpha, beta = (float(np.clip(rng.normal(m, kind.spread), 0.08, 0.9)) for m in MIDDLE.values())
        truth = {"E": rng.uniform(1.5, 2.1), "alpha": alpha, "beta": beta}
        truth |= {"A": rng.uniform(0.3, 0.9) * 3e7**alpha, "B": rng.uniform(0.3, 0.9) * 1e9**beta}
        count = kind.small if kind.small and f == 0 else kind.runs
        sizes, least = max(3, round(np.sqrt(count))), 10 ** rng.uniform(6.0, 6.6)
        N, D = least * np.geomspace(1, 100, sizes), least * np.geomspace(10, 3000, max(2, -(-count // sizes)))
        N, D = (grid.ravel() for grid in np.meshgrid(N, D))
        kept = rng.permutation(len(N))[:count]
        N, D = N[kept], D[kept]
        family = Family(truth, kind.bend, float(N.max()), float(D.max()))
        loss = family.loss(N, D) * np.exp(0.005 * np.exp(0.3 * rng.normal()) * misses(rng, N, kind.noise))
        families.append(family)
        if f < kind.families:
            tables.append(
                pl.DataFrame({"family": [f"f{f}"] * count, "N": N, "D": D, "loss": loss, "trunk_id": N})
            )
    runs = pl.concat(tables)
    return runs if kind.noise == "trunks" else runs.drop("trunk_id"), families


def misses(rng: np.random.Generator, N: np.ndarray, noise: str) -> np.ndarray:
    """Of unit variance."""
    if noise == "heavy":
        return rng.standard_t(3, len(N)) / np.sqrt(3.0)
    if noise == "trunks":
        _, trunk = np.unique(N, return_inverse=True)
        return np.sqrt(0.5) * (rng.normal(size=trunk.max() + 1)[trunk] + rng.normal(size=len(N)))
    return rng.normal(size=len(N))


def as_one(runs: pl.DataFrame) -> dict[str, dict[str, float]]:
    """Complete pooling: least squares with the same exponents in all families, E, A and B each family's own."""
    parts = {str(name[0]): part for name, part in runs.group_by("family", maintain_order=True)}

    def solved(part: pl.DataFrame, alpha: float, beta: float) -> tuple[np.ndarray, float]:
        N, D, y = (part[c].to_numpy() for c in ("N", "D", "loss"))
        design = np.stack([np.ones_like(N), (N / 3e7) ** -alpha, (D / 1e9) ** -beta], 1) / y[:, None]
        best = np.linalg.lstsq(design, np.ones_like(y))[0]
        return best, float(((design @ best - 1.0) ** 2).sum())

    alpha, beta = minimize(
        lambda x: sum(solved(part, *x)[1] for part in parts.values()), list(MIDDLE.values()), method="Nelder-Mead",
        options={"xatol": 1e-5, "fatol": 1e-12},
    ).x  # fmt: skip
    fitted = {}
    for name, part in parts.items():
        E, A, B = solved(part, alpha, beta)[0]
        fitted[name] = {"E": E, "alpha": alpha, "beta": beta, "A": A * 3e7**alpha, "B": B * 1e9**beta}
    return fitted


class Tally:
    """Hits of intervals and misses of medians by name."""

    def __init__(self) -> None:
        self.hits: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
        self.misses: dict[str, list[float]] = defaultdict(list)

    def held(self, name: str, truth: float, *ends: tuple[float, float]) -> None:
        self.hits[name].append(tuple(low <= truth <= high for low, high in ends))  # type: ignore[arg-type]

    def share(self, name: str) -> str:
        return " / ".join(f"{100 * share:.0f}" for share in np.mean(self.hits[name], axis=0))

    def rms(self, name: str) -> float:
        return float(np.sqrt(np.mean(np.square(self.misses[name]))))


def judged(kind: Kind, first: int, worlds: int) -> tuple[list[str], list[str]]:
    """A row of intervals and a row of errors."""
    tally = Tally()
    for number in range(first, first + worlds):
        runs, families = world(number, kind)
        wide = scaling.pool(chinchilla, runs, seed=number)
        for p in EXPONENTS:
            draws = wide.draws[p]
            tally.held("spread", kind.spread, *(spread_ends(wide, p, level) for level in (0.8, 0.95)))
            tally.misses["spread"].append(wide.spread(p).median)
            for f, family in enumerate(families[:-1]):
                tally.held("family", family.truth[p], *ends(draws[:, f]))
        alone = wide.table.pivot("parameter", index="family", values="alone").to_dicts()
        one = as_one(runs)
        for f, family in enumerate(families[:-1]):
            name = f"f{f}"
            N, D = 10 * family.N, 10 * family.D
            truth = family.loss(N, D)
            for held, allowed in (("law", False), ("ahead", True)):
                bands = [
                    wide.predict(name, level=level, discrepancy=allowed, N=N, D=D) for level in (0.8, 0.95)
                ]
                tally.held(held, truth, *((float(b.low), float(b.high)) for b in bands))
            ways = {"together": wide.params(name), "alone": alone[f], "as one": one[name]}
            for way, params in ways.items():
                if params["alpha"] is None:
                    continue
                tally.misses[f"exponents {way}"] += [params[p] - family.truth[p] for p in EXPONENTS]
                own = {p: params[p] for p in family.truth}
                predicted = float(bands[0].median) if way == "together" else chinchilla(N, D, **own)
                tally.misses[f"ahead {way}"].append(100 * (predicted / truth - 1))
        new = families[-1]
        bands = [wide.predict(level=level, N=new.N, D=new.D) for level in (0.8, 0.95)]
        tally.held("new", new.loss(new.N, new.D), *((float(b.low), float(b.high)) for b in bands))
        for p in EXPONENTS:
            tally.held("new exponents", new.truth[p], *ends(wide.new[p]))
    intervals = [tally.share(name) for name in ("spread", "family", "law", "ahead", "new exponents", "new")]
    middle = f"{np.median(tally.misses['spread']):.3f}"
    ways = ("alone", "as one", "together")
    errors = [f"{tally.rms(f'exponents {way}'):.3f}" for way in ways]
    errors += [f"{tally.rms(f'ahead {way}'):.2f}" for way in ways]
    return [str(kind), middle, *intervals, str(worlds)], [str(kind), *errors]


def ends(draws: np.ndarray) -> list[tuple[float, float]]:
    """Of the 80 and the 95 % interval."""
    return [tuple(np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])) for level in (0.8, 0.95)]  # type: ignore


def spread_ends(wide: scaling.Pooled, p: str, level: float) -> tuple[float, float]:
    within = wide.spread(p, level)
    return within.low, within.high


def published() -> str:
    """The 1B and 7B models on three corpora, from smaller models on each: 5 times the size of the largest."""
    runs = open_published("overtraining").select("dataset", "N", "D", "C", "loss")
    small, large = runs.filter(pl.col("N") < 1e9), runs.filter(pl.col("N") >= 1e9).sort("dataset", "N", "D")
    wide = scaling.pool(chinchilla, small, by="dataset")
    alone = {
        row["family"]: row for row in wide.table.pivot("parameter", index="family", values="alone").to_dicts()
    }
    rows = []
    for corpus, N, D, _, loss in large.iter_rows():
        own = {p: alone[corpus][p] for p in ("E", "A", "B", "alpha", "beta")}
        band = wide.predict(corpus, N=N, D=D)
        inside = f"[{float(band.low):.3f}, {float(band.high):.3f}]"
        percent = [f"{100 * (float(x) / loss - 1):+.1f}" for x in (chinchilla(N, D, **own), band.median)]
        rows.append([corpus, f"{N:.2g}", f"{D:.2g}", f"{loss:.3f}", inside, *percent])
    return table(["corpus", "N", "D", "loss", "together, 80 %", "alone off by, %", "together"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Pooled fits of families in simulated worlds.")
    parser.add_argument("--worlds", type=int, default=10, help="of each kind")
    parser.add_argument("--first", type=int, default=FIRST)
    parser.add_argument("--kinds", type=int, nargs="*", default=range(len(KINDS)))
    parser.add_argument("--published", action="store_true", help="models on three corpora in place of worlds")
    options = parser.parse_args()
    if options.published:
        print(published())
        return
    rows = []
    for i in options.kinds:
        rows.append(judged(KINDS[i], options.first, options.worlds))
        print(*rows[-1], flush=True, sep="\n")
    header = [
        "worlds",
        "spread, median",
        "spread held",
        "exponents",
        "10 × N, D by the law",
        "as predicted",
        "new exponents",
        "new loss",
        "number",
    ]
    print(table(header, [a for a, _ in rows]))
    header = ["worlds", "exponents alone", "as one", "together", "10 × N, D alone, %", "as one", "together"]
    print(table(header, [b for _, b in rows]))


if __name__ == "__main__":
    main()
