"""When does demand for text reach its stock, what moves that date, and what does nearing it cost?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from scaling import show
from scaling.arguments import checked, number, whole
from scaling.errors import BadOption
from scaling.fitting import Fit
from scaling.questions._wall import words
from scaling.questions._wall.forecast import Forecast, forecast
from scaling.questions._wall.inputs import Inputs
from scaling.questions._wall.scenario import read_inputs
from scaling.questions._wall.words import AFTER, BEFORE, CANNOT_SAY, NONE
from scaling.verdict import DECADE, Estimate, Verdict, check_level

QUESTION = "When is the data wall?"

LIKELY = 0.66
"""Probability from which something is called likely: Mastrandrea et al. 2010, the IPCC's note on uncertainties."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Wall(Forecast, Verdict):
    """When demand for text reaches its stock, and whether that is before a year."""

    by: float
    """The year that is asked about."""

    def verdict(self, by: float = 2030.0) -> Wall:
        """The same forecast, asked about another year.

        Raises:
            BadOption: a year that is not between start and horizon.
        """
        return replace(self, by=by, **_said(self, by))

    def describe(self, by: float) -> str:
        """The verdict for that year and every table, as text."""
        return str(self.verdict(by))

    @property
    def details(self) -> tuple[show.Table | str, ...]:
        """Probabilities, what they vary with, what interventions gain, and what nearing the wall costs."""
        within, horizon = f"{100 * self.level:.3g} %", self.inputs.horizon

        def table(caption: str, header: str, rows: list[list[str]]) -> show.Table:
            return show.Table([within if h == "within" else h for h in header.split(", ")], rows, caption)

        def year(date: float) -> str:
            return words.year(date, horizon)

        before = self.before.filter((pl.col("probability") > 0.005) & (pl.col("probability") < 0.995))
        shares = self.shares.filter(pl.col("share") >= 0.005)
        loss, ideal, wasted = self.cost.loss[""].median, self.cost.unlimited.median, self.cost.wasted[""]
        return (
            table(
                "wall before", "year, probability", [[f"{y:.0f}", f"{p:.2f}"] for y, p in before.iter_rows()]
            ),
            table(
                "where its variance is from", "input, share, rank correlation",
                [[name, f"{share:.2f}", f"{rho:+.2f}"] for name, share, rho in shares.iter_rows()],
            ),
            table(
                "months that each intervention gains, in the same draw", "intervention, months, within, median date",
                [
                    [name, f"{middle:+.1f}", f"[{low:+.1f}, {high:+.1f}]", year(median)]
                    for name, _, middle, low, high, median, _ in self.interventions.iter_rows()
                ],
            ),
            table(
                "by demand", "demand, median date, within",
                [
                    [name, year(median), f"[{year(low)}, {year(high)}]"]
                    for name, median, low, high, _ in self.demands.iter_rows()
                ],
            ),
            table(
                f"what nearing it costs, by {self.cost.law}",
                "year, loss, with unlimited text, compute wasted, within",
                [
                    [
                        f"{when:.0f}", f"{loss[i]:.3f}", f"{ideal[i]:.3f}", f"{100 * wasted.median[i]:.1f} %",
                        f"[{100 * wasted.low[i]:.1f}, {100 * wasted.high[i]:.1f}]",
                    ]
                    for i, when in enumerate(self.cost.years)
                ],
            ),
            words.footer(self, self.seed),
        )  # fmt: skip


