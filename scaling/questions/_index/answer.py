"""One capability scale from many benchmarks, and whether one is enough."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import numpy as np
import polars as pl

from scaling.errors import BadOption, QuestionError, require_columns
from scaling.fitting.data import framed
from scaling.intake.cells import as_dates
from scaling.questions._index import words
from scaling.questions._index.scale import Scores
from scaling.verdict import Estimate, Verdict, hash_of


class ScoresOutOfRange(QuestionError):
    """Scores that are not shares."""

    low: float
    high: float
    count: int

    def __str__(self) -> str:
        if np.isnan(self.low):
            return "asked for an index of scores in [0, 1], but the table has " + (
                f"{self.count} that are no numbers. Drop the rows without a score."
                if self.count
                else "no rows."
            )
        return (
            f"asked for an index of scores in [0, 1], but {self.count} lie outside: they run from {self.low:g} to "
            f"{self.high:g}. Divide percentages by 100, and drop rows without a score."
        )


class LonelyBenchmark(QuestionError):
    """A benchmark that only one model has taken, so that nothing ties it to the rest."""

    benchmark: str
    models: int

    def __str__(self) -> str:
        return f"asked for an index with {self.benchmark!r}, but only {self.models} model took it. Drop that benchmark."


class MissingAnchor(QuestionError):
    """The benchmark that sets zero and unit of the index is not among the scores."""

    anchor: str
    known: list[str]

    def __str__(self) -> str:
        return (
            f"asked for an index anchored on {self.anchor!r}, but the scores are on "
            f"{', '.join(self.known[:5]) or 'nothing'}. Name one of these as anchor."
        )


QUESTION = "Do these benchmarks measure one capability, and which models lead on it?"

ENOUGH = 0.5
"""Share of the variance of the scores from which one scale is called enough: more than all else together."""

_LEVEL = 0.8
_NORMAL = 1.2816
"""Half-width of an interval of that level, standard errors."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Index(Verdict):
    """Models and benchmarks on one scale; zero and unit are the anchor's."""

    residual_std: float
    """Of the scores, with the degrees of freedom counted."""
    converged: bool

    @property
    def models(self) -> pl.DataFrame:
        """model, release_date, capability, stderr, benchmarks; by date. Capability: logits of the anchor's score."""
        return self.evidence["models"]

    @property
    def benchmarks(self) -> pl.DataFrame:
        """benchmark, difficulty, slope, models."""
        return self.evidence["benchmarks"]

    @property
    def records(self) -> pl.DataFrame:
        """The models that were better than all before them, by date."""
        return self.evidence["records"]

    def best(self, date: datetime.date) -> float | None:
        """Highest capability released by that date; None where nothing was."""
        released = self.models.filter(pl.col("release_date") <= date)["capability"]
        return float(released.to_numpy().max()) if len(released) else None


@framed("scores")
def index(scores: pl.DataFrame, *, anchor: str = "Winogrande", penalty: float = 0.1) -> Index:
    """Capability of each model and difficulty of each benchmark, from who scored what where.

        score(m, b) = σ(α_b (C_m - D_b)),    D = 0 and α = 1 for the anchor

    by least squares plus penalty times the mean square of all free C, D and log α. Standard errors are from the inverse
    of the penalised normal matrix at the end. The answer is "one scale orders the models" where it explains half of the
    variance of the scores or more, else "one scale is too few"; "not identifiable from these scores" where the fit does
    not converge.

    Args:
        scores: columns model, release_date, benchmark and performance (share, 0 to 1). Several rows of one model on
            one benchmark count as their mean.
        anchor: the benchmark that sets the scale.
        penalty: L2, dimensionless.

    Raises:
        MissingColumns: a column that is not there.
        UnstatedDates: release dates as text in another order than year, month, day.
        ScoresOutOfRange: a score outside [0, 1], or none.
        MissingAnchor: nobody took the anchor.
        LonelyBenchmark: a benchmark with one model.
        BadOption: a penalty that is not positive, or no model with a date.

    Source:
        Epoch AI and Google DeepMind 2025, "A Rosetta Stone for AI Benchmarks", whose slopes are not kept positive by
        a logarithm as they are here.
    """
    _check(scores, ("model", "release_date", "benchmark", "performance"), penalty)
    scores = scores.with_columns(as_dates(scores["release_date"]))
    if not scores["release_date"].count():
        raise BadOption(
            "release_date", "no date at all", "when models came out; one without a date holds no record"
        )
    table = Scores.of(scores)
    for benchmark, count in zip(table.benchmarks, table.taken()[1], strict=True):
        if count < 2:
            raise LonelyBenchmark(benchmark, int(count))
    return _index(table, anchor, penalty)


