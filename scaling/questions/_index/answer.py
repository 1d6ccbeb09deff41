"""One capability scale from many benchmarks, and what it would have said at past dates, with what was public then."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.errors import BadOption, MissingColumns, QuestionError
from scaling.intake.cells import as_dates


class ScoresOutOfRange(QuestionError):
    """Scores that are not shares."""

    low: float
    high: float
    count: int

    def __str__(self) -> str:
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


class DatesOutOfOrder(QuestionError):
    """Dates of a replay that do not go forward."""

    earlier: object
    later: object

    def __str__(self) -> str:
        return (
            f"asked for a replay at {self.earlier} and then at {self.later}, but that goes back. Sort the dates, each "
            "one once."
        )


_ITERATIONS = 300


@dataclass(frozen=True, eq=False)
class Index:
    """Models and benchmarks on one scale; zero and unit are the anchor's."""

    models: pl.DataFrame
    """model, release_date, capability, stderr, benchmarks; by date. Capability is in logits of the anchor's score."""
    benchmarks: pl.DataFrame
    """benchmark, difficulty, slope, models."""
    residual_std: float
    """Of the scores, with the degrees of freedom counted."""
    converged: bool

    @property
    def records(self) -> pl.DataFrame:
        """The models that were better than all before them, by date."""
        best = self.models.group_by("release_date").agg(pl.all().sort_by("capability").last())
        best = best.select(self.models.columns).sort("release_date")
        before = pl.col("capability").cum_max().shift(1)
        return best.filter((pl.col("capability") > before).fill_null(True))

    def best(self, date: datetime.date) -> float | None:
        """Highest capability released by that date; None where nothing was."""
        found = self.models.filter(pl.col("release_date") <= date)["capability"]
        return float(found.max()) if len(found) else None  # pyright: ignore[reportArgumentType]

    def __str__(self) -> str:
        leader = self.records.row(-1, named=True)
        return (
            f"{len(self.models)} models on {len(self.benchmarks)} benchmarks, residual {self.residual_std:.3f}; "
            f"{len(self.records)} records, the last {leader['model']} ({leader['release_date']}) at "
            f"{leader['capability']:.2f} ± {leader['stderr']:.2f}{'' if self.converged else '; did not converge'}"
        )

    __repr__ = __str__


def index(scores: pl.DataFrame, *, anchor: str = "Winogrande", penalty: float = 0.1) -> Index:
    """Capability of each model and difficulty of each benchmark, from who scored what where.

        score(m, b) = σ(α_b (C_m - D_b)),    D = 0 and α = 1 for the anchor

    by least squares plus penalty times the mean square of all free C, D and log α. Damped Gauss-Newton with the
    capabilities eliminated (their block of the normal matrix is diagonal), so that a step costs
    O(models · benchmarks²). Standard errors are from the inverse of the penalised normal matrix at the end.

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
        BadOption: a penalty that is not positive.

    Source:
        Epoch AI and Google DeepMind 2025, "A Rosetta Stone for AI Benchmarks", whose slopes are not kept positive by
        a logarithm as they are here.
    """
    _check(scores, ("model", "release_date", "benchmark", "performance"), penalty)
    scores = scores.with_columns(as_dates(scores["release_date"]))
    grid = _Grid.of(scores)
    for benchmark, count in zip(grid.benchmarks, grid.taken.sum(0), strict=True):
        if count < 2:
            raise LonelyBenchmark(benchmark, int(count))
    return _fitted(grid, anchor, penalty)


