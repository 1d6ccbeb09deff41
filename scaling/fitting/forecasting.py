"""The loss that a path of compute leads to, by year: how sure the law is, how sure the path, and where the runs end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from scaling import show
from scaling.arguments import number, whole
from scaling.errors import BadOption, FitError, ScenarioError, require_kind
from scaling.fitting.data import Array
from scaling.fitting.result import Fit, require_fit
from scaling.laws.base import NotALaw, describe
from scaling.laws.optimal import FLOPS_PER_PARAMETER_TOKEN, optimum
from scaling.units import power_of_ten


class NoDraws(FitError):
    """A forecast from a fit that knows no uncertainty."""

    law: str

    def __str__(self) -> str:
        return (
            f"asked for a forecast of {self.law}, but its fit has no bootstrap draws, so nothing says how sure it is. "
            "Fit it again with bootstrap=1000."
        )


class BadPath(ScenarioError):
    """A path of compute that no compute can take."""

    what: str
    given: object
    wanted: str

    def __str__(self) -> str:
        return (
            f"asked for a path of compute with {self.what}={self.given!r}, but it must be {self.wanted}. "
            "For example ComputePath(start_year=2025, start_flops=1e20, growth=(4, 5))."
        )


class PathBeforeRuns(ScenarioError):
    """A path of compute that starts below the smallest run."""

    start: float
    smallest: float

    def __str__(self) -> str:
        return (
            f"asked for a path from {self.start:.3g} FLOPs, but the runs begin at {self.smallest:.3g}, and a law says "
            "nothing below them. Start the path there or later, or add smaller runs."
        )


_DRAWS = 4000
_BUDGETS = 60  # at which the law's predictions are worked out; between them they are interpolated in ln C
_LEVELS = (0.99, 0.97, 0.94, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
_EDGES = 2001


@dataclass(frozen=True, kw_only=True)
class ComputePath:
    """Training compute by year, and how much better it is used.

        C(t) = C0 g^(t - t0)            training FLOPs
        C_eff(t) = C0 (g e)^(t - t0)    FLOPs that would have done as much at t0

    g and e are constant over the years but unknown: independent, log-normal, with the share `level` of each between the
    ends given. e = (1, 1) leaves the methods as the runs had them.

    Raises:
        BadPath: a start, a growth or an efficiency that is not above zero, ends out of order, or a level that is none.

    Source:
        Growth of 4 to 5 times per year: Epoch AI 2024, "Training compute of frontier AI models". Effective compute
        doubling in 5 to 14 months (2.3 to 4 times per year at the middle of that range): Ho et al. 2024,
        arXiv:2403.05812.
    """

    start_year: float
    """t0, e.g. 2025.5."""
    start_flops: float
    """C0, training FLOPs of the run that a researcher could do at t0."""
    growth: tuple[float, float] = (4.0, 5.0)
    """g, times per year, low and high."""
    efficiency: tuple[float, float] = (1.0, 1.0)
    """e, times per year, low and high."""
    level: float = 0.9
    """Share of growth, and of efficiency, between their ends."""

    def __post_init__(self) -> None:
        if not math.isfinite(_known(self.start_year)):
            raise BadPath("start_year", self.start_year, "a finite year")
        if not 0 < _known(self.start_flops) < math.inf:
            raise BadPath("start_flops", self.start_flops, "a finite number of FLOPs above zero")
        for name, ends in (("growth", self.growth), ("efficiency", self.efficiency)):
            two = isinstance(ends, tuple | list) and len(ends) == 2
            if not (two and 0 < _known(ends[0]) <= _known(ends[1]) < math.inf):
                raise BadPath(name, ends, "two ascending numbers above zero, times per year")
        if not 0 < _known(self.level) < 1:
            raise BadPath("level", self.level, "between 0 and 1")

    @property
    def rate(self) -> float:
        """Median of ln(g e), per year."""
        return 0.5 * sum(math.log(end) for end in (*self.growth, *self.efficiency))

    def draw(self, generator: np.random.Generator, count: int) -> tuple[Array, Array]:
        """ln g and ln e, each of shape (count,)."""
        z = NormalDist().inv_cdf(0.5 * (1.0 + self.level))
        ends = np.log([self.growth, self.efficiency])
        spread = np.diff(ends, axis=1) / (2.0 * z)
        rates = ends.mean(1, keepdims=True) + spread * generator.normal(size=(2, count))
        return rates[0], rates[1]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Forecast(show.Shown, show.Interval):
    """Loss by year under a path of compute, nats/token, of a new run whose budget is split as the law has it.

    Arrays have shape (years,).
    """

    years: Array
    compute: Array
    """Median training FLOPs."""
    compute_low: Array
    compute_high: Array
    effective: Array
    """Median training FLOPs times what efficiency has gained."""
    decades: Array
    """Decades by which the median effective compute lies beyond the runs; zero among them."""
    leaves_support: float | None
    """Year in which the median effective compute leaves what was fitted; None if it never does."""
    edge: float
    """FLOPs up to which the best N and D lie among those that were fitted."""
    law_share: Array
    """Share of the variance that would remain if the path were certain."""
    law: str
    path: ComputePath
    data_hash: str
    seed: int

    @property
    def table(self) -> pl.DataFrame:
        """One row per year: year, the loss and the compute with their intervals, effective, decades, law_share."""
        loss = {"loss": self.median, "loss_low": self.low, "loss_high": self.high}
        compute = {"C": self.compute, "C_low": self.compute_low, "C_high": self.compute_high}
        beyond = {"C_effective": self.effective, "decades": self.decades, "law_share": self.law_share}
        return pl.DataFrame({"year": self.years} | loss | compute | beyond)

    def shown(self) -> Iterator[show.Table]:
        header = [
            "year",
            "training FLOPs",
            "loss, nats/token",
            "decades beyond the runs",
            "of the spread from the law",
        ]
        rows = []
        for i, year in enumerate(self.years):
            spread = (self.high[i] - self.low[i]) / 2
            C, low, high = (power_of_ten(v[i]) for v in (self.compute, self.compute_low, self.compute_high))
            loss, loss_low, loss_high = (
                show.rounded(v[i], spread) for v in (self.median, self.low, self.high)
            )
            share = f"{100 * self.law_share[i]:.0f} %"
            spans = (f"{C} [{low}, {high}]", f"{loss} [{loss_low}, {loss_high}]")
            rows.append([f"{year:g}", *spans, f"{self.decades[i]:.1f}", share])
        words = f"loss of {self.law} by year, medians and {100 * self.level:.3g} % intervals"
        edge = power_of_ten(self.edge)
        if self.leaves_support is None:
            where = f"the median path stays among the runs, below {edge} FLOPs"
        elif self.leaves_support <= self.path.start_year:
            where = f"the whole path lies beyond the runs, which end at {edge} FLOPs"
        else:
            where = f"from {self.leaves_support:.1f} on beyond the runs, which end at {edge} FLOPs"
        yield show.Table(header, rows, f"{words}; {where}")


def forecast(
    fitted: Fit,
    compute_path: ComputePath,
    *,
    years: ArrayLike | None = None,
    seed: int = 0,
    level: float = 0.8,
    flops_per_parameter_token: float = FLOPS_PER_PARAMETER_TOKEN,
    **columns: float,
) -> Forecast:
    """The loss that a fitted law expects year by year under a path of compute, with everything that makes it unsure.

        loss(t) = Q( u, C_eff(t) ),   u uniform,   C_eff(t) = C0 (g e)^(t - t0)

    Q(u, C) is the quantile u of what `Fit.predict(new_run=True)` says at the best N and D for C (or at C itself, for a
    law of compute): its bootstrap draws, the scatter of single runs, and what it allows for beyond the runs. Each of
    4,000 draws has one u, one growth and one efficiency for all years. `leaves_support` and `decades` say from when the
    law is all there is, and how far it is then asked to reach.

    Args:
        fitted: a fit with a bootstrap, of a law of N and D, or of C.
        compute_path: compute by year.
        years: ascending, none before the path starts; by default eleven, from its start.
        seed: of the draws.
        level: of the intervals, at most 0.98.
        flops_per_parameter_token: k of C = k N D; only for a law of N and D.
        **columns: what else the law reads, e.g. unique_tokens=1e13.

    Raises:
        NoDraws: a fit made with bootstrap=0.
        NotALaw: the law reads neither N and D nor C, or a column that was not given.
        BadOption: no fit or no path, years that do not ascend or lie before the path, a level outside (0, 0.98].
        PathBeforeRuns: a path that starts below the compute of the smallest run.
    """
    require_fit(fitted)
    wanted = "a path, e.g. ComputePath(start_year=2025, start_flops=1e20); of one point ask Fit.predict"
    require_kind("compute_path", compute_path, ComputePath, wanted)
    start = compute_path.start_year
    ascending, positive = "one or more years that ascend", "a number above zero, e.g. 6"
    try:
        when = np.atleast_1d(np.asarray(start + np.arange(11.0) if years is None else years, float))
    except (TypeError, ValueError, OverflowError):
        raise BadOption("years", years, ascending) from None
    if not (when.ndim == 1 and len(when) and np.all(np.isfinite(when)) and np.all(np.diff(when) > 0)):
        raise BadOption("years", years, ascending)
    if when[0] < start:
        raise BadOption("years", float(when[0]), f"{start:g} or later, where the path starts")
    if not 0.0 < number("level", level) <= 0.98:
        raise BadOption("level", level, "above 0 and at most 0.98")
    price = number("flops_per_parameter_token", flops_per_parameter_token, positive)
    if not 0.0 < price < math.inf:
        raise BadOption("flops_per_parameter_token", price, positive)
    seed = whole("seed", seed, "a whole number from zero")
    if not fitted.drawn:
        raise NoDraws(fitted.name)
    plan = _Plan(fitted, price, columns)
    first, edge = plan.support()
    if compute_path.start_flops < first * (1.0 - 1e-9):
        raise PathBeforeRuns(compute_path.start_flops, first)
    generator = np.random.default_rng(seed)
    growth, efficiency = compute_path.draw(generator, _DRAWS)
    z = generator.normal(size=_DRAWS)
    ahead = when - start
    spent = math.log(compute_path.start_flops) + np.outer(growth, ahead)
    effective = spent + np.outer(efficiency, ahead)
    curves = _Curves.of(plan, float(effective.min()), float(effective.max()))
    loss = curves.at(z, effective)
    middle = np.median(effective, axis=0)
    from_law = curves.at(z, np.broadcast_to(middle, effective.shape)).var(axis=0)
    from_path = curves.at(np.zeros(_DRAWS), effective).var(axis=0)
    low, median, high = np.quantile(loss, show.tails(level), axis=0)
    C_low, C, C_high = np.exp(np.quantile(spent, show.tails(level), axis=0))
    return Forecast(
        median,
        low,
        high,
        level,
        years=when,
        compute=C,
        compute_low=C_low,
        compute_high=C_high,
        effective=np.exp(middle),
        decades=np.maximum((middle - math.log(edge)) / math.log(10.0), 0.0),
        leaves_support=_leaves(compute_path, edge),
        edge=edge,
        law_share=from_law / np.maximum(from_law + from_path, 1e-300),
        law=fitted.name,
        path=compute_path,
        data_hash=fitted.data_hash,
        seed=seed,
    )


def _known(value: object) -> float:
    """A number; NaN where it is none."""
    try:
        return number("path", value)
    except BadOption:
        return math.nan


def _leaves(path: ComputePath, edge: float) -> float | None:
    """The year in which the median path passes the edge of what was fitted."""
    left = math.log(edge / path.start_flops)
    if left <= 0:
        return path.start_year
    return path.start_year + left / path.rate if path.rate > 0 else None


class _Plan:
    """What to train with a budget, from the best parameters, and what the fit predicts there."""

    def __init__(self, fitted: Fit, flops_per_parameter_token: float, columns: dict[str, Any]):
        law = describe(fitted.law)
        reads = {c.name for c in law.columns if c.default is None}
        self.splits = {"N", "D"} <= reads
        if not (self.splits or "C" in reads):
            names = ", ".join(law.column_names)
            raise NotALaw(law.name, f"it reads {names}, and compute becomes N and D, or C")
        if missing := sorted(reads - {"N", "D", "C", *columns}):
            raise NotALaw(law.name, f"no value was given for {', '.join(missing)}")
        self.fitted, self.price, self.columns = fitted, flops_per_parameter_token, columns

    def point(self, C: Array) -> dict[str, Any]:
        """The columns that the law reads at each budget."""
        if not self.splits:
            return {"C": C}
        named: dict[str, Any] = self.fitted.params | self.columns
        best = optimum(self.fitted.law, C, flops_per_parameter_token=self.price, **named)
        return {"N": best.N, "D": best.D}

    def support(self) -> tuple[float, float]:
        """The smallest and the largest budget whose best point lies within the ranges that were fitted."""
        ranges = self.fitted.ranges
        if not self.splits:
            return ranges["C"]
        ends = [self.price * N * D for N, D in zip(ranges["N"], ranges["D"], strict=True)]
        C = np.geomspace(ends[0], ends[1], _EDGES)
        inside = np.ones(len(C), bool)
        for name, values in self.point(C).items():
            inside &= (values >= ranges[name][0] * (1 - 1e-9)) & (values <= ranges[name][1] * (1 + 1e-9))
        if not inside.any():  # all runs are on one side of the best split: their budgets are what there is
            return float(ends[0]), float(ends[1])
        return float(C[inside][0]), float(C[inside][-1])


@dataclass(frozen=True, eq=False)
class _Curves:
    """Quantiles of the predicted loss on an even grid of ln C."""

    low: float
    step: float
    z: Array
    """Normal quantiles, ascending, shape (quantiles,)."""
    loss: Array
    """Shape (quantiles, budgets)."""

    @staticmethod
    def of(plan: _Plan, low: float, high: float) -> _Curves:
        grid = np.linspace(low, max(high, low + 1e-6), _BUDGETS)
        point = plan.point(np.exp(grid))
        below, above, middle = [], [], np.empty(0)
        for level in _LEVELS:
            one = plan.fitted.predict(level=level, new_run=True, **point, **plan.columns)
            below.append(one.low)
            above.append(one.high)
            middle = one.median
        normal = [NormalDist().inv_cdf(0.5 * (1.0 + level)) for level in _LEVELS]
        z = np.array([-v for v in normal] + [0.0] + normal[::-1])
        return _Curves(low, float(grid[1] - grid[0]), z, np.stack([*below, middle, *above[::-1]]))

    def at(self, z: Array, ln_C: Array) -> Array:
        """Loss of each draw in each year: z of shape (draws,), ln C of shape (draws, years); beyond 99 % it stays."""
        place = np.clip((ln_C - self.low) / self.step, 0.0, _BUDGETS - 1.0)
        left = np.minimum(place.astype(int), _BUDGETS - 2)
        own = np.stack([np.interp(z, self.z, column) for column in self.loss.T], axis=1)
        rows = np.arange(len(z))[:, None]
        share = place - left
        return own[rows, left] * (1.0 - share) + own[rows, left + 1] * share
