"""How long releases take when there is no plateau: two readings of release lag."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from scaling.errors import BadOption, QuestionError
from scaling.show import tails
from scaling.verdict import Estimate, share_ends


class NegativeMonths(QuestionError):
    """A silence or a gap between releases that is not a positive time."""

    what: str
    given: object

    def __str__(self) -> str:
        return f"asked for {self.what} of {self.given} months, but that is no time. Give a positive number of months."


@runtime_checkable
class Null(Protocol):
    """How long releases take when there is no plateau."""

    @property
    def name(self) -> str: ...

    def survival(self, months: NDArray) -> NDArray:
        """Chance that nothing better has come by then, array in, array out."""
        ...

    def bayes_factor(self, months: float, *, level: float = 0.8) -> Estimate:
        """1 / survival with an interval."""
        ...


@dataclass(frozen=True)
class Renewal:
    """The next gap is another draw from where past gaps came from, log-normal with unknown mean and spread.

        S(t) = 1 - T_{n-1}( (ln t - m) / (s sqrt(1 + 1/n)) )

    with m and s the mean and standard deviation of the log gaps and T the Student distribution.

    Args:
        gaps: months between past record models; by default GPT-1, GPT-2, GPT-3, GPT-4.
        seed: of the draws behind the interval.

    Raises:
        NegativeMonths: a gap that is not positive.
        BadOption: fewer than two gaps.
    """

    gaps: tuple[float, ...] = (8.1, 15.4, 33.5)
    seed: int = 0

    def __post_init__(self) -> None:
        for gap in self.gaps:
            if not (gap > 0 and math.isfinite(gap)):
                raise NegativeMonths("a gap", gap)
        if len(self.gaps) < 2:
            raise BadOption("gaps", self.gaps, "two or more, because one gap has no spread")

    @property
    def name(self) -> str:
        return f"as past gaps (n = {len(self.gaps)})"

    def survival(self, months: NDArray) -> NDArray:
        from scipy.special import stdtr

        logs, n = np.log(self.gaps), len(self.gaps)
        with np.errstate(divide="ignore"):
            z = (np.log(months) - logs.mean()) / (logs.std(ddof=1) * math.sqrt(1 + 1 / n))
        return stdtr(n - 1, -z)

    def bayes_factor(self, months: float, *, level: float = 0.8) -> Estimate:
        """The interval is over mean and spread of the log gaps, given the gaps and a flat prior."""
        from scipy.special import ndtr

        logs, n = np.log(self.gaps), len(self.gaps)
        generator = np.random.default_rng(self.seed)
        spread = logs.std(ddof=1) * np.sqrt((n - 1) / generator.chisquare(n - 1, 20_000))
        mean = logs.mean() + spread / math.sqrt(n) * generator.normal(size=20_000)
        z = (math.log(months) - mean) / spread if months > 0 else np.full(20_000, -np.inf)
        low, _, high = 1 / np.maximum(np.quantile(ndtr(-z), tails(level)[::-1]), 1e-12)
        return Estimate(float(1 / self.survival(np.array(months))), float(low), float(high), level, "to 1")


Lags = Literal["none", "next minus previous", "next"]


@dataclass(frozen=True)
class ComputePaced:
    """The next model waits until so many times the compute of the last one can be had.

        gap = 12 ln(ratio) / ln(growth) + lag,    S(t) = P(gap > t)

    Ratio log-uniform, growth and lags uniform, all independent. Release trails training by a lag, so the gap between
    two releases gains the new lag and loses the old one; counting the new one alone ("next") is kept as the other
    reading, because the answer after 30 months turns on it.

    Args:
        compute_ratio: compute of the next generation over that of the last, low and high.
        growth_per_year: growth of training compute, times per year, low and high.
        lag_months: from the end of training to release, low and high.
        lags: which lags enter.
        draws, seed: of the Monte Carlo.

    Raises:
        BadOption: an unknown `lags`, or a range that is not two ascending numbers above one (lags: from zero).
        NegativeMonths: a negative lag.

    Source:
        Growth of 4 to 5 times per year: Epoch AI 2024, "Training compute of frontier AI models".
    """

    compute_ratio: tuple[float, float] = (30, 100)
    growth_per_year: tuple[float, float] = (4, 5)
    lag_months: tuple[float, float] = (4, 9)
    lags: Lags = "next minus previous"
    draws: int = 200_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.lags not in ("none", "next minus previous", "next"):
            raise BadOption("lags", self.lags, '"none", "next minus previous" or "next"')
        for what in ("compute_ratio", "growth_per_year"):
            low, high = getattr(self, what)
            if not 1 < low <= high < math.inf:
                raise BadOption(what, (low, high), "two ascending numbers above 1")
        if not 0 <= self.lag_months[0] <= self.lag_months[1] < math.inf:
            raise NegativeMonths("a lag", self.lag_months)
        if self.draws < 1:
            raise BadOption("draws", self.draws, "one or more")

    @property
    def name(self) -> str:
        return {
            "none": "compute time alone",
            "next minus previous": "compute time, next lag minus the previous",
            "next": "compute time and a whole lag",
        }[self.lags]

    def gaps(self) -> NDArray:
        """Drawn gaps in months, shape (draws,)."""
        generator = np.random.default_rng(self.seed)
        low, high = np.log(self.compute_ratio)
        ratio = generator.uniform(low, high, self.draws)
        growth = np.log(generator.uniform(*self.growth_per_year, self.draws))
        following, previous = generator.uniform(*self.lag_months, (2, self.draws))
        lag = {"none": 0.0, "next": following, "next minus previous": following - previous}[self.lags]
        return 12 * ratio / growth + lag

    def survival(self, months: NDArray) -> NDArray:
        """Share of drawn gaps that are longer; (k + 1) / (draws + 1), so that it is never zero."""
        longer = self.draws - np.searchsorted(np.sort(self.gaps()), months, side="right")
        return (longer + 1) / (self.draws + 1)

    def bayes_factor(self, months: float, *, level: float = 0.8) -> Estimate:
        """The interval is that of the Monte Carlo; the ranges of the assumptions are inside the value already."""
        share = float(self.survival(np.array(months)))
        longer = share * (self.draws + 1) - 1
        low, high = 1 / np.maximum(share_ends(longer, self.draws, level)[::-1], 1e-12)
        return Estimate(1 / share, float(low), float(high), level, "to 1")


NULLS: tuple[Null, ...] = (Renewal(), ComputePaced(lags="none"), ComputePaced(), ComputePaced(lags="next"))
"""The readings of release lag that are shown unless others are given."""
