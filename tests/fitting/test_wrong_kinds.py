"""What a call is given that it cannot take: named before any work, whatever its kind."""

import json

import numpy as np
import polars as pl
import pytest
from worlds import CHINCHILLA, square

import scaling
from scaling.errors import BadOption
from scaling.fitting.data import BadPredictor, TooFewScales
from scaling.fitting.forecasting import BadPath
from scaling.fitting.result import UnreadableFit
from scaling.laws import chinchilla, optimum, power_law_floor, score_from_loss

RUNS = square(chinchilla, noise=0.003, **CHINCHILLA)
PATH = {"start_year": 2025, "start_flops": 1e20}
WRONG = ["x", None, {"a": 1}, [1, 2], pl.Series("s", ["u", "v"]), object(), 10**400]


@pytest.fixture(scope="module")
def fitted():
    return scaling.fit(chinchilla, RUNS, bootstrap=20)


@pytest.mark.parametrize("wrong", WRONG, ids=[type(one).__name__ for one in WRONG])
def test_calls_name_what_is_no_fit_no_path_and_no_parameter(fitted, wrong):
    for option, call in {
        "compute_path": lambda: scaling.forecast(fitted, wrong),
        "start_flops": lambda: scaling.ComputePath(**PATH | {"start_flops": wrong}),
        "fitted": lambda: scaling.forecast(wrong, scaling.ComputePath(**PATH)),
        "fitted ": lambda: scaling.influence(wrong, RUNS),
        " fitted": lambda: scaling.profile(wrong, RUNS, "alpha"),
        "fitted  ": lambda: scaling.agree(wrong, fitted.params),
        "level": lambda: scaling.forecast(fitted, scaling.ComputePath(**PATH), level=wrong),
        "growth": lambda: scaling.ComputePath(**PATH, growth=(1.0, wrong)),
    }.items():
        with pytest.raises((BadOption, BadPath), match=option.strip()):
            call()


@pytest.mark.parametrize("wrong", [{"a": 1}, [1, 2], pl.Series("s", ["u"]), None, 1.5, object()])
def test_calls_name_what_is_no_word(wrong):
    for option, call in {
        "objective": lambda: scaling.fit(chinchilla, RUNS, bootstrap=0, objective=wrong),
        "target": lambda: scaling.fit(chinchilla, RUNS, bootstrap=0, target=wrong),
        "resample": lambda: scaling.fit(chinchilla, RUNS, bootstrap=0, resample=wrong),
        "form": lambda: scaling.isoflop(RUNS, form=wrong),
        "curve": lambda: scaling.envelope(RUNS, curve=wrong),
        "how": lambda: scaling.cross_validate(chinchilla, RUNS, how=wrong),
        "by": lambda: scaling.pool(chinchilla, RUNS, by=wrong),
        "score": lambda: scaling.downstream(chinchilla, score_from_loss, RUNS, score=wrong),
    }.items():
        with pytest.raises(BadOption, match=rf"^{option}="):
            call()


def test_a_number_beyond_all_floats_is_named():
    for option in ("delta", "seed", "weights"):
        with pytest.raises(BadOption, match=rf"^{option}="):
            scaling.fit(chinchilla, RUNS, bootstrap=0, **{option: 10**400})
    with pytest.raises(BadOption, match="years"):
        path = scaling.ComputePath(**PATH)
        scaling.forecast(scaling.fit(chinchilla, RUNS, bootstrap=0), path, years=["next", np.nan])


@pytest.mark.parametrize("wrong", ["x", [1, 2], 1.5, pl.Series("s", ["u"])])
def test_reading_names_options_that_are_no_dictionary(wrong):
    for option in ("columns", "units"):
        with pytest.raises(BadOption, match=rf"^{option}=.* a dictionary, e\.g\."):
            scaling.read_runs(RUNS, **{option: wrong})


def test_a_saved_fit_that_was_changed_is_named(fitted, tmp_path):
    """No flipped bit comes back as another number; a fit that an older version saved, without a hash, is read."""
    path = tmp_path / "fit.json"
    fitted.save(path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for place, bit in zip(rng.integers(len(whole), size=12), rng.integers(8, size=12), strict=True):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << bit)]) + whole[place + 1 :])
        try:
            assert str(scaling.Fit.load(path)) == str(fitted)  # a space became another
        except UnreadableFit as problem:
            assert "restore the file" in str(problem)
    saved = json.loads(whole)
    path.write_text(json.dumps({k: v for k, v in saved.items() if k != "hash"} | {"format": 1}))
    assert scaling.Fit.load(path).params == fitted.params
    for damaged in ("[" * 100_000, "null", "{}", json.dumps(saved | {"draws": None})):
        path.write_text(damaged)
        with pytest.raises(UnreadableFit):
            scaling.Fit.load(path)


def test_whole_numbers_of_any_size_and_gaps_in_a_dictionary_are_numbers(fitted):
    runs = {"N": [10 ** (18 + i) for i in range(8)], "loss": [3 - 0.1 * i for i in range(8)]}
    assert scaling.fit(power_law_floor, runs, bootstrap=0).rows == 8
    with pytest.raises(BadPredictor, match=r"column N must be .*row 1: nan"):
        scaling.fit(power_law_floor, runs | {"N": [10**18, None, *runs["N"][2:]]}, bootstrap=0)
    with pytest.raises(BadPredictor, match=r"column N must be a column of numbers.*row 1: '2 M'"):
        scaling.fit(power_law_floor, runs | {"N": [10**18, "2 M", *runs["N"][2:]]}, bootstrap=0)
    with pytest.raises(BadOption, match=r"^N=True .* above zero"):
        fitted.predict(N=True, D=1e9)


def test_a_fit_names_columns_of_lists_and_says_what_the_runs_mix():
    lists = pl.DataFrame({"N": [1e6, 2e6] * 3, "D": [[1e8, 2e8]] * 6, "loss": [3.0] * 6})
    with pytest.raises(BadPredictor, match=r"column D must be a column of numbers.*\[100000000\.0"):
        scaling.fit(chinchilla, lists, bootstrap=0)
    mixed = pl.DataFrame(RUNS).with_columns(
        dataset=pl.when(pl.col("N") < 1e8).then(pl.lit("c4")).otherwise(pl.lit("pile")),
        vocab_size=pl.when(pl.col("N") < 1e8).then(50257).otherwise(32000),
    )
    said = " ".join(scaling.fit(chinchilla, mixed, bootstrap=0).notes)
    assert "2 values of dataset, and losses differ between texts" in said
    assert "2 values of vocab_size, and a token is not the same for each" in said


def test_text_that_holds_numbers_is_named_with_what_reads_it():
    runs = pl.DataFrame({"N": ["1000000"] * 6, "D": [1e8 + i for i in range(6)], "loss": [3.0] * 6})
    with pytest.raises(
        BadPredictor, match=r"column N must be a column of numbers, and no text, which scaling.read_runs\("
    ):
        scaling.fit(chinchilla, runs)


def test_an_empty_curve_and_a_budget_beyond_64_bits():
    with pytest.raises(
        TooFewScales, match=r"an extrapolation needs .* scales of D or more, but the runs have 0"
    ):
        scaling.extrapolate({"D": [], "loss": []}, D=1e9)
    given = {"E": 1.8, "A": 400.0, "B": 410.0, "alpha": 0.34, "beta": 0.28}
    wide, plain = (optimum(chinchilla, C, **given).N for C in (10**25, 1e25))
    assert wide == pytest.approx(plain)
    with pytest.raises(BadOption, match="C="):
        optimum(chinchilla, 10**400, **given)
