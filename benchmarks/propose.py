"""How many FLOPs `scaling.propose` takes for the interval that other designs give: simulated worlds, published runs.

    python benchmarks/propose.py                     # every part; minutes on a quiet core
    python benchmarks/propose.py --worlds 10 --part exponent

In each world a law is true. A pilot of four sizes by five budgets, two seeds each, is fitted; then each design spends
the same FLOPs on further runs, from half to eight times the pilot's sizes and budgets, and the law is fitted to all. A
design takes as many FLOPs for the interval of another as its median width says, a power law of FLOPs between those
tried. All designs pay the same: a trunk's branches share the FLOPs of the trunk.

    grid              five sizes by octaves of tokens, trunks with branches, from the smallest up
    random            sizes and tokens log-uniform over all that is allowed
    isoFLOP           seven sizes around the best one by the pilot, at three levels of compute a factor of four apart
    compute-optimal   eight runs along the best sizes by the pilot

On published runs the pilot is the cheapest half; designs choose among the others, each at its own FLOPs, and the runs
that are left are predicted.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

import scaling  # noqa: E402
from scaling.design.asked import LACK, Request, ask, noise_of  # noqa: E402
from scaling.design.candidates import REACH, candidates  # noqa: E402
from scaling.design.information import Belief, Units, best_batch, lack_of_fit  # noqa: E402
from scaling.flops import count_flops, count_parameters, ladder  # noqa: E402
from scaling.laws import chinchilla, optimum, power_mean  # noqa: E402
from scaling.laws.base import describe  # noqa: E402
from scaling.laws.optimal import TokenCost  # noqa: E402
from scaling.show import table  # noqa: E402

FIRST, LEVEL, DRAWS = 90_000, 0.8, 200
TIMES = {"exponent": (1.0, 4.0, 16.0), "forecast": (1.0, 4.0, 16.0)}
"""Budgets, in units of what the pilot took."""
SIZES, TOKENS = np.geomspace(2e6, 1.6e7, 4), 2e7 * 2.0 ** np.arange(5)
LOW = SIZES[0] / 2, TOKENS[0] / 2  # the least that any design may train
AHEAD = 30.0  # times the pilot's largest run, at which a forecast is asked
Law = Callable[..., Any]


class Planned(NamedTuple):
    """A trunk: its size, and the tokens at which it branches."""

    N: float
    budgets: tuple[float, ...]


def terms(rng: np.random.Generator) -> dict[str, Any]:
    """Constants of an additive law whose terms are a third of a nat to a nat in the middle of the pilot."""
    alpha, beta = rng.uniform(0.25, 0.45, 2)
    return {
        "E": rng.uniform(1.2, 2.2), "alpha": alpha, "beta": beta,
        "A": rng.uniform(0.3, 1.0) * 6e6**alpha, "B": rng.uniform(0.3, 1.0) * 8e7**beta,
    }  # fmt: skip


class Kind(NamedTuple):
    """What is true of a world: the law, and the sizes of the misses of a trunk and of a run, in ln loss."""

    power: tuple[float, float] | None = None
    """Range of q of a power mean; None: the law that is fitted is true."""
    shared: float = 0.004
    own: float = 0.006
    tails: float = np.inf
    """Degrees of freedom of a run's own miss."""


KINDS = {
    "true law": Kind(),
    "heavy tails": Kind(tails=2.5, own=0.004),
    "clustered noise": Kind(shared=0.012, own=0.004),
    "wrong law": Kind(power=(1.5, 4.0)),
}

_known = {count_parameters(s).matrices: count_flops(s).total for s in map(ladder, np.geomspace(1e6, 3e8, 60))}
_ln = np.log(list(_known)), np.log(list(_known.values()))


def per_token(N: Any) -> Any:
    """FLOPs a token of the ladder's shapes."""
    return np.exp(np.interp(np.log(N), *_ln))


def flops_of(plan: list[Planned]) -> float:
    tokens = np.array([0.8 * max(t.budgets) + 0.2 * sum(t.budgets) for t in plan])
    return float(per_token(np.array([t.N for t in plan])) @ tokens) if plan else 0.0


