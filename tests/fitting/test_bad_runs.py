"""Fits that cannot be made are refused in words, before any work."""

import functools

import numpy as np
import polars as pl
import pytest
from pytest import approx
from worlds import CHINCHILLA, square

from scaling import laws
from scaling.errors import BadOption, MissingColumns, ScalingError
from scaling.fitting import Fit, compare, cross_validate, fit
from scaling.fitting.contest import NothingHeldOut
from scaling.fitting.data import (
    BadPredictor,
    DuplicateRuns,
    MixedConventions,
    MixedUnits,
    NonFiniteLoss,
    TooFewScales,
)
from scaling.fitting.identifiability import CollinearPredictors, TooFewRuns
from scaling.fitting.options import BoundsExcludeStarts, NothingToFit
from scaling.fitting.problem import LawFails
from scaling.fitting.seeds import LawReturnsNaN
from scaling.laws import chinchilla
from scaling.laws.base import NotALaw, UnknownParameter


@pytest.fixture
def runs():
    return square(chinchilla, noise=0.01, **CHINCHILLA)


def test_fit_names_too_few_runs(runs):
    with pytest.raises(TooFewRuns, match=r"5 free parameters .* but got 3 runs") as caught:
        fit(chinchilla, runs.head(3))
    assert (caught.value.given, caught.value.free[0]) == (3, "E")


def test_fit_names_runs_that_a_law_goes_through_exactly(runs):
    """Five runs for five parameters leave no miss to judge by; a run given twice counts once, a prior as one more."""
    rows = [0, 6, 8, 13, 29, 15]
    five = runs[rows[:5]]
    with pytest.raises(TooFewRuns, match="needs more runs than that, but got 5 runs"):
        fit(chinchilla, five)
    with pytest.raises(TooFewRuns, match="but got 5 runs"):
        fit(chinchilla, pl.concat([five, five]), weights=np.full(10, 0.5))
    fitted = fit(chinchilla, five, priors={"E": (1.7, 0.1)}, bootstrap=20)
    assert "5 different runs for 5 free parameters: any interval is too narrow" in fitted.notes
    fitted = fit(chinchilla, runs[rows], bootstrap=20, cluster="N")
    assert any(note.startswith("6 different runs") for note in fitted.notes)
    assert any(note.startswith("4 clusters of N are too few to resample") for note in fitted.notes)
    small = runs["N"] <= sorted(set(runs["N"]))[1]
    lots = runs.with_columns(lot=pl.when(small).then(pl.int_range(1, pl.len() + 1)).otherwise(0))
    fitted = fit(
        chinchilla, lots, bootstrap=200, cluster="lot"
    )  # a third of the draws has no more than two sizes
    assert any(note.endswith("hardly tell the 5 free parameters apart") for note in fitted.notes)
    assert fit(chinchilla, runs, bootstrap=20, cluster="rows").notes == ()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0, None])
def test_fit_names_a_loss_that_is_not_finite_and_positive(runs, bad):
    loss = [bad if i == 7 else v for i, v in enumerate(runs["loss"])]
    with pytest.raises(NonFiniteLoss, match=r"1 of the runs have none .row 7") as caught:
        fit(chinchilla, runs.with_columns(loss=pl.Series(loss)))
    assert (caught.value.rows, caught.value.first) == (1, 7)


def test_fit_names_missing_columns(runs):
    with pytest.raises(MissingColumns, match="column D asked for"):
        fit(chinchilla, runs.drop("D"))
    with pytest.raises(MissingColumns, match="6ND"):
        fit(laws.compute_only, runs)


@pytest.mark.parametrize("bad", [np.nan, 0.0, -5.0])
def test_fit_names_a_predictor_that_cannot_be_read(runs, bad):
    N = runs["N"].to_numpy().copy()
    N[3] = bad
    with pytest.raises(BadPredictor, match=r"column N must be finite and above zero.*row 3"):
        fit(chinchilla, runs.with_columns(N=N))
    with pytest.raises(BadPredictor, match="a column of numbers"):
        fit(chinchilla, runs.with_columns(N=pl.lit("85M")))


def test_fit_names_too_few_scales():
    with pytest.raises(TooFewScales, match=r"3 scales of N or more, but the runs have 2 \(1e\+06, 1e\+09\)"):
        fit(chinchilla, square(chinchilla, sizes=2, **CHINCHILLA))
    fit(chinchilla, square(chinchilla, sizes=2, **CHINCHILLA), fixed={"alpha": 0.34}, bootstrap=0)


def test_fit_names_predictors_that_move_together(runs):
    with pytest.raises(CollinearPredictors, match="tells N and D apart") as caught:
        fit(chinchilla, runs.with_columns(D=20 * pl.col("N")))
    assert set(caught.value.columns) == {"N", "D"}
    fit(
        chinchilla,
        runs.with_columns(D=20 * pl.col("N")),
        fixed={"E": 1.7, "alpha": 0.3, "A": 400.0},
        bootstrap=0,
    )