@framed("scores")
def index_as_of(
    scores: pl.DataFrame,
    date: datetime.date = datetime.date.max,
    *,
    anchor: str = "Winogrande",
    penalty: float = 0.1,
    least_benchmarks: int = 4,
) -> Index:
    """The index of models and benchmarks that were released by a date, models on too few benchmarks left out.

    Args:
        scores: columns model, release_date, benchmark, benchmark_release_date and performance; dates may be text that
            says year, month and day in that order.
        date: by default, of everything that has a date.
        anchor, penalty: as for `index`.
        least_benchmarks: models on fewer are left out.

    Raises:
        BadOption: a date at which too little was public for an index.
        MissingColumns, UnstatedDates, ScoresOutOfRange, MissingAnchor: as for `index`.
    """
    table = Scores.of(dated(scores, penalty).filter(released_by(date)), least_benchmarks)
    if not len(table.models):
        late = f"late enough that two models have taken {least_benchmarks} benchmarks that were out"
        raise BadOption("dates", str(date), late)
    return _index(table, anchor, penalty)


def dated(scores: pl.DataFrame, penalty: float) -> pl.DataFrame:
    """The columns that an index as of a date reads, checked, dates as dates."""
    columns = ("model", "release_date", "benchmark", "benchmark_release_date", "performance")
    _check(scores, columns, penalty)
    dates = (as_dates(scores[name]) for name in columns if name.endswith("date"))
    return scores.select(columns).with_columns(dates)


def released_by(date: datetime.date) -> pl.Expr:
    """Which scores are of a model and a benchmark that were both out."""
    return (pl.col("release_date") <= date) & (pl.col("benchmark_release_date") <= date)


def _index(scores: Scores, anchor: str, penalty: float) -> Index:
    if anchor not in scores.benchmarks:
        raise MissingAnchor(anchor, scores.benchmarks)
    scale = scores.fit(anchor, penalty)
    by_model, by_benchmark = scores.taken()
    models = scores.models.with_columns(
        capability=pl.Series(scale.capability), stderr=pl.Series(scale.stderr), benchmarks=pl.Series(by_model)
    )
    benchmarks = {"benchmark": scores.benchmarks, "difficulty": scale.difficulty, "slope": scale.slope}
    benchmarks = pl.DataFrame({**benchmarks, "models": by_benchmark})
    records = _records(models)
    latest = records.row(-1, named=True)
    named = f"{latest['model']} ({latest['release_date']})"
    value, wide = latest["capability"], _NORMAL * latest["stderr"]
    highest = Estimate(value, value - wide, value + wide, _LEVEL, "logits")
    enough = words.ONE if scale.explained >= ENOUGH else words.SEVERAL
    answer = enough if scale.converged else words.CANNOT_TELL
    return Index(
        question=QUESTION,
        topic="index",
        answers=(words.ONE, words.SEVERAL, words.CANNOT_TELL),
        answer=answer,
        sentence=words.sentence(answer, scale, len(benchmarks), len(models), len(records), named, highest),
        numbers={"capability of the latest record": highest},
        evidence={"models": models, "benchmarks": benchmarks, "records": records},
        would_change=words.DOUBTS,
        next_runs=() if scale.converged else (words.NEXT_SCORES,),
        identifiable=scale.converged,
        data_hash=hash_of(models, benchmarks),
        residual_std=scale.residual_std,
        converged=scale.converged,
    )


def _records(models: pl.DataFrame) -> pl.DataFrame:
    dated = models.drop_nulls("release_date")  # when the others came is not known
    best = dated.group_by("release_date").agg(pl.all().sort_by("capability").last())
    best = best.select(models.columns).sort("release_date")
    before = pl.col("capability").cum_max().shift(1)
    return best.filter((pl.col("capability") > before).fill_null(True))


def _check(scores: pl.DataFrame, columns: tuple[str, ...], penalty: float) -> None:
    require_columns(columns, scores.columns, "One row is one model's score on one benchmark.")
    given = scores["performance"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    wrong = ~((given >= 0) & (given <= 1))
    if wrong.any() or not len(given):
        low, high = (float(f(given)) if len(given) else np.nan for f in (np.min, np.max))
        raise ScoresOutOfRange(low, high, int(wrong.sum()))
    if not penalty > 0:
        why = "positive; without one, a model that solved everything has no finite place"
        raise BadOption("penalty", penalty, why)
