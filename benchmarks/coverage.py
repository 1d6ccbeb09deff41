"""How often prediction intervals hold what was held out, and how wide they are for it.

    SCALING_PUBLISHED=DIR python benchmarks/coverage.py              # about two minutes
    SCALING_PUBLISHED=DIR python benchmarks/coverage.py --worlds 40  # fewer simulated worlds

Over simulated worlds whose runs share trunks and whose noise is shared within a trunk, half of them of another law than
the fitted one, and on published results with a natural split: the share of held-out runs inside the 50 %, 80 % and 95 %
intervals for new runs, first from bootstrap and scatter alone, then with model discrepancy and rival forms.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402

from scaling.fitting import fit  # noqa: E402
from scaling.laws import (  # noqa: E402
    along,
    bnsl,
    chinchilla,
    compute_only,
    data_constrained,
    describe,
    kaplan,
    mixing,
    multi_power,
    overtraining,
    power_law,
    power_law_floor,
    power_mean,
)
from scaling.published import open_published  # noqa: E402
from scaling.reproduce import PUBLISHED_R2, schedule_points  # noqa: E402
from scaling.reproduce.isoflop import SWEEP  # noqa: E402
from scaling.show import table  # noqa: E402

LEVELS = (0.5, 0.8, 0.95)
FIRST = 40_000  # number of the first reported world; nothing was chosen on these
DRAWS = 300
Row = list[str]
Law = Callable[..., Any]


@dataclass(frozen=True)
class Split:
    """Runs to fit a law to, and larger ones to predict."""

    law: Law
    runs: pl.DataFrame
    unseen: pl.DataFrame


@dataclass(frozen=True)
class Score:
    """How the intervals of one fit did."""

    inside: tuple[float, ...]
    """Share of the unseen runs inside, at each of `LEVELS`."""
    width: float
    """Of the 80 % interval, percent of the predicted loss, median over the unseen runs."""
    miss: float
    """Of the predicted loss, percent of the observed one, median over the unseen runs."""


# --- truths --------------------------------------------------------------------------------------------------------


def _terms(rng: np.random.Generator) -> dict[str, float]:
    """Constants of an additive law whose terms are a third of a nat to a nat in the middle of the grid."""
    alpha, beta = rng.uniform(0.25, 0.45, 2)
    return {
        "E": rng.uniform(1.2, 2.2), "alpha": alpha, "beta": beta,
        "A": rng.uniform(0.3, 1.0) * 2e7**alpha, "B": rng.uniform(0.3, 1.0) * 2e8**beta,
    }  # fmt: skip


def _additive(rng: np.random.Generator) -> Law:
    return partial(chinchilla, **_terms(rng))


def _scarcer(rng: np.random.Generator) -> Law:
    return partial(power_mean, **_terms(rng), q=rng.uniform(1.5, 4.0))


def _coupled(rng: np.random.Generator) -> Law:
    alpha_D = rng.uniform(0.1, 0.25)
    alpha_N = alpha_D * rng.uniform(0.5, 1.1)
    loss = rng.uniform(2.0, 4.0)
    N_c, D_c = 2e7 * (0.6 * loss) ** (1 / alpha_N), 2e8 * (0.6 * loss) ** (1 / alpha_D)
    return partial(kaplan, N_c=N_c, D_c=D_c, alpha_N=alpha_N, alpha_D=alpha_D)


def _sized(N: Any, D: Any, *, E: float, A: float, B: float, alpha: float, beta: float, slope: float) -> Any:
    """An additive law whose data exponent grows with size by `slope` a decade."""
    return E + A / N**alpha + B / 2e8**beta / (D / 2e8) ** (beta + slope * np.log10(N / 2e7))


def _learns_faster_when_larger(rng: np.random.Generator) -> Law:
    return partial(_sized, **_terms(rng), slope=rng.uniform(0.02, 0.06))


def _break(rng: np.random.Generator, exponent: float, at: float) -> dict[str, float]:
    """A break inside the grid or just beyond it, where the exponent becomes 0.4 to 1.6 times what it was."""
    turn = rng.choice([rng.uniform(-0.6, -0.2), rng.uniform(0.2, 0.6)])
    where = at * 10 ** rng.uniform(-0.5, 1.0)
    return {"c0": exponent, "c1": turn * exponent, "d1": where, "f1": rng.uniform(0.3, 1.0)}


def _broken(rng: np.random.Generator) -> Law:
    c = _terms(rng)
    data = partial(bnsl(1), E=c["E"], A=c["B"], **_break(rng, c["beta"], 2e8))
    return partial(_size_and, data=data, A=c["A"], alpha=c["alpha"])


def _size_and(N: Any, D: Any, *, data: Law, A: float, alpha: float) -> Any:
    return A / N**alpha + data(D)


def _frontier(rng: np.random.Generator) -> Law:
    alpha = rng.uniform(0.1, 0.25)
    return partial(compute_only, E=rng.uniform(1.2, 2.2), A=rng.uniform(0.5, 1.5) * 1e17**alpha, alpha=alpha)


def _broken_frontier(rng: np.random.Generator) -> Law:
    c = _frontier(rng).keywords  # type: ignore[attr-defined]
    return partial(along(bnsl(1), "C"), E=c["E"], A=c["A"], **_break(rng, c["alpha"], 1e17))


RIGHT = (
    (_additive, chinchilla),
    (_additive, chinchilla),
    (_scarcer, power_mean),
    (_coupled, kaplan),
    (_frontier, compute_only),
)
"""What makes the runs, and the law that is fitted: the same one."""

WRONG = (
    (_scarcer, chinchilla),
    (_learns_faster_when_larger, chinchilla),
    (_broken, chinchilla),
    (_additive, kaplan),
    (_coupled, chinchilla),
    (_broken_frontier, compute_only),
    (_frontier, along(power_law, "C")),
)
"""Another one: the additive law where the scarcer resource decides, where the exponent depends on size or on data and
where nothing ends at a floor; a law without a floor where there is one."""


# --- worlds --------------------------------------------------------------------------------------------------------


def world(number: int, *, right: bool) -> Split:
    """A world by its number: what is true in it, the grid, the noise, and 0.4 to 1.2 decades of compute held out."""
    kinds = RIGHT if right else WRONG
    make, fitted = kinds[number % len(kinds)]
    rng = np.random.default_rng([number, right])
    truth = make(rng)
    shared, own = rng.uniform(0.002, 0.010), rng.uniform(0.002, 0.008)
    grid = trunks(rng) if "N" in describe(truth).column_names else budgets(rng)
    points = [grid[c].to_numpy() for c in describe(truth).column_names]
    exact = truth(*points)
    trunk = shared * rng.normal(size=grid["trunk_id"].n_unique())[grid["trunk_id"].to_numpy()]
    runs = grid.with_columns(loss=exact * np.exp(trunk + own * rng.normal(size=len(grid))))
    beyond = pl.col("C") > runs["C"].to_numpy().max() / 10 ** rng.uniform(0.4, 1.2)
    return Split(fitted, runs.filter(~beyond), runs.filter(beyond))


def trunks(rng: np.random.Generator) -> pl.DataFrame:
    """Five to seven sizes over two decades, one to three trunks each, from which five to seven budgets branch."""
    sizes = np.geomspace(2e6, 2e8, rng.integers(5, 8))
    budgets = np.geomspace(2e7, 2e9 * 10 ** rng.uniform(0.0, 0.5), rng.integers(5, 8))
    rows = [(N, trunk, D) for N in sizes for trunk in range(rng.integers(1, 4)) for D in budgets]
    frame = pl.DataFrame(rows, schema=["N", "trunk", "D"], orient="row")
    trunk_id = pl.struct("N", "trunk").rank("dense").cast(pl.Int64) - 1
    return frame.select("N", "D", C=6.0 * pl.col("N") * pl.col("D"), trunk_id=trunk_id)


def budgets(rng: np.random.Generator) -> pl.DataFrame:
    """The best run of each budget over four decades, two or three seeds, each with a trunk of its own."""
    C = np.repeat(np.geomspace(1e15, 1e19, rng.integers(10, 17)), rng.integers(2, 4))
    return pl.DataFrame({"C": C, "trunk_id": np.arange(len(C))})


# --- published splits ----------------------------------------------------------------------------------------------


def _half_decade(law: Law, runs: pl.DataFrame) -> Split:
    beyond = pl.col("C") > runs["C"].to_numpy().max() / 10**0.5
    return Split(law, runs.filter(~beyond), runs.filter(beyond))


def _chinchilla() -> Iterator[Split]:
    yield _half_decade(chinchilla, open_published("chinchilla").sort("loss").head(240))


def _data_constrained() -> Iterator[Split]:
    yield _half_decade(data_constrained, open_published("data-constrained").filter("in_published_fit"))


def _overtraining() -> Iterator[Split]:
    large = pl.col("arch").is_in(["open_lm_1b", "open_lm_7b"])
    for _, runs in open_published("overtraining").group_by("dataset", maintain_order=True):
        yield Split(overtraining, runs.filter(~large), runs.filter(large))


def _ladder() -> Iterator[Split]:
    runs = open_published("ladder").filter(pl.col("N").is_not_null())
    small = runs.filter(~pl.col("size").is_in(["peteish7", "peteish13"]))
    final = runs.filter(pl.col("name").is_in(["peteish7_eval_anneal", "peteish13_eval_final"]))
    yield Split(chinchilla, small, final)


def _isoflop() -> Iterator[Split]:
    for _, runs in open_published("isoflop").group_by(SWEEP, maintain_order=True):
        yield _half_decade(chinchilla, runs)


def _curves(image: bool) -> Iterator[Split]:
    curves = open_published("learning-curves").filter((pl.col("domain") == "IC") == image)
    for _, curve in curves.group_by("domain", "task", "model", maintain_order=True):
        seen = pl.col("is_training") == 1
        yield Split(along(power_law_floor, "seen_examples"), curve.filter(seen), curve.filter(~seen))


def _schedules() -> Iterator[Split]:
    """At each size three curves fitted and six held out, two of them three times as long.

    The law is the published one: the waning one was chosen after a look at the curves held out here. What it misses on
    other schedules is known from fits that leave out one of the three.
    """
    for size_M in PUBLISHED_R2:
        points = schedule_points(size_M)
        yield Split(multi_power(), points.filter(split="train"), points.filter(split="test"))


def _mixtures() -> Iterator[Split]:
    """Blends held out at the size that was fitted. Those at 60M and 1B are not predicted: no law here has their level.

    `mixing` reads shares alone, and the test blends lie 1.1 nats lower at 60M than at 1M, and 2.7 at 1B. A law of blend
    and size is not in this suite, and fitted to two sizes it would not tell a floor from an exponent. That the blends
    keep their order up to 1B is another matter, which benchmarks/accuracy.py counts.
    """
    runs = open_published("mixtures").filter(size="1m")
    shares = [c for c in runs.columns if c.startswith("w_") and c != "w_pile_cc"]
    yield Split(mixing(*shares), runs.filter(split="train"), runs.filter(split="test"))


PUBLISHED: dict[str, Callable[[], Iterator[Split]]] = {
    "chinchilla: top half decade": _chinchilla,
    "data-constrained: top half decade": _data_constrained,
    "over-training: 1B and 7B": _overtraining,
    "model ladder: 7B and 13B": _ladder,
    "isoFLOP sweeps: top half decade": _isoflop,
    "image learning curves: later half": partial(_curves, True),
    "language learning curves: later half": partial(_curves, False),
    "schedules: six unseen ones": _schedules,
    "mixtures at 1M: unseen blends": _mixtures,
}


# --- scores --------------------------------------------------------------------------------------------------------


def score(split: Split, seed: int) -> tuple[Score, Score]:
    """Of one fit, without and with the law's miss beyond its runs."""
    fitted = fit(split.law, split.runs, bootstrap=DRAWS, seed=seed)
    columns = {c: split.unseen[c].to_numpy() for c in describe(split.law).column_names}
    loss = split.unseen["loss"].to_numpy()
    scores = []
    for discrepancy in (False, True):
        bands = [
            fitted.predict(level=level, new_run=True, discrepancy=discrepancy, **columns) for level in LEVELS
        ]
        middle = bands[1]
        scores.append(Score(
            inside=tuple(float(np.mean((b.low <= loss) & (loss <= b.high))) for b in bands),
            width=100 * float(np.median((middle.high - middle.low) / middle.median)),
            miss=100 * float(np.median(np.abs(middle.median / loss - 1))),
        ))  # fmt: skip
    return scores[0], scores[1]


