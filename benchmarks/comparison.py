"""How often `compare` names the law that made the runs, and what an average over laws holds of runs to come.

    python benchmarks/comparison.py                           # about ten minutes of one core
    python benchmarks/comparison.py --worlds 36 --averages 10 # a quarter of it

Worlds of 12, 30 and 60 runs, each made by one of four laws that are then compared; noise of .3 to 1.5 %, normal, with
heavy tails, or three times as large at the least compute as at the most; in half of them half of its variance is shared
within a trunk. Then three laws are averaged in worlds made by one of five, two of which are none of the three, and
predict new runs at 10 and 100 times the compute.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402
from coverage import (  # noqa: E402
    _additive,
    _broken,
    _coupled,
    _learns_faster_when_larger,
    _scarcer,
    _terms,
    trunks,
)

from scaling.fitting import Fit, average, compare, fit  # noqa: E402
from scaling.fitting.averaging import Average  # noqa: E402
from scaling.laws import chinchilla, kaplan, power_mean  # noqa: E402
from scaling.laws.base import Count, Exponent, Nats, Quantity, Scale  # noqa: E402
from scaling.published import open_published  # noqa: E402
from scaling.reproduce.isoflop import SWEEP  # noqa: E402
from scaling.show import table  # noqa: E402

FIRST = 60_000  # number of the first reported world; the rule was chosen on worlds 0 to 191
LEVELS = (0.8, 0.95)
SETTLED = 5.0  # by which AICc prefers the law that made the runs to each other, where it settles the matter
DRAWS = 200
CANNOT = "cannot tell"
Row = list[str]
Slope = Annotated[Any, Quantity("", low=-0.5, high=0.5, start=(-0.1, 0.1))]


def sized(
    N: Count, D: Count, *, E: Nats, A: Scale, B: Scale, alpha: Exponent, beta: Exponent, slope: Slope
) -> Any:
    """An additive law whose data exponent grows with size by `slope` a decade; slope 0 is `chinchilla`."""
    return E + A / N**alpha + B / 2e8**beta / (D / 2e8) ** (beta + slope * np.log10(N / 2e7))


def _sized(rng: np.random.Generator) -> Any:
    return partial(sized, **_terms(rng), slope=rng.uniform(0.02, 0.06))


TRUTHS = {"chinchilla": _additive, "kaplan": _coupled, "power_mean": _scarcer, "sized": _sized}
LAWS = (chinchilla, kaplan, power_mean, sized)
GRIDS = ((4, 3, 1), (5, 6, 1), (6, 5, 2))  # sizes, budgets, trunks of a size
NOISES = ("normal", "heavy tails", "falls with compute")
RIVALS = (_additive, _coupled, _scarcer, _learns_faster_when_larger, _broken)


@dataclass(frozen=True)
class World:
    """Runs, and what made them."""

    truth: str
    runs: pl.DataFrame
    noise: str
    shared: bool


def world(number: int) -> World:
    """A world by its number."""
    rng = np.random.default_rng([777, number])
    truth = list(TRUTHS)[number % 4]
    law = TRUTHS[truth](rng)
    sizes, budgets, trunks = GRIDS[number // 4 % 3]
    noise, shared = NOISES[number // 12 % 3], number // 36 % 2 == 1
    rows = [
        (N, D, size * trunks + trunk)
        for size, N in enumerate(np.geomspace(2e6, 2e8, sizes))
        for trunk in range(trunks)
        for D in np.geomspace(2e7, 4e9, budgets)
    ]
    frame = pl.DataFrame(rows, schema=["N", "D", "trunk_id"], orient="row")
    N, D, trunk = (frame[c].to_numpy() for c in frame.columns)
    own = _drawn(rng, len(frame), noise)
    if shared:
        own = (own + _drawn(rng, sizes * trunks, noise)[trunk]) / np.sqrt(2)
    else:
        frame = frame.drop("trunk_id")
    size = np.exp(rng.uniform(np.log(0.003), np.log(0.015)))
    if noise == "falls with compute":
        share = np.log(N * D / (N * D).min()) / np.log((N * D).max() / (N * D).min())
        size = size * 3.0 ** (0.5 - share)
    return World(truth, frame.with_columns(loss=law(N, D) * np.exp(size * own)), noise, shared)


def _drawn(rng: np.random.Generator, count: int, noise: str) -> Any:
    """Standardised noise; heavy tails are those of Student's t with three degrees of freedom."""
    heavy = noise == "heavy tails"
    return rng.standard_t(3, count) / np.sqrt(3) if heavy else rng.standard_normal(count)


