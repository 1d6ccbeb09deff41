"""The trend of record capability, straight and with a break, and how much the records tell between them."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.errors import BadOption, MissingColumns, QuestionError


class TooFewRecords(QuestionError):
    """Too few records for a trend with a break."""

    found: int
    needed: int

    def __str__(self) -> str:
        return (
            f"asked for the trend of {self.found} records, but a line and a broken line need {self.needed}. "
            "Take scores over a longer time."
        )


Array = NDArray[np.float64]

_DAYS = 365.25
_SIDE = 3  # records on either side of a break
_FEWEST = 2 * _SIDE
_CANDIDATES = 60


@dataclass(frozen=True, eq=False)
class Trend:
    """Records over time by two curves: one line, and two that meet."""

    table: pl.DataFrame
    """trend ("straight", "broken"), slope, low, high (per year), after, after_low, after_high (of the second line),
    broken_at (date), residual_std, bic; intervals over residual bootstrap draws."""
    records: int
    level: float

    @property
    def bic_gain(self) -> float:
        """BIC of the straight trend minus that of the broken one; above 6 the break is strongly supported."""
        straight, broken = self.table["bic"]
        return float(straight - broken)

    def __str__(self) -> str:
        one, two = self.table.iter_rows(named=True)
        within = f"{100 * self.level:.3g} %"
        return (
            f"{self.records} records rise by {one['slope']:.2f} a year, {within} [{one['low']:.2f}, "
            f"{one['high']:.2f}]; with a break at {two['broken_at']}, by {two['slope']:.2f} [{two['low']:.2f}, "
            f"{two['high']:.2f}] before and {two['after']:.2f} [{two['after_low']:.2f}, {two['after_high']:.2f}] after "
            f"it. The break {'lowers' if self.bic_gain > 0 else 'raises'} the BIC by {abs(self.bic_gain):.1f}."
        )

    __repr__ = __str__


def trend(records: pl.DataFrame, *, level: float = 0.8, draws: int = 400, seed: int = 0) -> Trend:
    """Rise of the record per year, with and without a break.

        straight   c(t) = c0 + s t
        broken     c(t) = c0 + s t + (s' - s) max(0, t - b)

    by least squares over the records, b on a grid with three records or more on either side. BIC = n ln(RSS/n) + k ln n
    with k = 3 and 5 (the scatter counted). The intervals refit, break included, to resampled residuals; records are
    maxima and depend on each other, so they are narrower than the truth.

    Args:
        records: columns release_date and capability: `Index.records`.
        level: of the intervals.
        draws: refits.
        seed: of the draws.

    Raises:
        MissingColumns: a column is not there.
        TooFewRecords: fewer than six.
        BadOption: a level outside (0, 1), or no draws.
    """
    if missing := [c for c in ("release_date", "capability") if c not in records.columns]:
        raise MissingColumns(missing, records.columns, "Index.records has them.")
    if len(records) < _FEWEST:
        raise TooFewRecords(len(records), _FEWEST)
    if not 0 < level < 1:
        raise BadOption("level", level, "between 0 and 1, e.g. 0.8")
    if draws < 1:
        raise BadOption("draws", draws, "one or more")
    kept = records.sort("release_date")
    first = kept["release_date"][0]
    t = np.array([(date - first).days / _DAYS for date in kept["release_date"]])
    c = kept["capability"].to_numpy().astype(float)
    breaks = np.linspace(t[_SIDE - 1], t[-_SIDE], _CANDIDATES)
    rng = np.random.default_rng(seed)
    tails = [0.5 - level / 2, 0.5 + level / 2]
    rows = []
    for name, knots in (("straight", None), ("broken", breaks)):
        (found,), (fitted,), (at,) = _least_squares(t, c[None], knots)
        miss = c - fitted
        free = 2 if knots is None else 4
        spare = len(c) - free
        noise = rng.choice(miss * np.sqrt(len(c) / spare), (draws, len(c)))
        again, _, _ = _least_squares(t, fitted + noise, knots)
        before, after = again[:, 1], again[:, 1:].sum(1)
        ends = [*map(float, np.quantile(before, tails)), *map(float, np.quantile(after, tails))]
        rss = float(miss @ miss)
        bic = len(c) * np.log(rss / len(c)) + (free + 1) * np.log(len(c))
        date = None if knots is None else first + datetime.timedelta(days=round(at * _DAYS))
        rows.append(
            {
                "trend": name, "slope": float(found[1]), "low": ends[0], "high": ends[1],
                "after": float(found[1:].sum()), "after_low": ends[2], "after_high": ends[3], "broken_at": date,
                "residual_std": float(np.sqrt(rss / spare)), "bic": float(bic),
            }
        )  # fmt: skip
    return Trend(pl.DataFrame(rows, schema_overrides={"broken_at": pl.Date}), len(c), level)


def _least_squares(t: Array, curves: Array, knots: Array | None) -> tuple[Array, Array, Array]:
    """Coefficients, fitted values and place of the break of each curve, shape (curves, …); the best of the knots."""
    line = np.stack([np.ones_like(t), t], axis=1)
    designs = [line] if knots is None else [np.column_stack([line, np.maximum(0, t - b)]) for b in knots]
    solved = [np.linalg.lstsq(X, curves.T, rcond=None)[0] for X in designs]
    fitted = np.stack([(X @ beta).T for X, beta in zip(designs, solved, strict=True)])
    best = ((curves - fitted) ** 2).sum(2).argmin(0)
    each = np.arange(len(curves))
    places = np.zeros(len(curves)) if knots is None else knots[best]
    found: Array = np.stack(solved)[best, :, each].astype(float)
    return found, fitted[best, each], places
