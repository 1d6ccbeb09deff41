"""What a few seeds say: means, ratios of gains and slopes against size, with the intervals that so few allow."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import stdtrit

from scaling.verdict import Estimate


def mean_over_seeds(values: NDArray[np.float64], errors: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and its standard error, never below what the standard error of each value allows."""
    spread = values.var(ddof=1) if len(values) > 1 else 0.0
    return float(values.mean()), float(max(spread, (errors**2).mean()) ** 0.5 / len(values) ** 0.5)


def student(level: float, seeds: int) -> float:
    """Quantile of Student's t, two-sided."""
    return float(stdtrit(max(seeds - 1, 1), 0.5 + level / 2))


def ratio_interval(
    gains: NDArray[np.float64], errors: NDArray[np.float64], level: float
) -> tuple[float, float, float, float, float]:
    """What the ceiling gains with its standard error, and 1 − the ratio of mean gains with Fieller's interval.

    The last three are not a number where the ceiling does not beat the base by two standard errors.

    Args:
        gains: without and with what is asked about, over the base, `[2, seeds]`.
        errors: standard errors of base, without and with, `[3, seeds]`: the least spread that is believed.
        level: of the interval.

    Source:
        Fieller 1954, Journal of the Royal Statistical Society B 16, 175-185.
    """
    n = gains.shape[1]
    a, b = gains.mean(1)
    measured = (errors**2).mean(1)
    least = np.array([[measured[0] + measured[1], measured[0]], [measured[0], measured[0] + measured[2]]])
    spread = np.cov(gains)
    for i in (0, 1):
        if spread[i, i] < least[i, i]:  # as where every seed has none, or all, right
            spread[i] = spread[:, i] = least[i]
    (va, cov), (_, vb) = spread / n
    nan = float("nan")
    if b <= 2 * vb**0.5:
        return float(b), float(vb**0.5), nan, nan, nan
    t2 = student(level, n) ** 2
    square, cross, free = b * b - t2 * vb, a * b - t2 * cov, a * a - t2 * va
    if square <= 0:
        return float(b), float(vb**0.5), float(1 - a / b), -np.inf, np.inf
    root = max(cross * cross - square * free, 0.0) ** 0.5
    low, high = 1 - (cross + root) / square, 1 - (cross - root) / square
    return float(b), float(vb**0.5), float(1 - a / b), float(low), float(high)


def slope(
    N: NDArray[np.float64],
    values: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    *,
    seeds: int,
    level: float,
) -> tuple[float, float, float]:
    """Change for a decade of N with its interval, by least squares weighted with the intervals at two N or more."""
    t = student(level, seeds)
    x, weight = np.log10(N), (2 * t / (high - low)) ** 2
    middle = np.average(x, weights=weight)
    squares = float((weight * (x - middle) ** 2).sum())
    steepness = float((weight * (x - middle) * values).sum() / squares)
    return steepness, steepness - t * squares**-0.5, steepness + t * squares**-0.5


def share_of(rows: pl.DataFrame, column: str, level: float) -> Estimate:
    """A mean share in percent as `mean_of` has it, with an interval that does not leave 0 to 100."""
    mean = mean_of(rows, column, level, "%", 100)
    low, high = np.clip((mean.low, mean.high), 0.0, 100.0)
    return Estimate(mean.value, float(low), float(high), level, "%")


def mean_of(rows: pl.DataFrame, column: str, level: float, unit: str, scale: float = 1.0) -> Estimate:
    """A mean over sizes and seeds with an interval for both kinds of neighbours being alike.

        V = Σ_g (Σ_i∈g e_i)² G / (G - 1) / n²,  for sizes and for seeds, added, less that of single runs

    and at least the larger of the two; quantiles are those of a t distribution with one degree less than the fewer of
    sizes and seeds. There is no interval where there is one size or one seed.

    Args:
        rows: columns params_total, seed and the one to be averaged.
        column: its name.
        level: of the interval.
        unit: of what comes back.
        scale: what the mean is multiplied with.

    Source:
        Cameron, Gelbach and Miller 2011, Journal of Business and Economic Statistics 29(2), equation 2.12.
    """
    values = scale * rows[column].to_numpy().astype(float)
    mean, off, n = float(values.mean()), values - values.mean(), len(values)
    groups = [rows[name].rank("dense").to_numpy().astype(int) - 1 for name in ("params_total", "seed")]
    counts = [int(group.max()) + 1 for group in groups]
    if min(counts) < 2:
        return Estimate(mean, np.nan, np.nan, level, unit)
    by = [
        float((np.bincount(group, off) ** 2).sum()) * g / (g - 1)
        for group, g in zip(groups, counts, strict=True)
    ]
    variance = max(*by, sum(by) - float((off**2).sum()) * n / (n - 1)) / n**2
    half = student(level, min(counts)) * variance**0.5
    return Estimate(mean, mean - half, mean + half, level, unit)


def slope_of(x: Iterable[float], y: Iterable[float], level: float) -> Estimate:
    """Slope of log y against log x by least squares, with its t interval; none where there are two points."""
    log_x, log_y = (np.log(np.array([*values], float)) for values in (x, y))
    run = log_x - log_x.mean()
    slope = float(run @ log_y / (run @ run))
    free = len(log_x) - 2
    if free < 1:
        return Estimate(slope, np.nan, np.nan, level, "")
    miss = log_y - log_y.mean() - slope * run
    half = float(student(level, free + 1) * np.sqrt(miss @ miss / free / (run @ run)))
    return Estimate(slope, slope - half, slope + half, level, "")
