"""Months of silence: the factors under every null, the index of public scores, and a replay that knows no future."""

import datetime

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from scaling.errors import BadOption, MissingColumns
from scaling.published import open_published
from scaling.questions import index, index_as_of, month_ends, replay, silence
from scaling.questions._index.answer import LonelyBenchmark, MissingAnchor, ScoresOutOfRange
from scaling.questions._replay.answer import DatesOutOfOrder, months_later
from scaling.questions._silence.nulls import ComputePaced, NegativeMonths, Renewal
from scaling.questions._silence.words import DISAGREE, LITTLE, PLATEAU


@pytest.mark.parametrize(("months", "factor"), [(14, 1.78), (24, 2.96), (36, 4.65)])
def test_renewal_matches_the_student_predictive(months, factor):
    """Log-t with n = 3 worked out by hand; the gaps are rounded to a tenth of a month."""
    assert Renewal().bayes_factor(months).value == pytest.approx(factor, rel=0.01)


@pytest.mark.parametrize(
    ("lags", "factor", "median"), [("none", 8.7, 32), ("next minus previous", 6.5, 32), ("next", 1.3, 38.5)]
)
def test_compute_paced_matches_an_independent_simulation(lags, factor, median):
    """Both are simulations; 3 % covers their draws and the rounding of the published digits."""
    null = ComputePaced(lags=lags)
    assert null.bayes_factor(36).value == pytest.approx(factor, rel=0.03)
    assert sorted(null.gaps())[null.draws // 2] == pytest.approx(median, abs=0.2)
    for early in (14, 24):
        assert 1 <= null.bayes_factor(early).value < 1.02


@pytest.mark.parametrize(("months", "answer"), [(0, LITTLE), (14, LITTLE), (36, DISAGREE), (60, PLATEAU)])
def test_silence_answers_from_its_closed_set(months, answer):
    verdict = silence(months)
    assert verdict.answer == answer
    assert verdict.identifiable == (answer != DISAGREE)
    assert ("of silence in all, after which every null" in str(verdict)) == (answer == DISAGREE)
    assert verdict.evidence["nulls"]["null"].n_unique() == 4
    assert "rests on" not in str(verdict) and "Size" not in verdict.doubts


def test_silence_odds_are_the_prior_odds_times_the_factor():
    verdict = silence(36, (Renewal(),), prior=(0.2, 0.5))
    odds = verdict.numbers["posterior odds, as past gaps (n = 3)"]
    assert (odds.low, odds.high) == pytest.approx((4.65 / 4, 4.65), rel=0.01)


def test_silence_names_negative_months():
    with pytest.raises(NegativeMonths, match=r"a silence of -3 months.*positive"):
        silence(-3)
    with pytest.raises(NegativeMonths, match="a gap of 0 months"):
        Renewal(gaps=(8.1, 0))


def test_silence_names_options_that_cannot_be():
    with pytest.raises(BadOption, match="lags='both'"):
        ComputePaced(lags="both")  # pyright: ignore
    with pytest.raises(BadOption, match=r"nulls=\[\]"):
        silence(3, ())
    with pytest.raises(BadOption, match="prior"):
        silence(3, prior=(0.5, 0.2))


def invented(noise=0.01, models=60, benchmarks=12, seed=0):
    """Models that gain 0.6 a year, each on most of the benchmarks; the first benchmark is the anchor."""
    generator = np.random.default_rng(seed)
    days = np.sort(generator.integers(0, 365 * 5, models))
    C = days / 365 * 0.6 + 0.1 * generator.normal(size=models)
    D = np.r_[0.0, generator.uniform(-0.5, 3.0, benchmarks - 1)]
    slope = np.r_[1.0, np.exp(0.3 * generator.normal(size=benchmarks - 1))]
    score = expit(slope * (C[:, None] - D)) + noise * generator.normal(size=(models, benchmarks))
    start = datetime.date(2020, 1, 1)
    rows = [
        {
            "model": f"m{m}",
            "release_date": start + datetime.timedelta(days=int(days[m])),
            "benchmark": f"b{b}",
            "benchmark_release_date": datetime.date(2019, 6, 1),
            "performance": float(np.clip(score[m, b], 0, 1)),
        }
        for m in range(models)
        for b in range(benchmarks)
        if b == 0 or generator.random() < 0.8
    ]
    return pl.DataFrame(rows), C, D, slope


def test_index_recovers_an_invented_world():
    """Capabilities within 4 standard errors (the largest of 60), whose spread is right within a factor of two."""
    scores, C, D, slope = invented()
    scale = index(scores, anchor="b0", penalty=1e-4)
    assert scale.converged
    order = [int(name[1:]) for name in scale.models["model"]]
    apart = (scale.models["capability"].to_numpy() - C[order]) / scale.models["stderr"].to_numpy()
    assert np.abs(apart).max() < 4 and 0.5 < np.sqrt(np.mean(apart**2)) < 2
    places = [int(name[1:]) for name in scale.benchmarks["benchmark"]]
    assert scale.benchmarks["difficulty"].to_numpy() == pytest.approx(D[places], abs=0.08)
    assert scale.benchmarks["slope"].to_numpy() == pytest.approx(slope[places], rel=0.1)
    assert scale.residual_std == pytest.approx(0.01, rel=0.15)


def test_index_is_invariant_to_row_order():
    scores, *_ = invented()
    one, other = (
        index(rows, anchor="b0") for rows in (scores, scores.sample(fraction=1, shuffle=True, seed=3))
    )
    assert one.models["capability"].to_numpy() == pytest.approx(
        other.models["capability"].to_numpy(), abs=1e-5
    )


def test_index_records_rise():
    records = index(invented()[0], anchor="b0").records
    assert records["capability"].is_sorted() and records["release_date"].is_sorted()
    assert 2 < len(records) < 60


def test_a_model_without_a_date_holds_no_record():
    scores, *_ = invented()
    best = index(scores, anchor="b0").models.sort("capability")["model"][-1]
    undated = scores.with_columns(release_date=pl.when(pl.col("model") != best).then("release_date"))
    scale = index(undated, anchor="b0")
    assert best in scale.models["model"] and best not in scale.records["model"]
    with pytest.raises(BadOption, match="no date at all"):
        index(scores.with_columns(release_date=pl.lit(None, pl.Date)), anchor="b0")


def test_replay_takes_moments_for_their_days():
    scores, *_ = invented()
    moments = [datetime.datetime.combine(date, datetime.time(12)) for date in DATES]
    assert replay(scores, moments, anchor="b0").table.equals(replay(scores, DATES, anchor="b0").table)


def test_index_names_what_it_cannot_use():
    scores, *_ = invented(models=10)
    with pytest.raises(ScoresOutOfRange, match=r"lie outside: they run from .* to 9.*Divide percentages"):
        index(scores.with_columns(pl.col("performance") * 100), anchor="b0")
    with pytest.raises(MissingAnchor, match="anchored on 'Winogrande', but the scores are on b0"):
        index(scores)
    with pytest.raises(MissingColumns, match="performance"):
        index(scores.drop("performance"))
    lonely = pl.concat([scores, scores.head(1).with_columns(benchmark=pl.lit("alone"))])
    with pytest.raises(LonelyBenchmark, match="'alone', but only 1 model"):
        index(lonely, anchor="b0")


DATES = [datetime.date(2022, 6, 30), datetime.date(2022, 12, 31), datetime.date(2023, 6, 30)]
THEN = ["date", "models", "benchmarks", "left_out", "records", "best", "rate_before", "rate_last", "called"]


def test_replay_uses_nothing_from_after_the_date():
    scores, *_ = invented()
    later = pl.col("release_date") > DATES[-1]
    other = scores.with_columns(
        performance=pl.when(later).then(1 - pl.col("performance")).otherwise(pl.col("performance"))
    )
    one, changed = (replay(rows, DATES, anchor="b0").table for rows in (scores, other))
    assert one.select(THEN).equals(changed.select(THEN))
    assert not one["later_after"].equals(changed["later_after"])


def test_index_as_of_a_date_is_the_one_that_the_replay_rebuilt():
    scores, *_ = invented()
    table = replay(scores, DATES, anchor="b0").table
    for date, best, models in table.select("date", "best", "models").iter_rows():
        then = index_as_of(scores, date, anchor="b0")
        assert then.best(date) == best and len(then.models) == models
    assert len(index_as_of(scores, anchor="b0").models) >= table["models"][-1]


def test_replay_calls_the_plateau_of_a_world_that_stops():
    """Capability stands still from 2023 on, as the score tables of later models show; before, nobody calls one."""
    scores, *_ = invented(noise=0.002)
    stop = datetime.date(2023, 1, 1)
    last = scores.filter(pl.col("release_date") < stop).sort("release_date")["model"][-1]
    frozen = scores.filter(pl.col("model") == last).select("benchmark", stuck="performance")
    scores = scores.join(frozen, on="benchmark", how="left").with_columns(
        performance=pl.when(pl.col("release_date") >= stop).then(pl.col("stuck")).otherwise("performance")
    ).drop_nulls("performance")  # fmt: skip
    called = replay(scores, [datetime.date(2022, 9, 30), datetime.date(2023, 12, 31)], anchor="b0").table[
        "called"
    ]
    assert called.to_list() == [False, True]


def test_replay_matches_the_spring_of_2024(published, monkeypatch):
    """The naive rule called a plateau in May 2024, which the full table does not bear out; a year is replayed.

    The record sequence is the known one (GPT-4, Claude 3 Opus, GPT-4 Turbo, GPT-4o), 352 days of silence first.
    """
    monkeypatch.setenv("SCALING_PUBLISHED", str(published))
    scores = open_published("benchmarks")
    replayed = replay(scores, month_ends(2024, 2024))
    assert len(replayed.table) == 12 and replayed.table["converged"].all()
    may = replayed.table.row(by_predicate=pl.col("date") == datetime.date(2024, 5, 31), named=True)
    assert may["called"] and not may["plateau"]
    assert replayed.false_alarms > 0 and 0 < replayed.false_alarm_rate < 1
    dated = scores.with_columns(
        pl.col("release_date").str.to_date(),
        pl.col("benchmark_release_date").str.replace_all("/", "-").str.to_date(),
    )
    day = datetime.date(2024, 5, 15)
    dated = dated.filter((pl.col("release_date") <= day) & (pl.col("benchmark_release_date") <= day))
    dated = dated.filter(pl.col("benchmark").n_unique().over("model") >= 4)
    dated = dated.filter(pl.col("model").n_unique().over("benchmark") >= 2)
    records = index(dated).records.filter(pl.col("release_date") >= datetime.date(2022, 11, 1))
    names = [name.split("-20")[0] for name in records["model"]]
    assert names == ["gpt-4-0314", "claude-3-opus", "gpt-4-turbo", "gpt-4o"]
    assert (records["release_date"][1] - records["release_date"][0]).days == 352


def test_replay_names_dates_out_of_order():
    with pytest.raises(DatesOutOfOrder, match=r"2023-06-30 and then at 2022-06-30"):
        replay(invented()[0], [DATES[2], DATES[0]], anchor="b0")
    with pytest.raises(BadOption, match="late enough"):
        replay(invented()[0], [datetime.date(2018, 1, 1)], anchor="b0")


def test_months_later_keeps_to_the_month():
    assert months_later(datetime.date(2024, 3, 31), -1) == datetime.date(2024, 2, 29)
    assert months_later(datetime.date(2023, 12, 31), 12) == datetime.date(2024, 12, 31)
    assert month_ends(2024, 2024)[1] == datetime.date(2024, 2, 29) and len(month_ends(2023, 2025)) == 36
