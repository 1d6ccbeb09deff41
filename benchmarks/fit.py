"""How fast a fit is, beside what people use today, all timed in the same run on one core.

    python benchmarks/fit.py            # about three minutes
    python benchmarks/fit.py --quick    # fewer rival refits, no million rows: about half a minute

The job is the Chinchilla law on 240 points, Huber penalty with delta 0.001 on log loss. Rivals that take minutes are
timed on a part of the job and scaled to the whole; the table says how many fits were run. Their log parameters and
analytic Jacobian are what a careful user would write; the starts of the grid are those of Hoffmann et al. 2022.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402

from scaling.fitting.data import read  # noqa: E402
from scaling.fitting.estimate import bootstrap_refits, fit  # noqa: E402
from scaling.fitting.minimum import minimise, pose  # noqa: E402
from scaling.fitting.options import Options  # noqa: E402
from scaling.fitting.parallel import cores  # noqa: E402
from scaling.fitting.resample import bootstrap_weights, clusters  # noqa: E402
from scaling.laws import chinchilla, describe  # noqa: E402
from scaling.show import table  # noqa: E402

DELTA = 1e-3
DRAWS = 4000
OPTIONS = Options(delta=DELTA)
PARAMETERS = ("A", "B", "E", "alpha", "beta")
GRID = list(
    itertools.product(
        range(0, 26, 5),
        range(0, 26, 5),
        np.arange(-1, 1.5, 0.5),
        np.arange(0, 2.5, 0.5),
        np.arange(0, 2.5, 0.5),
    )
)
"""Starts (ln A, ln B, ln E, alpha, beta) of approach 3 in Hoffmann et al. 2022, appendix D.3."""


def published_points() -> pl.DataFrame:
    """The 240 points, from the folder that SCALING_PUBLISHED names, else ../shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = (
        Path(os.environ.get("SCALING_PUBLISHED", beside)) / "chinchilla_besiroglu" / "chinchilla_points.csv"
    )
    if not path.exists():
        sys.exit(f"no {path}; name the folder of published results in SCALING_PUBLISHED")
    points = pl.read_csv(path).select(N="params_N", D="tokens_D", C="flops_C", loss="loss")
    return points.sort("loss").head(240)


def user_law(N, D, *, E, A, B, alpha, beta):
    """The same law as a user would type it: no annotation, no derivative."""
    return E + A / N**alpha + B / D**beta