def row(words: str, scores: list[tuple[Score, Score]], count: int) -> Row:
    """Without → with: means over the fits of the shares, medians of width and miss."""
    sides = list(zip(*scores, strict=True))
    cells = []
    for i in range(len(LEVELS)):
        before, after = (100 * np.mean([s.inside[i] for s in side]) for side in sides)
        cells.append(f"{before:.0f} → {after:.0f}")
    for name in ("width", "miss"):
        before, after = (np.median([getattr(s, name) for s in side]) for side in sides)
        cells.append(f"{before:.2g} → {after:.2g}")
    return [words, *cells, f"{count} by {len(scores)}"]


def simulated(worlds: int) -> list[Row]:
    """Rows of the table for the simulated worlds, half of them right."""
    rows, every, total = [], [], 0
    for right, words in ((True, "the fitted law is true"), (False, "another law is true")):
        made = [world(FIRST + i, right=right) for i in range(worlds // 2)]
        scores = [score(one, i) for i, one in enumerate(made)]
        count = sum(len(one.unseen) for one in made)
        rows.append(row(words, scores, count))
        every, total = every + scores, total + count
    return [*rows, row("all simulated worlds", every, total)]


def published() -> Iterable[Row]:
    """Rows of the table for published results."""
    for words, splits in PUBLISHED.items():
        made = list(splits())
        yield row(words, [score(one, i) for i, one in enumerate(made)], sum(len(one.unseen) for one in made))


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage and width of prediction intervals.")
    parser.add_argument(
        "--worlds", type=int, default=400, help="simulated worlds, half of them of another law"
    )
    options = parser.parse_args()
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    os.environ.setdefault("SCALING_PUBLISHED", str(beside))
    header = ["new runs beyond the fit", *(f"{100 * level:.0f} %" for level in LEVELS)]
    header += ["width of the 80 %, % of loss", "miss, % of loss", "runs by fits"]
    rows = simulated(options.worlds)
    if Path(os.environ["SCALING_PUBLISHED"]).is_dir():
        rows += published()
    print(table(header, rows))


if __name__ == "__main__":
    main()
