"""When does demand for text reach its stock: a date as a density, what moves it, and what nearing it costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling import show
from scaling.errors import BadOption
from scaling.fitting import Fit
from scaling.laws.optimal import FLOPS_PER_PARAMETER_TOKEN
from scaling.laws.repetition import MUENNIGHOFF_2023
from scaling.questions._wall.cost import Cost, cost
from scaling.questions._wall.inputs import Inputs, read_inputs
from scaling.questions._wall.roles import NEEDED
from scaling.questions._wall.sensitivity import rank_shares
from scaling.questions._wall.stock import Paths, World
from scaling.units import print_count
from scaling.verdict import Estimate, Verdict, between

QUESTION = "When is the data wall?"

BEFORE, AFTER, NONE, CANNOT_SAY = (
    "a wall before then is likely",
    "the wall comes later",
    "no wall in sight",
    "cannot say from these inputs",
)
"""What `Wall.verdict` may answer."""

LIKELY = 0.66
"""Probability from which something is called likely: Mastrandrea et al. 2010, the IPCC's note on uncertainties."""

_COST_DRAWS = 500
_COST_YEARS = 12
_SAMPLE = 1_000

_MUENNIGHOFF_RUN = FLOPS_PER_PARAMETER_TOKEN * 8.67e9 * 178e9
"""FLOPs of the largest kind of run behind the default law: Muennighoff et al. 2023, arXiv:2305.16264, section 6."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Wall:
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
    levers: pl.DataFrame
    """lever, input, months, low, high, median_date, source: months gained in the same draw, largest first."""
    demands: pl.DataFrame
    """demand, median, low, high, later: the date under each reading of the demand that the inputs allow."""
    cost: Cost
    fitted_to: float | None
    """FLOPs of the largest run, as 6ND, that the law of the cost was fitted to; None where it is not known."""
    sample: pl.DataFrame
    """The first 1,000 draws, for a page that meets their walls anew: text (distinct tokens at the start), text_growth,
    repeats (their worth, over one pass), demand, demand_growth, compute, compute_growth."""
    law: Callable[..., Any]
    """Of the cost, with every parameter at its best."""
    redrawn: dict[str, int]
    """Draws that an input's role does not allow, drawn again."""
    level: float
    """Share of all intervals."""
    seed: int

    @property
    def median(self) -> float:
        """Median year; infinite where half of the draws have no wall before the horizon."""
        return float(np.median(self.dates))

    @property
    def interval(self) -> tuple[float, float]:
        low, high = np.quantile(self.dates, _tails(self.level), method="inverted_cdf")
        return float(low), float(high)

    @property
    def later(self) -> float:
        """Share of draws without a wall before the horizon."""
        return float(np.isinf(self.dates).mean())

    def probability(self, year: float) -> float:
        """Of a wall before a year."""
        return float((self.dates < year).mean())

    def verdict(self, by: float = 2030.0) -> Verdict:
        """The answer: "a wall before then is likely" from a probability of 0.66, "the wall comes later" up to 0.34.

        "no wall in sight" where at least 0.66 of the draws have none before the horizon, else "cannot say from these
        inputs".

        Args:
            by: the year before which it is asked for.

        Raises:
            BadOption: a year that is not between start and horizon.
        """
        if not self.inputs.start < by < self.inputs.horizon:
            raise BadOption("by", by, f"a year from {self.inputs.start:g} to {self.inputs.horizon:g}")
        answer, chance = self._answer(by), self.probability(by)
        low, high, median = (min(year, self.inputs.horizon) for year in (*self.interval, self.median))
        numbers = {
            "date of the wall": Estimate(median, low, high, self.level, "as a year"),
            "effective stock": self.stock,
            "distinct text in it": self.distinct,
        }
        numbers |= self._priced(by)
        return Verdict(
            question=QUESTION,
            answer=answer,
            sentence=self._sentence(answer, by, chance),
            numbers=numbers,
            evidence=self.before,
            would_change=tuple(self._doubts()),
            next_runs=self._runs(),
            identifiable=answer != CANNOT_SAY,
            data_hash=self.inputs.hash,
            seed=self.seed,
        )

    def _answer(self, by: float) -> str:
        if self.later >= LIKELY:
            return NONE
        chance = self.probability(by)
        return BEFORE if chance >= LIKELY else AFTER if chance <= 1 - LIKELY else CANNOT_SAY

    def _priced(self, by: float) -> dict[str, Estimate]:
        at = self.cost.at(by)
        loss, ideal, wasted = self.cost.loss[""], self.cost.unlimited, self.cost.wasted[""]
        year = f"{self.cost.years[at]:.0f}"

        def there(found: show.Interval, unit: str, times: float = 1.0) -> Estimate:
            low, middle, high = (times * float(ends[at]) for ends in (found.low, found.median, found.high))
            return Estimate(middle, low, high, self.level, unit)

        return {
            f"loss of the best model of {year}": there(loss, "nats/token"),
            "the same with endless text": there(ideal, "nats/token"),
            f"compute wasted in {year}": there(wasted, "%", 100),
        }

    def _sentence(self, answer: str, by: float, chance: float) -> str:
        lead = {
            BEFORE: f"A data wall before {by:.0f} is likely",
            AFTER: f"The data wall comes after {by:.0f}",
            NONE: f"No data wall is in sight before {self.inputs.horizon:.0f}",
            CANNOT_SAY: f"These inputs cannot say whether the data wall comes before {by:.0f}",
        }[answer]
        low, high = (_year(end, self.inputs.horizon) for end in self.interval)
        median = _year(self.median, self.inputs.horizon)
        at = self.cost.at(by)
        loss, ideal = self.cost.loss[""].median[at], self.cost.unlimited.median[at]
        wasted = 100 * self.cost.wasted[""].median[at]
        said = (
            f"**{lead}:** in {100 * chance:.0f} % of {len(self.dates):,} draws demand reaches the effective stock of "
            f"{print_count(self.stock.value, 2)} tokens before {by:.0f}; median {median} "
            f"({between(low, high, self.level)})."
        )
        if answer == NONE:
            return said
        said += (
            f" **It is no cliff:** the best model of {self.cost.years[at]:.0f} ends at {loss:.3f} nats/token, where "
            f"endless text would give {ideal:.3f}, and repeats waste {wasted:.0f} % of its compute."
        )
        for lever, _, months, *_ in self.levers.head(1).filter(pl.col("months") > 0).iter_rows():
            said += f" What delays it most is {lever}: by {months:.0f} months."
        return said

    def _doubts(self) -> list[str]:
        named = [
            f"{row['input']} ({100 * row['share']:.0f} %)"
            for row in self.shares.head(3).iter_rows(named=True)
        ]
        doubts = [f"**What is not known.** The date varies most with {', '.join(named)}."] if named else []
        other = self.demands.filter(pl.col("demand") != self.inputs.demand)
        said = [
            f"{_year(row['median'], self.inputs.horizon)} with demand from {_DEMANDS[row['demand']]}"
            for row in other.iter_rows(named=True)
        ]
        if said:
            doubts.append(f"**Demand.** The median is {'; '.join(said)}.")
        moved = [f"{row['lever']} {row['months']:+.0f}" for row in self.levers.iter_rows(named=True)]
        if moved:
            doubts.append(f"**Levers, months.** {'; '.join(moved)}.")
        beyond = "with its constants as given"
        if self.fitted_to is not None:
            decades = math.log10(self.cost.compute.median[-1] / self.fitted_to)
            beyond = f"which is carried {decades:.0f} decades of compute beyond the largest run that it was fitted to"
        doubts.append(f"**The law.** What nearing the wall costs is that of `{self.cost.law}`, {beyond}.")
        return doubts

    def _runs(self) -> tuple[str, ...]:
        share = dict(zip(self.shares["input"], self.shares["share"], strict=True)).get("repeats", 0.0)
        if share < 0.01:
            return ()
        return (
            "models on a fixed text, repeated up to 64 times, to fit what a repeat is worth, which carries "
            f"{100 * share:.0f} % of the variance",
        )

    def describe(self, by: float) -> str:
        """The verdict for that year and every table, as text."""
        tables = (f"{title}\n{show.table(*cells)}" for title, cells in self._tables())
        return "\n\n".join([str(self.verdict(by)), *tables, self._footer()])

    def __str__(self) -> str:
        return self.describe(self._round_year())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        tables = "".join(show.html_table(*cells, title) for title, cells in self._tables())
        return f"{tables}<div>{show.escape(self._footer())}</div>"

    def _round_year(self) -> float:
        """2030, or the first decade that ends after the start."""
        return min(max(2030.0, 10.0 * math.ceil((self.inputs.start + 1) / 10)), self.inputs.horizon - 1)

    def _footer(self) -> str:
        again = ", ".join(f"{count} of {name}" for name, count in self.redrawn.items()) or "none"
        return (
            f"{self.inputs.name}, {len(self.dates):,} draws, seed {self.seed}; drawn again: {again}; "
            f"no wall before {self.inputs.horizon:.0f} in {100 * self.later:.2g} % of the draws"
        )

    def _tables(self) -> list[tuple[str, tuple[list[str], list[list[str]]]]]:
        """Title, header and cells of each."""
        within = f"{100 * self.level:.3g} %"

        def year(number: float) -> str:
            return _year(number, self.inputs.horizon)

        before = self.before.filter((pl.col("probability") > 0.005) & (pl.col("probability") < 0.995))
        shares = self.shares.filter(pl.col("share") >= 0.005)
        probabilities = [[f"{when:.0f}", f"{chance:.2f}"] for when, chance in before.iter_rows()]
        varying = [[name, f"{share:.2f}", f"{rho:+.2f}"] for name, share, rho in shares.iter_rows()]
        months = [
            [name, f"{middle:+.1f}", f"[{low:+.1f}, {high:+.1f}]", year(median)]
            for name, _, middle, low, high, median, _ in self.levers.iter_rows()
        ]
        demands = [
            [name, year(median), f"[{year(low)}, {year(high)}]"]
            for name, median, low, high, _ in self.demands.iter_rows()
        ]
        loss, ideal, wasted = self.cost.loss[""].median, self.cost.unlimited.median, self.cost.wasted[""]
        costs = [
            [
                f"{when:.0f}", f"{loss[i]:.3f}", f"{ideal[i]:.3f}", f"{100 * wasted.median[i]:.1f} %",
                f"[{100 * wasted.low[i]:.1f}, {100 * wasted.high[i]:.1f}]",
            ]
            for i, when in enumerate(self.cost.years)
        ]  # fmt: skip
        cost_header = ["year", "loss", "with endless text", "compute wasted", within]
        return [
            ("wall before", (["year", "probability"], probabilities)),
            ("where its variance is from", (["input", "share", "rank correlation"], varying)),
            (
                "months that each lever buys, in the same draw",
                (["lever", "months", within, "median date"], months),
            ),
            ("by demand", (["demand", "median date", within], demands)),
            (f"what nearing it costs, by {self.cost.law}", (cost_header, costs)),
        ]


