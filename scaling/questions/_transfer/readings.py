"""What the cells of a matrix say, each and over sizes: differences, exchange rates, slopes, best doses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.questions._transfer.matrix import ENOUGH, Cell, Matrix
from scaling.questions._transfer.words import FORM, HELPS, HURTS, NONE, WORDS
from scaling.questions.contrasts import Contrasts, Means, contrast, moderated
from scaling.questions.exchange import Curve, Worth, worth
from scaling.show import tails

Array = NDArray[np.float64]
GPT2_N = 12 * 12 * 768**2
"""Weights inside the blocks of the smallest GPT-2, 124M with its embedding."""
POWER = 0.9
_OF_CHANCE = 0.8
"""Share of the allowed false alarms that is spent on normal draws; the rest is for what draws do not know."""


@dataclass(frozen=True)
class Difference:
    """How much lower the target's value is than in another arm, with an interval that holds for all cells at once."""

    mean: float
    low: float
    high: float
    stderr: float

    @property
    def sign(self) -> int:
        """1 or -1 where it is beyond chance, else 0."""
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class Judged:
    """One cell, or one pair over its sizes: what was gained, beyond which arm with as many steps, and what that is."""

    gain: Difference
    words: Difference | None
    """Over the best placebo with the source's words."""
    form: Difference | None
    """Over the best placebo with its form."""
    repeats: Difference | None
    """Over the target again for as many steps, where it had been seen more than once before."""

    @property
    def answer(self) -> str:
        """What these differences are called."""
        if self.gain.sign <= 0:
            return HURTS if self.gain.sign < 0 else NONE
        if any(other is not None and other.sign <= 0 for other in (self.words, self.repeats)):
            return WORDS
        return FORM if self.form is not None and self.form.sign <= 0 else HELPS


Arms = tuple[int, ...]
"""One arm, or the same arm at several sizes."""


def judge(matrix: Matrix, cells: Sequence[Sequence[Cell]], *, level: float, seed: int) -> list[Judged]:
    """Each of these, a cell or one cell at several sizes, beside all others.

    Gains have one critical value, differences to what has as many steps another; each holds over all of them.
    """
    kinds: list[tuple[int, str, Arms, Arms]] = []
    for i, group in enumerate(cells):
        arm = tuple(cell.arm for cell in group)
        kinds.append((i, "gain", tuple(cell.alone for cell in group), arm))
        for kind in ("words", "form"):
            placebos = [{matrix.added(a): a for a in getattr(cell, kind)} for cell in group]
            shared = set.intersection(*map(set, placebos))
            kinds += [(i, kind, tuple(there[name] for there in placebos), arm) for name in sorted(shared)]
        again = tuple(cell.repeats for cell in group if cell.repeated and cell.repeats is not None)
        if len(again) == len(group):
            kinds.append((i, "repeats", again, arm))
    block: dict[Arms, tuple[float, str]] = {
        (row["arm"],): (row["N"], row["target"])  # what is in no pair says how far arms scatter
        for row in matrix.arms.with_row_index("arm").iter_rows(named=True)
    }
    for i, _, *both in kinds:
        for arms in both:
            block.setdefault(arms, (0.0, cells[i][0].target))
    rows = {arms: row for row, arms in enumerate(block)}
    values = np.array([matrix.value[list(arms)].mean(0) for arms in rows])
    enough = [k for k in kinds if np.isfinite(values[rows[k[2]]] - values[rows[k[3]]]).sum() >= ENOUGH]
    pairs = [(rows[one], rows[other]) for _, _, one, other in enough]
    groups = {key: float(i) for i, key in enumerate(dict.fromkeys(block.values()))}
    made = contrast(values, pairs, [groups[key] for key in block.values()], seed=seed)
    families = [[j for j, k in enumerate(enough) if (k[1] == "gain") == gain] for gain in (True, False)]
    critical = [made.critical(family, 1 - _OF_CHANCE * (1 - level)) for family in families]
    differences: list[dict[str, list[Difference]]] = [{} for _ in cells]
    for j, (i, kind, *_) in enumerate(enough):
        one = _difference(made, j, critical[kind != "gain"])
        differences[i].setdefault(kind, []).append(one)
    return [_judged(kinds) for kinds in differences]