@dataclass(frozen=True)
class Choice:
    """What was chosen in one world, and what AICc says, which knows nothing of shared noise."""

    world: World
    answer: str
    held_out: str
    aicc: str
    settled: bool


def choice(number: int) -> Choice:
    """In the world of that number."""
    made = world(number)
    compared = compare(LAWS, made.runs)
    criteria = {
        law.__name__: fit(law, made.runs, objective="huber_likelihood", delta=1.345, bootstrap=0).aicc
        for law in LAWS
    }
    lowest = min(value for name, value in criteria.items() if name != made.truth)
    return Choice(
        made,
        compared.answer.name if compared.answer else CANNOT,
        compared.table["law"][0],
        min(criteria, key=lambda name: criteria[name]),
        lowest - criteria[made.truth] > SETTLED,
    )


def choices(worlds: int) -> list[str]:
    """Tables: truth by answer, and shares by kind of world."""
    every = [choice(FIRST + i) for i in range(worlds)]
    answers = [*TRUTHS, CANNOT]
    rows = []
    for truth in TRUTHS:
        here = [c for c in every if c.world.truth == truth]
        counts = Counter(c.answer for c in here)
        rivals = [
            f"{sum(getattr(c, rule) == truth for c in here)} of {len(here)}" for rule in ("aicc", "held_out")
        ]
        rows.append([truth, *(str(counts[a]) for a in answers), *rivals])
    header = ["made by", *answers, "AICc names it", "smallest held-out error names it"]
    kinds: dict[str, Callable[[Choice], bool]] = {"all worlds": lambda _: True}
    kinds |= {f"{a * b * c} runs": partial(_of_size, rows=a * b * c) for a, b, c in GRIDS}
    kinds |= {f"noise: {noise}": partial(_of_noise, noise=noise) for noise in NOISES}
    kinds |= {
        "noise half shared within trunks": lambda c: c.world.shared,
        "noise independent": lambda c: not c.world.shared,
    }
    there = {words: [c for c in every if of(c)] for words, of in kinds.items()}
    shares = [[words, *_shares(some)] for words, some in there.items() if some]
    heads = ["", "right or cannot tell", "right", f"right where AICc settles it by {SETTLED:g}", "worlds"]
    return [table(header, rows), table(heads, shares)]


def _of_size(c: Choice, rows: int) -> bool:
    return len(c.world.runs) == rows


def _of_noise(c: Choice, noise: str) -> bool:
    return c.world.noise == noise


def _shares(some: list[Choice]) -> Iterator[str]:
    right = [c.answer == c.world.truth for c in some]
    settled = [r for r, c in zip(right, some, strict=True) if c.settled]
    yield f"{100 * np.mean([r or c.answer == CANNOT for r, c in zip(right, some, strict=True)]):.0f} %"
    yield f"{100 * np.mean(right):.0f} %"
    yield f"{sum(settled)} of {len(settled)}"
    yield str(len(some))


# --- averages ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """How the intervals for some new runs did, by the average over laws and by single ones."""

    inside: dict[str, Any]
    """By the name of what predicts: shape (levels, runs)."""
    width: dict[str, float]
    bias: dict[str, float]


def held(averaged: Average, new: pl.DataFrame) -> Held:
    """Of the runs in `new`."""
    loss = new["loss"].to_numpy()
    columns: dict[str, Any] = {c: new[c].to_numpy() for c in ("N", "D")}
    who: dict[str, Average | Fit] = {"average": averaged, **averaged.fits}
    inside, width, bias = {}, {}, {}
    for name, one in who.items():
        bands = [one.predict(level=level, new_run=True, **columns) for level in LEVELS]
        inside[name] = np.stack([(b.low <= loss) & (loss <= b.high) for b in bands])
        width[name] = float(np.median(100 * (bands[0].high - bands[0].low) / bands[0].median))
        bias[name] = float(np.median(100 * (bands[0].median / loss - 1)))
    return Held(inside, width, bias)