class Rival:
    """The same objective in log parameters, with numpy and an analytic Jacobian."""

    def __init__(self, points: pl.DataFrame):
        self.n, self.d, self.y = (np.log(points[c].to_numpy()) for c in ("N", "D", "loss"))

    def terms(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        a, b = x[0] - x[3] * self.n, x[1] - x[4] * self.d
        return a, b, np.logaddexp(np.logaddexp(a, b), x[2])

    def miss(self, x: np.ndarray) -> np.ndarray:
        return self.terms(x)[2] - self.y

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        a, b, s = self.terms(x)
        p, q, e = np.exp(a - s), np.exp(b - s), np.exp(x[2] - s)
        return np.stack([p, q, e, -p * self.n, -q * self.d], axis=1)

    def cost(self, x: np.ndarray, weights: np.ndarray) -> float:
        size = np.abs(self.miss(x))
        inner = np.minimum(size, DELTA)
        return float(weights @ (inner * (size - 0.5 * inner)))

    def gradient(self, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return (weights * np.clip(self.miss(x), -DELTA, DELTA)) @ self.jacobian(x)


def timed(job: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = job()
    return time.perf_counter() - start, result


def best_of(job: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """The fastest of a few, as other jobs on the machine only ever add."""
    return min((timed(job) for _ in range(times)), key=lambda pair: pair[0])


def our_bootstrap(
    law: Callable[..., Any], points: pl.DataFrame, draws: int = DRAWS, times: int = 3, processes: int = 1
) -> tuple[float, np.ndarray]:
    """Seconds for the refits alone, and their objectives."""
    problem, data = pose(describe(law), points, OPTIONS)
    minimum, groups = minimise(problem, OPTIONS), clusters(data, "rows")

    def refits() -> np.ndarray:
        blocks = bootstrap_refits(minimum, groups, draws, OPTIONS, processes=processes)
        return np.concatenate([one.value for one in blocks])

    return best_of(refits, times)


def same_weights(points: pl.DataFrame) -> np.ndarray:
    """The weights of those draws in the order of the points, for the rivals."""
    data = read(describe(chinchilla).columns, points)
    (weights,) = bootstrap_weights(clusters(data, "rows"), data.weights, draws=DRAWS, seed=0, chunk=DRAWS)
    unsorted = np.empty_like(weights)
    unsorted[:, data.order] = weights
    return unsorted


def bench_point(points: pl.DataFrame, starts: int) -> list[list[str]]:
    from scipy.optimize import minimize

    seconds, fitted = best_of(lambda: fit(chinchilla, points, bootstrap=0))
    rows = [
        [
            "point fit, scaling.fit",
            f"{seconds:.3f}",
            "",
            f"objective {fitted.objective:.12f}, {fitted.starts}",
        ]
    ]
    rival, ones = Rival(points), np.ones(len(points))
    picked = [GRID[i] for i in np.random.default_rng(0).choice(len(GRID), starts, replace=False)]

    def grid() -> list[float]:
        return [
            float(
                minimize(
                    rival.cost,
                    x,
                    args=(ones,),
                    jac=rival.gradient,
                    method="L-BFGS-B",
                    options={"maxiter": 5000},
                ).fun
            )
            for x in picked
        ]

    part, values = timed(grid)
    whole = part * len(GRID) / starts
    reached = sum(v <= fitted.objective * (1 + 1e-6) for v in values)
    words = f"{starts} of {len(GRID)} starts timed; {reached} of them at the minimum"
    return [*rows, ["point fit, L-BFGS-B grid", f"{whole:.0f}", f"{whole / seconds:.0f}×", words]]


def bench_bootstrap(points: pl.DataFrame, scipy_refits: int, lmfit_refits: int) -> list[list[str]]:
    from scipy.optimize import least_squares

    ours, values = our_bootstrap(chinchilla, points)
    users, user_values = our_bootstrap(user_law, points)
    shared, shared_values = our_bootstrap(chinchilla, points, processes=cores())
    weights = same_weights(points)
    rival = Rival(points)
    start = np.array([6.169, 7.670, 0.5973, 0.3473, 0.3672])

    def scipy_loop(jacobian: bool) -> np.ndarray:
        costs = []
        for w in weights[:scipy_refits]:
            rows = np.repeat(np.arange(len(w)), w.astype(int))

            def miss(x: np.ndarray, rows: np.ndarray = rows) -> np.ndarray:
                return rival.miss(x)[rows]

            def slope(x: np.ndarray, rows: np.ndarray = rows) -> np.ndarray:
                return rival.jacobian(x)[rows]

            jac: Any = slope if jacobian else "2-point"
            result = least_squares(miss, start, jac=jac, loss="huber", f_scale=DELTA, x_scale="jac")
            costs.append(rival.cost(result.x, w))
        return np.array(costs)

    part, scipy_values = timed(lambda: scipy_loop(True))
    analytic = part * DRAWS / scipy_refits
    part, _ = timed(lambda: scipy_loop(False))
    numeric = part * DRAWS / scipy_refits
    lmfit_seconds = _lmfit_loop(rival, weights[:lmfit_refits], start) * DRAWS / lmfit_refits
    gap = float(np.max(values[:scipy_refits] / scipy_values - 1))
    both = float(np.max(np.abs(user_values / values - 1)))
    whole = f"{DRAWS} refits"
    above = f"at most {max(gap, 0.0):.0e} above scipy's, relative"
    same = f"within {both:.0e} of the line above"
    times = f"{analytic / users:.0f}× the user's law; {scipy_refits} timed"
    return [
        [f"{whole}, scaling.fit", f"{ours:.2f}", "", above],
        [
            f"{whole}, scaling.fit, {cores()} cores",
            f"{shared:.2f}",
            f"{shared / ours:.2f}×",
            f"{analytic / shared:.1f}× faster than the scipy loop with Jacobian"
            + ("" if np.array_equal(shared_values, values) else "; NOT the same numbers"),
        ],
        [f"{whole}, scaling.fit, a user's law", f"{users:.2f}", f"{users / ours:.1f}×", same],
        [f"{whole}, scipy loop with Jacobian", f"{analytic:.1f}", f"{analytic / ours:.1f}×", times],
        [f"{whole}, scipy loop without", f"{numeric:.1f}", f"{numeric / ours:.1f}×", f"{scipy_refits} timed"],
        [
            f"{whole}, lmfit loop",
            f"{lmfit_seconds:.1f}",
            f"{lmfit_seconds / ours:.1f}×",
            f"{lmfit_refits} timed",
        ],
    ]


def _lmfit_loop(rival: Rival, weights: np.ndarray, start: np.ndarray) -> float:
    import lmfit

    def miss(parameters: Any, rows: np.ndarray) -> np.ndarray:
        r = rival.miss(np.array([parameters[p].value for p in PARAMETERS]))[rows]
        size = np.abs(r)
        inner = np.minimum(size, DELTA)
        return np.sign(r) * np.sqrt(2 * inner * (size - 0.5 * inner))  # whose square is the Huber penalty

    def loop() -> None:
        for w in weights:
            parameters = lmfit.Parameters()
            for name, value in zip(PARAMETERS, start, strict=True):
                parameters.add(name, value=value)
            lmfit.minimize(miss, parameters, args=(np.repeat(np.arange(len(w)), w.astype(int)),))

    return timed(loop)[0]


def bench_growth(most_rows: int) -> list[list[str]]:
    """Seconds and peak memory for more rows, each in a process of its own."""
    rows = []
    count = 1000
    while count <= most_rows:
        out = subprocess.run(
            [sys.executable, __file__, "--child", str(count)],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ,
        )
        one = json.loads(out.stdout)
        per = 1e9 * one["refits"] / count / 100
        words = f"{per:.0f} ns per row and draw; peak memory {one['memory'] / 2**20:.2f} GB"
        rows.append([f"100 refits of {count:,} rows", f"{one['refits']:.2f}", "", words])
        count *= 10
    return rows


def child(count: int) -> None:
    """100 bootstrap refits of that many invented rows; prints seconds and peak memory."""
    rng = np.random.default_rng(0)
    N, D = 10 ** rng.uniform(7, 10, count), 10 ** rng.uniform(9, 12, count)
    loss = chinchilla(N, D, E=1.7, A=400.0, B=1200.0, alpha=0.34, beta=0.33) * np.exp(
        0.01 * rng.normal(size=count)
    )
    runs = pl.DataFrame({"N": N, "D": D, "loss": loss})
    seconds, _ = our_bootstrap(chinchilla, runs, draws=100, times=1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"refits": seconds, "memory": peak}))


def bench_import() -> list[list[str]]:
    code = "import time; t = time.perf_counter(); import scaling.fitting; print(time.perf_counter() - t)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    return [["import scaling.fitting", f"{min(runs):.2f}", "", "no torch, lmfit, scipy.stats or matplotlib"]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Time fits beside their rivals; one table out.")
    parser.add_argument("--quick", action="store_true", help="fewer rival refits, up to 10,000 rows")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    points = published_points()
    scipy_refits, lmfit_refits, grid_starts, most = (
        (60, 20, 40, 10_000) if options.quick else (400, 100, 300, 1_000_000)
    )
    fit(chinchilla, points, bootstrap=20)  # warm caches
    rows = bench_point(points, grid_starts)
    rows += bench_bootstrap(points, scipy_refits, lmfit_refits)
    rows += bench_growth(most)
    rows += bench_import()
    print("Chinchilla law on 240 points, Huber on log loss (delta 0.001), one core but where it says so")
    print(table(["job", "seconds", "ours ×", "note"], rows))


if __name__ == "__main__":
    main()
