"""How good the blends that `scaling.blend` proposes are: on published mixtures held out, and in simulated worlds.

    SCALING_PUBLISHED=DIR python benchmarks/blends.py            # about half an hour
    python benchmarks/blends.py --splits 0 --worlds 20           # the worlds alone

Published: of one model size some blends are drawn at random, laws and plain regressions are fitted to them, and 24 of
the others are drawn again and again; each method takes the one that it predicts lowest, and regret is how much higher
its measured loss is than the lowest of the 24. What "auto" takes is judged on blends that had no part in the choice.

Worlds: the loss on each domain is known, 24 runs on random blends are made from it, and the proposal is free.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

import scaling  # noqa: E402
from scaling.design.blending import LAWS  # noqa: E402
from scaling.design.domains import Blends, read_blends  # noqa: E402
from scaling.design.simplex import lowest  # noqa: E402
from scaling.show import Interval, table  # noqa: E402

Array = NDArray[np.float64]
FIRST, DRAWS, OF = 70_000, 200, 24
Loss = Callable[[Array], Array]
"""From shares, shape (blends, domains), to the loss on one domain."""


# --- published mixtures ----------------------------------------------------------------------------


def ridge(shares: Array, loss: Array, roots: bool) -> Loss:
    """Regression of log loss on shares, or on shares and their square roots, with a ridge by leaving each out."""

    def features(r: Array) -> Array:
        return np.hstack([r, np.sqrt(r)]) if roots else r

    X, y = features(shares), np.log(loss)
    middle, spread = X.mean(axis=0), X.std(axis=0) + 1e-9
    U, s, V = np.linalg.svd((X - middle) / spread, full_matrices=False)

    def left_out(ridge: float) -> tuple[float, Array]:
        kept = s**2 / (s**2 + ridge)
        leverage = U**2 @ kept + 1 / len(y)
        fitted = y.mean() + U @ (kept * (U.T @ y))
        return float(np.mean(((y - fitted) / np.maximum(1 - leverage, 0.05)) ** 2)), V.T @ (
            kept / s * (U.T @ y)
        )

    slope = min((left_out(r) for r in np.geomspace(1e-3, 1e3, 25)), key=lambda one: one[0])[1]
    return lambda r: np.exp(y.mean() + (features(r) - middle) / spread @ slope)


def methods(part: Blends, target: str, seed: int) -> dict[str, Loss]:
    """Every method fitted to the same runs, by name."""
    runs = {f"w_{d}": part.shares[:, i] for i, d in enumerate(part.domains)} | {
        f"loss_{target}": part.losses[target]
    }
    fitted = {
        name: scaling.blend(pl.DataFrame(runs), target, law=name, bootstrap=20, seed=seed) for name in LAWS
    }
    least = min(fitted.values(), key=lambda one: one.laws["held_out_percent"][0])  # what law="auto" takes
    by_law = {"auto": least, **fitted}
    return {
        **{name: (lambda r, one=one: one.objective(r)[0]) for name, one in by_law.items()},
        "regression on shares": ridge(part.shares, part.losses[target], roots=False),
        "regression on shares and roots": ridge(part.shares, part.losses[target], roots=True),
        "nearest to uniform": lambda r: ((r - 1 / r.shape[1]) ** 2).sum(axis=1),
        "at random": lambda r: np.zeros(len(r)),
    }


def judged(read: Blends, count: int, split: int) -> list[dict[str, Any]]:
    """One row for each method and target, each domain that is measured and the mean of all, of one random split."""
    rng = np.random.default_rng([FIRST, split, count])
    order = rng.permutation(len(read.shares))
    mine = np.zeros(len(order), bool)
    mine[order[:count]] = True
    part, rest = read.rows(mine), np.flatnonzero(~mine)
    held = read.shares[rest][:, [read.domains.index(d) for d in part.domains]]
    predicted = {t: {m: loss(held) for m, loss in methods(part, t, split).items()} for t in read.losses}
    names = list(next(iter(predicted.values())))
    mean = {m: np.mean([predicted[t][m] for t in predicted], axis=0) for m in names}
    measured = {t: loss[rest] for t, loss in read.losses.items()}
    measured["mean of all"] = np.mean(list(measured.values()), axis=0)
    drawn = [rng.choice(len(rest), OF, replace=False) for _ in range(DRAWS)]
    rows = []
    for target, loss in measured.items():
        for m, guess in (predicted | {"mean of all": mean})[target].items():
            least = np.array([loss[d].min() for d in drawn])
            taken = np.array([loss[d][np.argmin(guess[d])] for d in drawn])
            rows.append({
                "target": target, "method": m, "regret": 100 * float(np.mean(taken / least - 1)),
                "above 1 %": 100 * float(np.mean(taken / least > 1.01)),
                "of all": 100 * float(np.mean(loss[np.argmin(guess)] / least - 1)),
                "miss": 100 * float(np.median(np.abs(guess / loss - 1))),
            })  # fmt: skip
    return rows


def published(splits: int) -> None:
    runs = scaling.open_runs("published:mixtures")
    header = [
        "method",
        "regret, %",
        "median",
        "worst target",
        "above 1 %, %",
        "mean of all",
        "of all held out",
        "median miss, %",
    ]
    for N, counts in ((1e6, (48, 96)), (6e7, (48, 96))):
        read = read_blends(runs).of_size(N)
        for count in counts:
            rows = pl.DataFrame([row for split in range(splits) for row in judged(read, count, split)])
            lines = []
            for m in rows["method"].unique(maintain_order=True):
                mine = rows.filter(method=m)
                single, mean = (
                    mine.filter(pl.col("target") != "mean of all"),
                    mine.filter(target="mean of all"),
                )
                by_target = single.group_by("target").agg(pl.col("regret").mean())["regret"]
                said = m in LAWS or m == "auto" or m.startswith("regression")
                numbers = (single["regret"].mean(), by_target.median(), by_target.max(), single["above 1 %"].mean(),
                           mean["regret"].mean(), single["of all"].mean())  # fmt: skip
                miss = f"{single['miss'].mean():.1f}" if said else ""
                lines.append([m, *(f"{value:.2f}" for value in numbers), miss])
            print(
                f"\n{len(read.shares)} blends at N = {N:.0e}, {count} of them fitted, {splits} random splits"
            )
            print(table(header, lines), flush=True)


# --- simulated worlds ------------------------------------------------------------------------------


def worth(rng: np.random.Generator, m: int, own: int) -> tuple[Array, Array, float]:
    C, gamma = rng.uniform(0.02, 0.25, m), rng.uniform(0.2, 0.9, m)
    C[own] = rng.uniform(0.5, 1.0)
    return C, gamma, rng.uniform(1.2, 2.2)


def additive(rng: np.random.Generator, m: int, own: int) -> Loss:
    C, gamma, E = worth(rng, m, own)
    return lambda r: E + 1 / (C * r**gamma).sum(axis=1)


def exchanged(rng: np.random.Generator, m: int, own: int) -> Loss:
    tau = rng.uniform(0.0, 0.4, m)
    tau[own], E, B, beta = 1.0, rng.uniform(1.2, 2.2), rng.uniform(0.5, 1.5), rng.uniform(0.15, 0.5)
    return lambda r: E + B / (r @ tau) ** beta


def exponential(rng: np.random.Generator, m: int, own: int) -> Loss:
    t = rng.uniform(-0.5, 1.0, m)
    t[own], E, k = -rng.uniform(1.0, 3.0), rng.uniform(1.5, 2.5), rng.uniform(0.5, 1.5)
    return lambda r: E + k * np.exp(r @ t)


def together(rng: np.random.Generator, m: int, own: int) -> Loss:
    """No law that is fitted: two domains are worth more together, and much of the own domain is worth less."""
    C, gamma, E = worth(rng, m, own)
    other = (own + 1) % m
    extra, tired = rng.uniform(0.2, 0.6), rng.uniform(0.1, 0.5)
    return lambda r: (
        E
        + (1 + tired * r[:, own] ** 3)
        / ((C * r**gamma).sum(axis=1) + extra * np.sqrt(r[:, own] * r[:, other]))
    )


def nothing(rng: np.random.Generator, m: int, own: int) -> Loss:
    return lambda r: np.full(len(r), 3.0)


KINDS: dict[str, tuple[Callable[..., Loss], float, int, bool]] = {
    "additive": (additive, 0.01, 24, False),
    "exchange": (exchanged, 0.01, 24, False),
    "exponential": (exponential, 0.01, 24, False),
    "none of the laws": (together, 0.01, 24, False),
    "additive, noise of 3 %": (additive, 0.03, 24, False),
    "additive, heavy-tailed noise": (additive, 0.01, 24, True),
    "additive, 12 blends twice": (additive, 0.01, 12, False),
    "blends do not matter": (nothing, 0.01, 24, False),
}
"""What is true, its noise, how many different blends, and whether the noise has heavy tails (t, three degrees)."""


def world(kind: str, number: int) -> dict[str, float]:
    make, noise, different, heavy = KINDS[kind]
    rng = np.random.default_rng([FIRST + number, list(KINDS).index(kind)])
    m = int(rng.integers(3, 6))
    domains = [f"d{i}" for i in range(m)]
    targets = list(rng.choice(m, 2, replace=False)) if number % 2 else [int(rng.integers(m))]
    weights = {
        domains[i]: float(w) for i, w in zip(targets, rng.dirichlet(np.ones(len(targets)) * 3), strict=True)
    }
    losses = {domains[i]: make(rng, m, i) for i in targets}
    shares = np.tile(rng.dirichlet(np.ones(m), different), (-(-OF // different), 1))

    def miss() -> Array:
        return noise * (
            rng.standard_t(3, len(shares)) / np.sqrt(3) if heavy else rng.normal(size=len(shares))
        )

    runs = {f"w_{d}": shares[:, i] for i, d in enumerate(domains)}
    runs |= {f"loss_{d}": loss(shares) * np.exp(miss()) for d, loss in losses.items()}
    proposed = scaling.blend(pl.DataFrame(runs), weights, seed=number)

    def true(r: Array) -> Array:
        return np.sum([w * losses[d](np.atleast_2d(r)) for d, w in weights.items()], axis=0)

    def sloped(r: Array) -> tuple[Array, Array]:
        step = 1e-6 * np.eye(m)
        return true(r), np.stack([(true(r + s) - true(r - s * 0.5)) / 1.5e-6 for s in step], axis=1)

    best = lowest(sloped, 1, shares.min(axis=0), shares.max(axis=0))[0]
    at, least, uniform = (float(true(r)[0]) for r in (proposed.shares.median, best, np.full(m, 1 / m)))
    of_run = np.array([proposed.best[d] for d in domains])
    its = float(true(of_run)[0])
    every = float(true(shares).min())

    def held(interval: Interval, truth: Any) -> float:
        return 100 * float(np.mean((interval.low <= truth + 1e-12) & (truth - 1e-12 <= interval.high)))

    return {
        "regret": 100 * (at / least - 1), "of best run": 100 * (its / least - 1),
        "of uniform": 100 * (uniform / least - 1),
        "against 24": 100 * (at / every - 1),
        "loss": held(proposed.loss, at), "over uniform": held(proposed.over_uniform, uniform - at),
        "over best": held(proposed.over_best, its - at), "shares": held(proposed.shares, best),
        "cannot tell": 100 * float(proposed.answer == "cannot tell from uniform"),
        "better": 100 * float(proposed.answer == "better than every run"),
        "false better": 100 * float(proposed.answer == "better than every run" and at >= its),
        "false uniform": 100 * float(proposed.answer != "cannot tell from uniform" and at >= uniform),
    }  # fmt: skip


def worlds(count: int, only: list[str]) -> None:
    names: list[str] = []
    lines = []
    for kind in only or KINDS:
        every = [world(kind, i) for i in range(count)]
        names = list(every[0])
        lines.append([kind, *(f"{np.mean([w[n] for w in every]):.3g}" for n in names)])
        print(lines[-1], flush=True)
    print(f"\n{count} worlds of each kind, numbers {FIRST} on; means, all in percent; 80 % intervals")
    print(table(["true law", *names], lines))


def main() -> None:
    parser = argparse.ArgumentParser(description="How good proposed blends are.")
    parser.add_argument("--splits", type=int, default=3, help="random splits of the published mixtures")
    parser.add_argument("--worlds", type=int, default=40, help="of each kind")
    parser.add_argument("--kinds", nargs="*", default=[], help="of worlds; all by default")
    asked = parser.parse_args()
    if asked.splits:
        published(asked.splits)
    if asked.worlds:
        worlds(asked.worlds, asked.kinds)


if __name__ == "__main__":
    main()
