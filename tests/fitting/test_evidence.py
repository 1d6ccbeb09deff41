"""Comparisons: the law that made the runs wins where it was not fitted."""

from functools import partial

import numpy as np
import polars as pl
import pytest
from pytest import approx
from worlds import CHINCHILLA, grid, square

from scaling import laws
from scaling.errors import BadOption, MissingColumns
from scaling.fitting import compare, cross_validate, fit
from scaling.fitting.contest import NothingHeldOut
from scaling.fitting.predictive import stacking_weights
from scaling.fitting.result import NotALikelihood


@pytest.fixture(scope="module")
def compared():
    runs = square(laws.power_mean, noise=0.003, sizes=7, budgets=8, q=3.0, **CHINCHILLA)
    return compare([laws.chinchilla, laws.power_mean, laws.kaplan], runs)


def test_compare_recovers_the_law_that_made_the_runs(compared):
    assert compared.best.name == "power_mean"
    assert compared.table["held_out_percent"].is_sorted()
    assert compared.table.filter(law="power_mean")["held_out_percent"][0] < 1.0
    assert compared.table.filter(law="kaplan")["held_out_percent"][0] > 2.0


def test_compare_holds_out_the_largest_half_decade(compared):
    assert compared.fitted_rows + compared.held_rows == 56
    assert compared.held_rows == 2
    assert 0.49 < compared.decades < 1.0
    assert compared.held_out_fits["chinchilla"].rows == compared.fitted_rows


def test_compare_prints_one_table(compared):
    caption, header, *rows, scored, said = str(compared).splitlines()
    assert "in sample: fitted to all 56 runs; held out: fitted to 54 of them" in caption
    assert "the other 2, the largest half decade of 6ND" in caption
    assert "decades of compute beyond the fit" in caption
    assert header.split()[0] == "law"
    assert len(rows) == 3
    assert rows[0].startswith("power_mean") and " ± " in rows[1]
    assert "runs predicted unseen in 8 parts" in scored and "and the largest sizes" in scored
    assert said == compared.sentence
    assert "<table>" in compared._repr_html_()


NOISY = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}


def noisy(seed, noise=0.01, law=laws.chinchilla, **truth):
    """25 runs, the N and D of which span two and nearly three decades."""
    columns = {"N": [1e7, 3e7, 1e8, 3e8, 1e9], "D": [2e8, 1e9, 4e9, 2e10, 1e11]}
    return grid(law, noise=noise, seed=seed, columns=columns, **(NOISY | truth))


def test_compare_recovers_a_law_that_others_contain_or_cannot_tell():
    """Of larger laws that contain the true one neither is named, however well it predicts a few unseen runs."""
    answers = [
        compare([laws.chinchilla, laws.kaplan, laws.power_mean], noisy(seed)).answer for seed in range(3)
    ]
    names = [answer.name if answer else None for answer in answers]
    assert set(names) <= {"chinchilla", None}
    assert names.count("chinchilla") >= 1


def test_compare_recovers_the_law_without_noise():
    exact = compare([laws.power_mean, laws.chinchilla, laws.kaplan], noisy(0, noise=0.0))
    assert exact.answer and exact.answer.name == exact.best.name == "chinchilla"
    assert "power_mean can copy it on these runs" in exact.sentence


def test_compare_says_that_it_cannot_tell():
    """A law beside one of as many parameters with the same curve."""
    twice = compare([partial(laws.power_mean, q=1.0), laws.chinchilla], noisy(0))
    assert twice.answer is None and not twice.decided
    assert "cannot tell power_mean from chinchilla" in str(twice)
    assert twice.best.name == twice.ranking[0]


def test_compare_says_that_no_law_could_have_made_the_runs():
    """Of two laws that read one column each either would leave the other far behind, and neither does."""
    pair = [laws.power_law_floor, laws.along(laws.power_law_floor, "D")]
    compared = compare(pair, noisy(0, noise=0.003))
    assert compared.sentence.startswith("None of these laws would often make such runs (p ≤ 0.05 each)")
    assert compared.table["p"].max() <= 0.05