def _difference(made: Contrasts, row: int, critical: float) -> Difference:
    mean, stderr = float(made.mean[row]), float(made.stderr[row])
    return Difference(mean, mean - critical * stderr, mean + critical * stderr, stderr)


def _judged(kinds: Mapping[str, Sequence[Difference]]) -> Judged:
    unknown = Difference(math.nan, -math.inf, math.inf, math.nan)
    strictest = {kind: min(seen, key=lambda d: d.mean / d.stderr) for kind, seen in kinds.items()}
    return Judged(strictest.pop("gain", unknown), *(strictest.get(k) for k in ("words", "form", "repeats")))


# --- exchange rates ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Rates:
    """Exchange rates of cells: as they are, of the best placebo, and the one less the other."""

    plain: tuple[Worth | None, ...]
    placebo: tuple[Worth | None, ...]
    adjusted: tuple[Worth | None, ...]
    """Where a cell has no placebo, as `plain`."""

    def interval(self, cells: Sequence[Cell], name: str, level: float) -> list[tuple[float, float, float]]:
        """Mean, low and high of each cell; an end is infinite where the curve does not reach so far."""
        every: tuple[Worth | None, ...] = getattr(self, name)
        known = [
            i for i, one in enumerate(every) if one is not None and np.isfinite(one.seeds).sum() >= ENOUGH
        ]
        ends = [(math.nan, math.nan, math.nan)] * len(every)
        if not known:
            return ends
        alike = {key: float(i) for i, key in enumerate({(cells[j].N, cells[j].dose) for j in known})}
        groups = [alike[cells[j].N, cells[j].dose] for j in known]
        seen = [one for j in known if (one := every[j]) is not None]
        means = moderated(np.array([one.seeds for one in seen]), groups)
        for j, one, mean, half in zip(known, seen, means.mean, means.half_width(level), strict=True):
            apart = math.hypot(half, float(one.draws.std()) * half_widths(level))
            low, high = mean - apart, mean + apart
            ends[j] = mean, -math.inf if one.beyond < 0 else low, math.inf if one.beyond > 0 else high
        return ends


def half_widths(level: float) -> float:
    """Standard errors from the middle to the ends of a normal interval."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))


def rates(matrix: Matrix, *, seed: int) -> Rates:
    """The exchange rate of every cell whose target was trained alone on three budgets at that size."""
    curves = {
        key: Curve.of(matrix_rows(matrix, *key), seed=seed)
        for key in {(cell.N, cell.target) for cell in matrix.cells}
    }
    plain, placebos, adjusted = [], [], []
    for cell in matrix.cells:
        curve = curves[cell.N, cell.target]
        if curve is None:
            one = other = None
        else:
            one = _worth(matrix, cell, cell.arm, curve)
            tried = [_worth(matrix, cell, arm, curve) for arm in cell.words or cell.form]
            other = max(tried, key=lambda w: np.nanmean(w.seeds), default=None)
        plain.append(one)
        placebos.append(other)
        adjusted.append(one if one is None or other is None else one.less(other))
    return Rates(tuple(plain), tuple(placebos), tuple(adjusted))


def matrix_rows(matrix: Matrix, N: float, target: str) -> pl.DataFrame:
    """Tokens and value of the target alone at one size, each token once, a row for each seed."""
    alone = matrix.arms.with_row_index("arm").filter(
        pl.col("N") == N,
        pl.col("target") == target,
        pl.col("added") == "",
        pl.col("unique") == pl.col("tokens"),
    )
    rows = [
        (row["tokens"], value) for row in alone.iter_rows(named=True) for value in matrix.value[row["arm"]]
    ]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(("tokens", "value"), pl.Float64), orient="row")
    return frame.filter(pl.col("value").is_not_nan())


def _worth(matrix: Matrix, cell: Cell, arm: int, curve: Curve) -> Worth:
    base, gain = matrix.value[cell.alone], matrix.value[cell.alone] - matrix.value[arm]
    both = np.isfinite(gain)
    start = None if cell.repeated else cell.tokens
    priced = worth(curve, start, base[both], gain[both], cell.added_tokens)
    seeds = np.full(len(both), np.nan)
    seeds[both] = priced.seeds
    return Worth(seeds, priced.draws, priced.beyond)


# --- against size --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trend:
    """A line of exchange rates in log10 N: its slope for each decade, and where it is at GPT-2's size."""

    slope: tuple[float, float, float]
    gpt2: tuple[float, float, float]
    bend: tuple[float, float, float]
    """How much the rates at the ends lie above the line, less the middle; NaN with three sizes."""
    bounded: bool
    """Whether a size is beyond its curve, so that its rate is a bound."""


