"""The page of the data wall, read from Vega's own scene."""

import re

import numpy as np
import polars as pl
import pytest
from pytest import approx
from real_vega import marks, scene, words

from scaling.charts.verdicts.wall import DRAWS, data_wall
from scaling.laws import BESIROGLU_2024, MUENNIGHOFF_2023, overtraining
from scaling.laws.base import NotALaw
from scaling.laws.wall import text_on_offer, wall_year, worth_of_repeats
from scaling.questions import wall


@pytest.fixture(scope="module")
def draws() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    columns = {
        "text": np.exp(rng.normal(np.log(1e14), 0.6, DRAWS)),
        "text_growth": rng.uniform(1.0, 1.1, DRAWS),
        "repeats": np.exp(rng.normal(np.log(3), 0.2, DRAWS)),
        "demand": np.exp(rng.normal(np.log(6e12), 0.4, DRAWS)),
        "demand_growth": rng.uniform(1.9, 3.0, DRAWS),
        "compute": np.exp(rng.normal(np.log(3e25), 0.5, DRAWS)),
        "compute_growth": rng.uniform(4, 5, DRAWS),
    }
    return pl.DataFrame(columns)


def page(draws):
    return data_wall(draws, MUENNIGHOFF_2023, start=2024)


def readout(draws, **sliders):
    said = words(scene(page(draws), **sliders))
    headline = next(line for line in said if line.startswith("wall in"))
    rest = " ".join(line for line in said if "before 2030" in line or line.startswith("80 % ["))
    low, high, share = re.fullmatch(
        r"80 % \[([\d.]+|later), ([\d.]+|later)\] (\d+) % before 2030", rest
    ).groups()
    return headline.removeprefix("wall in "), low, high, int(share) / 100


def in_python(draws, *, stock=1.0, over=1.0, epochs=None, growth=None, **text):
    """Dates of the same draws by the functions themselves."""
    column = {name: draws[name].to_numpy() for name in draws.columns}
    R_D = MUENNIGHOFF_2023.keywords["R_D"]
    middle = np.median(column["repeats"])
    worth = middle if epochs is None else worth_of_repeats(epochs, R_D)
    offered = text_on_offer(
        column["text"] * stock, **({"synthetic": 1.0, "multimodal": 0.0, "efficiency": 1.0} | text)
    )
    return wall_year(
        offered * np.maximum(1, worth * column["repeats"] / middle),
        column["demand"] * np.sqrt(over),
        stock_growth=column["text_growth"],
        demand_growth=column["demand_growth"]
        * (growth or 1)
        / (np.median(column["demand_growth"]) if growth else 1),
        start=2024,
    )


@pytest.mark.parametrize(
    "sliders, given",
    [
        ({}, {}),
        ({"log2_stock": 2.0, "log2_over": 3.0}, {"stock": 4.0, "over": 8.0}),
        ({"epochs": 1.0, "growth": 1.5}, {"epochs": 1.0, "growth": 1.5}),
        (
            {"synthetic": 2.0, "multimodal": 400.0, "log2_efficiency": 1.0},
            {"synthetic": 3.0, "multimodal": 4e14, "efficiency": 2.0},
        ),
    ],
)
def test_date_matches_the_functions_in_python(draws, sliders, given):
    """Rounded to a tenth of a year on the page; the epochs slider starts within a hundredth of the draws' median."""
    dates = in_python(draws, **given)
    median, low, high, share = readout(draws, **sliders)
    assert float(median) == approx(np.median(dates), abs=0.06)
    assert [float(low), float(high)] == approx(np.quantile(dates, [0.1, 0.9]), abs=0.06)
    assert share == approx((dates < 2030).mean(), abs=0.011)


def test_draws_that_never_meet_their_wall_are_later(draws):
    median, _, high, _ = readout(draws, growth=1.05)
    assert median == high == "later"


def outlines(draws, **sliders):
    """The two curves of loss, as the heights of their points."""
    lines = marks(scene(page(draws), **sliders), "line")
    return [[point["y"] for point in group] for group in lines if len(group) > 10]


def test_loss_is_that_of_endless_text_where_there_is_enough(draws):
    limited, endless = outlines(draws, log2_stock=5.0)[-2:]
    assert limited == approx(endless, abs=3.0)  # points of the screen
    limited, endless = outlines(draws, log2_stock=-3.0)[-2:]
    assert limited[-1] < endless[-1] - 20  # higher up


def test_over_training_and_fewer_epochs_cost_loss(draws):
    usual, over, once = (outlines(draws, **s)[-2] for s in ({}, {"log2_over": 5.0}, {"epochs": 1.0}))
    assert usual != over and usual != once


def test_law_without_repeats_gains_an_efold_and_one_of_other_columns_is_refused(draws):
    chart = data_wall(draws, BESIROGLU_2024, start=2024)
    params = {p["name"]: p.get("value") for p in chart.to_dict()["params"]}
    assert params["r_star"] == pytest.approx(MUENNIGHOFF_2023.keywords["R_D"], abs=0.005)
    with pytest.raises(NotALaw, match="repeats need N and D"):
        data_wall(draws, overtraining, start=2024)


def test_sample_on_the_page_recovers_the_dates_of_all_draws():
    """Within half a thousandth at every year; a thousand draws by chance would be 0.04 off somewhere."""
    given = wall("published-2024", draws=20_000)
    kept, dates = np.sort(in_python(given.sample)), np.sort(given.dates)
    years = dates[np.isfinite(dates)]
    shares = [np.searchsorted(each, years, side="right") / len(each) for each in (kept, dates)]
    assert np.abs(shares[0] - shares[1]).max() < 1e-3