@pytest.mark.parametrize("objective", ["squares", "gaussian", "quantile_log", "squares_log"])
def test_compare_decides_under_every_objective(objective):
    runs = noisy(0, noise=0.003).with_columns(loss_stderr=0.003 * pl.col("loss"))
    compared = compare([laws.kaplan, laws.chinchilla], runs, objective=objective)
    assert compared.answer and compared.answer.name == "chinchilla"


def test_compare_is_invariant_to_the_order_of_runs_and_of_laws():
    pair = [laws.chinchilla, laws.kaplan]
    one, other = compare(pair, noisy(1)), compare(pair[::-1], noisy(1).reverse())
    assert one.ranking == other.ranking
    for name in ("difference", "difference_stderr"):
        np.testing.assert_allclose(one.table[name], other.table[name], rtol=1e-4)


def test_one_law_is_the_only_one():
    alone = compare(laws.chinchilla, noisy(0))
    assert alone.answer is alone.best and alone.sentence == "chinchilla is the only law here."
    assert alone.table["p"].to_list() == [None]


def test_compare_takes_a_column_or_an_array():
    runs = square(laws.chinchilla, noise=0.003, **CHINCHILLA)
    held = runs["D"].to_numpy() > 2e10
    by_array = compare([laws.chinchilla], runs, holdout=held)
    by_column = compare([laws.chinchilla], runs.with_columns(big=pl.Series(held)), holdout="big")
    assert by_array.table["held_out_percent"][0] == approx(by_column.table["held_out_percent"][0])
    assert by_column.holdout == "rows where big"


def test_compare_tells_two_of_a_kind_apart():
    runs = square(laws.chinchilla, noise=0.003, **CHINCHILLA)
    both = compare([laws.chinchilla, partial(laws.chinchilla, E=1.0)], runs)
    assert set(both.table["law"]) == {"chinchilla", "chinchilla (2)"}
    assert both.fits["chinchilla (2)"].rms_percent > both.fits["chinchilla"].rms_percent
    assert np.isfinite(both.decades)


@pytest.fixture(scope="module")
def power_mean_runs():
    return square(laws.power_mean, noise=0.003, sizes=6, budgets=7, q=3.0, **CHINCHILLA)


@pytest.mark.parametrize("how", ["clusters", "expanding"])
def test_cross_validation_recovers_the_law_that_made_the_runs(power_mean_runs, how):
    validated = cross_validate(
        [laws.chinchilla, laws.power_mean, laws.kaplan], power_mean_runs, how=how, cluster="D"
    )
    assert validated.table["law"][0] == "power_mean"
    assert validated.table.filter(law="power_mean")["weight"][0] > 0.5
    assert validated.table["weight"].sum() == approx(1.0)
    assert validated.skipped + validated.folds >= 4
    caption, header, *rows = str(validated).splitlines()
    assert "predicted unseen" in caption
    assert header.split()[0] == "law"
    assert len(rows) == 3
    assert "<table>" in validated._repr_html_()


def test_cross_validation_leaves_every_run_out_once(power_mean_runs):
    validated = cross_validate([laws.chinchilla], power_mean_runs, cluster="N")
    assert validated.folds == 6
    assert validated.held_rows == len(power_mean_runs)
    assert "each of 6 clusters of N left out once" in validated.words


def test_cross_validation_names_what_it_cannot_do(power_mean_runs):
    with pytest.raises(BadOption, match="'clusters' or 'expanding'"):
        cross_validate([laws.chinchilla], power_mean_runs, how="random")
    with pytest.raises(BadOption, match="one law or more"):
        cross_validate([], power_mean_runs)
    with pytest.raises(BadOption, match="a whole number"):
        cross_validate([laws.chinchilla], power_mean_runs, how="expanding", origins=0)
    with pytest.raises(MissingColumns, match="An expanding window needs C"):
        cross_validate([laws.power_law], power_mean_runs.drop("D"), how="expanding")
    with pytest.raises(NothingHeldOut):
        cross_validate([laws.chinchilla], power_mean_runs.head(6), cluster="rows")


