"""How many FLOPs `scaling.propose` takes for an answer as good as other designs give: simulated worlds, published runs.

    python benchmarks/propose.py                     # a second of a quiet core for each world
    python benchmarks/propose.py --minutes 40        # as many worlds of each kind as they allow

In each world a law is true. A pilot of four sizes by five budgets, two seeds each, is fitted; then each design spends
the same FLOPs on further runs, from half to eight times the pilot's sizes and budgets, and `scaling.fit` is given all.
A design takes as many FLOPs for another's answer as its own at four budgets say, a power law between them; beyond the
largest nothing is said. All designs pay the same: a trunk's branches share the FLOPs of the trunk.

    grid              five sizes by octaves of tokens, trunks with branches, from the smallest up
    random            sizes and tokens log-uniform over all that is allowed
    isoFLOP           seven sizes around the best one by the pilot, at three levels of compute a factor of four apart
    compute-optimal   eight runs along the best sizes by the pilot

An answer is as good as another by its interval score (width, and ten times what an 80 % interval misses the truth by),
the mean over worlds; by its error, the mean distance from the truth; and by the median width of its interval alone,
which flatters designs whose intervals are too narrow.

A surface is the losses at every size and token count that the proposal may train. All answers are those of the additive
law alone, within its bounds, by the bootstrap of trunks that `scaling.fit` has and a Huber loss bent at 1.345 standard
deviations; `--full` takes `scaling.fit` itself, with its allowance beyond the runs.

Source:
    Gneiting and Raftery 2007, JASA 102(477), equation 43, for the interval score.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

import scaling  # noqa: E402
from scaling.design.asked import Request, ask  # noqa: E402
from scaling.design.candidates import REACH, candidates  # noqa: E402
from scaling.design.information import Units, best_batch  # noqa: E402
from scaling.fitting import Fit  # noqa: E402
from scaling.flops import count_flops, count_parameters, ladder  # noqa: E402
from scaling.laws import chinchilla, optimum, power_mean  # noqa: E402
from scaling.laws.base import describe  # noqa: E402
from scaling.laws.optimal import TokenCost  # noqa: E402
from scaling.show import table  # noqa: E402

FIRST, LEVEL, DRAWS = 100_000, 0.8, 100
TIMES, RIVAL_TIMES = (1.0, 16.0), (1.0, 4.0, 16.0, 50.0)
"""Budgets of proposed runs and of the other designs, in units of what the pilot took."""
SIZES, TOKENS = np.geomspace(2e6, 1.6e7, 4), 2e7 * 2.0 ** np.arange(5)
STEPS = 40  # of Gauss-Newton, most
LEAST = np.array([0.0, -np.inf, -np.inf, 0.0, 0.0])  # of E, ln A, ln B, alpha and beta, the bounds of the law
LOW = SIZES[0] / 2, TOKENS[0] / 2  # the least that any design may train
AHEAD = 30.0  # times the pilot's largest run, at which a forecast is asked
PARAMETERS, EXPONENTS = ("E", "A", "B", "alpha", "beta"), ("alpha", "beta")
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
    """Range of q of a power mean; None: the law that is fitted is true, but for a drift."""
    drift: float = 0.0
    """Most that the exponent of data may change, as a power of N, up or down: a law that no fit knows."""
    shared: float = 0.004
    own: float = 0.006
    tails: float = np.inf
    """Degrees of freedom of a run's own miss."""


KINDS = {
    "true law": Kind(),
    "heavy tails": Kind(tails=2.5, own=0.004),
    "wrong law": Kind(power=(1.5, 4.0)),
    "unknown law": Kind(drift=0.1),
}


def drifting(N: Any, D: Any, *, E: float, A: float, B: float, alpha: float, beta: float, drift: float) -> Any:
    """An additive law whose exponent of data is beta (N / 6e6)^drift, around 8e7 tokens."""
    return E + A / N**alpha + B * 8e7**-beta * (D / 8e7) ** (-beta * (N / 6e6) ** drift)


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
        constants = terms(self.rng)
        law = partial(power_mean, q=self.rng.uniform(*self.kind.power)) if self.kind.power else chinchilla
        if self.kind.drift:
            law = partial(
                drifting, drift=self.rng.choice([-1, 1]) * self.rng.uniform(0.3, 1) * self.kind.drift
            )
        self.truth = partial(law, **constants)
        self.trunks = 0
        self.sought = constants if law is chinchilla else self._nearest()
        plan = [Planned(N, tuple(TOKENS)) for N in SIZES for _ in range(2)]
        self.spent, self.pilot = flops_of(plan), self.runs(plan)
        self.C = AHEAD * float(self.pilot["C"].to_numpy().max())
        theta = best_fit(as_theta(constants), *columns(self.pilot))[0]
        fitted = dict(zip(PARAMETERS, [theta[0], *np.exp(theta[1:3]), *theta[3:]], strict=True))
        cost = TokenCost.of(*(self.pilot[c].to_numpy() for c in ("N", "D", "C")))
        at = np.geomspace(self.pilot["C"].to_numpy().min() / 100, 1e20, 60)
        best = optimum(cost.priced(describe(chinchilla)), at, **dict[str, Any](fitted)).N
        self.ln_best = np.log(at), np.log(np.clip(best, LOW[0], REACH * SIZES[-1]))
        self.there = candidates(self.pilot, None, budget=TIMES[-1] * self.spent)

    def _nearest(self) -> dict[str, float]:
        """The additive law nearest to the truth over all that is allowed: what its exponents then mean."""
        ends = (LOW[0], REACH * SIZES[-1]), (LOW[1], REACH * TOKENS[-1])
        N, D = (a.ravel() for a in np.meshgrid(*(np.geomspace(*e, 12) for e in ends)))
        theta = best_fit(as_theta(self.truth.keywords), N, D, np.log(self.truth(N, D)))[0]
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
        if spent + cost <= budget and len(plan) < 200:
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


