"""Predictions by several laws at once, weighted by how well each predicts runs that it did not see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from scaling import show
from scaling.arguments import checked, number
from scaling.errors import BadOption
from scaling.fitting.contest import Contest, expanding, largest_sizes
from scaling.fitting.data import Array, Table
from scaling.fitting.predictive import unseen
from scaling.fitting.result import Fit, Prediction
from scaling.fitting.rivals import shares_by_nearness
from scaling.laws.base import describe

_HALF = np.array([0.001, 0.005, 0.01, 0.025, 0.05, *np.arange(0.1, 0.5, 0.05), 0.5])
_QUANTILES = np.concatenate([_HALF, 1.0 - _HALF[-2::-1]])
"""Where the distribution of each law's prediction is read off."""
_EVEN = 0.3
"""Share of the weights that is even among the laws that come near the runs: how laws rank up to the last origin says
less about decades beyond. In 60 worlds made by rival laws (numbers 0 to 59 of benchmarks/comparison.py) 80 % intervals
for new runs at 10 and 100 times the compute held 68 and 70 % with stacked weights alone, and 78 and 82 with three
tenths shared evenly by all; a law that misses its own runs by 5 % would then widen what another knows to .3 %."""
_LEAST = 0.02
"""Share by nearness (`fitting.rivals`) below which a law has no part in that."""


@dataclass(frozen=True, eq=False, repr=False)
class AveragedPrediction(Prediction):
    """Losses that several laws expect together, and each for itself."""

    by_law: dict[str, Prediction] | None = None
    weights: dict[str, float] | None = None

    def shown(self) -> Iterator[str | show.Table]:
        yield from super().shown()
        if self.by_law and self.weights and np.size(self.median):
            rows = []
            for name, one in self.by_law.items():
                low, middle, high = (np.atleast_1d(a).ravel()[0] for a in (one.low, one.median, one.high))
                says = f"{show.rounded(middle, (high - low) / 2)}, {show.interval(low, high, one.level)}"
                rows.append([name, f"{self.weights[name]:.2f}", says])
            header = ["law", "weight", "alone" + " at the first point" * (np.size(self.median) > 1)]
            yield show.Table(header, rows)


@dataclass(frozen=True, eq=False, repr=False)
class Average(show.Shown):
    """Laws fitted to the same runs, and what each weighs in their common prediction."""

    weights: dict[str, float]
    """Of each law, summing to one."""
    fits: dict[str, Fit]
    """Each law fitted to all runs."""
    table: pl.DataFrame
    """One row per law, heaviest first: law, free (parameters), rms_percent (of the fit), weight."""
    words: str
    """What the weights rest on."""

    def predict(
        self, *, level: float = 0.8, new_run: bool = False, discrepancy: bool = True, **columns: ArrayLike
    ) -> AveragedPrediction:
        """Losses at columns of your choice, with an interval that holds the doubt about the form of the law.

            P(y ≤ v) = Σ_k w_k P_k(y ≤ v)

        where P_k is the distribution that `Fit.predict` of law k gives, its own model discrepancy included. Where laws
        disagree the interval is as wide as they are apart.

        Args:
            level: share of the two-sided interval, at most 0.998.
            new_run, discrepancy: as for `Fit.predict`.
            **columns: what the laws read, e.g. N=70e9, D=1.4e12; each takes those that it reads.

        Returns:
            Median, low and high in the broadcast shape of the columns; each law's own in `by_law`.

        Raises:
            MissingColumns: a column that a law reads was not given.
            BadOption: a level outside (0, 0.998], a name that no law reads, or values that it cannot be read at.
        """
        level = number("level", level, _LEVEL)
        if not 0.0 < level <= 1.0 - 2.0 * _HALF[0]:
            raise BadOption("level", level, _LEVEL)
        reads = {name: describe(fitted.law).column_names for name, fitted in self.fits.items()}
        for column in columns:
            if not any(column in names for names in reads.values()):
                known = ", ".join(dict.fromkeys(c for names in reads.values() for c in names))
                raise BadOption(column, columns[column], f"left out: the laws read {known}")
        how: dict[str, Any] = {"new_run": new_run, "discrepancy": discrepancy}
        shape = np.broadcast_shapes(*(np.shape(v) for v in columns.values()))
        read: dict[str, list[Array]] = {}
        alone: dict[str, Prediction] = {}
        for name, fitted in self.fits.items():
            given: dict[str, Any] = {c: columns[c] for c in reads[name] if c in columns}
            alone[name] = fitted.predict(level=level, **how, **given)
            read[name] = [np.broadcast_to(q, shape).ravel() for q in _quantiles(fitted, given, how)]
        ends = _mixed([np.stack(q) for q in read.values()], list(self.weights.values()), show.tails(level))
        low, median, high = (end.reshape(shape) for end in ends)
        beyond = any(one.discrepancy for one in alone.values())
        kind = "new run" if new_run else "mean"
        return AveragedPrediction(
            median, low, high, level, kind, beyond, by_law=alone, weights=dict(self.weights)
        )

    def shown(self) -> Iterator[str | show.Table]:
        rows = [
            [law, str(free), f"{rms:.3g}", f"{weight:.2f}"]
            for law, free, rms, weight in self.table.iter_rows()
        ]
        header = ["law", "free", "in sample, rms %", "weight"]
        yield show.Table(header, rows, f"{len(self.fits)} laws averaged; {self.words}")


