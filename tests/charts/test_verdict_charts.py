"""Charts of what the questions answer with, read from Vega's own scene."""

import datetime
import math
from pathlib import Path

import polars as pl
import pytest
from matrices import PLACEBOS, constant, world
from real_vega import drawn_titles, marks, scene, words

from scaling import questions
from scaling.charts import UnknownResult, plot
from scaling.charts.registry import topics
from scaling.charts.verdicts import plateau, repetition, replay, silence
from scaling.fitting import compare, fit
from scaling.laws import chinchilla, effective_data, kaplan, with_repeats
from scaling.units import print_count
from scaling.verdict import Verdict

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


def verdict(topic: str, **evidence: pl.DataFrame) -> Verdict:
    return Verdict(
        question="?", topic=topic, answers=("so",), answer="so", sentence="So.", numbers={}, evidence=evidence,
        would_change=(), data_hash="",
    )  # fmt: skip


@pytest.fixture(scope="module")
def verdicts(ladder: pl.DataFrame) -> dict[str, Verdict]:
    """Small and quick ones; that every topic is drawn is seen where every question is asked."""
    compared = compare([chinchilla, kaplan], ladder)
    return {
        "plateau": questions.plateau(ladder, worlds=100),
        "wall": questions.wall("published-2024", draws=1000),
        "decade": questions.next_decade(fit(chinchilla, ladder, bootstrap=20), compared, ladder),
        "transfer": questions.transfer(world(constant(0.2), constant(0.1)), placebos=PLACEBOS),
    }


def test_every_question_has_a_picture() -> None:
    """As questions keep a folder each, named after their topic."""
    folders = (Path(questions.__file__).parent).glob("_*/answer.py")
    assert {folder.parent.name.removeprefix("_") for folder in folders} == set(topics())


def test_plot_names_the_topics_of_verdicts_that_have_a_picture() -> None:
    with pytest.raises(UnknownResult, match=r"a Verdict on 'weather', but .* Verdict on audit, decade"):
        plot(verdict("weather"))


def test_plateau_shows_the_rivals_that_it_weighs(verdicts: dict[str, Verdict]) -> None:
    """A curve for each rival, through every point's compute, and the rates of error below."""
    given = verdicts["plateau"]
    shown = scene(plot(given))
    points, rivals = given.evidence["points"], given.evidence["rivals"]["name"]
    curves = [group for group in marks(shown, "line") if len(group) == len(points)]
    assert len(curves) == len(rivals)
    assert set(rivals) <= set(words(shown))
    assert "last decade: held out" in words(shown) and "share called flat" in words(shown)
    assert len(list(marks(shown, "area"))) == 2 * len(rivals), "a band for each curve, above and below"
    assert any("% apart" in said for said in words(shown)), (
        "the next run, and how far apart the rivals are there"
    )


def test_plateau_shows_the_points_alone_where_the_range_is_too_short(ladder: pl.DataFrame) -> None:
    short = questions.plateau(ladder.filter(pl.col("C") < 90 * pl.col("C").min()))
    assert drawn_titles(plot(short)) == ["training compute, FLOPs", "held-out loss, nats/token"]


def test_decade_shows_the_interval_of_the_verdict(verdicts: dict[str, Verdict]) -> None:
    budgets = verdicts["decade"].evidence["budgets"]
    spec = plot(verdicts["decade"]).to_dict()
    (rows,) = [rows for rows in spec["datasets"].values() if "loss_low" in rows[0]]
    assert [row["loss_low"] for row in rows] == pytest.approx(budgets["loss_low"].to_list())


def test_wall_shows_what_delays_it_below_its_sliders(verdicts: dict[str, Verdict]) -> None:
    chart = plot(verdicts["wall"])
    assert "log2_stock" in {parameter["name"] for parameter in chart.to_dict()["params"]}
    assert set(verdicts["wall"].evidence["interventions"]["intervention"]) <= set(words(scene(chart)))


def test_transfer_shows_each_size_beside_its_placebo_and_the_line_to_gpt2(
    verdicts: dict[str, Verdict],
) -> None:
    shown = scene(plot(verdicts["transfer"]))
    sizes = verdicts["transfer"].evidence["cells"]["N"].n_unique()
    assert {"code → prose", "GPT-2 (124M), if the line went on"} <= set(words(shown))
    assert any(len(group) == sizes for group in marks(shown, "rect"))  # the placebos' bars
    assert any(len(group) == sizes for group in marks(shown, "symbol"))


def test_transfer_without_a_price_shows_gains_by_dose() -> None:
    bare = questions.transfer(world(constant(0.2), constant(0.1), curve=(1,)), placebos=PLACEBOS)
    assert drawn_titles(plot(bare)) == [
        "tokens of the source for each of the target",
        "gain on the target, nats/token",
    ]


def test_repetitions_has_a_mark_a_run_and_a_curve_a_size(repeated):
    fitted = fit(with_repeats(chinchilla), repeated, bootstrap=0)
    shown = scene(repetition.repetitions(repeated, [fitted]))
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


def test_repetition_names_the_cell_that_the_law_misses_most(repeated: pl.DataFrame) -> None:
    given = questions.repetition(repeated, laws=(chinchilla, with_repeats(chinchilla)), bootstrap=20)
    points = given.evidence["points"]
    assert (
        len(points) == 15
        and (points["missed_percent"] - 100 * (points["loss"] / points["law"] - 1)).abs().max() < 1e-9
    )
    row = points.sort(pl.col("missed_percent").abs()).row(-1, named=True)
    said = words(scene(repetition.misfits(points)))
    assert any(f"{row['loss']:.2f}, {row['law']:.2f}" in line for line in said)
    assert points["missed_much"].to_list() == [abs(missed) > 5 for missed in points["missed_percent"]]
    assert any("misses most" in doubt and f"{row['law']:.2f}" in doubt for doubt in given.would_change)


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
    evidence = questions.silence(20).evidence["nulls"]
    said = words(scene(silence.bayes_factors(evidence, 20), months_of_silence=months))
    for name, factor in (
        evidence.filter(pl.col("months") == months).select("null", "bayes_factor").iter_rows()
    ):
        line = next(text for text in said if text.startswith(f"{name}: "))
        assert float(line.split()[-1]) == pytest.approx(factor, rel=5e-3)


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