@dataclass(frozen=True, kw_only=True)
class Once(Request):
    """A request whose law is fitted once, whatever is asked."""

    kept: dict[str, Fit] = field(default_factory=dict)

    def fitted(self, law: Law) -> Fit:
        if not self.kept:
            self.kept["fit"] = scaling.fit(law, self.runs, bootstrap=DRAWS, seed=self.seed)
        return self.kept["fit"]


def proposed(world: World) -> Iterator[tuple[str, float, list[Planned], float]]:
    """Question, budget, the trunks that `scaling.propose` says, and what it says will be left of the width."""
    there = world.there
    N, D = (float(a) for a in world.best(world.C))
    request = Once(runs=world.pilot, C=world.C, at=(N, D), seed=world.number)
    for question in QUESTIONS:
        asked = ask(question, request, there.columns)
        units = Units(there.places, asked.own, asked.shared, there.flops, there.shapes)
        for times in TIMES:
            batch = best_batch(asked.belief, units, times * world.spent)
            chosen = [there.trunks[unit] for unit in batch.chosen]
            plan = [Planned(count_parameters(t.model).matrices, t.schedule.budgets) for t in chosen]
            yield question, times, plan, float(np.exp((batch.belief.doubt - asked.belief.doubt) / 2))


RIVALS = {"grid": grid, "random": drawn, "isoFLOP": isoflop, "compute-optimal": optimal}
QUESTIONS = ("exponent", "forecast", "surface")


# --- what a design gives --------------------------------------------------------------------------------


class Given(NamedTuple):
    """Of one design at one budget in one world; lengths are shares of the truth."""

    flops: float
    score: float
    """Interval score."""
    error: float
    width: float
    held: float
    foretold: float = np.nan
    """Width, by the proposal."""


MEASURES = ("score", "error", "width")


def given(flops: float, said: list[tuple[float, float, float, float]], foretold: float = np.nan) -> Given:
    """From the estimate, both ends and the truth of each target."""
    middle, low, high, true = np.array(said).T
    missed = np.maximum(low - true, 0) + np.maximum(true - high, 0)
    score = (high - low + 2 / (1 - LEVEL) * missed) / true
    width, held = float(np.mean((high - low) / true)), float(np.mean(missed == 0))
    return Given(flops, float(score.mean()), float(np.mean(abs(middle - true) / true)), width, held, foretold)


def columns(runs: pl.DataFrame) -> tuple[NDArray, NDArray, NDArray]:
    return runs["N"].to_numpy(), runs["D"].to_numpy(), np.log(runs["loss"].to_numpy())


def as_theta(constants: dict[str, Any]) -> NDArray:
    return np.array([np.log(constants[p]) if p in "AB" else constants[p] for p in PARAMETERS])


def curve(theta: NDArray, N: NDArray, D: NDArray) -> tuple[NDArray, NDArray]:
    """ln loss of the additive law at (E, ln A, ln B, alpha, beta), shape (..., runs); its slopes, (..., runs, 5)."""
    E, a, b, alpha, beta = np.moveaxis(theta, -1, 0)[..., None]
    by_size, by_tokens = np.exp(a - alpha * np.log(N)), np.exp(b - beta * np.log(D))
    loss = np.maximum(E + by_size + by_tokens, 1e-3)
    parts = [np.ones_like(loss), by_size, by_tokens, -np.log(N) * by_size, -np.log(D) * by_tokens]
    return np.log(loss), np.stack(parts, axis=-1) / loss[..., None]


