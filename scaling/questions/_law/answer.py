"""Which law do these runs follow, and where would its rivals part?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from scaling import laws as _laws
from scaling.errors import BadOption
from scaling.fitting import Comparison, Fit, compare
from scaling.fitting.data import framed
from scaling.laws.optimal import FLOPS_PER_PARAMETER_TOKEN
from scaling.questions._law import words
from scaling.questions._law.words import CANNOT_TELL
from scaling.units import print_count
from scaling.verdict import Estimate, Reach, Verdict, check_level, flops_of

QUESTION = "Which law do these runs follow?"
RIVALS = (_laws.chinchilla, _laws.kaplan, _laws.power_mean)
_AHEAD = 10.0
"""Times the compute of the largest run, up to which a run is proposed."""
_STEPS = 9


@framed("runs")
def which_law(
    runs: pl.DataFrame,
    *,
    laws: Sequence[Callable[..., Any]] = RIVALS,
    level: float = 0.8,
    bootstrap: int = 400,
    seed: int = 0,
) -> Verdict:
    """The law that runs without repeats decide for, by `compare`, or that they cannot tell.

    Where they cannot tell, the proposed run is the one, up to ten times the compute of the largest and within a factor
    of ten of the sizes and budgets there are, at which the two laws that predict best differ most in the loss.

    Args:
        runs: one row per run, each text seen once; N, D and loss.
        laws: to choose from, two or more, of N and D.
        level: of the intervals of the parameters.
        bootstrap: refits of each law.
        seed: of starts, draws and simulated runs.

    Raises:
        NothingHeldOut: no runs are left to fit or to predict.
        FitError: as `fit`, for the law and the runs it concerns.
    """
    check_level(level)
    if len(laws) < 2:
        raise BadOption("laws", tuple(laws), "two laws or more, which the runs decide between")
    compared = compare(laws, runs, seed=seed, bootstrap=bootstrap)
    answer = compared.answer.name if compared.answer else CANNOT_TELL
    best = compared.best
    misses = {name: float(compared.row(name)["held_out_percent"]) for name in compared.ranking}
    places = _places(compared, runs)
    most = places.row(int(places["apart_percent"].arg_max() or 0), named=True)
    pair = compared.ranking[:2]
    return Verdict(
        question=QUESTION,
        topic="law",
        answers=(*(law.__name__ for law in laws), CANNOT_TELL),
        answer=answer,
        sentence=words.sentence(compared.sentence, misses),
        numbers=_numbers(best, misses[best.name], level),
        evidence={
            "laws": compared.table,
            "parameters": _parameters(compared, level),
            "misses": _misses(compared, runs),
            "places": places,
        },
        would_change=(
            words.apart(most, pair),
            words.further(compared.decades),
            words.form(compared.ranking),
        ),
        next_runs=(f"{print_count(most['N'])} parameters and {print_count(most['D'])} tokens",),
        next_flops=float(most["C"]),
        identifiable=answer != CANNOT_TELL,
        reach=Reach.of(runs),
        data_hash=best.data_hash,
        seed=seed,
    )


def _numbers(best: Fit, miss: float, level: float) -> dict[str, Estimate]:
    ends = best.intervals(level)
    numbers = {
        f"{name} of {best.name.replace('_', ' ')}": Estimate(best.params[name], *ends[name], level, "")
        for name in best.free
    }
    return numbers | {"miss of runs that it has not seen": Estimate(miss, np.nan, np.nan, level, "%")}


def _parameters(compared: Comparison, level: float) -> pl.DataFrame:
    """law, parameter, value, low, high; a row for each free parameter of each law."""
    rows = [
        (law, name, one.params[name], *one.intervals(level)[name])
        for law, one in compared.fits.items()
        for name in one.free
    ]
    return pl.DataFrame(rows, schema=["law", "parameter", "value", "low", "high"], orient="row")


def _misses(compared: Comparison, runs: pl.DataFrame) -> pl.DataFrame:
    """law, N, D, C, loss and miss_percent of every run."""
    known = runs.select("N", "D", "loss").with_columns(C=flops_of(runs))
    return pl.concat(
        known.with_columns(law=pl.lit(law), miss_percent=100 * (known["loss"] / _curve(one, known) - 1))
        for law, one in compared.fits.items()
    )


def _places(compared: Comparison, runs: pl.DataFrame) -> pl.DataFrame:
    """N, D, C, apart_percent (of the two laws that predict best) and noise_percent, of runs that could be made next."""
    N, D = (np.geomspace(x.min(), 10 * x.max(), _STEPS) for x in (runs["N"].to_numpy(), runs["D"].to_numpy()))
    grid = pl.DataFrame({"N": np.repeat(N, _STEPS), "D": np.tile(D, _STEPS)})
    grid = grid.with_columns(C=FLOPS_PER_PARAMETER_TOKEN * pl.col("N") * pl.col("D"))
    most = float((FLOPS_PER_PARAMETER_TOKEN * runs["N"] * runs["D"]).max())  # pyright: ignore[reportArgumentType]
    grid = grid.filter(pl.col("C") <= _AHEAD * most)
    one, other = (np.log(_curve(compared.fits[name], grid)) for name in compared.ranking[:2])
    return grid.with_columns(
        apart_percent=pl.Series(100 * np.abs(one - other)), noise_percent=pl.lit(compared.best.rms_percent)
    )


def _curve(fitted: Fit, frame: pl.DataFrame) -> np.ndarray:
    return np.asarray(fitted.law(frame["N"].to_numpy(), frame["D"].to_numpy(), **fitted.params))