def trends(groups: Sequence[Sequence[tuple[float, Worth | None]]], level: float) -> list[Trend | None]:
    """One for each group of sizes with their rates; None with fewer than three sizes or two seeds.

    Each seed has a line of its own, by least squares; the interval is that of the mean line over seeds, its variance
    moderated over the groups, and with it the error of the curves that rates are read off.
    """
    known = [i for i, g in enumerate(groups) if len(g) >= 3 and _whole(g)]
    if not known:
        return [None] * len(groups)
    made: list[Trend | None] = [None] * len(groups)
    ends: dict[str, list[tuple[float, float, float]]] = {}
    for name in ("slope", "gpt2", "bend"):
        weighted = [
            [(w, one) for w, (_, one) in zip(_weights(groups[i], name), groups[i], strict=True)]
            for i in known
        ]
        seeds = np.array([sum(w * one.seeds for w, one in g if one) for g in weighted])
        curve = [math.sqrt(sum(w**2 * one.draws.var() for w, one in g if one)) for g in weighted]
        means: Means = moderated(seeds, [0.0] * len(known))
        apart = np.hypot(means.half_width(level), np.array(curve) * half_widths(level))
        ends[name] = [(float(m), float(m - a), float(m + a)) for m, a in zip(means.mean, apart, strict=True)]
    for j, i in enumerate(known):
        bounded = any(one is not None and one.beyond for _, one in groups[i])
        made[i] = Trend(ends["slope"][j], ends["gpt2"][j], ends["bend"][j], bounded)
    return made


def _whole(group: Sequence[tuple[float, Worth | None]]) -> bool:
    seeds = [one.seeds for _, one in group if one is not None]
    return len(seeds) == len(group) and np.isfinite(seeds).all(0).sum() >= ENOUGH


def _weights(group: Sequence[tuple[float, Any]], name: str) -> Array:
    """What each size has to say in the slope, in the value at GPT-2's size, and in the bend."""
    x = np.log10([N for N, _ in group])
    apart = x - x.mean()
    slope = apart / (apart**2).sum()
    if name == "slope":
        return slope
    if name == "gpt2":
        return 1 / len(x) + slope * (math.log10(GPT2_N) - x.mean())
    square = apart**2 - np.polyval(np.polyfit(apart, apart**2, 1), apart)
    most = np.abs(square).sum()
    return 2 * square / most if most > 1e-9 and len(x) > 2 else np.full(len(x), np.nan)


# --- doses ---------------------------------------------------------------------------------------------------------


def best_doses(
    matrix: Matrix, cells: Sequence[Cell], level: float, seed: int
) -> list[tuple[float, float, float, float]]:
    """For each size: N, and the dose with the lowest value of the target, 0 among them, with its interval."""
    rng, rows = np.random.default_rng(seed), []
    for N, same in itertools.groupby(sorted(cells, key=lambda c: (c.N, c.dose)), key=lambda c: c.N):
        tried = list(same)
        gains = np.array([matrix.value[cell.alone] - matrix.value[cell.arm] for cell in tried])
        gains = gains[:, np.isfinite(gains).all(0)]
        if gains.shape[1] < ENOUGH:
            continue
        means = moderated(gains, [0.0] * len(tried))
        doses = np.array([0.0, *(cell.dose for cell in tried)])
        drawn = means.mean + means.stderr * rng.normal(size=(2_000, len(tried)))
        best = doses[np.concatenate([np.zeros((2_000, 1)), drawn], 1).argmax(1)]
        low, _, high = np.quantile(best, tails(level), method="nearest")
        rows.append((N, float(doses[np.argmax([0.0, *means.mean])]), float(low), float(high)))
    return rows