class World:
    """One world with its pilot."""

    def __init__(self, kind: str, number: int):
        self.kind, self.number = KINDS[kind], number
        self.rng = np.random.default_rng([number, list(KINDS).index(kind)])
        self.constants = terms(self.rng)
        law = chinchilla
        if self.kind.power:
            law = partial(power_mean, q=self.rng.uniform(*self.kind.power))
        self.truth: Law = partial(law, **self.constants)
        self.trunks = 0
        self.sought = self.constants if law is chinchilla else self._nearest()
        plan = [Planned(N, tuple(TOKENS)) for N in SIZES for _ in range(2)]
        self.spent, self.pilot = flops_of(plan), self.runs(plan)
        self.C = AHEAD * float(self.pilot["C"].to_numpy().max())
        N, D, ln_loss = (
            self.pilot["N"].to_numpy(),
            self.pilot["D"].to_numpy(),
            np.log(self.pilot["loss"].to_numpy()),
        )
        theta = best_fit(as_theta(self.constants), N, D, ln_loss)[0]
        constants = {p: np.exp(v) if p in "AB" else v for p, v in zip(PARAMETERS, theta, strict=True)}
        cost = TokenCost.of(*(self.pilot[c].to_numpy() for c in ("N", "D", "C")))
        at = np.geomspace(self.pilot["C"].to_numpy().min() / 100, 1e20, 60)
        best = optimum(cost.priced(describe(chinchilla)), at, **constants).N
        self.ln_best = np.log(at), np.log(np.clip(best, LOW[0], REACH * SIZES[-1]))

    def _nearest(self) -> dict[str, float]:
        """The additive law nearest to the truth over all that is allowed: what its exponents then mean."""
        N, D = np.meshgrid(
            np.geomspace(2e6, REACH * SIZES[-1], 12), np.geomspace(2e7, REACH * TOKENS[-1], 12)
        )
        theta = best_fit(
            as_theta(self.constants), N.ravel(), D.ravel(), np.log(self.truth(N.ravel(), D.ravel()))
        )[0]
        return dict(
            zip(PARAMETERS, theta.tolist(), strict=True)
        )  # A and B by their logarithms, which nobody reads

    def runs(self, plan: list[Planned]) -> pl.DataFrame:
        rows = []
        for N, budgets in plan:
            self.trunks += 1
            miss = self.kind.shared * self.rng.normal()
            for D in budgets:
                own = self.rng.normal() if np.isinf(self.kind.tails) else self.rng.standard_t(self.kind.tails)
                loss = float(self.truth(N, D)) * np.exp(miss + self.kind.own * own)
                rows.append((f"{self.trunks}", float(N), float(D), float(per_token(N) * D), float(D), loss))
        return pl.DataFrame(rows, schema=["trunk_id", "N", "D", "C", "unique_tokens", "loss"], orient="row")

    def best(self, C: Any) -> tuple[NDArray, NDArray]:
        """The best size and tokens by the pilot, within the box."""
        N = np.exp(np.interp(np.log(C), *self.ln_best))
        return N, np.clip(C / per_token(N), LOW[1], REACH * TOKENS[-1])


# --- designs --------------------------------------------------------------------------------------------


def filled(make: Callable[[float], list[Planned]], budget: float, low: float, high: float) -> list[Planned]:
    """The largest design of a family that is paid for, as often as it is."""
    for _ in range(25):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if flops_of(make(middle)) <= budget else (low, middle)
    plan = make(low)
    return plan * min(8, max(1, int(budget / flops_of(plan))))


def grid(world: World, budget: float) -> list[Planned]:
    def make(reach: float) -> list[Planned]:
        most = TOKENS[-1] * reach
        budgets = tuple(LOW[1] * 2.0**i for i in range(1 + int(np.log2(most / LOW[1]) + 1e-9)))
        return [Planned(N, budgets) for N in np.geomspace(LOW[0], SIZES[-1] * reach, 5)]

    return filled(make, budget, 0.1, REACH)


