"""Every defensible way to fit the same runs, each one row: what was chosen, and what came out.

The choices are crossed. Those that only reweigh the runs (what is left out, the window, the weighting) are solved in
one batch, about a millisecond for each specification of a few hundred runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.errors import FitError, require_columns
from scaling.fitting import fit, isoflop
from scaling.fitting.batch import fit_batch
from scaling.fitting.contest import distinct_names
from scaling.fitting.data import BadPredictor, Table, as_frame, compute
from scaling.fitting.options import Options
from scaling.laws import chinchilla, compute_only, kaplan, power_mean
from scaling.laws.base import Law, NotALaw, describe
from scaling.laws.optimal import FLOPS_PER_PARAMETER_TOKEN, TokenCost, optimum

Array = NDArray[np.float64]

CHOICES = ("form", "objective", "left_out", "N_counted", "C_counted", "window", "weighting")
"""Columns of the table that say what was chosen."""

OUTCOMES = ("a", "tokens_per_parameter", "loss_10x", "loss_100x")
"""Columns of the table that people go on to use."""

OBJECTIVES: dict[str, tuple[str, float | None]] = {
    "squares of log loss": ("squares_log", None),
    "Huber 0.1": ("huber_log", 1e-1),
    "Huber 0.01": ("huber_log", 1e-2),
    "Huber 0.001": ("huber_log", 1e-3),
    "Huber 0.0001": ("huber_log", 1e-4),
    "squares of loss": ("squares", None),
}
"""From the bluntest to the sharpest penalty, so that each starts from where the one before it ended."""

USUAL = {"objective": "Huber 0.001", "left_out": "none", "window": "all", "weighting": "runs"}
"""What `fit` does unless it is told otherwise."""

HIGHEST = 0.02
"""Share of the runs that goes where the highest losses are left out: 5 of 245, as Besiroglu et al. 2024 did."""

_OUTSIDE = 4.0  # robust standard deviations from which a miss is an outlier
_ROUNDING = 1e-6  # misses below which no run is an outlier
_WINDOW = 0.5  # decades of compute that a window leaves out at one end
_AS_GOOD = 1.5  # a form whose typical miss is more than this times the best form's does not count
_LOOSE = 0.1  # standard error of an exponent from which approach 2 says nothing
_COUNTED_APART = 0.01  # in ln C, from which two ways to count are two
_AT = np.array([-0.5, 0.5, 0.0, 1.0, 2.0])  # decades from the largest compute


@dataclass(frozen=True, eq=False)
class _Case:
    """Choices that reweigh the runs."""

    choices: dict[str, str]
    weights: Array
    """What each run counts, zero where it is left out, shape (rows,)."""


@dataclass(frozen=True, eq=False)
class Price:
    """A way to count compute."""

    C: Array
    """Of each run."""
    per_token: TokenCost


def multiverse(
    runs: Table,
    law: Callable[..., Any] = chinchilla,
    *,
    others: Sequence[Callable[..., Any]] = (power_mean, kaplan),
    seed: int = 0,
) -> pl.DataFrame:
    """One row for each way to fit the runs.

    Args:
        runs: columns N, D and loss; C, params_head, params_total and loss_stderr widen the choices.
        law: reads N and D.
        others: further forms, each of N and D; approach 2 (parabola, cubic) joins where the runs lie on at least three
            curves of equal compute.
        seed: of the starts.

    Returns:
        The columns `CHOICES`, then delta (null for squares); rows that were fitted; E, A, B, alpha, beta (null where
        the form has none); a, the local exponent of the best N in C; C, training FLOPs of the largest run as counted;
        tokens_per_parameter, best D / N there; loss_10x and loss_100x, nats/token at 10 and 100 times that with the
        best N and D; rms_percent; median_percent, the median absolute miss; converged (the best start did, and another
        agrees; for approach 2 also a standard error of a below 0.1); kept (converged, every number finite, and a median
        miss below 1.5 times that of the best form under the same other choices: rms would let outliers decide).

    Raises:
        MissingColumns: no N, D or loss.
        NotALaw: a form that reads other columns.
        FitError: as `fit`, for the law and all runs; BadPredictor also for a C that some run lacks.
    """
    frame = as_frame(runs)
    require_columns(("N", "D", "loss"), frame.columns, "An audit needs N, D and loss of each run.")
    laws = [describe(one) for one in (law, *(other for other in others if other is not law))]
    for one in laws:
        if set(one.column_names) != {"N", "D"}:
            read = ", ".join(one.column_names)
            raise NotALaw(one.name, f"it reads {read}, and an audit splits a budget between N and D alone")
    misses = fit(laws[0], frame, seed=seed, bootstrap=0).residuals
    rows: list[dict[str, Any]] = []
    for N_counted, size in _sizes(frame).items():
        table = frame.with_columns(N=size)
        for C_counted, price in prices(table).items():
            cases = _cases(table, price, misses, len(laws[0].parameters))
            counted = {"N_counted": N_counted, "C_counted": C_counted}
            for name, one in zip(distinct_names([one.name for one in laws]), laws, strict=True):
                rows += [{"form": name} | counted | row for row in _joint(one, table, cases, price, seed)]
            rows += [counted | row for row in _approach_2(table, cases, price)]
    return _table(rows)


def _sizes(frame: pl.DataFrame) -> dict[str, pl.Expr]:
    """The ways in which these runs can count parameters."""
    N, total = pl.col("N").cast(pl.Float64), pl.col("params_total")
    said = frame["n_convention"].drop_nulls().unique() if "n_convention" in frame.columns else []
    counted = {str(said[0]) if len(said) == 1 else "as given": N}
    known = {c for c in frame.columns if frame[c].null_count() == 0}
    if "params_total" in known and (frame["params_total"] > 1.01 * frame["N"]).any():
        if "params_head" in known:
            counted["with head"] = N + pl.col("params_head")
        counted["total"] = total.cast(pl.Float64)
    return counted


def prices(frame: pl.DataFrame) -> dict[str, Price]:
    """The ways in which these runs can count compute."""
    N, D = (frame[name].cast(pl.Float64).to_numpy() for name in ("N", "D"))
    plain, given = FLOPS_PER_PARAMETER_TOKEN * N * D, compute(frame)
    if given is None:  # there is a C, but not for every run
        C = frame["C"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        bad = ~(np.isfinite(C) & (C > 0))
        first = int(np.argmax(bad))
        raise BadPredictor("C", int(bad.sum()), first, float(C[first]), "finite and above zero")
    counted: dict[str, Price] = {}
    if np.median(np.abs(np.log(given[0] / plain))) > _COUNTED_APART:
        counted["as given"] = Price(given[0], TokenCost.of(N, D, given[0]))
    return counted | {"6ND": Price(plain, TokenCost())}


def _cases(frame: pl.DataFrame, price: Price, misses: Array, free: int) -> list[_Case]:
    """What is left out × window × weighting; combinations that leave too little to fit are not offered."""
    loss = frame["loss"].cast(pl.Float64).to_numpy()
    highest = round(HIGHEST * len(loss))
    rank = np.argsort(np.argsort(-loss, kind="stable"), kind="stable")
    apart = np.abs(misses - np.median(misses))
    far = apart > max(_OUTSIDE * 1.4826 * float(np.median(apart)), _ROUNDING)
    out = {"none": np.ones(len(loss), bool)}
    if highest:
        out[f"the {100 * HIGHEST:g} % highest losses"] = rank >= highest
    if far.any():
        out[f"misses beyond {_OUTSIDE:g} robust sd"] = ~far
    C, edge = np.log10(price.C), _WINDOW - 1e-9
    windows = {
        "all": np.ones(len(loss), bool),
        "without the smallest half decade": C.min() + edge < C,
        "without the largest half decade": C.max() - edge > C,
    }
    weigh: dict[str, Callable[[NDArray[np.bool_]], Array]] = {
        "runs": lambda used: used.astype(float),
        "budgets": lambda used: _each_budget(C, used),
    }
    if "loss_stderr" in frame.columns:
        stderr = frame["loss_stderr"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        if np.all(np.isfinite(stderr) & (stderr > 0)):
            weigh["1 / stderr²"] = lambda used: used * (loss / stderr) ** 2
    N, D = frame["N"].to_numpy(), frame["D"].to_numpy()
    cases = []
    for (left_out, kept), (window, inside), (weighting, weight) in product(
        out.items(), windows.items(), weigh.items()
    ):
        used = kept & inside
        if used.sum() < 2 * free or min(len(np.unique(N[used])), len(np.unique(D[used]))) < 3:
            continue
        weights = weight(used)
        choices = {"left_out": left_out, "window": window, "weighting": weighting}
        cases.append(_Case(choices, weights * used.sum() / weights.sum()))
    return cases


def _each_budget(log_C: Array, used: NDArray[np.bool_]) -> Array:
    """Weights with which every quarter decade of compute counts the same."""
    _, place, counts = np.unique(np.round(4 * log_C[used]), return_inverse=True, return_counts=True)
    weights = np.zeros(len(log_C))
    weights[used] = 1.0 / counts[place]
    return weights


def _joint(
    law: Law, frame: pl.DataFrame, cases: list[_Case], price: Price, seed: int
) -> list[dict[str, Any]]:
    """Rows of one form fitted to all runs at once, under every objective."""
    rows, choices = (
        [],
        pl.DataFrame([case.choices | {"rows": int((case.weights > 0).sum())} for case in cases]),
    )
    options = [Options(objective=kind, delta=delta or 1e-3, seed=seed) for kind, delta in OBJECTIVES.values()]
    batches = fit_batch(law, frame, np.stack([case.weights for case in cases]), options)
    for (objective, (_, delta)), batch in zip(OBJECTIVES.items(), batches, strict=True):
        columns = {name: v for name, v in batch.params.items() if name in ("E", "A", "B", "alpha", "beta")}
        columns |= outcomes(law, batch.params, price) | {"rms_percent": batch.rms_percent}
        columns |= {"median_percent": batch.median_percent, "converged": batch.converged}
        each = choices.with_columns(pl.Series(name, values) for name, values in columns.items()).to_dicts()
        rows += [{"objective": objective, "delta": delta} | row for row in each]
    return rows


def outcomes(law: Law, parameters: dict[str, Any], price: Price) -> dict[str, Array]:
    """What fitted laws say at and beyond the largest compute, from parameters and to numbers of shape (fits,)."""
    largest = float(price.C.max())
    budget = largest * 10.0**_AT
    priced = price.per_token.priced(law) if price.per_token.k else law
    with np.errstate(all="ignore"):
        best = optimum(priced, budget, **parameters)
        D = budget / price.per_token(best.N)
        a = np.log(best.N[:, 1] / best.N[:, 0]) / (math.log(10.0) * (_AT[1] - _AT[0]))
    return {
        "a": a,
        "C": np.full(len(a), largest),
        "tokens_per_parameter": D[:, 2] / best.N[:, 2],
        "loss_10x": best.loss[:, 3],
        "loss_100x": best.loss[:, 4],
    }


def _approach_2(frame: pl.DataFrame, cases: list[_Case], price: Price) -> list[dict[str, Any]]:
    """Rows from the vertices of curves of equal compute, where the runs lie on such curves."""
    table = frame.select("N", "D", "loss", C=pl.Series(price.C))
    largest, rows = float(price.C.max()), []
    for case, form in product(cases, ("parabola", "cubic")):
        if case.choices["weighting"] != USUAL["weighting"]:
            continue
        try:
            fitted = isoflop(table.filter(case.weights > 0), form=form)
            floor = fit(compute_only, fitted.table, objective="squares_log", bootstrap=0)
        except FitError:  # no curve, or too few of them for the law of the minima
            continue
        N = fitted.coefficient * largest**fitted.exponent
        ahead = floor.predict(C=largest * np.array([10.0, 100.0])).median
        rows.append(
            {"form": f"isoFLOP {form}", "objective": "squares of log loss", "delta": None} | case.choices
            | {"rows": int(fitted.table["points"].sum()), "E": floor.params["E"], "a": fitted.exponent, "C": largest}
            | {"tokens_per_parameter": largest / price.per_token(N) / N}
            | {"loss_10x": float(ahead[0]), "loss_100x": float(ahead[1])}
            | {"rms_percent": floor.rms_percent, "median_percent": 100.0 * float(np.median(np.abs(floor.residuals)))}
            | {"converged": floor.starts.agree > 1 and fitted.stderr < _LOOSE}
        )  # fmt: skip
    return rows


def _table(rows: list[dict[str, Any]]) -> pl.DataFrame:
    numbers = ("E", "A", "B", "alpha", "beta", "a", "C", "tokens_per_parameter", "loss_10x", "loss_100x")
    schema: dict[str, Any] = dict.fromkeys(CHOICES, pl.String) | {"delta": pl.Float64, "rows": pl.Int64}
    schema |= dict.fromkeys((*numbers, "rms_percent", "median_percent"), pl.Float64)
    schema["converged"] = pl.Boolean
    table = pl.DataFrame(rows, schema=schema)
    joint = ~pl.col("form").str.starts_with("isoFLOP")
    same = [name for name in CHOICES if name != "form"]
    least = pl.col("median_percent").filter(joint).min().over(same)
    finite = pl.all_horizontal(pl.col(name).is_finite() for name in OUTCOMES)
    good = ~joint | (pl.col("median_percent") <= _AS_GOOD * least)
    return table.with_columns(kept=pl.col("converged") & finite & good)
