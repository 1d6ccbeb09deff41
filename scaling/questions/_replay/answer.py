"""What a rule would have said of a plateau at past dates, with what was public then, and how often it was wrong."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from scaling.arguments import checked, whole
from scaling.errors import BadOption, QuestionError
from scaling.fitting.data import framed
from scaling.questions._index.answer import Index, dated, index_as_of, released_by
from scaling.questions._replay import words
from scaling.verdict import Estimate, Verdict, hash_of


class DatesOutOfOrder(QuestionError):
    """Dates of a replay that do not go forward."""

    earlier: object
    later: object

    def __str__(self) -> str:
        return (
            f"asked for a replay at {self.earlier} and then at {self.later}, but that goes back. Sort the dates, each "
            "one once."
        )


QUESTION = "Would a slower record have been called a plateau where none followed?"

_LEVEL = 0.8


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Replay(Verdict):
    """What a rule would have said at each date, and what came after it."""

    window_months: int

    @property
    def table(self) -> pl.DataFrame:
        """One row per date.

        Known then: models, benchmarks, left_out (models), converged, records, best, rate_before and rate_last (rise of
        the record, logits per year), called. Known later, on the index of all rows: later_before, later_after and
        plateau (whether the record then rose at less than half of the rate before); null where it is not known yet.
        """
        return self.evidence["dates"]

    @property
    def scored(self) -> pl.DataFrame:
        """Dates at which the rule could speak and what came after is known."""
        return self.table.drop_nulls(["called", "plateau"])

    @property
    def false_alarms(self) -> int:
        return self.scored.filter(pl.col("called") & ~pl.col("plateau")).height

    @property
    def false_alarm_rate(self) -> float:
        """Share of the dates without a plateau after them at which the rule called one; nan where there are none."""
        return _ratio(self.false_alarms, self.scored.filter(~pl.col("plateau")).height)

    @property
    def wrong_calls(self) -> float:
        """Share of the rule's calls that were wrong; nan where it called none."""
        return _ratio(self.false_alarms, self.scored.filter(pl.col("called")).height)


@framed("scores")
def replay(
    scores: pl.DataFrame,
    dates: Sequence[datetime.date],
    *,
    anchor: str = "Winogrande",
    penalty: float = 0.1,
    least_benchmarks: int = 4,
    window_months: int = 12,
) -> Replay:
    """What "the record rises at less than half of its old rate" would have said at each date.

        rate(s, t) = (best(t) - best(s)) / (t - s)
        called(t)  = rate(t - 12, t) < rate(t - 24, t - 12) / 2     on the index rebuilt at t
        plateau(t) = rate(t, t + 12) < rate(t - 24, t - 12) / 2     on the index of all rows

    The index at a date is rebuilt from models and benchmarks released by then. When a score was published is not in
    the table, so a model that was tested later counts from its release: the replay knows a little more than people did.
    The answer is "the rule raises false alarms" where it called a plateau that did not follow, and "not known yet"
    where no date is scored.

    Args:
        scores: columns model, release_date, benchmark, benchmark_release_date and performance; dates may be text.
        dates: ascending, e.g. `month_ends(2023, 2025)`.
        anchor, penalty: as for `index`.
        least_benchmarks: models on fewer are left out of the index, and counted.
        window_months: length of each of the three windows.

    Raises:
        DatesOutOfOrder: dates that do not ascend.
        BadOption: a window or a least number below one, or a date at which too little was public for an index.
        MissingColumns, ScoresOutOfRange, MissingAnchor: as for `index`.
    """
    dates = [date.date() if isinstance(date, datetime.datetime) else date for date in dates]
    for earlier, later in itertools.pairwise(dates):
        if later <= earlier:
            raise DatesOutOfOrder(earlier, later)
    for what, given in (("least_benchmarks", least_benchmarks), ("window_months", window_months)):
        if given < 1:
            raise BadOption(what, given, "one or more")
    scores = dated(scores, penalty)

    def index_at(date: datetime.date) -> Index:
        return index_as_of(scores, date, anchor=anchor, penalty=penalty, least_benchmarks=least_benchmarks)

    final = index_at(datetime.date.max)
    rows = [_row(scores, date, index_at(date), final, window_months) for date in dates]
    rates = ("best", "rate_before", "rate_last", "later_before", "later_after")
    schema = dict.fromkeys(rates, pl.Float64) | {"called": pl.Boolean, "plateau": pl.Boolean}
    table = pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None)
    return _verdict(table, window_months, hash_of(scores, tuple(dates), anchor, penalty))