@dataclass(frozen=True)
class Replay:
    """What a rule would have said at each date, and what came after it."""

    table: pl.DataFrame
    """One row per date. Known then: models, benchmarks, left_out (models), converged, records, best, rate_before and
    rate_last (rise of the record, logits per year), called. Known later, on the index of all rows: later_before,
    later_after and plateau (whether the record then rose at less than half of the rate before);
    null where it is not known yet."""
    window_months: int

    @property
    def scored(self) -> pl.DataFrame:
        """Dates at which the rule could speak and what came after is known."""
        return self.table.filter(pl.col("called").is_not_null() & pl.col("plateau").is_not_null())

    @property
    def false_alarms(self) -> int:
        return self.scored.filter(pl.col("called") & ~pl.col("plateau")).height

    @property
    def false_alarm_rate(self) -> float:
        """Share of the dates without a plateau after them at which the rule called one; nan where there are none."""
        quiet = self.scored.filter(~pl.col("plateau")).height
        return self.false_alarms / quiet if quiet else float("nan")

    @property
    def wrong_calls(self) -> float:
        """Share of the rule's calls that were wrong; nan where it called none."""
        calls = self.scored.filter(pl.col("called")).height
        return self.false_alarms / calls if calls else float("nan")

    def __str__(self) -> str:
        scored = self.scored
        calls, quiet = (scored.filter(keep).height for keep in (pl.col("called"), ~pl.col("plateau")))
        return (
            f"{len(self.table)} dates, {len(scored)} of them scored: the rule called a plateau at {calls}; of the "
            f"{quiet} that no plateau followed it called one at {self.false_alarms}. Windows of {self.window_months} "
            "months overlap from date to date, so these are few independent trials."
        )

    __repr__ = __str__


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

    Args:
        scores: columns model, release_date, benchmark, benchmark_release_date and performance; dates may be text that
            says year, month and day in that order.
        dates: ascending, e.g. `month_ends(2023, 2025)`.
        anchor, penalty: as for `index`.
        least_benchmarks: models on fewer are left out of the index, and counted.
        window_months: length of each of the three windows.

    Raises:
        DatesOutOfOrder: dates that do not ascend.
        BadOption: a window or a least number below one, or a date at which too little was public for an index.
        MissingColumns, UnstatedDates, ScoresOutOfRange, MissingAnchor: as for `index`.
    """
    for earlier, later in itertools.pairwise(dates):
        if later <= earlier:
            raise DatesOutOfOrder(earlier, later)
    for what, given in (("least_benchmarks", least_benchmarks), ("window_months", window_months)):
        if given < 1:
            raise BadOption(what, given, "one or more")
    scores = _dated(scores, penalty)
    final, _ = _as_of(scores, datetime.date.max, anchor, penalty, least_benchmarks)
    end = final.models["release_date"][-1]
    rows = []
    for date in dates:
        then, left_out = _as_of(scores, date, anchor, penalty, least_benchmarks)
        back, far = months_later(date, -window_months), months_later(date, -2 * window_months)
        ahead = months_later(date, window_months)
        before, last = _rate(then, far, back), _rate(then, back, date)
        later_before = _rate(final, far, back)
        later_after = _rate(final, date, ahead) if ahead <= end else None
        rows.append(
            {
                "date": date,
                "models": len(then.models),
                "benchmarks": len(then.benchmarks),
                "left_out": left_out,
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
        )
    rates = ("best", "rate_before", "rate_last", "later_before", "later_after")
    schema = dict.fromkeys(rates, pl.Float64) | {"called": pl.Boolean, "plateau": pl.Boolean}
    return Replay(pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None), window_months)


def month_ends(first_year: int, last_year: int) -> list[datetime.date]:
    """The last day of each month from January of one year to December of another."""
    years = range(first_year, last_year + 1)
    starts = [months_later(datetime.date(year, month, 1), 1) for year in years for month in range(1, 13)]
    return [start - datetime.timedelta(days=1) for start in starts]


def months_later(date: datetime.date, months: int) -> datetime.date:
    """The same day so many months on (or back), or the last of that month where it has no such day."""
    year, month = divmod(12 * date.year + date.month - 1 + months, 12)
    following = datetime.date(year + month // 11, (month + 1) % 12 + 1, 1)
    return datetime.date(year, month + 1, min(date.day, (following - datetime.timedelta(days=1)).day))


def _rate(found: Index, start: datetime.date, end: datetime.date) -> float | None:
    low, high = found.best(start), found.best(end)
    return None if low is None or high is None else (high - low) / ((end - start).days / 365.25)


def _slower(before: float | None, after: float | None) -> bool | None:
    """Below half; nothing can be said of a record that did not rise before."""
    return None if before is None or after is None or before <= 0 else after < before / 2


def _check(scores: pl.DataFrame, columns: tuple[str, ...], penalty: float) -> None:
    missing = [name for name in columns if name not in scores.columns]
    if missing:
        raise MissingColumns(missing, scores.columns, "One row is one model's score on one benchmark.")
    given = scores["performance"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    wrong = ~((given >= 0) & (given <= 1))
    if wrong.any() or not len(given):
        low, high = (float(f(given)) if len(given) else np.nan for f in (np.min, np.max))
        raise ScoresOutOfRange(low, high, int(wrong.sum()))
    if not penalty > 0:
        raise BadOption(
            "penalty", penalty, "positive; without one, a model that solved everything has no finite place"
        )


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
        scores, anchor, penalty, least_benchmarks: as for `replay`.
        date: by default, of everything that has a date.

    Raises:
        BadOption, MissingColumns, ScoresOutOfRange, MissingAnchor: as for `replay`.
    """
    return _as_of(_dated(scores, penalty), date, anchor, penalty, least_benchmarks)[0]


