"""The trend of record capability, straight and with a break, and how much the records tell between them."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.errors import BadOption, QuestionError, require_columns
from scaling.fitting.data import framed
from scaling.intake.cells import as_dates
from scaling.questions._trend import words
from scaling.show import tails
from scaling.verdict import Estimate, Verdict, check_level, hash_of


class TooFewRecords(QuestionError):
    """Too few records for a trend with a break."""

    given: int
    needed: int

    def __str__(self) -> str:
        return (
            f"asked for the trend of {self.given} records, but a line and a broken line need {self.needed}. "
            "Take scores over a longer time."
        )


Array = NDArray[np.float64]

QUESTION = "Does the record of capability rise in one line, or does its slope change?"

_DAYS = 365.25
_SIDE = 3  # records on either side of a break
_FEWEST = 2 * _SIDE
_CANDIDATES = 60


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Trend(Verdict):
    """Records over time by two curves: one line, and two that meet."""

    level: float

    @property
    def table(self) -> pl.DataFrame:
        """trend ("straight", "broken"), slope, low, high (per year), after, after_low, after_high (of the second line),
        broken_at (date), residual_std, bic; intervals over residual bootstrap draws."""
        return self.evidence["trends"]

    @property
    def records(self) -> int:
        """How many there are."""
        return len(self.evidence["records"])

    @property
    def bic_gain(self) -> float:
        """BIC of the straight trend minus that of the broken one; above 6 the break is strongly supported."""
        straight, broken = self.table["bic"]
        return float(straight - broken)


@framed("records")
def trend(records: pl.DataFrame, *, level: float = 0.8, draws: int = 400, seed: int = 0) -> Trend:
    """Rise of the record per year, with and without a break.

        straight   c(t) = c0 + s t
        broken     c(t) = c0 + s t + (s' - s) max(0, t - b)

    by least squares over the records, b on a grid with three records or more on either side. BIC = n ln(RSS/n) + k ln n
    with k = 3 and 5 (the scatter counted). The intervals refit, break included, to resampled residuals; records are
    maxima and depend on each other, so they are narrower than the truth. The answer is "the slope changes" where the
    break lowers the BIC by 6 or more.

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
    require_columns(("release_date", "capability"), records.columns, "Index.records has them.")
    if len(records) < _FEWEST:
        raise TooFewRecords(len(records), _FEWEST)
    check_level(level)
    if draws < 1:
        raise BadOption("draws", draws, "one or more")
    kept = records.select(as_dates(records["release_date"]), "capability").sort("release_date")
    if undated := kept["release_date"].null_count():
        raise BadOption(
            "records", f"{undated} without a release date", "a date for each: leave the others out"
        )
    first = kept["release_date"][0]
    t = (kept["release_date"] - first).dt.total_days().to_numpy() / _DAYS
    rng = np.random.default_rng(seed)
    rows = []
    for name, knots in (("straight", None), ("broken", np.linspace(t[_SIDE - 1], t[-_SIDE], _CANDIDATES))):
        row, fitted = _row(t, kept["capability"].to_numpy().astype(float), knots, draws, level, rng)
        at = None if knots is None else first + datetime.timedelta(days=round(row["broken_at"] * _DAYS))
        rows.append({"trend": name, **row, "broken_at": at})
        kept = kept.with_columns(pl.Series(name, fitted))
    table = pl.DataFrame(rows, schema_overrides={"broken_at": pl.Date})
    one, two = table.iter_rows(named=True)
    gain = one["bic"] - two["bic"]
    slopes = {
        "rise of the record": Estimate.of_row(one, "slope", level, "logits a year"),
        "rise before the break": Estimate.of_row(two, "slope", level, "logits a year"),
        "rise after the break": Estimate.of_row(two, "after", level, "logits a year"),
    }
    answer = words.BREAK if gain >= words.STRONG else words.LINE
    return Trend(
        question=QUESTION,
        topic="trend",
        answers=(words.LINE, words.BREAK),
        answer=answer,
        sentence=words.sentence(answer, len(kept), slopes, two["broken_at"], gain),
        numbers=slopes,
        evidence={"trends": table, "records": kept},
        would_change=words.DOUBTS,
        data_hash=hash_of(kept),
        seed=seed,
        level=level,
    )


def _row(
    t: Array, c: Array, knots: Array | None, draws: int, level: float, rng: np.random.Generator
) -> tuple[dict[str, float], Array]:
    """Slopes of one trend with their intervals, where it breaks (years), its scatter and BIC; and its fitted values."""
    (coefficients,), (fitted,), (at,) = _least_squares(t, c[None], knots)
    miss, free = c - fitted, 2 if knots is None else 4
    spare = len(c) - free
    noise = rng.choice(miss * np.sqrt(len(c) / spare), (draws, len(c)))
    again, _, _ = _least_squares(t, fitted + noise, knots)
    before, after = (np.quantile(s, tails(level)[::2]) for s in (again[:, 1], again[:, 1:].sum(1)))
    rss = float(miss @ miss)
    bic = len(c) * np.log(rss / len(c)) + (free + 1) * np.log(len(c))
    row = {
        "slope": coefficients[1], "low": before[0], "high": before[1],
        "after": coefficients[1:].sum(), "after_low": after[0], "after_high": after[1], "broken_at": at,
        "residual_std": np.sqrt(rss / spare), "bic": bic,
    }  # fmt: skip
    return {name: float(value) for name, value in row.items()}, fitted


def _least_squares(t: Array, curves: Array, knots: Array | None) -> tuple[Array, Array, Array]:
    """Coefficients, fitted values and place of the break of each curve, shape (curves, …); the best of the knots."""
    line = np.stack([np.ones_like(t), t], axis=1)
    designs = [line] if knots is None else [np.column_stack([line, np.maximum(0, t - b)]) for b in knots]
    solved = [np.linalg.lstsq(X, curves.T, rcond=None)[0] for X in designs]
    fitted = np.stack([(X @ beta).T for X, beta in zip(designs, solved, strict=True)])
    best = ((curves - fitted) ** 2).sum(2).argmin(0)
    each = np.arange(len(curves))
    places = np.zeros(len(curves)) if knots is None else knots[best]
    coefficients: Array = np.stack(solved)[best, :, each].astype(float)
    return coefficients, fitted[best, each], places