@checked
def month_ends(first_year: int, last_year: int) -> list[datetime.date]:
    """The last day of each month from January of one year to December of another."""
    for option, year in (("first_year", first_year), ("last_year", last_year)):
        whole(option, year, "a year, at least 1", least=1)
    first, last = datetime.date(first_year, 1, 1), datetime.date(last_year, 12, 1)
    return pl.date_range(first, last, "1mo", eager=True).dt.month_end().to_list()


def months_later(date: datetime.date, months: int) -> datetime.date:
    """The same day so many months on (or back), or the last of that month where it has no such day."""
    return pl.Series([date]).dt.offset_by(f"{months}mo").item()


def _row(
    scores: pl.DataFrame, date: datetime.date, then: Index, final: Index, months: int
) -> dict[str, object]:
    """What was known at a date, and what came after it."""
    far, back, ahead = (months_later(date, step * months) for step in (-2, -1, 1))
    before, last = _rate(then, far, back), _rate(then, back, date)
    later_before = _rate(final, far, back)
    later_after = _rate(final, date, ahead) if ahead <= final.models["release_date"][-1] else None
    given = scores.filter(released_by(date))["model"].n_unique()
    return {
        "date": date,
        "models": len(then.models),
        "benchmarks": len(then.benchmarks),
        "left_out": given - len(then.models),
        "converged": then.converged,
        "records": len(then.records),
        "best": then.best(date),
        "rate_before": before,
        "rate_last": last,
        "called": _slower(before, last),
        "later_before": later_before,
        "later_after": later_after,
        "plateau": _slower(later_before, later_after),
    }


def _rate(index: Index, start: datetime.date, end: datetime.date) -> float | None:
    low, high = index.best(start), index.best(end)
    return None if low is None or high is None else (high - low) / ((end - start).days / 365.25)


def _slower(before: float | None, after: float | None) -> bool | None:
    """Below half; nothing can be said of a record that did not rise before."""
    return None if before is None or after is None or before <= 0 else after < before / 2


def _verdict(table: pl.DataFrame, months: int, data_hash: str) -> Replay:
    scored = table.drop_nulls(["called", "plateau"])
    quiet = scored.filter(~pl.col("plateau"))
    calls, wrong = scored.filter("called").height, quiet.filter("called").height
    answer = words.CANNOT_TELL if not len(scored) else words.ALARMS if wrong else words.NONE
    numbers: dict[str, Estimate] = {}
    if len(quiet):
        years = (quiet["date"][-1] - quiet["date"][0]).days / 365.25
        trials = min(1.0 + 12 * years / months, len(quiet))  # windows that do not overlap
        rate = wrong / len(quiet)
        numbers["false alarms where no plateau followed"] = Estimate.of_share(rate * trials, trials, _LEVEL)
    return Replay(
        question=QUESTION,
        topic="replay",
        answers=(words.ALARMS, words.NONE, words.CANNOT_TELL),
        answer=answer,
        sentence=words.sentence(
            answer,
            len(table),
            len(scored),
            calls,
            len(quiet),
            wrong,
            next(iter(numbers.values()), None),
            months,
        ),
        numbers=numbers,
        evidence={"dates": table},
        would_change=words.DOUBTS,
        next_runs=() if len(scored) else (words.next_scores(months),),
        identifiable=answer != words.CANNOT_TELL,
        data_hash=data_hash,
        window_months=months,
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