def drawn(world: World, budget: float) -> list[Planned]:
    N = np.exp(world.rng.uniform(np.log(LOW[0]), np.log(REACH * SIZES[-1]), 400))
    D = np.exp(world.rng.uniform(np.log(LOW[1]), np.log(REACH * TOKENS[-1]), 400))
    plan, spent = [], 0.0
    for n, d, cost in zip(N, D, per_token(N) * D, strict=True):
        if spent + cost <= budget and len(plan) < 100:
            plan, spent = [*plan, Planned(n, (d,))], spent + cost
    return plan


def isoflop(world: World, budget: float) -> list[Planned]:
    def make(C: float) -> list[Planned]:
        levels = np.repeat([C, C / 4, C / 16], 7)
        sizes = world.best(levels)[0] * np.tile(2.0 ** np.linspace(-2, 2, 7), 3)
        sizes = np.clip(sizes, LOW[0], REACH * SIZES[-1])
        tokens = np.clip(levels / per_token(sizes), LOW[1], REACH * TOKENS[-1])
        return [Planned(N, (D,)) for N, D in zip(sizes, tokens, strict=True)]

    return filled(make, budget, 1e13, 4e18)


def optimal(world: World, budget: float) -> list[Planned]:
    least = float(world.pilot["C"].to_numpy().min())

    def make(C: float) -> list[Planned]:
        sizes, tokens = world.best(np.geomspace(least, max(C, 1.01 * least), 8))
        return [Planned(N, (D,)) for N, D in zip(sizes, tokens, strict=True)]

    return filled(make, budget, least, 4e18)


def proposed(world: World, question: str, budgets: list[float], full: bool) -> list[list[Planned]]:
    """What `scaling.propose` says, for several budgets at once: the steps that it takes.

    Unless in full, the draws of the exponents are those of `quick`, in place of the bootstrap of `scaling.fit`.
    """
    there = candidates(world.pilot, None, budget=max(budgets))
    if full or question == "forecast":
        C = world.C if question == "forecast" else None
        asked = ask(
            question, Request(runs=world.pilot, C=C, bootstrap=DRAWS, seed=world.number), there.columns
        )
        belief, own, shared = asked.belief, asked.own, asked.shared
    else:
        draws, r, labels = quick(world, world.pilot)
        losses = np.stack([curve(theta, there.columns["N"], there.columns["D"])[0] for theta in draws])
        flat = np.ones(len(there.columns["N"]))
        own, shared = (v * flat for v in noise_of(r, np.ones(len(r)), labels, 5))
        lack = lack_of_fit(there.logs, LACK * float(own[0] + shared[0]))
        belief = Belief.of(draws[:, 3:], losses, lack)
    units = Units(there.places, own, shared, there.flops, there.shapes)
    plans = []
    for budget in budgets:
        chosen = [there.trunks[unit] for unit in best_batch(belief, units, budget).chosen]
        plans.append([Planned(count_parameters(t.model).matrices, t.schedule.budgets) for t in chosen])
    return plans


RIVALS = {"grid": grid, "random": drawn, "isoFLOP": isoflop, "compute-optimal": optimal}


# --- what a design gives --------------------------------------------------------------------------------


class Given(NamedTuple):
    """Of one design at one budget: FLOPs, width of the interval in ln, share of intervals that hold the truth."""

    flops: float
    width: float
    held: float


PARAMETERS = ("E", "A", "B", "alpha", "beta")


def as_theta(constants: dict[str, Any]) -> NDArray:
    return np.array([np.log(constants[p]) if p in "AB" else constants[p] for p in PARAMETERS])


def curve(theta: NDArray, N: NDArray, D: NDArray) -> tuple[NDArray, NDArray]:
    """ln loss of the additive law at E, ln A, ln B, alpha and beta, and its slopes, shape (runs, 5)."""
    E, a, b, alpha, beta = theta
    by_size, by_tokens = np.exp(a - alpha * np.log(N)), np.exp(b - beta * np.log(D))
    loss = E + by_size + by_tokens
    parts = [np.ones(len(N)), by_size, by_tokens, -np.log(N) * by_size, -np.log(D) * by_tokens]
    return np.log(loss), np.stack(parts, axis=1) / loss[:, None]


