"""How often intervals of parameters hold the truth: under priors, with parameters held, and by profiles.

    python benchmarks/coverage_parameters.py              # about ten minutes on an idle core
    python benchmarks/coverage_parameters.py --worlds 40

Each world is a grid of runs from the additive law with noise of its own, and the number of the first one keeps the
reported worlds apart from those that anything was chosen by. Under a prior the truth is drawn from that very prior.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402

from scaling.fitting import fit  # noqa: E402
from scaling.fitting.minimum import minimise, pose  # noqa: E402
from scaling.fitting.options import Options  # noqa: E402
from scaling.fitting.resample import clusters  # noqa: E402
from scaling.fitting.rise import rise  # noqa: E402
from scaling.fitting.solve import solve  # noqa: E402
from scaling.laws import chinchilla, describe, power_law_floor  # noqa: E402
from scaling.show import table  # noqa: E402

FIRST = 50_000  # number of the first reported world
LEVELS = (0.8, 0.95)
DRAWS = 200
TRUTH = {"E": 1.7, "A": 400.0, "B": 1200.0, "alpha": 0.34, "beta": 0.33}
SLOW = 4  # times fewer worlds of the Huber likelihood
Row = list[str]


# --- worlds --------------------------------------------------------------------------------------------------------


def grid(rng: np.random.Generator, noise: str, truth: dict[str, float] = TRUTH) -> pl.DataFrame:
    """Five sizes by six budgets; by trunk, the budgets of one of ten or of five trunks share half of their variance."""
    trunks = {"ten trunks": 2, "five trunks": 1}.get(noise, 0)
    N, D = (
        a.ravel() for a in np.meshgrid(np.geomspace(1e6, 1e9, 5), np.geomspace(1e8, 3e10, 6), indexing="ij")
    )
    if trunks == 2:
        N, D = np.tile(N, 2), np.tile(D, 2)
    miss = 0.006 * rng.standard_t(3, size=len(N)) if noise == "t3" else 0.01 * rng.normal(size=len(N))
    columns: dict[str, np.ndarray] = {"N": N, "D": D}
    if trunks:
        trunk = np.repeat(np.arange(5 * trunks), 6)
        miss = np.sqrt(0.5) * (miss + 0.01 * rng.normal(size=5 * trunks)[trunk])
        columns["trunk_id"] = trunk
    return pl.DataFrame(columns | {"loss": chinchilla(N, D, **truth) * np.exp(miss)})


# --- the three tables ----------------------------------------------------------------------------------------------

PRIORS = {
    "E ± 0.01, a quarter of what the runs say": ("E", 0.01),
    "E ± 0.04, as the runs": ("E", 0.04),
    "E ± 0.2, five times": ("E", 0.2),
    "A ± 80 of 400": ("A", 80.0),
    "A ± 300 of 400, cut off at zero": ("A", 300.0),
}


def priors(worlds: int) -> Iterator[Row]:
    """Intervals of a parameter drawn from its prior."""
    cases = {"squares_log": "normal", "huber_log": "normal", "squares_log ": "five trunks"}
    for number, (words, (name, spread)) in enumerate(PRIORS.items()):
        cells = []
        for objective, noise in cases.items():
            held = np.zeros(len(LEVELS))
            for world in range(FIRST, FIRST + worlds):
                rng = np.random.default_rng([world, number])
                value = -1.0
                while value <= 0:
                    value = TRUTH[name] + spread * rng.normal()
                runs = grid(rng, noise, TRUTH | {name: value})
                cluster = "trunk_id" if noise == "five trunks" else "rows"
                how: dict[str, Any] = {"objective": objective.strip(), "cluster": cluster, "bootstrap": DRAWS}
                fitted = fit(chinchilla, runs, priors={name: (TRUTH[name], spread)}, **how)
                held += _inside(fitted.intervals, name, value)
            cells += _shares(held, worlds)
        yield [words, *cells]


def held_still(worlds: int) -> Iterator[Row]:
    """Intervals of A from four runs, where other parameters are held at the truth."""
    N, D = np.array([1e6, 1e7, 1e8, 1e9]), np.array([1e10, 1e8, 1e9, 3e8])
    for law, free in ((power_law_floor, ("A",)), (chinchilla, ("A", "B")), (chinchilla, ("A", "B", "beta"))):
        described = describe(law)
        truth = {p: TRUTH[p] for p in described.parameter_names}
        columns = dict(zip(described.column_names, (N, D), strict=False))
        still = {p: v for p, v in truth.items() if p not in free}
        cells = []
        for objective in ("squares_log", "huber_log"):
            held = np.zeros(len(LEVELS))
            for world in range(FIRST, FIRST + worlds):
                miss = 0.01 * np.random.default_rng([world, 10]).normal(size=4)
                runs = columns | {"loss": law(*columns.values(), **truth) * np.exp(miss)}
                fitted = fit(law, runs, objective=objective, fixed=still, bootstrap=DRAWS)
                held += _inside(fitted.intervals, "A", TRUTH["A"])
            cells += _shares(held, worlds)
        yield [f"{described.name}, free: {', '.join(free)}", *cells]


REGIONS = (("E",), ("A",), ("alpha",), ("alpha", "beta"))


def profiles(worlds: int) -> Iterator[Row]:
    """Intervals and regions by profile: one holds the truth where the rise there is within the limit."""
    for objective in ("huber_log", "squares_log", "huber_likelihood"):
        for noise in ("normal", "t3", "ten trunks", "five trunks"):
            count = worlds // SLOW if objective == "huber_likelihood" else worlds
            held = np.array(
                [_profiled(world, noise, objective) for world in range(FIRST, FIRST + count)]
            ).mean(0)
            cells = (f"{100 * low:.0f} / {100 * high:.0f} ({100 * before:.0f})" for low, high, before in held)
            yield [f"{noise}, {objective}", *cells, str(count)]


def _profiled(world: int, noise: str, objective: str) -> list[list[bool]]:
    """Whether the truth is within 80 and 95 %, and within 95 % of a likelihood of independent runs, for each region."""
    runs, options = grid(np.random.default_rng([world, 20]), noise), Options(objective=objective)
    problem, data = pose(describe(chinchilla), runs, options)
    minimum = minimise(problem, options)
    problem, best, groups = minimum.problem, minimum.best, clusters(data)
    nat = problem.temperature if objective == "huber_likelihood" else problem.nat(best)
    truth, least, held = np.array([TRUTH[p] for p in problem.names]), float(problem.value(best[None])[0]), []
    for names in REGIONS:
        free = ~np.isin(problem.names, names)
        part = replace(
            problem, free=tuple(p for p in problem.free if p.name not in names), low=problem.low[free],
            high=problem.high[free], by_factor_first=problem.by_factor_first[free], fixed={p: TRUTH[p] for p in names},
        )  # fmt: skip
        risen = float(solve(part, np.stack([best[free], truth[free]])).value.min()) - least
        noise_of = rise(problem, best, groups, tuple(np.flatnonzero(~free).tolist()))
        plain = replace(noise_of, freedom=np.inf).limit(0.95)
        held.append(
            [*(risen / noise_of.scale <= noise_of.limit(level) for level in LEVELS), risen / nat <= plain]
        )
    return held


def _inside(
    intervals: Callable[[float], dict[str, tuple[float, float]]], name: str, value: float
) -> np.ndarray:
    return np.array([low <= value <= high for low, high in (intervals(level)[name] for level in LEVELS)])


def _shares(held: np.ndarray, worlds: int) -> Row:
    return [" / ".join(f"{100 * share / worlds:.0f}" for share in held)]


PARTS: dict[str, tuple[list[str], Callable[[int], Iterator[Row]]]] = {
    "priors": (["prior; truth drawn from it", "squares", "Huber", "squares, five trunks"], priors),
    "held": (["four runs, interval of A", "squares", "Huber"], held_still),
    "profiles": (["profile: objective and noise", "E", "A", "alpha", "alpha and beta", "worlds"], profiles),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage of intervals of parameters.")
    parser.add_argument("--worlds", type=int, default=80, help="of each row")
    parser.add_argument("--part", choices=PARTS, help="one table alone")
    options = parser.parse_args()
    for part in [options.part] if options.part else PARTS:
        header, rows = PARTS[part]
        print(table(header, list(rows(options.worlds))), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
