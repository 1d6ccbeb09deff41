"""Charts of what the questions answer with, read from Vega's own scene."""

import datetime
import math

import polars as pl
import pytest
from real_vega import marks, scene, words

from scaling.charts.verdicts import plateau, repetition, replay
from scaling.charts.verdicts import silence as silences
from scaling.fitting import fit
from scaling.laws import chinchilla, effective_data, with_repeats
from scaling.questions._silence.answer import silence
from scaling.units import print_count

PLAIN = {"E": 1.5, "A": 60.0, "B": 900.0, "alpha": 0.4, "beta": 0.45}


@pytest.fixture(scope="module")
def repeated() -> pl.DataFrame:
    rows = []
    for N in (6_144, 24_576, 98_304):
        for D in (65_536.0 * e for e in (1, 2, 4, 8, 16)):
            loss = chinchilla(N, effective_data(D, 65_536.0, 8.0), **PLAIN)
            rows.append((N, D, 65_536, 65_536, D / 65_536, 6.0 * N * D, loss))
    header = ["N", "D", "unique_tokens", "unique_budget", "epochs", "C", "loss"]
    return pl.DataFrame(rows, schema=header, orient="row")


def test_repetitions_has_a_mark_a_run_and_a_curve_a_size(repeated):
    found = fit(with_repeats(chinchilla), repeated, bootstrap=0)
    shown = scene(repetition.repetitions(repeated, [found]))
    assert any(len(group) == len(repeated) for group in marks(shown, "symbol"))
    curves = [group for group in marks(shown, "line") if len(group) > 20]
    assert len(curves) == 3
    assert {"N = 6.1k", "N = 25k", "N = 98k", f"epochs over {print_count(65_536)} tokens"} <= set(
        words(shown)
    )


def test_repetitions_keeps_to_one_budget(repeated):
    other = repeated.with_columns(unique_budget=pl.lit(2**18, pl.Int64), epochs=pl.col("epochs") / 4)
    shown = scene(repetition.repetitions(pl.concat([repeated, other]), unique_budget=2**18))
    assert f"epochs over {print_count(2**18)} tokens" in words(shown)
    assert max(len(group) for group in marks(shown, "symbol")) == len(repeated)


def test_interventions_says_what_each_is_worth():
    nan = math.nan
    rows = [
        ("weight decay 0.3", 6144, 65536, 0.7, 0.6, 0.8, False),
        ("2 models together", 98304, 65536, 2.0, nan, nan, True),
    ]
    header = ["intervention", "N", "unique_budget", "multiplier", "low", "high", "at_least"]
    table = pl.DataFrame(rows, schema=header, orient="row")
    chart = repetition.interventions(table)
    shown = scene(chart)
    assert {"weight decay 0.3", "2 models together", "6.1k parameters", "98k parameters"} <= set(words(shown))
    assert "more than 2.00 times the data" in str(chart.to_dict())
    whiskers = sorted(
        abs(item["x2"] - item["x"]) for group in marks(shown, "rule") for item in group if "x2" in item
    )
    assert whiskers[0] < 1 < whiskers[-1]  # no interval for the one that has none


@pytest.mark.parametrize("months", [10, 36])
def test_bayes_factors_follow_the_slider(months):
    evidence = silence(20).evidence
    said = words(scene(silences.bayes_factors(evidence, 20), months_of_silence=months))
    for name, factor in (
        evidence.filter(pl.col("months") == months).select("null", "bayes_factor").iter_rows()
    ):
        line = next(text for text in said if text.endswith(f"  {name}"))
        assert float(line.split()[0]) == pytest.approx(factor, rel=5e-3)


def test_replay_says_of_each_date_whether_its_call_was_right():
    first, last = datetime.date(2023, 1, 31), datetime.date(2023, 3, 31)
    table = pl.DataFrame(
        {
            "date": [first, datetime.date(2023, 2, 28), last], "models": [13, 17, 20], "called": [True, False, True],
            "plateau": [False, False, None], "rate_before": [1.0, 1.0, 1.0], "rate_last": [0.3, 0.8, 0.2],
            "later_after": [0.9, 0.9, None],
        }
    )  # fmt: skip
    for row, outcome in enumerate(
        ("plateau called, wrong", "no plateau called, right", "plateau called, not known yet")
    ):
        said = words(scene(replay.replayed(table), as_of=row))
        assert any(text.endswith(f"models: {outcome}") for text in said)


def test_frontier_and_error_rates_show_every_point_and_world():
    points = pl.DataFrame(
        {
            "C": [1e10, 1e11, 1e12, 1e13],
            "loss": [3.0, 2.5, 2.1, 1.9],
            "stderr": [0.02] * 4,
        }
    ).with_columns(runs=pl.lit(4), edge=pl.Series([True, False, False, True]))
    shown = scene(plateau.frontier(points))
    (dots,) = [group for group in marks(shown, "symbol") if len(group) == 4]
    assert [round(dot["fillOpacity"]) for dot in dots] == [0, 1, 1, 0]
    worlds = pl.DataFrame(
        {
            "name": ["power law", "hard stop", "hard stop", "soft stop", "soft stop"],
            "onset_decades": [None, 0.0, 1.0, 0.0, 1.0], "said_flat": [0.01, 0.0, 0.9, 0.0, 0.8],
        }
    )  # fmt: skip
    shown = scene(plateau.error_rates(worlds))
    assert {"hard stop", "soft stop"} <= set(words(shown))
    assert sum(len(group) for group in marks(shown, "line") if len(group) == 2) == 4
