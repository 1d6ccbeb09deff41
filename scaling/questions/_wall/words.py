"""What a forecast of the wall says, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import polars as pl

from scaling.questions._wall.forecast import Forecast
from scaling.verdict import Estimate, percent

BEFORE, AFTER, NONE, CANNOT_SAY = (
    "a wall before then is likely",
    "the wall comes later",
    "no wall in sight",
    "cannot say from these inputs",
)
"""What `wall` may answer."""

DEMANDS: dict[str, str] = {
    "historical": "the trend of training sets",
    "compute-optimal": "compute at the given tokens per parameter",
    "law": "compute as the law splits it",
    "either": "the trend or the compute, half the draws each",
}


def year(date: float, horizon: float) -> str:
    """A date: 2028.5, or "after 2100"."""
    return f"{date:.1f}" if date < horizon else f"after {horizon:.0f}"


def sentence(made: Forecast, answer: str, by: float, numbers: Mapping[str, Estimate]) -> str:
    """The answer for a year, how often demand reaches the stock, when, what it costs then and what delays it most."""
    horizon, draws = made.inputs.horizon, f"{len(made.dates):,} draws"
    lead = {
        BEFORE: f"A data wall before {by:.0f} is likely",
        AFTER: f"The data wall comes after {by:.0f}",
        NONE: f"No data wall is in sight before {horizon:.0f}",
        CANNOT_SAY: f"These inputs cannot say whether the data wall comes before {by:.0f}",
    }[answer]
    if answer == NONE:
        return f"**{lead}:** demand for text does not reach its stock by then in {100 * made.later:.0f} % of {draws}."
    when, _, _, loss, ideal, wasted = numbers.values()
    said = (
        f"**{lead}:** demand for text reaches its stock by then in {100 * made.probability(by):.0f} % of {draws}, at "
        f"the median in {when.said('', partial(year, horizon=horizon))}. **It is no cliff:** the best "
        f"model of {made.cost.years[made.cost.at(by)]:.0f} ends at {loss.said()} and with unlimited text at "
        f"{ideal.said('')}, while repetition wastes {wasted.said('% of its compute')}."
    )
    for row in made.interventions.head(1).iter_rows(named=True):
        if row["months"] > 0:
            months = Estimate.of_row(row, "months", made.level, "months")
            said += f" What delays it most is {row['intervention']}, by {months.said()}."
    return said


def doubts(made: Forecast) -> tuple[str, ...]:
    """What would change the answer."""
    horizon, said = made.inputs.horizon, []
    if len(made.shares):
        shares = made.shares.head(3).select("input", "share").iter_rows()
        named = ", ".join(f"{name} ({100 * share:.0f} %)" for name, share in shares)
        said.append(f"**What is not known.** The date varies most with {named}.")
    other = made.demands.filter(pl.col("demand") != made.inputs.demand).select("demand", "median").iter_rows()
    if dates := [f"{year(date, horizon)} with demand from {DEMANDS[name]}" for name, date in other]:
        said.append(f"**Demand.** The median is {'; '.join(dates)}.")
    gained = made.interventions.select("intervention", "months").iter_rows()
    if months := [f"{name} {gain:+.0f}" for name, gain in gained]:
        said.append(f"**Interventions, months gained.** {'; '.join(months)}.")
    beyond = "with its constants as given"
    if made.fitted_to is not None:
        decades = math.log10(made.cost.compute.median[-1] / made.fitted_to)
        beyond = (
            f"which is carried {decades:.0f} decades of compute beyond the largest run that it was fitted to"
        )
    return (*said, f"**The law.** What nearing the wall costs is that of `{made.cost.law}`, {beyond}.")


def by_repeats(shares: pl.DataFrame) -> float:
    """Share of the variance that the worth of repeats carries; 0 where it is below a hundredth."""
    share = float(shares.filter(input="repeats")["share"].sum())
    return share if share >= 0.01 else 0.0


def next_runs(shares: pl.DataFrame) -> tuple[str, ...]:
    """The runs that would tell most, where the worth of repeats has a share of the variance; else the widest input."""
    if not (share := by_repeats(shares)):
        most = shares.head(1).rows()
        return tuple(
            f"no training run, but a narrower {name}, {100 * part:.0f} % of the variance"
            for name, part, _ in most
        )
    return (
        "models on a fixed text, repeated up to 64 times, to fit what a repeat is worth, which carries "
        f"{100 * share:.0f} % of the variance",
    )


def footer(made: Forecast, seed: int) -> str:
    """What the forecast was drawn from."""
    rejected = ", ".join(f"{count} of {name}" for name, count in made.redrawn.items()) or "none"
    return (
        f"{made.inputs.name}, {len(made.dates):,} draws, seed {seed}; impossible draws replaced: {rejected}; "
        f"no wall before {made.inputs.horizon:.0f} in {percent(100 * made.later)} of the draws"
    )