def test_fit_says_what_only_a_held_parameter_tells(runs):
    """A parameter held still makes up for a scale of its own column, a floor for one of any; and the fit says so."""
    two = square(chinchilla, noise=0.01, sizes=2, **CHINCHILLA)
    for held in ({"fixed": {"beta": 0.33}}, {"priors": {"B": (1200.0, 100.0)}}):
        with pytest.raises(TooFewScales, match="3 scales of N or more"):
            fit(chinchilla, two, bootstrap=0, **held)
    with pytest.raises(TooFewScales, match="3 scales of N or more"):
        fit(functools.partial(chinchilla, beta=0.33), two, bootstrap=0)
    for held in ({"fixed": {"alpha": 0.34}}, {"priors": {"A": (400.0, 50.0)}}, {"fixed": {"E": 1.7}}):
        (name,) = next(iter(held.values()))
        (note,) = fit(chinchilla, two, bootstrap=0, **held).notes
        assert note.startswith("chinchilla needs 3 scales of N, and the runs have 2")
        assert note.endswith(f"the rest of what it says along N is held ({name})")
    line = runs.with_columns(D=20 * pl.col("N"))
    with pytest.raises(CollinearPredictors):
        fit(chinchilla, line, fixed={"E": 1.7}, bootstrap=0)
    (note,) = fit(chinchilla, line, fixed={"alpha": 0.34}, bootstrap=0).notes
    assert note.endswith("chinchilla tells them apart only by what is held (alpha)")


def test_fit_names_duplicate_runs(runs):
    twice = pl.concat([runs, runs.head(2)])
    with pytest.raises(DuplicateRuns, match=f"2 rows repeat .* first is row {len(runs)}"):
        fit(chinchilla, twice)
    named = runs.with_columns(run_id=pl.Series([str(i) for i in range(len(runs))]), note=pl.lit("first"))
    with pytest.raises(DuplicateRuns, match="run_id, N, D, loss"):
        fit(chinchilla, pl.concat([named, named.head(1).with_columns(note=pl.lit("second"))]))