@checked
def wall(
    inputs: Inputs | str | Path,
    *,
    draws: int = 200_000,
    seed: int = 0,
    law: Fit | Callable[..., Any] | None = None,
    level: float = 0.8,
    by: float | None = None,
) -> Wall:
    """When demand for text reaches its effective stock, by Monte Carlo over the inputs.

    The answer is "a wall before then is likely" from a probability of 0.66, "the wall comes later" up to 0.34; "no wall
    in sight" where at least 0.66 of the draws have none before the horizon, else "cannot say from these inputs".

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
    for independent inputs, together R² and so at most 1; the rest is interaction. An intervention replaces one input
    in the same draws; months count dates after the horizon as the horizon.

    Args:
        inputs: `Inputs`, or the name or path that `read_inputs` takes.
        draws: of the Monte Carlo; loss against year takes 500 of them, evenly spaced in date: its medians of
            the waste scatter by a point between seeds.
        seed: of all random numbers.
        law: a fit, or a law with its parameters set, that says what repeats cost and, for demand = "law", how compute
            is split; by default that of Muennighoff et al. 2023. Bootstrap draws of a fit enter as draws.
        level: of the intervals.
        by: the year before which a wall is asked for; by default 2030, or the first decade that ends after the start.

    Raises:
        BadOption: fewer than 100 draws, a level outside (0, 1), or a year that is not between start and horizon.
        ScenarioError: what `read_inputs` raises.
        NotALaw: the law does not read N and D, or a parameter has no value.

    Source:
        The model of stock and demand: Villalobos et al. 2024, arXiv:2211.04325v2, section 2.
        R*: Muennighoff et al. 2023, arXiv:2305.16264, equation 5.
        Shares: Pratt 1987, for standardised rank regression as in Saltelli & Sobol' 1995.
    """
    whole("draws", draws, "100 or more, e.g. 200_000", least=100)
    check_level(level)
    given = inputs if isinstance(inputs, Inputs) else read_inputs(inputs)
    if by is None:  # 2030, or the first decade that ends after the start
        by = min(max(2030.0, 10.0 * math.ceil((given.start + 1) / 10)), given.horizon - 1)
    _check_year(given, by)
    made = forecast(given, draws, seed, law, level)
    tables = ("before", "density", "shares", "interventions", "demands")
    return Wall(
        **vars(made),
        **_said(made, by),
        by=by,
        question=QUESTION,
        topic="wall",
        answers=(BEFORE, AFTER, NONE, CANNOT_SAY),
        evidence={name: getattr(made, name) for name in tables}
        | {"cost": made.cost.table, "draws": made.sample},
        data_hash=given.hash,
        seed=seed,
    )


def _check_year(inputs: Inputs, by: float) -> None:
    wanted = f"a year from {inputs.start:g} to {inputs.horizon:g}"
    if not inputs.start < number("by", by, wanted) < inputs.horizon:
        raise BadOption("by", by, wanted)


def _said(made: Forecast, by: float) -> dict[str, Any]:
    """The fields of a verdict that depend on the year which is asked about."""
    _check_year(made.inputs, by)
    answer, numbers = _answer(made, by), _numbers(made, by)
    return {
        "answer": answer,
        "sentence": words.sentence(made, answer, by, numbers),
        "numbers": numbers,
        "would_change": words.doubts(made),
        "next_runs": words.next_runs(made.shares),
        "next_flops": DECADE * made.fitted_to if made.fitted_to and words.by_repeats(made.shares) else None,
        "identifiable": answer != CANNOT_SAY,
    }


def _answer(made: Forecast, by: float) -> str:
    if made.later >= LIKELY:
        return NONE
    chance = made.probability(by)
    return BEFORE if chance >= LIKELY else AFTER if chance <= 1 - LIKELY else CANNOT_SAY


def _numbers(made: Forecast, by: float) -> dict[str, Estimate]:
    cost, at = made.cost, made.cost.at(by)
    year = f"{cost.years[at]:.0f}"
    low, high, median = (min(date, made.inputs.horizon) for date in (*made.interval, made.median))

    def there(number: show.Interval, unit: str, times: float = 1.0) -> Estimate:
        middle, low, high = (times * float(end[at]) for end in (number.median, number.low, number.high))
        return Estimate(middle, low, high, made.level, unit)

    return {
        "date of the wall": Estimate(median, low, high, made.level, "as a year"),
        "effective stock": made.stock,
        "distinct text in it": made.distinct,
        f"loss of the best model of {year}": there(cost.loss[""], "nats/token"),
        "the same with unlimited text": there(cost.unlimited, "nats/token"),
        f"compute wasted in {year}": there(cost.wasted[""], "%", 100),
    }