def descended(
    theta: NDArray, bend: float, counts: NDArray, N: NDArray, D: NDArray, ln_loss: NDArray
) -> NDArray:
    """Parameters of each draw where a Huber loss on ln loss is least, by damped Gauss-Newton, shape (draws, 5).

    Bounds are those of the law, as `scaling.fit` has them: a draw without them, or without damping, runs off to
    exponents below zero, and takes the interval of a forecast with it.
    """

    def cost(theta: NDArray) -> NDArray:
        r = np.abs(ln_loss - curve(theta, N, D)[0])
        return (counts * np.where(r < bend, 0.5 * r**2, bend * (r - 0.5 * bend))).sum(-1)

    damping, before = np.full(len(theta), 1e-3), cost(theta)
    for _ in range(STEPS):
        value, J = curve(theta, N, D)
        r = ln_loss - value
        w = counts * np.minimum(1.0, bend / np.maximum(np.abs(r), 1e-12))
        H, down = np.swapaxes(J, 1, 2) @ (w[..., None] * J), np.einsum("br,brp->bp", w * r, J)
        moves = (theta > LEAST) | (down > 0)
        H = H * moves[:, :, None] * moves[:, None, :]
        H += damping[:, None, None] * H * np.eye(5) + (1e-14 + ~moves[:, None, :]) * np.eye(5)
        step = np.linalg.solve(H, (down * moves)[..., None])[..., 0]
        moved = np.maximum(theta + np.clip(step, -1.0, 1.0), LEAST)
        after = cost(moved)
        better = after < before
        still = better & (before - after > 1e-7 * before)
        theta, before = np.where(better[:, None], moved, theta), np.where(better, after, before)
        damping = np.where(better, damping / 5, damping * 10)
        if not (still | (~better & (damping < 1e4))).any():
            break
    return theta


def best_fit(theta: NDArray, N: NDArray, D: NDArray, ln_loss: NDArray) -> tuple[NDArray, float]:
    """Huber on ln loss, and where it bends: at 1.345 standard deviations of the misses."""
    bend = 0.0
    for _ in range(3):  # the bend follows the misses
        bend = max(1.345 * 1.4826 * float(np.median(np.abs(ln_loss - curve(theta, N, D)[0]))), 1e-5)
        theta = descended(theta[None], bend, np.ones((1, len(N))), N, D, ln_loss)[0]
    return theta, bend


def refits(world: World, runs: pl.DataFrame) -> tuple[NDArray, NDArray]:
    """The parameters, and draws of them: `scaling.fit`'s bootstrap of trunks, every draw refitted from the best fit."""
    N, D, ln_loss = columns(runs)
    theta, bend = best_fit(as_theta(world.truth.keywords), N, D, ln_loss)
    labels = np.unique(runs["trunk_id"].to_numpy(), return_inverse=True)[1]
    count, rng = labels.max() + 1, np.random.default_rng(world.number)
    times = rng.multinomial(count, np.full(count, 1 / count), DRAWS)[:, labels]
    draws = descended(np.tile(theta, (DRAWS, 1)), bend, times, N, D, ln_loss)
    return theta, draws


def answers(
    world: World, plan: list[Planned], full: bool
) -> dict[str, list[tuple[float, float, float, float]]]:
    """The estimate, both ends and the truth of each target, by question, with the runs of a plan."""
    runs = pl.concat([world.pilot, world.runs(plan)]) if plan else world.pilot
    at = [
        np.append(place, world.there.columns[c]) for place, c in zip(world.best(world.C), "ND", strict=True)
    ]
    true = world.truth(*at)
    if full:
        fitted = scaling.fit(chinchilla, runs, bootstrap=DRAWS, seed=world.number)
        ends, said = fitted.intervals(LEVEL), fitted.predict(N=at[0], D=at[1], level=LEVEL)
        exponents = [(fitted.params[p], *ends[p], world.sought[p]) for p in EXPONENTS]
        losses = list(zip(said.median, said.low, said.high, true, strict=True))
        return {"exponent": exponents, "forecast": losses[:1], "surface": losses[1:]}
    theta, draws = refits(world, runs)
    middle = np.append(theta[-2:], np.exp(curve(theta, *at)[0]))
    every = np.column_stack([draws[:, -2:], np.exp(curve(draws, *at)[0])])
    low, high = np.quantile(every, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], axis=0)
    known = [*(world.sought[p] for p in EXPONENTS), *true]
    rows = list(zip(middle, low, high, known, strict=True))
    return {"exponent": rows[:2], "forecast": rows[2:3], "surface": rows[3:]}


def world_of(kind: str, number: int, full: bool) -> dict[tuple[str, str, int], Given]:
    """What each design gives: by question, its name, and the number of its budget."""
    world, every = World(kind, number), {}
    for name, make in RIVALS.items():
        for b, times in enumerate(RIVAL_TIMES):
            plan = make(world, times * world.spent)
            for question, said in answers(world, plan, full).items():
                every[question, name, b] = given(flops_of(plan), said)
    before = answers(world, [], full)
    for question, times, plan, left in proposed(world):
        said = answers(world, plan, full)[question]
        foretold = left * given(1.0, before[question]).width
        every[question, "proposed", TIMES.index(times)] = given(flops_of(plan), said, foretold)
    return every