_DEMANDS: dict[str, str] = {
    "historical": "the trend of training sets",
    "compute-optimal": "compute at the given tokens per parameter",
    "law": "compute as the law splits it",
    "either": "the trend or the compute, half the draws each",
}


def wall(
    inputs: Inputs | str | Path,
    *,
    draws: int = 200_000,
    seed: int = 0,
    law: Fit | Callable[..., Any] | None = None,
    level: float = 0.8,
) -> Wall:
    """When demand for text reaches its effective stock, by Monte Carlo over the inputs.

        stock(t)  = (pages · bytes_per_page / bytes_per_token · quality · deduplication · synthetic + multimodal)
                    · efficiency · repeats · (pages_growth · page_size_growth)^(t - start)
        demand(t) = dataset · √overtraining · dataset_growth^(t - start)                      "historical"
                  = √(tokens_per_parameter · overtraining · C(t) / 6)                         "compute-optimal"
                  = D_opt(C(t)) · √overtraining, minimising the law's loss with 6 N D = C(t)  "law"
        C(t)      = compute · compute_growth^(t - start)
        repeats   = 1 + R* (1 - exp(-(epochs - 1) / R*)) where it is given as R*, else a factor, at most epochs

    The wall is where they meet; D_opt is taken as the power law of C that it is for every law whose terms are powers.
    A draw in which demand grows no faster than the stock has no wall, unless it is behind us. Shares of variance are
    β ρ, the coefficient of the input's rank in a linear regression of the date's rank times their correlation: ρ²
    for independent inputs, together R² and so at most 1; the rest is interaction. A lever replaces one input in the
    same draws; months count dates after the horizon as the horizon.

    Args:
        inputs: `Inputs`, or the name or path that `read_inputs` takes.
        draws: of the Monte Carlo; loss against year takes 500 of them, evenly spaced in date: its medians of
            the waste scatter by a point between seeds.
        seed: of all random numbers.
        law: a fit, or a law with its parameters set, that says what repeats cost and, for demand = "law", how compute
            is split; by default that of Muennighoff et al. 2023. Bootstrap draws of a fit enter as draws.
        level: of the intervals.

    Raises:
        BadOption: fewer than 100 draws, or a level outside (0, 1).
        ScenarioError: what `read_inputs` raises.
        NotALaw: the law does not read N and D, or a parameter has no value.

    Source:
        The model of stock and demand: Villalobos et al. 2024, arXiv:2211.04325v2, section 2.
        R*: Muennighoff et al. 2023, arXiv:2305.16264, equation 5.
        Shares: Pratt 1987, for standardised rank regression as in Saltelli & Sobol' 1995.
    """
    if draws < 100:
        raise BadOption("draws", draws, "100 or more, e.g. 200_000")
    if not 0 < level < 1:
        raise BadOption("level", level, "between 0 and 1, e.g. 0.8")
    given = inputs if isinstance(inputs, Inputs) else read_inputs(inputs)
    world = World.of(given, draws, seed, MUENNIGHOFF_2023 if law is None else law)
    paths = world.paths()
    dates = paths.dates(given.start, given.horizon)
    pulled = {name: world.pull(lever).paths() for name, lever in given.levers.items()}
    after = {name: p.dates(given.start, given.horizon) for name, p in pulled.items()}
    return Wall(
        inputs=given,
        dates=dates,
        stock=_estimate(np.exp(paths.stock), level),
        distinct=_estimate(np.exp(paths.text.distinct), level),
        before=_before(dates, given),
        density=_density(dates, given),
        shares=rank_shares(dates, {name: world.values[name] for name in given.inputs} | world.of_law()),
        levers=_levers(dates, after, given, level),
        demands=_demands(world, level),
        cost=_cost(world, paths, pulled, level),
        fitted_to=_fitted_to(law),
        sample=_sample(world, paths),
        law=partial(law.law, **law.params) if isinstance(law, Fit) else world.law,
        redrawn=world.redrawn,
        level=level,
        seed=seed,
    )