def test_fit_names_mixed_conventions(runs):
    mixed = runs.with_columns(n_convention=pl.Series(["matrices", "total"] * (len(runs) // 2)))
    with pytest.raises(MixedConventions, match="'matrices' and 'total'"):
        fit(chinchilla, mixed)
    counted = runs.with_columns(C=6 * pl.col("N") * pl.col("D"), flops_convention=mixed["n_convention"])
    with pytest.raises(MixedConventions, match="C must mean one thing"):
        fit(laws.compute_only, counted)


def test_fit_names_a_convention_that_some_rows_do_not_state(runs):
    some = runs.with_columns(n_convention=pl.Series(["matrices", None] * (len(runs) // 2)))
    with pytest.raises(MixedConventions, match="n_convention says 'matrices' and nothing"):
        fit(chinchilla, some)
    fit(chinchilla, some.with_columns(n_convention=pl.lit(None)), bootstrap=0)


def test_fit_names_mixed_units_of_loss(runs):
    mixed = runs.with_columns(loss_unit=pl.Series(["nats/token", "bits/byte"] * (len(runs) // 2)))
    with pytest.raises(MixedConventions, match=r"loss must mean one thing .* 'bits/byte' and 'nats/token'"):
        fit(chinchilla, mixed)


def test_fit_names_mixed_units(runs):
    millions = runs.with_columns(N=pl.when(pl.col("N") < 1e7).then(pl.col("N") / 1e6).otherwise(pl.col("N")))
    with pytest.raises(MixedUnits, match=r"column N has .* two units") as caught:
        fit(chinchilla, millions)
    assert caught.value.column == "N"
    fit(chinchilla, millions, weights=np.ones(30), bootstrap=0)

    def own(N, D, *, E, A, alpha):
        return E + A / N**alpha

    with pytest.raises(MixedUnits, match="column N has"):
        fit(own, millions)


def test_fit_names_a_law_that_returns_nan(runs):
    def broken(N, D, *, E, alpha):
        return np.sqrt(-N) + E * D**alpha

    with pytest.raises(
        LawReturnsNaN, match=r"finite and above zero for every run: .* nan for the run with N=1"
    ) as caught:
        fit(broken, runs)
    assert set(caught.value.parameters) == {"E", "alpha"}
    assert np.isfinite(list(caught.value.parameters.values())).all()

    def negative_at_one_size(N, D, *, E, A):
        return np.abs(E) + np.abs(A) / D - 1e9 * (N > 9e8)

    with pytest.raises(LawReturnsNaN, match=r"-1e\+09 for the run with N=1e\+09, D=3e\+10 at E=") as caught:
        fit(negative_at_one_size, runs, bounds={"E": (0, 1), "A": (0, 1)})
    assert caught.value.run == {"N": approx(1e9), "D": approx(3e10)}


def test_fit_names_a_law_that_does_not_broadcast(runs):
    def one_by_one(N, D, *, E, A):
        return E + A if N > 1e7 else E

    with pytest.raises(LawFails, match=r"one_by_one .* ValueError"):
        fit(one_by_one, runs)

    def total(N, D, *, E):
        return np.zeros(3) + E

    with pytest.raises(LawFails, match="total"):
        fit(total, runs)


def test_fit_names_a_law_that_changes_its_column(runs):
    def millions(N, D, *, E, A, alpha):
        N /= 1e6
        return E + A / N**alpha

    before = runs["N"].to_list()
    with pytest.raises(LawFails, match=r"millions .* changes a column in place, as N /= 1e6 does"):
        fit(millions, runs)
    assert runs["N"].to_list() == before


ORDINARY = [
    lambda N, *, E, A, alpha: E - A * N**alpha,
    lambda N, *, E, A, alpha, brk: E + A * np.minimum(N, brk) ** -alpha,
    lambda N, *, E, A, alpha, brk: E + A * np.log(N / brk) ** alpha,
    lambda N, *, E, A, alpha, c: E + A * (N - c) ** -alpha,
    lambda N, *, E, k, mid: E / (1 + np.exp(k * (N - mid))),
]


@pytest.mark.parametrize("law", ORDINARY)
@pytest.mark.parametrize("objective", ["huber_log", "huber_likelihood"])
def test_fit_is_silent_where_an_ordinary_law_leaves_the_numbers(law, objective):
    """Warnings are errors here: a power overflows at some start of every law that says nothing of its parameters."""
    sizes = square(chinchilla, noise=0.01, sizes=16, budgets=1, **CHINCHILLA)
    fitted = fit(law, sizes, objective=objective, bootstrap=20, cluster="rows", resample="wild")
    assert np.isfinite(fitted.objective)
    fitted.predict(N=[1.0, 1e12])
    compare([law], sizes, objective=objective)


def test_fit_names_bounds_that_leave_nothing_to_start_from(runs):
    with pytest.raises(
        BoundsExcludeStarts, match=r"bounded to \[-3, -1\], but the law allows it in \[0, inf\]"
    ):
        fit(chinchilla, runs, bounds={"E": (-3, -1)})
    with pytest.raises(BoundsExcludeStarts):
        fit(chinchilla, runs, bounds={"alpha": (0.5, 0.5)})


@pytest.mark.parametrize("option", ["fixed", "bounds", "priors"])
def test_fit_names_a_parameter_that_the_law_does_not_have(runs, option):
    value = {"fixed": 1.0, "bounds": (0.0, 1.0), "priors": (0.0, 1.0)}[option]
    with pytest.raises(UnknownParameter, match=f"{option} names the parameter 'alfa'.*Did you mean 'alpha'"):
        fit(chinchilla, runs, **{option: {"alfa": value}})


def test_fit_names_a_law_with_nothing_free(runs):
    with pytest.raises(NothingToFit, match="held still"):
        fit(laws.HOFFMANN_2022, runs)
    with pytest.raises(NothingToFit):
        fit(functools.partial(chinchilla, E=1, A=1, B=1, alpha=0.3), runs, fixed={"beta": 0.3})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"objective": "huber"}, "one of 'huber_log'"),
        ({"delta": 0.0}, "above zero"),
        ({"bootstrap": -1}, "whole number"),
        ({"weights": [1.0, 2.0]}, "one number for each of 30 runs"),
        ({"weights": np.full(30, np.nan)}, "finite, not negative"),
        ({"fixed": {"E": np.nan}}, "a finite number"),
        ({"fixed": {"E": 1.0}, "bounds": {"E": (0, 2)}}, "left out, as E is fixed"),
        ({"priors": {"E": (1.0, 0.0)}}, "standard deviation above zero"),
        ({"bounds": {"E": (1.0,)}}, "None for an open end"),
        ({"cluster": "nothing"}, "cluster= takes"),
        ({"cluster": 3}, "must be a word"),
        ({"target": 3}, "target=3 was asked for, but it must be a word"),
        ({"bounds": {"E": 3}}, r"bounds\['E'\]=3 .* None for an open end"),
        ({"bounds": {"E": ("a", None)}}, r"bounds\['E'\]='a'"),
        ({"bounds": 3}, "a dictionary, or None"),
        ({"fixed": {"alpha": "x"}}, r"fixed\['alpha'\]='x' .* a finite number"),
        ({"fixed": {"alpha": -0.3}}, r"in \[0, 10\], where chinchilla allows it"),
        ({"priors": {"E": 0.3}}, r"\(mean, standard deviation"),
        ({"delta": "a"}, "delta='a' .* a number"),
        ({"seed": -1}, "a whole number from zero"),
        ({"seed": 1.5}, "a whole number from zero"),
        ({"bootstrap": True}, "a whole number from zero on"),
        ({"weights": ["a"] * 30}, "one number for each run"),
    ],
)
def test_fit_names_an_option_that_cannot_be(runs, options, words):
    with pytest.raises(ScalingError, match=words):
        fit(chinchilla, runs, **options)


def test_fit_takes_the_numbers_of_numpy_and_saves_them(runs, tmp_path):
    fitted = fit(
        chinchilla, runs, bootstrap=np.int64(5), seed=np.int32(3), delta=np.float32(1e-3),
        fixed={"beta": np.float64(0.33)}, bounds={"E": np.array([1.0, 2.0])},
        priors={"alpha": (np.float32(0.34), np.int64(1))},
    )  # fmt: skip
    fitted.save(tmp_path / "fit.json")
    assert str(Fit.load(tmp_path / "fit.json")) == str(fitted)


def test_predict_names_a_place_that_is_none(runs):
    fitted = fit(chinchilla, runs, bootstrap=5)
    for bad in ("85M", -1, 0.0, np.nan, [1e6, None], ["a"]):
        with pytest.raises(BadOption, match=r"N=.* a number or an array of numbers, above zero"):
            fitted.predict(N=bad, D=1e9)
    with pytest.raises(BadOption, match=r"N of shape \(2,\), D of shape \(3,\).* shapes that broadcast"):
        fitted.predict(N=[1e6, 1e7], D=[1e9, 1e10, 1e11])
    with pytest.raises(BadOption, match="between 0 and 1"):
        fitted.predict(N=1e6, D=1e9, level="80 %")
    assert fitted.predict(N=np.inf, D=1e9).median > fitted.params["E"]


def test_a_law_names_a_default_that_is_no_number(runs):
    def law(N, D, *, E=1.0, kind="additive"):
        return E + 0 * N

    with pytest.raises(NotALaw, match="kind is 'additive' by default, which is no number"):
        fit(law, runs)


def test_optimum_names_what_the_law_does_not_have():
    with pytest.raises(UnknownParameter, match="'foo', which chinchilla does not have"):
        laws.optimum(laws.HOFFMANN_2022, 1e21, foo=3)


def test_compare_takes_a_law_alone_and_names_what_is_none(runs):
    assert compare(chinchilla, runs).table["law"].to_list() == ["chinchilla"]
    assert cross_validate(chinchilla, runs, cluster="N").table["law"].to_list() == ["chinchilla"]
    for none in (3, ["chinchilla"], "chinchilla"):
        with pytest.raises(BadOption, match=r"one law or more, e.g. \[chinchilla, kaplan\]"):
            compare(none, runs)


def test_fit_names_runs_that_are_no_table():
    with pytest.raises(BadOption, match=r"a dictionary of arrays, or pl.from_pandas\(df\)"):
        fit(chinchilla, [1, 2, 3])

    with pytest.raises(BadOption, match=r"runs='str' .*scaling.open_runs\('runs/mine'\)"):
        fit(chinchilla, "runs/mine")

    class Broken:
        def __arrow_c_stream__(self, requested_schema=None):
            raise ValueError("no such type in Arrow")

    with pytest.raises(BadOption, match=r"no such type in Arrow.*pl.from_pandas\(df\)"):
        fit(chinchilla, Broken())
    with pytest.raises(BadOption, match="arrays of one length"):
        fit(chinchilla, {"N": [1.0, 2.0], "loss": [1.0]})


def test_compare_names_a_hold_out_that_leaves_nothing(runs):
    with pytest.raises(NothingHeldOut, match="leaves 0 runs to fit and 30 to predict"):
        compare([chinchilla], runs, holdout=np.ones(30, bool))
    with pytest.raises(BadOption, match="true or false for each of 30 runs"):
        compare([chinchilla], runs, holdout=np.ones(3, bool))
    with pytest.raises(BadOption, match="one law or more"):
        compare([], runs)
    with pytest.raises(MissingColumns, match="Holding out by compute"):
        compare([laws.power_law], runs.drop("D"))


def test_arguments_in_the_wrong_order_are_named_in_a_line(runs):
    """A frame that stands where a law should would fill the screen."""
    for swapped in (
        lambda: fit(runs, chinchilla),
        lambda: compare(runs, [chinchilla]),
        lambda: cross_validate(runs, chinchilla),
    ):
        with pytest.raises(ScalingError, match="a DataFrame") as refused:
            swapped()
        assert "\n" not in str(refused.value)