def rival(number: int, factor: float) -> Held:
    """A world of trunks by one of `RIVALS`, and a new run at so many times its compute."""
    rng = np.random.default_rng([555, number])
    truth = RIVALS[number % len(RIVALS)](rng)
    shared, own = rng.uniform(0.002, 0.010), rng.uniform(0.002, 0.008)
    grid = trunks(rng)
    trunk = shared * rng.normal(size=grid["trunk_id"].n_unique())[grid["trunk_id"].to_numpy()]
    exact = truth(grid["N"].to_numpy(), grid["D"].to_numpy())
    runs = grid.with_columns(loss=exact * np.exp(trunk + own * rng.normal(size=len(grid))))
    N, D = (np.array([grid[c].to_numpy().max() * factor**0.5]) for c in ("N", "D"))
    new = truth(N, D) * np.exp(shared * rng.normal() + own * rng.normal())
    averaged = average([chinchilla, kaplan, power_mean], runs, bootstrap=DRAWS, seed=number)
    return held(averaged, pl.DataFrame({"N": N, "D": D, "loss": new}))


def _top(runs: pl.DataFrame, decades: float) -> Held:
    beyond = pl.col("C") > runs["C"].to_numpy().max() / 10**decades
    averaged = average([chinchilla, kaplan, power_mean], runs.filter(~beyond), bootstrap=DRAWS)
    return held(averaged, runs.filter(beyond))


def published() -> Iterator[tuple[str, list[Held]]]:
    """Ladders of others, their top decade held out."""
    points = open_published("chinchilla").sort("loss").head(240)
    yield "chinchilla: top decade", [_top(points, 1.0)]
    sweeps = open_published("isoflop").group_by(SWEEP, maintain_order=True)
    yield "isoFLOP sweeps: top decade", [_top(runs, 1.0) for _, runs in sweeps]
    large = pl.col("arch").is_in(["open_lm_1b", "open_lm_7b"])
    corpora = open_published("overtraining").group_by("dataset", maintain_order=True)
    laws = [chinchilla, kaplan, power_mean]
    yield (
        "over-training: 1B and 7B",
        [
            held(average(laws, runs.filter(~large), bootstrap=DRAWS), runs.filter(large))
            for _, runs in corpora
        ],
    )
    ladder = open_published("ladder").filter(pl.col("N").is_not_null())
    small = ladder.filter(~pl.col("size").is_in(["peteish7", "peteish13"]))
    final = ladder.filter(pl.col("name").is_in(["peteish7_eval_anneal", "peteish13_eval_final"]))
    yield "model ladder: 7B and 13B", [held(average(laws, small, bootstrap=DRAWS), final)]


def averages(worlds: int) -> str:
    """A table of who held what."""
    parts: list[tuple[str, list[Held]]] = [
        (f"simulated, {factor:g} times the compute", [rival(FIRST + i, factor) for i in range(worlds)])
        for factor in (10.0, 100.0)
    ]
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    os.environ.setdefault("SCALING_PUBLISHED", str(beside))
    if Path(os.environ["SCALING_PUBLISHED"]).is_dir():
        parts += published()
    rows = [row for words, some in parts for row in _held_rows(words, some)]
    header = ["new runs", "predicted by", *(f"{100 * level:.0f} % holds" for level in LEVELS)]
    return table([*header, "width of the 80 %, % of loss", "miss, %", "bias, %", "runs by fits"], rows)


def _held_rows(words: str, some: Iterable[Held]) -> Iterator[Row]:
    some = list(some)
    for name in some[0].inside:
        inside = [np.mean(one.inside[name], axis=1) for one in some]
        shares = [f"{100 * share:.0f}" for share in np.mean(inside, axis=0)]
        miss = [one.bias[name] for one in some]
        numbers = [np.median([one.width[name] for one in some]), np.median(np.abs(miss))]
        count = sum(one.inside[name].shape[1] for one in some)
        yield [
            words,
            name,
            *shares,
            *(f"{x:.2g}" for x in numbers),
            f"{np.median(miss):+.2g}",
            f"{count} by {len(some)}",
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Which law is named, and what an average over laws holds.")
    parser.add_argument("--worlds", type=int, default=144, help="simulated worlds in which laws are compared")
    parser.add_argument(
        "--averages", type=int, default=40, help="simulated worlds in which laws are averaged"
    )
    options = parser.parse_args()
    for each in choices(options.worlds) if options.worlds else ():
        print(each, end="\n\n")
    if options.averages:
        print(averages(options.averages))


if __name__ == "__main__":
    main()