def test_comparisons_are_invariant_to_duplication_with_half_weight(power_mean_runs):
    """Weights as an array and as a column follow their rows into every part of the runs."""
    pair = [laws.chinchilla, laws.kaplan]
    twice = pl.concat([power_mean_runs, power_mean_runs])
    column = twice.with_columns(half=pl.lit(0.5))
    for judge in (compare, partial(cross_validate, cluster="N")):
        once = judge(pair, power_mean_runs).table
        for again in (
            judge(pair, twice, weights=np.full(len(twice), 0.5)),
            judge(pair, column, weights="half"),
        ):
            assert again.table["law"].to_list() == once["law"].to_list()
            for name in ("held_out_percent", "held_out_bias_percent"):
                np.testing.assert_allclose(again.table[name], once[name], rtol=1e-4)


def test_stacking_recovers_the_sharper_of_two_laws():
    """Misses a third as large on every row take nearly all the weight; equal ones share it."""
    misses = np.abs(np.random.default_rng(0).laplace(size=(2, 4000)))
    sharp, blunt = -misses[0], -misses[1] - np.log(3.0)  # log densities of Laplace errors, scales 1 and 3
    assert stacking_weights(np.stack([sharp, blunt]))[0] > 0.9
    assert stacking_weights(np.stack([sharp, sharp])) == approx([0.5, 0.5])
    last = np.arange(4000) > 2000
    mixed = np.stack([np.where(last, 0.0, -9.0), np.where(last, -9.0, 0.0)])
    assert stacking_weights(mixed, 1.0 + 2.0 * last) == approx([0.75, 0.25], abs=0.01)


def test_information_criteria_prefer_the_law_that_made_the_runs(power_mean_runs):
    right, wrong, spare = (
        fit(law, power_mean_runs, objective="huber_likelihood", bootstrap=0)
        for law in (laws.power_mean, laws.kaplan, laws.chinchilla)
    )
    assert right.aicc < min(wrong.aicc, spare.aicc)
    assert right.bic < min(wrong.bic, spare.bic)


@pytest.mark.parametrize("objective", ["huber_likelihood", "gaussian"])
def test_information_criteria_are_invariant_to_duplication_with_half_weight(power_mean_runs, objective):
    runs = power_mean_runs.with_columns(loss_stderr=0.02)
    once = fit(laws.chinchilla, runs, objective=objective, bootstrap=0)
    twice = pl.concat([runs, runs])
    half = fit(laws.chinchilla, twice, objective=objective, weights=np.full(len(twice), 0.5), bootstrap=0)
    assert (half.aicc, half.bic) == approx((once.aicc, once.bic), rel=1e-6)


def test_comparison_has_the_criteria_of_a_likelihood_and_the_distance(power_mean_runs):
    pair = [laws.chinchilla, laws.kaplan]
    plain = compare(pair, power_mean_runs)
    assert plain.table.columns[-1] == "decades"
    assert plain.table["decades"].unique().to_list() == [plain.decades]
    scored = compare(pair, power_mean_runs, objective="huber_likelihood")
    assert scored.table.filter(law="kaplan")["aicc"][0] == scored.fits["kaplan"].aicc
    assert scored.table.filter(law="kaplan")["bic"][0] == scored.fits["kaplan"].bic
    assert str(scored).splitlines()[1].split()[-2:] == ["AICc", "BIC"]
    unknown = compare(laws.power_law, power_mean_runs.drop("D"), holdout=np.arange(42) > 37)
    assert unknown.table["decades"].to_list() == [None]


def test_gaussian_information_criterion_is_that_of_the_density():
    runs = square(laws.chinchilla, noise=0.01, **CHINCHILLA).with_columns(loss_stderr=0.02)
    fitted = fit(laws.chinchilla, runs, objective="gaussian", bootstrap=0)
    z = fitted.residuals / 0.02
    log_likelihood = np.sum(-0.5 * z**2 - np.log(0.02 * np.sqrt(2 * np.pi)))
    assert fitted.log_likelihood == approx(log_likelihood, rel=1e-9)
    assert fitted.bic == approx(5 * np.log(30) - 2 * log_likelihood)


def test_information_criteria_name_an_objective_that_is_no_likelihood(power_mean_runs):
    with pytest.raises(NotALikelihood, match="was fitted by Huber on log loss"):
        _ = fit(laws.chinchilla, power_mean_runs, bootstrap=0).aicc