def _dated(scores: pl.DataFrame, penalty: float) -> pl.DataFrame:
    """The columns that a replay reads, checked, dates as dates."""
    columns = ("model", "release_date", "benchmark", "benchmark_release_date", "performance")
    _check(scores, columns, penalty)
    dates = (as_dates(scores[name]) for name in columns if name.endswith("date"))
    return scores.select(columns).with_columns(dates)


def _as_of(
    scores: pl.DataFrame, date: datetime.date, anchor: str, penalty: float, least: int
) -> tuple[Index, int]:
    """The index of what was out by then, and how many models had taken too few benchmarks to enter."""
    known = scores.filter((pl.col("release_date") <= date) & (pl.col("benchmark_release_date") <= date))
    grid = _Grid.of(known)
    total = len(grid.models)
    while True:
        models, benchmarks = grid.taken.sum(1) >= least, grid.taken.sum(0) >= 2
        if models.all() and benchmarks.all():
            break
        grid = grid.only(models, benchmarks)
    if not len(grid.models):
        raise BadOption(
            "dates", str(date), f"late enough that two models have taken {least} benchmarks that were out"
        )
    return _fitted(grid, anchor, penalty), total - len(grid.models)


@dataclass(frozen=True)
class _Grid:
    """Scores as a table of models by benchmarks."""

    models: list[str]
    released: list[datetime.date]
    benchmarks: list[str]
    score: NDArray
    """Zero where not taken."""
    taken: NDArray

    @staticmethod
    def of(scores: pl.DataFrame) -> _Grid:
        cells = scores.group_by("model", "benchmark").agg(pl.col("performance").cast(pl.Float64).mean())
        models = scores.group_by("model").agg(pl.col("release_date").min()).sort("release_date", "model")
        benchmarks = scores["benchmark"].unique().sort().to_list()
        rows = {name: i for i, name in enumerate(models["model"])}
        columns = {name: i for i, name in enumerate(benchmarks)}
        score, taken = np.zeros((len(rows), len(columns))), np.zeros((len(rows), len(columns)), dtype=bool)
        for model, benchmark, value in cells.iter_rows():
            score[rows[model], columns[benchmark]] = value
            taken[rows[model], columns[benchmark]] = True
        return _Grid(list(rows), models["release_date"].to_list(), benchmarks, score, taken)

    def only(self, models: NDArray, benchmarks: NDArray) -> _Grid:
        return _Grid(
            [name for name, keep in zip(self.models, models, strict=True) if keep],
            [date for date, keep in zip(self.released, models, strict=True) if keep],
            [name for name, keep in zip(self.benchmarks, benchmarks, strict=True) if keep],
            self.score[np.ix_(models, benchmarks)],
            self.taken[np.ix_(models, benchmarks)],
        )