def _sample(world: World, paths: Paths) -> pl.DataFrame:
    columns = {
        "text": np.exp(paths.text.distinct), "text_growth": np.exp(paths.text.growth), "repeats": paths.text.repeats,
        "demand": np.exp(paths.demand), "demand_growth": np.exp(paths.demand_growth),
        "compute": world.values["compute"], "compute_growth": world.values["compute_growth"],
    }  # fmt: skip
    return pl.DataFrame({n: np.broadcast_to(v, world.draws)[:_SAMPLE] for n, v in columns.items()})


def _fitted_to(law: Fit | Callable[..., Any] | None) -> float | None:
    if isinstance(law, Fit):
        return FLOPS_PER_PARAMETER_TOKEN * law.ranges["N"][1] * law.ranges["D"][1]
    return _MUENNIGHOFF_RUN if law is None else None


def _tails(level: float) -> list[float]:
    return [(1 - level) / 2, (1 + level) / 2]


def _estimate(values: NDArray, level: float) -> Estimate:
    low, high = np.quantile(values, _tails(level))
    return Estimate(float(np.median(values)), float(low), float(high), level, "tokens")


def _year(year: float, horizon: float) -> str:
    return f"{year:.1f}" if year < horizon else f"after {horizon:.0f}"


def _before(dates: NDArray, inputs: Inputs) -> pl.DataFrame:
    years = np.arange(math.floor(inputs.start), inputs.horizon + 1)
    reached = np.searchsorted(np.sort(dates), years, side="left") / len(dates)
    return pl.DataFrame({"year": years, "probability": reached})


