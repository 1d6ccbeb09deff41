"""The wall in every draw: its date as a density, what moves it, and what nearing it costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.fitting import Fit
from scaling.laws.optimal import FLOPS_PER_PARAMETER_TOKEN
from scaling.laws.repetition import MUENNIGHOFF_2023
from scaling.questions._wall.cost import Cost, cost
from scaling.questions._wall.inputs import Inputs
from scaling.questions._wall.roles import NEEDED
from scaling.questions._wall.sensitivity import rank_shares
from scaling.questions._wall.stock import Paths, World
from scaling.show import tails
from scaling.verdict import Estimate

_COST_DRAWS = 500
_COST_YEARS = 12
_SAMPLE = 1_000

_MUENNIGHOFF_RUN = FLOPS_PER_PARAMETER_TOKEN * 8.67e9 * 178e9
"""FLOPs of the largest kind of run behind the default law: Muennighoff et al. 2023, arXiv:2305.16264, section 6."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Forecast:
    """When demand for text reaches its stock."""

    inputs: Inputs
    dates: NDArray[np.float64]
    """The year in each draw, shape (draws,); infinite where it is after the horizon."""
    stock: Estimate
    """Effective stock at the start, repeats counted, tokens."""
    distinct: Estimate
    """The same without repeats."""
    before: pl.DataFrame
    """year, probability: of a wall before the first day of that year."""
    density: pl.DataFrame
    """year, density: per year, in quarters; what is missing to 1 lies outside these years."""
    shares: pl.DataFrame
    """input, share, rank_correlation: the largest share of the variance of the rank of the date first.

    "law" is the training set that the law asks for, where the demand is that of a fitted law.
    """
    interventions: pl.DataFrame
    """intervention, input, months, low, high, median_date, source: months gained in the same draw, largest first."""
    demands: pl.DataFrame
    """demand, median, low, high, later: the date under each reading of the demand that the inputs allow."""
    cost: Cost
    fitted_to: float | None
    """FLOPs of the largest run, as 6ND, that the law of the cost was fitted to; None where it is not known."""
    sample: pl.DataFrame
    """1,000 of the draws, evenly spaced in the order of all dates, for a page that meets their walls anew: text
    (distinct tokens at the start), text_growth, repeats (their worth, over one epoch), demand, demand_growth, compute,
    compute_growth."""
    law: Callable[..., Any]
    """Of the cost, with every parameter at its best."""
    redrawn: dict[str, int]
    """How many draws of an input its role did not allow, so that others took their places."""
    level: float
    """Share of all intervals."""

    @property
    def median(self) -> float:
        """Median year; infinite where half of the draws have no wall before the horizon."""
        return float(np.median(self.dates))

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the interval of the year."""
        return _ends(self.dates, self.level)

    @property
    def later(self) -> float:
        """Share of draws without a wall before the horizon."""
        return float(np.isinf(self.dates).mean())

    def probability(self, year: float) -> float:
        """Of a wall before a year."""
        return float((self.dates < year).mean())


def forecast(
    inputs: Inputs, draws: int, seed: int, law: Fit | Callable[..., Any] | None, level: float
) -> Forecast:
    """The forecast of `wall`, which says what its arguments are."""
    world = World.of(inputs, draws, seed, MUENNIGHOFF_2023 if law is None else law)
    paths = world.paths()
    dates = paths.dates(inputs.start, inputs.horizon)
    years = np.arange(math.floor(inputs.start), inputs.horizon + 1)
    reached = np.searchsorted(np.sort(dates), years, side="left")
    moved = {name: world.moved(one).paths() for name, one in inputs.interventions.items()}
    return Forecast(
        inputs=inputs,
        dates=dates,
        stock=Estimate.of(np.exp(paths.stock), level, "tokens"),
        distinct=Estimate.of(np.exp(paths.text.distinct), level, "tokens"),
        before=pl.DataFrame({"year": years, "probability": reached / draws}),
        density=_density(dates, inputs),
        shares=rank_shares(dates, {name: world.values[name] for name in inputs.inputs} | world.of_law()),
        interventions=_interventions(dates, moved, inputs, level),
        demands=_demands(world, level),
        cost=_cost(world, paths, moved, level),
        fitted_to=_fitted_to(law),
        sample=_sample(world, paths, dates),
        law=partial(law.law, **law.params) if isinstance(law, Fit) else world.law,
        redrawn=world.redrawn,
        level=level,
    )


def _sample(world: World, paths: Paths, dates: NDArray) -> pl.DataFrame:
    """Draws that have the dates of all of them: the first thousand would leave bumps of chance in the density."""
    kept = np.sort(_spaced(dates, _SAMPLE))
    columns = {
        "text": np.exp(paths.text.distinct), "text_growth": np.exp(paths.text.growth), "repeats": paths.text.repeats,
        "demand": np.exp(paths.demand), "demand_growth": np.exp(paths.demand_growth),
        "compute": world.values["compute"], "compute_growth": world.values["compute_growth"],
    }  # fmt: skip
    return pl.DataFrame({n: np.broadcast_to(v, world.draws)[kept] for n, v in columns.items()})


def _spaced(dates: NDArray, most: int) -> NDArray[np.int64]:
    """So many draws at the most, evenly spaced in the order of their dates."""
    count = min(most, len(dates))
    return np.argsort(dates, kind="stable")[((np.arange(count) + 0.5) * len(dates) / count).astype(int)]


def _fitted_to(law: Fit | Callable[..., Any] | None) -> float | None:
    if isinstance(law, Fit):
        return FLOPS_PER_PARAMETER_TOKEN * law.ranges["N"][1] * law.ranges["D"][1]
    return _MUENNIGHOFF_RUN if law is None else None


def _ends(dates: NDArray, level: float) -> tuple[float, float]:
    """By order, because dates after the horizon are infinite."""
    low, _, high = np.quantile(dates, tails(level), method="inverted_cdf")
    return float(low), float(high)


def _density(dates: NDArray, inputs: Inputs) -> pl.DataFrame:
    low, high = np.quantile(dates, [0.001, 0.995], method="inverted_cdf")
    first = math.floor(min(low, inputs.start))
    edges = np.arange(first, math.ceil(min(high, inputs.horizon)) + 0.26, 0.25)
    counted, _ = np.histogram(dates, edges)
    return pl.DataFrame({"year": (edges[:-1] + edges[1:]) / 2, "density": counted / len(dates) / 0.25})


def _interventions(dates: NDArray, moved: dict[str, Paths], inputs: Inputs, level: float) -> pl.DataFrame:
    rows = []
    for name, paths in moved.items():
        after, one = paths.dates(inputs.start, inputs.horizon), inputs.interventions[name]
        gained = 12 * (np.minimum(after, inputs.horizon) - np.minimum(dates, inputs.horizon))
        months = Estimate.of(gained, level, "months")
        ends = months.value, months.low, months.high
        rows.append((name, one.input, *ends, float(np.median(after)), one.instead.source))
    schema: dict[str, type[pl.DataType]] = {
        "intervention": pl.String, "input": pl.String, "months": pl.Float64, "low": pl.Float64, "high": pl.Float64,
        "median_date": pl.Float64, "source": pl.String,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row").sort("months", descending=True)


def _demands(world: World, level: float) -> pl.DataFrame:
    """The date under each reading of the demand for which there are numbers."""
    inputs, rows = world.inputs, []
    for demand, needed in NEEDED.items():
        if needed <= set(inputs.inputs):
            dates = world.paths(demand).dates(inputs.start, inputs.horizon)
            middle, later = float(np.median(dates)), float(np.isinf(dates).mean())
            rows.append((demand, middle, *_ends(dates, level), later))
    return pl.DataFrame(rows, schema=["demand", "median", "low", "high", "later"], orient="row")


def _cost(world: World, paths: Paths, moved: dict[str, Paths], level: float) -> Cost:
    """Loss and waste in a few draws, evenly spaced in the order of their dates; only for interventions on the text.

    The dates are those of the demand that the law and the compute make, which the waste follows.
    """
    inputs = world.inputs
    few = _spaced(world.paths("law").dates(inputs.start, inputs.horizon), _COST_DRAWS)
    years = np.arange(inputs.start, min(inputs.start + _COST_YEARS, inputs.horizon) + 1e-9)
    compute, growth = (
        np.broadcast_to(world.values[name], world.draws)[few] for name in ("compute", "compute_growth")
    )
    texts = {"": paths.text.of(few)} | {name: p.text.of(few) for name, p in moved.items()}
    texts = {name: t for name, t in texts.items() if not name or not t.same(texts[""])}
    parameters = {name: drawn[world.picked[few]] for name, drawn in world.parameters.items()}
    spent = compute[:, None] * growth[:, None] ** (years - inputs.start)
    return cost(world.law, parameters, years, spent, texts, level=level)