def best_fit(
    theta: NDArray, N: NDArray, D: NDArray, ln_loss: NDArray
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Huber on ln loss, bent at 1.345 standard deviations, by damped Gauss-Newton from the truth."""

    def cost(theta: NDArray, bend: float) -> float:
        r = np.abs(ln_loss - curve(theta, N, D)[0])
        return float(np.where(r < bend, 0.5 * r**2, bend * (r - 0.5 * bend)).sum())

    for _ in range(3):  # the bend follows the misses
        bend = max(1.345 * 1.4826 * float(np.median(np.abs(ln_loss - curve(theta, N, D)[0]))), 1e-5)
        damping = 1e-3
        for _ in range(40):
            value, J = curve(theta, N, D)
            r = ln_loss - value
            w = np.minimum(1.0, bend / np.maximum(np.abs(r), 1e-12))
            H = J.T @ (w[:, None] * J)
            step = np.linalg.solve(H + damping * np.diag(np.diag(H)) + 1e-14 * np.eye(5), J.T @ (w * r))
            if cost(theta + step, bend) < cost(theta, bend):
                theta, damping = theta + step, damping / 5
            else:
                damping *= 10
            if damping > 1e6 or np.abs(step).max() < 1e-9:
                break
    return theta, J, r, w


def quick(world: World, runs: pl.DataFrame) -> tuple[NDArray, NDArray, NDArray]:
    """Draws of the parameters by a cluster bootstrap of one Gauss-Newton step each, the misses, and their trunks."""
    N, D, ln_loss = runs["N"].to_numpy(), runs["D"].to_numpy(), np.log(runs["loss"].to_numpy())
    theta, J, r, w = best_fit(as_theta(world.constants), N, D, ln_loss)
    labels = np.unique(runs["trunk_id"].to_numpy(), return_inverse=True)[1]
    count, rng = labels.max() + 1, np.random.default_rng(world.number)
    times = rng.multinomial(count, np.full(count, 1 / count), DRAWS)[:, labels] * w
    H = np.einsum("bn,ni,nj->bij", times, J, J, optimize=True) + 1e-12 * np.eye(5)
    draws = theta + np.linalg.solve(H, (times * r @ J)[:, :, None])[:, :, 0]
    spare = np.sqrt(len(r) / max(1, len(r) - 5))
    return theta + spare * (draws - theta), r, labels


def exponents(world: World, runs: pl.DataFrame, full: bool) -> dict[str, Any]:
    if not full:
        ends = np.quantile(quick(world, runs)[0], [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], axis=0)
        return dict(zip(PARAMETERS, ends.T, strict=True))
    # a bound that binds nowhere, so that no rival form is fitted: it would say nothing of a parameter
    fitted = scaling.fit(chinchilla, runs, bootstrap=DRAWS, seed=world.number, bounds={"E": (0.0, None)})
    return fitted.intervals(LEVEL)


def judged(world: World, question: str, plan: list[Planned], full: bool) -> Given:
    runs = pl.concat([world.pilot, world.runs(plan)]) if plan else world.pilot
    if question == "exponent":
        ends = exponents(world, runs, full)
        both = [(*ends[p], world.sought[p]) for p in ("alpha", "beta")]
        width = float(np.exp(np.mean([np.log((high - low) / true) for low, high, true in both])))
        return Given(flops_of(plan), width, float(np.mean([low <= true <= high for low, high, true in both])))
    fitted = scaling.fit(chinchilla, runs, bootstrap=DRAWS, seed=world.number)
    N, D = (float(a) for a in world.best(world.C))
    said = fitted.predict(N=N, D=D, level=LEVEL)
    true = float(world.truth(N, D))
    return Given(flops_of(plan), float(np.log(said.high / said.low)), float(said.low <= true <= said.high))


def world_of(question: str, kind: str, number: int, full: bool) -> dict[str, list[Given]]:
    world = World(kind, number)
    budgets = [times * world.spent for times in TIMES[question]]
    plans = {name: [make(world, b) for b in budgets] for name, make in RIVALS.items()}
    plans["proposed"] = proposed(world, question, budgets, full)
    return {
        name: [judged(world, question, plan, full) for plan in several] for name, several in plans.items()
    }


def flops_for(width: float, curve: list[tuple[float, float]]) -> float:
    """FLOPs at which a median width is reached, a power law between budgets and beyond them."""
    x, y = np.log(np.array(curve)).T
    y = np.minimum.accumulate(y)
    i = int(np.clip(np.searchsorted(-y, -np.log(width)), 1, len(y) - 1))
    slope = min((y[i] - y[i - 1]) / (x[i] - x[i - 1]), -0.05)
    return float(np.exp(x[i] + (np.log(width) - y[i]) / slope))


def rows_of(question: str, kind: str, worlds: int, first: int, full: bool) -> Iterator[list[str]]:
    every = [world_of(question, kind, first + i, full) for i in range(worlds)]
    names = ("proposed", *RIVALS)
    median = {
        name: [
            tuple(np.median([(w[name][b].flops, w[name][b].width) for w in every], axis=0))
            for b in range(len(TIMES[question]))
        ]
        for name in names
    }
    for b, times in enumerate(TIMES[question]):
        flops, width = median["proposed"][b]
        ratios = {name: flops_for(width, median[name]) / flops for name in RIVALS}
        best = min(ratios, key=lambda name: ratios[name])
        held = {name: 100 * np.mean([w[name][b].held for w in every]) for name in names}
        yield [
            question, kind, f"{times:g}×", f"{100 * width:.2g}", *(f"{ratios[name]:.2g}×" for name in RIVALS),
            f"{ratios[best]:.2g}× ({best})", f"{held['proposed']:.0f}",
            ", ".join(f"{held[name]:.0f}" for name in RIVALS),
        ]  # fmt: skip


HEADER = [
    "interval of", "worlds", "budget, of the pilot's", "width, %", *(f"{name} takes" for name in RIVALS),
    "best rival takes", f"held of {LEVEL:.0%}", "held by rivals",
]  # fmt: skip
PARTS = {"exponent": tuple(KINDS), "forecast": tuple(KINDS)}


# --- published runs -------------------------------------------------------------------------------------

PUBLISHED = ("chinchilla", "isoflop")
SHARES = (0.05, 0.2, 0.6)
"""Budgets, as shares of what all runs that may be chosen took."""


class Published:
    """Published runs, of which the cheapest half are the pilot."""

    def __init__(self, name: str):
        frame = scaling.open_runs(f"published:{name}")
        if "C" not in frame.columns:
            frame = frame.with_columns(C=6.0 * pl.col("N") * pl.col("D"))
        self.frame = frame.sort("C").with_columns(unique_tokens=pl.col("D").cast(pl.Float64))
        self.half = self.frame.height // 2
        self.pilot, self.rest = self.frame[: self.half], self.frame[self.half :]
        self.flops = self.rest["C"].to_numpy().astype(float)
        self.fitted = scaling.fit(chinchilla, self.pilot, bootstrap=DRAWS)

    def within(self, order: NDArray, budget: float) -> list[int]:
        """Of runs in an order of preference those that are paid for."""
        chosen, spent = [], 0.0
        for row in order:
            if spent + self.flops[row] <= budget:
                chosen, spent = [*chosen, int(row)], spent + self.flops[row]
        return chosen

    def order(self, design: str) -> NDArray:
        """Preferences: at random, of the nearest to the best size first, around it by level, or evenly over a grid."""
        N, D = (np.log(self.rest[c].to_numpy().astype(float)) for c in "ND")
        cost = TokenCost.of(*(self.pilot[c].to_numpy().astype(float) for c in ("N", "D", "C")))
        best = np.log(
            optimum(cost.priced(describe(chinchilla)), self.flops, **dict[str, Any](self.fitted.params)).N
        )
        rng = np.random.default_rng(0)
        if design == "random":
            return rng.permutation(len(N))
        if design == "compute-optimal":
            return np.argsort(np.abs(N - best))
        if design == "isoFLOP":  # whole levels of a quarter decade, the cheapest first
            return np.lexsort((np.abs(N - best), np.round(4 * np.log10(self.flops))))
        cells = np.round(N / np.log(2)).astype(int) * 1000 + np.round(D / np.log(2)).astype(int)
        first = np.zeros(len(N))
        for cell in np.unique(cells):
            rows = rng.permutation(np.flatnonzero(cells == cell))
            first[rows] = np.arange(len(rows))
        return np.lexsort((rng.random(len(N)), first))

    def proposed(self, budget: float) -> list[int]:
        places = {c: self.rest[c].to_numpy().astype(float) for c in ("N", "D", "C", "unique_tokens")}
        asked = ask("exponent", Request(runs=self.pilot, bootstrap=DRAWS), places)
        each = np.arange(len(self.flops))
        units = Units(each[:, None], asked.own, asked.shared, self.flops, each, 1)
        return list(best_batch(asked.belief, units, budget).chosen)

    def judged(self, chosen: list[int]) -> Given:
        """Width of the exponents' intervals, and the share of the runs left that 80 % intervals for new runs hold."""
        fitted = scaling.fit(chinchilla, pl.concat([self.pilot, self.rest[chosen]]), bootstrap=DRAWS)
        ends, left = fitted.intervals(LEVEL), np.setdiff1d(np.arange(len(self.flops)), chosen)
        width = np.exp(
            np.mean([np.log((ends[p][1] - ends[p][0]) / fitted.params[p]) for p in ("alpha", "beta")])
        )
        N, D, loss = (self.rest[c].to_numpy()[left].astype(float) for c in ("N", "D", "loss"))
        said = fitted.predict(N=N, D=D, level=LEVEL, new_run=True)
        return Given(
            float(self.flops[chosen].sum()),
            float(width),
            float(np.mean((said.low <= loss) & (loss <= said.high))),
        )


def published_rows(name: str) -> Iterator[list[str]]:
    runs = Published(name)
    budgets = [share * float(runs.flops.sum()) for share in SHARES]
    given = {
        design: [runs.judged(runs.within(runs.order(design), budget)) for budget in budgets]
        for design in RIVALS
    }
    for budget, share in zip(budgets[:2], SHARES, strict=False):
        own = runs.judged(runs.proposed(budget))
        curves = {design: [(one.flops, one.width) for one in several] for design, several in given.items()}
        ratios = {design: flops_for(own.width, curve) / own.flops for design, curve in curves.items()}
        best = min(ratios, key=lambda design: ratios[design])
        held = [f"{100 * given[design][SHARES.index(share)].held:.0f}" for design in RIVALS]
        yield [
            "exponent", f"published:{name}", f"{100 * share:g} % of the dearer half", f"{100 * own.width:.2g}",
            *(f"{ratio:.2g}×" for ratio in ratios.values()), f"{ratios[best]:.2g}× ({best})", f"{100 * own.held:.0f}",
            ", ".join(held),
        ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="FLOPs of proposed runs beside those of other designs.")
    parser.add_argument(
        "--worlds", type=int, default=0, help="of each kind; 0: 67 for exponents, 50 for forecasts"
    )
    parser.add_argument("--part", choices=[*PARTS, "published"], action="append")
    parser.add_argument("--first", type=int, default=FIRST, help="number of the first world")
    parser.add_argument("--full", action="store_true", help="exponents too by scaling.fit, a second each")
    asked = parser.parse_args()
    began, rows = time.time(), []
    for part in asked.part or [*PARTS, "published"]:
        for kind in PARTS.get(part, ()):
            worlds = asked.worlds or {"exponent": 67, "forecast": 50}[part]
            rows += list(rows_of(part, kind, worlds, asked.first, asked.full))
            print(table(HEADER, rows[-len(TIMES[part]) :]), f"{time.time() - began:.0f} s", flush=True)
        for name in PUBLISHED if part == "published" else ():
            rows += list(published_rows(name))
    print(table(HEADER, rows))


if __name__ == "__main__":
    main()