def _density(dates: NDArray, inputs: Inputs) -> pl.DataFrame:
    low, high = np.quantile(dates, [0.001, 0.995], method="inverted_cdf")
    first = math.floor(min(low, inputs.start))
    edges = np.arange(first, math.ceil(min(high, inputs.horizon)) + 0.26, 0.25)
    counted, _ = np.histogram(dates, edges)
    return pl.DataFrame({"year": (edges[:-1] + edges[1:]) / 2, "density": counted / len(dates) / 0.25})


def _levers(dates: NDArray, after: dict[str, NDArray], inputs: Inputs, level: float) -> pl.DataFrame:
    rows = []
    for name, moved in after.items():
        months = 12 * (np.minimum(moved, inputs.horizon) - np.minimum(dates, inputs.horizon))
        low, high = map(float, np.quantile(months, _tails(level)))
        lever, middle = inputs.levers[name], float(np.median(months))
        rows.append((name, lever.input, middle, low, high, float(np.median(moved)), lever.instead.source))
    schema: dict[str, type[pl.DataType]] = {
        "lever": pl.String, "input": pl.String, "months": pl.Float64, "low": pl.Float64, "high": pl.Float64,
        "median_date": pl.Float64, "source": pl.String,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row").sort("months", descending=True)


def _demands(world: World, level: float) -> pl.DataFrame:
    """The date under each reading of the demand for which there are numbers."""
    inputs, rows = world.inputs, []
    for demand, needed in NEEDED.items():
        if needed <= set(inputs.inputs):
            dates = world.paths(demand).dates(inputs.start, inputs.horizon)
            low, high = map(float, np.quantile(dates, _tails(level), method="inverted_cdf"))
            rows.append((demand, float(np.median(dates)), low, high, float(np.isinf(dates).mean())))
    return pl.DataFrame(rows, schema=["demand", "median", "low", "high", "later"], orient="row")


def _cost(world: World, paths: Paths, pulled: dict[str, Paths], level: float) -> Cost:
    """Loss and waste in a few draws, evenly spaced in the order of their dates; only levers that change the text.

    The dates are those of the demand that the law and the compute make, which the waste follows.
    """
    inputs = world.inputs
    dates = world.paths("law").dates(inputs.start, inputs.horizon)
    count = min(_COST_DRAWS, world.draws)
    few = np.argsort(dates, kind="stable")[((np.arange(count) + 0.5) * world.draws / count).astype(int)]
    years = np.arange(inputs.start, min(inputs.start + _COST_YEARS, inputs.horizon) + 1e-9)
    compute, growth = (
        np.broadcast_to(world.values[name], world.draws)[few] for name in ("compute", "compute_growth")
    )
    texts = {"": paths.text.of(few)} | {name: p.text.of(few) for name, p in pulled.items()}
    texts = {name: t for name, t in texts.items() if not name or not t.same(texts[""])}
    parameters = {name: drawn[world.picked[few]] for name, drawn in world.parameters.items()}
    spent = compute[:, None] * growth[:, None] ** (years - inputs.start)
    return cost(world.law, parameters, years, spent, texts, level=level)
