"""A slope against size: what the same arms at further widths and seeds would tell of it.

A reading y of each seed, such as how much a source lowers the loss on a target, lies around a line in log10 N,

    y = a + b log10 N + u(N) + e

with a miss u of the line at each size, whatever the seed, and the noise e of seeds. Draws of a and b are Student's t
around least squares over the sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from scaling import show
from scaling.design.asked import Asked, Request
from scaling.design.domains import read_blends
from scaling.design.information import Belief, Units
from scaling.errors import FitError, require_columns
from scaling.fitting.data import Array
from scaling.flops import count_flops, count_parameters
from scaling.study import Study, Trunk
from scaling.sweeps.cost import tokens_to_train

_DRAWS = 1000
_SAME = 0.02  # relative difference of the target's tokens that two arms may have
_SIZES = 9


class NoReadings(FitError):
    """Runs without what a slope is of, at three sizes with two seeds each."""

    reading: str
    sizes: int
    seeds: int

    def __str__(self) -> str:
        return (
            f"asked for the slope of {self.reading} against size, but the runs have it at {self.sizes} sizes, "
            f"by at most {self.seeds} seeds. Train the arms at three sizes by two seeds first, or name a column "
            "with --reading."
        )


def gains(
    runs: pl.DataFrame, target: str | None = None, source: str | None = None
) -> tuple[pl.DataFrame, str]:
    """N, seed and value: by how much a source lowers the ln loss on a target, its tokens held fixed; and in words.

    Of each pair of domains the arms are runs of one size and seed with as many of the target's tokens, alone and with
    the source; the pair with the most of them is taken, at the dose that most have.
    """
    read = read_blends(runs)
    names = list(read.domains)
    table = pl.DataFrame({
        "N": runs["N"], "seed": runs["seed"], "D": runs["D"],
        **{f"share {d}": read.shares[:, i] for i, d in enumerate(names)},
        **{f"loss {d}": losses for d, losses in read.losses.items()},
    })  # fmt: skip
    best: tuple[pl.DataFrame, str] = (pl.DataFrame({"N": [], "seed": [], "value": []}), "a source's gain")
    for one in [target] if target else names:
        own, loss = pl.col(f"share {one}"), f"loss {one}"
        if loss not in table.columns:
            continue
        tokens = (np.log(table["D"] * table[f"share {one}"].clip(1e-9)) / _SAME).round()
        arms = table.with_columns(tokens=tokens)
        alone = (
            arms.filter(own > 1 - 1e-6).group_by("N", "seed", "tokens").agg(pl.col(loss).min().alias("alone"))
        )
        for other in [source] if source else [d for d in names if d != one]:
            mixed = arms.filter(
                pl.col(f"share {other}") > 0, (own + pl.col(f"share {other}") - 1).abs() < 1e-6
            )
            pairs = mixed.join(alone, on=["N", "seed", "tokens"]).with_columns(
                dose=(pl.col(f"share {other}") / own).round(2),
                value=pl.col("alone").log() - pl.col(loss).log(),
            )
            if pairs.is_empty():
                continue
            counts = pairs.group_by("tokens", "dose").len().sort("len", "dose", descending=True)
            most = pairs.join(counts.head(1), on=["tokens", "dose"]).select("N", "seed", "value")
            if most.height > best[0].height:
                best = most, f"how much {other} lowers the ln loss on {one}"
    return best


@dataclass(frozen=True, eq=False)
class Arms:
    """Every arm of a study at some widths: what one more seed of a width takes."""

    widths: tuple[int, ...]
    N: Array
    flops: Array
    """Of all arms of one seed, shape (widths,)."""
    seed: int
    """The first that is new."""


def arms_of(study: Study, runs: pl.DataFrame, reach: float) -> Arms:
    """The arms of a study at its widths and further ones, up to a factor in N."""
    first = study.trunks[0]
    arms = [
        t for t in study.trunks if (t.model.width, t.seed, t.member) == (first.model.width, first.seed, 0)
    ]
    model, widest = first.model, max(t.model.width for t in study.trunks)
    narrowest = min(t.model.width for t in study.trunks)
    ends = np.geomspace(narrowest, widest * reach**0.5, _SIZES)
    own = {t.model.width for t in study.trunks}
    widths = sorted(own | {model.head_dim * max(1, round(w / model.head_dim)) for w in ends})
    N = np.array([count_parameters(replace(model, width=w)).matrices for w in widths], float)
    flops = np.array([sum(_flops(arm, w) for arm in arms) for w in widths])
    seed = max(max(t.seed for t in study.trunks), *runs["seed"].cast(pl.Int64).to_list()) + 1
    return Arms(tuple(widths), N, flops, seed)


def _flops(arm: Trunk, width: int) -> float:
    return count_flops(replace(arm.model, width=width)).total * tokens_to_train(arm)


def ask_slope(
    request: Request, read: pl.DataFrame, reading: str, arms: Arms, most: int
) -> tuple[Asked, Units]:
    """What is believed of a slope, and the widths at which a further seed of every arm could be trained.

    Raises:
        MissingColumns: N, seed or value is not there.
        NoReadings: fewer than three sizes, or no size with two seeds.
    """
    require_columns(("N", "seed", "value"), read.columns, "A reading has one row for each size and seed.")
    by = (
        read.group_by("N")
        .agg(pl.col("value").mean(), pl.col("value").var().alias("var"), pl.len().alias("n"))
        .sort("N")
    )
    seeds = int(by["n"].max() or 0)  # type: ignore[arg-type]
    if by.height < 3 or seeds < 2:
        raise NoReadings(reading, by.height, seeds)
    x, y, n = (by[c].to_numpy().astype(float) for c in ("N", "value", "n"))
    x = np.log10(x)
    within = by.filter(pl.col("n") > 1)
    noise = float(np.average(within["var"].to_numpy(), weights=within["n"].to_numpy() - 1))
    draw, misfit = _lines(x, y, noise / n, request.seed)
    values = draw(np.log10(arms.N))
    slope = draw(np.array([1.0])) - draw(np.array([0.0]))
    belief = Belief.of(slope, values, misfit * np.eye(len(arms.N)))
    places = np.arange(len(arms.N))[:, None]
    flat = np.full(len(arms.N), max(noise, 1e-12))
    name = f"slope of {reading}, per decade of N"
    units = Units(places, flat, np.zeros(len(arms.N)), arms.flops, places[:, 0], most)
    asked = Asked(
        belief, flat, units.shared, {name: show.Interval.over(slope[:, 0], request.level)}, f"the {name}"
    )
    return asked, units


def _lines(x: Array, y: Array, variance: Array, seed: int) -> tuple[Callable[[Array], Array], float]:
    """Draws of a line through means of sizes, as a function of log10 N, and the variance of sizes beyond seeds."""
    design = np.stack([np.ones_like(x), x], axis=1)
    freedom = len(x) - 2
    left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    misfit = max(0.0, float(left @ left) / freedom - float(variance.mean()))
    weight = 1.0 / (variance + misfit + 1e-15)
    covariance = np.linalg.inv(design.T @ (weight[:, None] * design))
    middle = covariance @ design.T @ (weight * y)
    rng = np.random.default_rng([seed, 7])
    t = rng.standard_normal((_DRAWS, 2)) / np.sqrt(rng.chisquare(freedom, (_DRAWS, 1)) / freedom)
    lines = middle + t @ np.linalg.cholesky(covariance).T
    return lambda at: lines @ np.stack([np.ones_like(at), at]), misfit