def _fitted(grid: _Grid, anchor: str, penalty: float) -> Index:
    from scipy.special import expit

    if anchor not in grid.benchmarks:
        raise MissingAnchor(anchor, grid.benchmarks)
    M, B = grid.score.shape
    free = np.tile(np.array([name != anchor for name in grid.benchmarks]), 2)
    ridge = penalty / (M + free.sum())
    share = (grid.score.sum(1) + 0.5) / (grid.taken.sum(1) + 1.0)
    C, other = np.log(share / (1 - share)), np.zeros(2 * B)

    def miss(C: NDArray, other: NDArray) -> tuple[NDArray, NDArray, float]:
        with np.errstate(over="ignore", invalid="ignore"):  # a step this far is refused below
            predicted = expit(np.exp(other[B:]) * (C[:, None] - other[:B]))
        apart = np.where(grid.taken, predicted - grid.score, 0.0)
        return predicted, apart, float((apart**2).sum() + ridge * ((C**2).sum() + (other**2).sum()))

    predicted, apart, objective = miss(C, other)
    damping, converged = 1e-3, False
    for _ in range(_ITERATIONS):
        own, cross, block = _normal(grid.taken, predicted, C, other, ridge)
        down_C = -((cross["C"] * apart).sum(1) + ridge * C)
        down = -(np.concatenate([(cross["D"] * apart).sum(0), (cross["a"] * apart).sum(0)]) + ridge * other)
        step_C, step = _solve(own + damping * own, cross["with C"], block, free, down_C, down, damping)
        trial = miss(C + step_C, other + step)
        if trial[2] <= objective:
            gain = objective - trial[2]
            C, other, damping = C + step_C, other + step, damping / 5
            predicted, apart, objective = trial
            if gain < 1e-12 * objective:
                converged = True
                break
        elif damping > 1e12:
            break
        else:
            damping *= 4
    own, cross, block = _normal(grid.taken, predicted, C, other, ridge)
    spare = max(int(grid.taken.sum()) - M - int(free.sum()), 1)
    variance = float((apart**2).sum()) / spare
    U = cross["with C"][:, free]
    left = np.linalg.inv(block[np.ix_(free, free)] - U.T @ (U / own[:, None]))
    V = U / own[:, None]
    stderr = np.sqrt(variance * (1 / own + np.einsum("mi,ij,mj->m", V, left, V)))
    models = pl.DataFrame(
        {
            "model": grid.models,
            "release_date": grid.released,
            "capability": C,
            "stderr": stderr,
            "benchmarks": grid.taken.sum(1),
        }
    )
    benchmarks = pl.DataFrame(
        {
            "benchmark": grid.benchmarks,
            "difficulty": other[:B],
            "slope": np.exp(other[B:]),
            "models": grid.taken.sum(0),
        }
    )
    return Index(models, benchmarks, float(np.sqrt(variance)), converged)


def _normal(
    taken: NDArray, predicted: NDArray, C: NDArray, other: NDArray, ridge: float
) -> tuple[NDArray, dict[str, NDArray], NDArray]:
    """The normal matrix in its blocks: diagonal of C (M,), coupling (M, 2B), and that of D and log α (2B, 2B)."""
    B = len(other) // 2
    slope = np.exp(other[B:])
    by_C = np.where(taken, predicted * (1 - predicted) * slope, 0.0)
    by_a = by_C * (C[:, None] - other[:B])
    cross = {"C": by_C, "D": -by_C, "a": by_a, "with C": np.hstack([-(by_C**2), by_C * by_a])}
    square, mixed = np.diag((by_C**2).sum(0)), np.diag(-(by_C * by_a).sum(0))
    block = np.block([[square, mixed], [mixed, np.diag((by_a**2).sum(0))]])
    return (by_C**2).sum(1) + ridge, cross, block + ridge * np.eye(2 * B)


def _solve(
    own: NDArray, U: NDArray, block: NDArray, free: NDArray, down_C: NDArray, down: NDArray, damping: float
) -> tuple[NDArray, NDArray]:
    """A damped step, with C eliminated: (block - Uᵀ U / own) x = down - Uᵀ down_C / own."""
    damped = (block + damping * np.diag(np.diag(block)))[np.ix_(free, free)]
    U = U[:, free]
    step = np.zeros(len(free))
    step[free] = np.linalg.solve(damped - U.T @ (U / own[:, None]), down[free] - U.T @ (down_C / own))
    return (down_C - U @ step[free]) / own, step