def flops_for(wanted: float, flops: NDArray, reached: NDArray) -> float:
    """FLOPs at which something has fallen so far, a power law between budgets: the least at most, infinite beyond."""
    y = -np.log(np.minimum.accumulate(reached))
    return float(
        np.exp(np.interp(-np.log(wanted), y + 1e-9 * np.arange(len(y)), np.log(flops), right=np.inf))
    )


Table = dict[tuple[str, int], NDArray]
"""By design and number of its budget, `Given` of each world, shape (worlds, 6)."""


def ratio(every: Table, b: int, measure: str, names: Iterable[str]) -> tuple[float, str]:
    """How many times the FLOPs of the proposed runs the best of some designs takes, and its name."""
    i = Given._fields.index(measure)

    def whole(values: NDArray) -> float:
        return float(np.median(values[:, i]) if measure == "width" else values[:, i].mean())

    own = every["proposed", b]
    needs = {}
    for name in names:
        those = [every[name, k] for k in range(len(RIVAL_TIMES))]
        flops = np.array([v[:, 0].mean() for v in those])
        needs[name] = flops_for(whole(own), flops, np.array([whole(v) for v in those])) / own[:, 0].mean()
    best = min(needs, key=lambda name: needs[name])
    return needs[best], best


def times_words(value: float, most: float) -> str:
    return f"{value:.2g}×" if np.isfinite(value) else f">{most:.2g}×"


def rows_of(question: str, kind: str, worlds: list[dict[tuple[str, str, int], Given]]) -> Iterator[list[str]]:
    every: Table = {
        (name, b): np.array([world[question, name, b] for world in worlds])
        for name, count in {"proposed": len(TIMES), **dict.fromkeys(RIVALS, len(RIVAL_TIMES))}.items()
        for b in range(count)
    }
    rng = np.random.default_rng(0)
    again = [
        {key: values[rows] for key, values in every.items()}
        for rows in rng.integers(0, len(worlds), (200, len(worlds)))
    ]
    held = [
        f"{100 * np.mean([every[name, b][:, 4] for b in range(len(RIVAL_TIMES))]):.0f}" for name in RIVALS
    ]
    for b, times in enumerate(TIMES):
        own = every["proposed", b]
        most = min(every[name, len(RIVAL_TIMES) - 1][:, 0].mean() for name in RIVALS) / own[:, 0].mean()
        cells = []
        for measure in MEASURES:
            value, best = ratio(every, b, measure, RIVALS)
            low, high = np.quantile(
                [ratio(a, b, measure, RIVALS)[0] for a in again], [0.1, 0.9], method="nearest"
            )
            inside = f" [{times_words(low, most)}, {times_words(high, most)}]" if measure != "width" else ""
            cells.append(f"{times_words(value, most)}{inside} ({best})")
        each = [times_words(ratio(every, b, "score", [name])[0], most) for name in RIVALS]
        yield [
            question, kind, f"{len(worlds)}", f"{times:g}×", f"{100 * own[:, 2].mean():.2g}",
            f"{100 * np.median(own[:, 3]):.2g}", f"{100 * np.median(own[:, 5]):.2g}", *cells, ", ".join(each),
            f"{100 * own[:, 4].mean():.0f}", ", ".join(held),
        ]  # fmt: skip


HEADER = [
    "question", "worlds", "of them", "budget", "error, %", "width, %", "foretold, %",
    *(f"best rival takes, by {measure}" for measure in MEASURES),
    f"{', '.join(RIVALS)} take, by score", f"held of {LEVEL:.0%}", "held by rivals",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="FLOPs of proposed runs beside those of other designs.")
    parser.add_argument("--worlds", type=int, default=70, help="of each kind")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no world is begun")
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--first", type=int, default=FIRST, help="number of the first world")
    parser.add_argument("--full", action="store_true", help="intervals of scaling.fit, a second or two each")
    asked, began = parser.parse_args(), time.time()
    done: dict[str, list[dict[tuple[str, str, int], Given]]] = {kind: [] for kind in asked.kind or KINDS}
    for number in range(asked.first, asked.first + asked.worlds):
        for kind, worlds in done.items():
            if time.time() - began < 60 * asked.minutes:
                worlds.append(world_of(kind, number, asked.full))
    print(
        table(
            HEADER,
            [row for question in QUESTIONS for kind in done for row in rows_of(question, kind, done[kind])],
        )
    )
    print(f"{time.process_time():.0f} CPU seconds")


if __name__ == "__main__":
    main()