_LEVEL = "between 0 and 0.998, e.g. 0.8"


@checked
def average(
    laws: Callable[..., Any] | Iterable[Callable[..., Any]],
    runs: Table,
    *,
    origins: int = 5,
    seed: int = 0,
    **options: Any,
) -> Average:
    """Several laws fitted to the same runs, to predict together.

    A single law's interval knows nothing of other forms. These are weighted by the log predictive density of runs that
    they did not see, fitted up to several origins in compute and without the largest sizes (`fitting.predictive`):

        max over w of  Σ_i ln Σ_k w_k p_k(y_i)

    averaged over Bayesian bootstrap draws of the clusters of runs, so that laws that chance set apart share the weight;
    three tenths of the weight are even among the laws that come near the runs (`fitting.rivals`), as no run was seen in
    the decades to come. Within an average no fit asks rival forms of its own.

    Args:
        laws: functions, as for `fit`.
        runs: as for `fit`.
        origins: of the expanding window, evenly spaced in log compute over the upper two thirds of its range.
        seed: of starts, bootstrap and weights.
        **options: passed on to `fit`.

    Returns:
        An `Average`; print it, and ask it to `predict`. Where no part of the runs determines every law the weights are
        equal, and it says so.

    Raises:
        MissingColumns: neither C nor N and D, along which origins are set.
        FitError: as `fit`, for the law and the runs it concerns.
        BadOption: as they say.

    Source:
        Yao et al. 2018, arXiv:1704.02030, equation 3 (stacking) and section 3.4 (its Bayesian bootstrap, there of
        pseudo-BMA weights).
    """
    contest = Contest.of(laws, runs, {"bootstrap": 1000, **options, "seed": seed})
    data = contest.data()
    folds = expanding(contest.frame, origins)[0] + largest_sizes(contest.frame)
    groups = contest.groups(data, options.get("cluster", "auto"))
    fits = {  # without rival forms, which are left to the average
        name: replace(fitted, discrepancy=fitted.discrepancy and replace(fitted.discrepancy, forms=()))
        for name, fitted in contest.fits().items()
    }
    scores = unseen(contest, fits, folds, groups)
    if scores is None:
        weights = dict.fromkeys(fits, 1.0 / len(fits))
        words = "equal weights, as no part of the runs determines every law"
    else:
        stacked = scores.weights(seed)
        near = np.array(shares_by_nearness([_nearness(fitted) for fitted in fits.values()])) >= _LEAST
        even = near / near.sum()
        weights = {
            name: float(_EVEN * e + (1 - _EVEN) * w)
            for e, (name, w) in zip(even, stacked.items(), strict=True)
        }
        words = f"weights by {scores.runs} runs predicted unseen in {scores.folds} parts"
    rows = [(name, len(one.free), one.rms_percent, weights[name]) for name, one in fits.items()]
    table = pl.DataFrame(rows, schema=["law", "free", "rms_percent", "weight"], orient="row")
    return Average(weights, fits, table.sort("weight", descending=True), words)


def _nearness(fitted: Fit) -> float:
    """Mean size of its misses, for the freedom that it has."""
    weights = fitted.residual_weights
    counted = int((weights > 0).sum())
    freedom = np.sqrt(counted / max(1, counted - len(fitted.free)))
    return max(float(np.average(np.abs(fitted.residuals), weights=weights) * freedom), 1e-12)


def _quantiles(fitted: Fit, given: dict[str, Any], how: dict[str, Any]) -> list[Array]:
    """Of a law's prediction at `_QUANTILES`, each in the shape of the columns."""
    lower, upper = [], []
    for p in _HALF[:-1]:
        ends = fitted.predict(level=1.0 - 2.0 * float(p), **how, **given)
        lower.append(ends.low)
        upper.append(ends.high)
    middle = fitted.predict(**how, **given).median
    return [*lower, middle, *upper[::-1]]


def _mixed(read: list[Array], weights: list[float], wanted: tuple[float, ...]) -> list[Array]:
    """Quantiles of a mixture, shape (points,) each, from those of its parts, each of shape (quantiles, points)."""
    out = np.empty((len(wanted), read[0].shape[1]))
    for i in range(out.shape[1]):
        values = np.unique(np.concatenate([q[:, i] for q in read]))
        share = sum(
            w * np.interp(values, q[:, i], _QUANTILES, 0.0, 1.0) for w, q in zip(weights, read, strict=True)
        )
        out[:, i] = np.interp(wanted, np.asarray(share), values)
    return list(out)
