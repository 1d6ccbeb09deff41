"""How far `extrapolate` misses on simulated curves of a known truth, and how often its 80 % interval holds a new run.

    python benchmarks/coverage_curves.py              # about two minutes
    python benchmarks/coverage_curves.py --worlds 10  # fewer curves of each kind

Curves of 10 to 40 points over 1.5 to 3 decades, asked at 2, 10 and 100 times their last point: power laws without and
with a floor at three sizes of noise, and shapes that are not of the procedure's own family, half of them with tails of
four degrees of freedom. The bias is the median over curves of how far the median lies above the truth, in log loss.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402

from scaling import extrapolate  # noqa: E402
from scaling.laws import m3, m4, sigmoid  # noqa: E402
from scaling.show import table  # noqa: E402

FIRST = 50_000  # number of the first reported curve; the procedure was chosen on none of these
LAST, AHEAD = 1e9, (2.0, 10.0, 100.0)
NOISE = (0.001, 0.003, 0.01)
Curve = Callable[[np.ndarray], np.ndarray]


def plain(rng: np.random.Generator) -> Curve:
    alpha = rng.uniform(0.03, 0.5)
    return lambda x: 3.0 * (x / LAST) ** -alpha


def floored(rng: np.random.Generator) -> Curve:
    alpha, floor = rng.uniform(0.1, 0.6), rng.uniform(0.1, 0.9)
    return lambda x: 3.0 * (floor + (1.0 - floor) * (x / LAST) ** -alpha)


def lingering(rng: np.random.Generator) -> Curve:
    alpha = rng.uniform(0.15, 0.6)
    E, A, a = rng.uniform(0.0, 0.3), 10.0 ** (6.0 * alpha) * rng.uniform(0.5, 2.0), rng.uniform(0.5, 2.0)
    return lambda x: m4(x, E=E, L0=1.0, A=A, alpha=alpha, a=a)


def levelling(rng: np.random.Generator) -> Curve:
    alpha, stop = rng.uniform(0.15, 0.6), 10.0 ** rng.uniform(7.5, 10.0)
    return lambda x: m3(x, A=50.0, alpha=alpha, N_stop=stop)


def passing(rng: np.random.Generator) -> Curve:
    E, middle, k = rng.uniform(0.1, 0.5), 10.0 ** rng.uniform(7.0, 9.5), rng.uniform(0.15, 0.6)
    return lambda x: sigmoid(x, E=E, L0=1.0, C_mid=middle, k=k)


def stretched(rng: np.random.Generator) -> Curve:
    floor, scale, power = rng.uniform(0.2, 0.8), 10.0 ** rng.uniform(7.5, 9.5), rng.uniform(0.2, 0.5)
    return lambda x: floor + (1.0 - floor) * np.exp(-((x / scale) ** power))


SHAPES = {
    "M4, lingers at guessing": lingering,
    "M3, floor inside the power": levelling,
    "sigmoid in ln x": passing,
    "stretched exponential": stretched,
}


def row(
    words: str, make: Callable[[np.random.Generator], Curve], noise: float | None, worlds: int
) -> list[str]:
    """A row: bias at each distance, and the share of new runs inside at each level and distance."""
    off, inside = [], []
    for i in range(worlds):
        rng = np.random.default_rng(FIRST + i)
        curve, size = make(rng), noise or 10.0 ** rng.uniform(-3.0, -1.8)
        x = LAST * 10.0 ** -np.linspace(rng.uniform(1.5, 3.0), 0.0, int(rng.integers(10, 41)))
        ahead = LAST * np.array(AHEAD)
        kicks = rng.standard_t(4, len(x)) / np.sqrt(2.0) if i % 2 else rng.standard_normal(len(x))
        runs = {"D": x, "loss": curve(x) * np.exp(size * kicks)}
        new = curve(ahead) * np.exp(size * rng.standard_normal(len(ahead)))
        band = extrapolate(runs, D=ahead)
        off.append(np.log(band.median / curve(ahead)))
        inside.append((band.low <= new) & (new <= band.high))
    bias = " / ".join(f"{b:+.2f}" for b in 100.0 * np.median(off, axis=0))
    miss = " / ".join(f"{m:.2f}" for m in 100.0 * np.median(np.abs(off), axis=0))
    held = " / ".join(f"{share:.0f}" for share in 100.0 * np.mean(inside, axis=0))
    return [words, bias, miss, held, f"{100 * np.mean(inside):.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Bias and coverage of extrapolated curves.")
    parser.add_argument("--worlds", type=int, default=20, help="curves of each kind")
    options = parser.parse_args()
    kinds = [(f"power law, noise {100 * s:g} %", plain, s) for s in NOISE]
    kinds += [(f"power law and floor, noise {100 * s:g} %", floored, s) for s in NOISE]
    kinds += [(words, make, None) for words, make in SHAPES.items()]
    header = [
        "2 / 10 / 100 times beyond",
        "bias of the median, %",
        "median miss, %",
        "80 % holds, %",
        "all three",
    ]
    print(table(header, [row(*kind, options.worlds) for kind in kinds]))


if __name__ == "__main__":
    main()
