"""Model discrepancy: learned from backtests, zero among the runs, kept with the fit."""

import copy
import json
import pickle
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx
from worlds import CHINCHILLA, square

from scaling import laws
from scaling.fitting import Fit, fit
from scaling.fitting.bends import chance_of_bends
from scaling.fitting.discrepancy import Misses, Support, expected
from scaling.fitting.minimum import minimise, pose
from scaling.fitting.options import Options
from scaling.fitting.resample import Clusters, clusters
from scaling.laws import (
    along,
    bnsl,
    chinchilla,
    compute_only,
    describe,
    overtraining,
    power_law,
    power_law_floor,
    power_mean,
)

AHEAD = {"N": [2e9, 4e9], "D": [6e10, 2e11]}


@pytest.fixture(scope="module")
def right():
    """The fitted law is the true one."""
    return fit(chinchilla, square(chinchilla, noise=0.003, **CHINCHILLA), bootstrap=300, cluster="rows")


@pytest.fixture(scope="module")
def wrong():
    """The fitted law adds what in truth limits one at a time."""
    return fit(chinchilla, limited(), bootstrap=300, cluster="N")


def limited():
    return square(power_mean, sizes=8, noise=0.003, q=3.0, **CHINCHILLA)


def entries(miss, stderr, origins=6):
    """One entry a quarter decade ahead of each origin."""
    one = np.ones(origins)
    return Misses(np.arange(origins), 0.25 * one, miss * one, stderr * one)


@pytest.mark.parametrize("miss", [-0.02, 0.02])
def test_expected_recovers_a_miss_that_all_origins_share(miss):
    """A miss of 2 % a quarter decade on is one of 8 % at a decade; the miss to come resembles the last by 0.9."""
    shift, scale, _ = expected(entries(miss, 1e-4), noise=0.02)
    assert shift == approx(0.9 * 4 * miss, rel=0.05)
    assert scale < 0.04


def test_expected_recovers_the_size_of_misses_to_either_side():
    alternating = entries(0.02 * np.array([1, -1, 1, -1, 1, -1]), 1e-4)
    shift, scale, _ = expected(alternating, noise=0.004)
    assert abs(shift) < scale
    assert 0.02 < scale < 0.2


def test_expected_follows_the_latest_origins_more_than_the_first():
    turning = entries(0.02 * np.array([1, 1, 1, -1, -1, -1]), 1e-3)
    assert expected(turning, noise=0.02)[0] < -0.01


def test_expected_leaves_the_prior_where_nothing_was_seen():
    nothing = entries(0.0, 1.0, origins=0)
    assert expected(nothing, noise=0.01) == approx((0.0, 0.008, 0.7), rel=0.02)
    noisy = expected(entries(0.5, 10.0), noise=0.01)
    assert noisy[:2] == approx((0.0, 0.008), abs=1e-3)


@settings(max_examples=20, deadline=None)
@given(unit=st.floats(1e-3, 1e3), seed=st.integers(0, 100))
def test_expected_is_invariant_to_units(unit, seed):
    rng = np.random.default_rng(seed)
    miss, stderr = 0.01 * rng.normal(size=6), 0.003 * np.exp(rng.normal(size=6))
    shift, scale, spread = expected(entries(miss, stderr), noise=0.005)
    other = expected(entries(unit * miss, unit * stderr), noise=unit * 0.005)
    assert other == approx((unit * shift, unit * scale, spread), rel=1e-6)


def test_distance_is_the_decades_beyond_the_runs_where_that_is_most():
    columns = {"N": np.array([1e6, 1e8, 1e8]), "D": np.array([1e9, 1e9, 1e10])}
    support = Support.of(columns)
    assert support.axis == ("N", "D")
    assert support.along == approx((15, 18))
    asked = {"N": np.array([1e7, 1e9, 1e8, 1e6, np.inf]), "D": np.array([1e10, 1e10, 1e11, 1e8, 1e9])}
    assert support.distance(asked) == approx([0, 1, 1, 1, 10])
    corner = Support.of({"N": np.array([1e6, 1e8]), "D": np.array([1e10, 1e8])})
    assert corner.distance({"N": np.array([1e8]), "D": np.array([1e10])}) == approx([2])
    assert Support.of({"C": np.array([1e18]), "M": np.array([20.0])}).axis == ("C",)


def test_predict_recovers_a_truth_that_the_law_leaves(wrong):
    """With q = 3 the additive law lies above the truth beyond its runs; a power mean fits them and is asked too."""
    truth = power_mean(*map(np.array, AHEAD.values()), q=3.0, **CHINCHILLA)
    plain = wrong.predict(discrepancy=False, **AHEAD)
    moved = wrong.predict(level=0.95, **AHEAD)
    assert np.all(plain.median > 1.05 * truth)
    assert np.all((0.98 * truth < moved.median) & (moved.median < 1.02 * truth))
    assert np.all(np.abs(moved.median - truth) < 0.2 * np.abs(plain.median - truth))


def test_misses_alone_recover_the_side_on_which_a_truth_lies(wrong):
    """Without another form to ask, earlier fits of the law say where it goes wrong."""
    alone = replace(wrong, discrepancy=replace(wrong.discrepancy, forms=()))
    truth = power_mean(*map(np.array, AHEAD.values()), q=3.0, **CHINCHILLA)
    plain, moved = wrong.predict(discrepancy=False, **AHEAD), alone.predict(level=0.95, **AHEAD)
    assert alone.discrepancy.shift < -alone.discrepancy.scale
    assert np.all((moved.low < truth) & (truth < moved.high))
    assert np.all(moved.median < plain.median)


def test_forms_share_the_draws_by_how_near_they_fit(right, wrong):
    """Where the additive law is true a power mean fits as well, and a coupled law without a floor does not."""
    shares = {form.law: form.share for form in right.discrepancy.forms}
    assert 0.3 < shares["power_mean"] < 0.7
    assert shares.get("kaplan", 0.0) < 0.1
    t = right.discrepancy.draws(1000, seed=0)
    assert np.mean(t[:, 1] == 0) == approx(1 - sum(shares.values()), abs=0.002)
    (form,) = wrong.discrepancy.forms
    assert (form.law, form.share > 0.98) == ("power_mean", True)


def test_forms_are_not_asked_of_who_knows_the_parameters():
    runs = square(chinchilla, noise=0.003, **CHINCHILLA)
    for known in ({"fixed": {"E": 1.8}}, {"bounds": {"alpha": (0.2, 0.5)}}, {"priors": {"E": (1.8, 0.1)}}):
        assert fit(chinchilla, runs, bootstrap=20, cluster="N", **known).discrepancy.forms == ()
    assert fit(partial(chinchilla, E=1.8), runs, bootstrap=20, cluster="N").discrepancy.forms == ()
    runs = runs.with_columns(M=pl.col("D") / pl.col("N"), C=6.0 * pl.col("N") * pl.col("D"))
    assert fit(overtraining, runs, bootstrap=20, cluster="N").discrepancy.forms == ()


def test_forms_are_of_the_column_that_a_law_reads():
    runs = {"steps": np.geomspace(1e3, 1e6, 20)}
    runs["loss"] = 2 + 5 / runs["steps"] ** 0.3 * np.exp(0.01 * np.random.default_rng(0).normal(size=20))
    fitted = fit(along(power_law, "steps"), runs, bootstrap=40)
    assert [form.law for form in fitted.discrepancy.forms] == ["power_law_floor along steps"]
    assert fit(along(power_law_floor, "steps"), runs, bootstrap=40).discrepancy.forms == ()


def bent_runs(slope, noise=0.003, seed=0):
    """Runs along compute over four decades, the exponent `slope` lower beyond 3e16."""
    C = np.repeat(np.geomspace(1e15, 1e19, 14), 2)
    break_ = {"c1": -slope, "d1": 3e16, "f1": 0.5}
    made = partial(along(bnsl(1), "C"), E=1.6, A=1e17**0.2, c0=0.2, **break_)
    return {"C": C, "loss": made(C) * np.exp(noise * np.random.default_rng(seed).normal(size=len(C)))}, made


def test_a_form_with_a_break_recovers_what_lies_beyond_one():
    """A law without it misses by 3 % two decades on; runs that it explains are not asked for one."""
    runs, truth = bent_runs(slope=0.1)
    fitted = fit(compute_only, runs, bootstrap=100, cluster="rows")
    C = np.array([1e20, 1e21])
    band, plain = fitted.predict(C=C), fitted.predict(C=C, discrepancy=False)
    broken = fitted.discrepancy.forms[-1]
    assert (broken.law, broken.share > 0.8) == ("bnsl(breaks=1) along C", True)
    assert np.all((band.low < truth(C)) & (truth(C) < band.high))
    assert np.all(np.abs(band.median / truth(C) - 1) < 0.5 * np.abs(plain.median / truth(C) - 1))
    straight = fit(compute_only, bent_runs(slope=0.0, seed=3)[0], bootstrap=20, cluster="rows")
    assert "bnsl" not in str(straight.discrepancy)


def test_bends_come_by_chance_as_often_as_they_say():
    """Of a true law; and six clusters say nothing."""
    chances = []
    for seed in range(40):
        runs = bent_runs(slope=0.0, seed=seed)[0]
        problem, data = pose(describe(compute_only), runs, Options(objective="squares"), None)
        minimum = minimise(problem, Options(objective="squares"), starts=2)
        chances.append(chance_of_bends(minimum.problem, minimum.best, clusters(data, "rows")))
    assert 0.25 < np.mean(np.array(chances) < 0.5) < 0.75
    assert np.mean(np.array(chances) < 0.05) < 0.15
    few = Clusters(np.arange(data.rows) % 6, 6, "6 trunks")
    assert chance_of_bends(minimum.problem, minimum.best, few) == 1.0


def test_predict_recovers_the_truth_where_the_law_is_right(right):
    truth = chinchilla(*map(np.array, AHEAD.values()), **CHINCHILLA)
    band = right.predict(level=0.95, **AHEAD)
    assert np.all((band.low < truth) & (truth < band.high))
    assert abs(right.discrepancy.shift) < 3 * right.discrepancy.scale
    assert np.all(band.high - band.low < 0.04 * truth)


def test_predict_is_as_before_among_the_runs(wrong):
    inside = {"N": [1e7, 1e9], "D": [1e9, 3e10]}
    with_it, without = wrong.predict(**inside), wrong.predict(discrepancy=False, **inside)
    np.testing.assert_array_equal(with_it.low, without.low)
    np.testing.assert_array_equal(with_it.median, without.median)
    assert not with_it.discrepancy
    assert str(with_it) == str(without)


def test_predict_widens_with_distance_and_says_so(right):
    D = 3e10 * np.array([1.0, 10.0, 100.0])
    with_it, without = (right.predict(N=1e9, D=D, discrepancy=on) for on in (True, False))
    ratio = (with_it.high - with_it.low) / (without.high - without.low)
    assert ratio[0] == 1.0
    assert np.all(ratio[1:] > 1.2)
    assert "for the mean, model discrepancy included" in str(with_it)
    assert "discrepancy" not in str(without)
    new = right.predict(N=1e9, D=D, new_run=True)
    assert np.all(new.high - new.low > with_it.high - with_it.low)


def test_draws_share_one_miss_along_an_extrapolation(wrong):
    t = wrong.discrepancy.draws(300, seed=0)[:, 0]
    ask = {"N": np.array([1e9, 1e9]), "D": np.array([3e11, 3e12])}
    moved = wrong.discrepancy.move(np.ones((300, 2)), t, ask)
    assert np.log(moved[:, 1]) == approx(2 * np.log(moved[:, 0]))
    alone = replace(wrong.discrepancy, forms=())
    assert np.median(alone.draws(300, seed=0)[:, 0]) == approx(alone.shift)
    assert alone.draws(301, seed=0).shape == (301, 3)


def test_discrepancy_of_differences_is_in_the_unit_of_the_loss():
    runs = square(chinchilla, noise=0.003, **CHINCHILLA)
    fitted = fit(chinchilla, runs, objective="squares", bootstrap=50, cluster="N")
    assert not fitted.discrepancy.relative
    assert "%" not in str(replace(fitted.discrepancy, forms=()))
    values = fitted.discrepancy.move(
        np.zeros((2, 1)), np.array([0.1, -0.1]), {"N": np.array([1e10]), "D": [3e10]}
    )
    assert values.ravel() == approx([0.1, -0.1])


def test_fit_without_a_bootstrap_or_a_scale_has_no_discrepancy():
    assert fit(chinchilla, square(chinchilla, noise=0.003, **CHINCHILLA), bootstrap=0).discrepancy is None
    code = np.linspace(0, 0.9, 12)
    shares = {"code": code, "loss": 1.5 + np.exp(0.3 - code) + 0.001 * np.cos(9 * code)}
    assert fit(laws.mixing("code"), shares, bootstrap=20).discrepancy is None


def test_fit_names_runs_that_are_too_few_to_look_back():
    few = {"N": [1e6, 1e7, 1e8, 1e9], "loss": [5.0, 4.0, 3.3, 2.9]}
    fitted = fit(power_law, few, bootstrap=50)
    assert fitted.discrepancy.origins == 0
    noise = np.sqrt(np.mean(fitted.residuals**2) * 4 / 2)
    assert fitted.discrepancy.scale == approx(0.8 * noise, rel=0.02)
    assert "model discrepancy one decade out: ± " in str(fitted)
    assert "by its prior, as the runs are too few to backtest" in str(fitted)


def test_fit_prints_what_its_predictions_allow_for(wrong):
    (line,) = (line for line in str(wrong).splitlines() if line.startswith("model discrepancy"))
    assert line == str(wrong.discrepancy)
    assert line.startswith("model discrepancy one decade out: -")
    assert f"from {wrong.discrepancy.origins} backtests" in line
    assert line.endswith("; of the draws beyond the runs 100 % by power_mean")


def test_saved_fit_keeps_its_discrepancy(wrong, tmp_path):
    wrong.save(tmp_path / "fit.json")
    back = Fit.load(tmp_path / "fit.json")
    assert back.discrepancy == wrong.discrepancy
    assert str(back.predict(**AHEAD)) == str(wrong.predict(**AHEAD))
    saved = json.loads((tmp_path / "fit.json").read_text())
    del saved["discrepancy"], saved["hash"]
    saved["format"] = 1
    (tmp_path / "older.json").write_text(json.dumps(saved))
    older = Fit.load(tmp_path / "older.json")
    assert older.discrepancy is None
    without = str(wrong.predict(discrepancy=False, **AHEAD))
    assert str(older.predict(**AHEAD)) == without[: without.index("\nthe farthest point")]


def test_discrepancy_is_invariant_to_when_it_is_read(wrong):
    """Also where the runs were written over meanwhile, and in a fit that was sent to another process."""
    runs = {column: limited()[column].to_numpy().copy() for column in ("N", "D", "loss")}
    late = fit(chinchilla, runs, bootstrap=300, cluster="N")
    for values in runs.values():
        values[:] = 1.0
    for same in (pickle.loads(pickle.dumps(late)), copy.copy(late), replace(late, name="another"), late):
        assert same.discrepancy == wrong.discrepancy


def test_discrepancy_is_invariant_to_row_order_and_chunks(wrong, monkeypatch):
    runs = limited()
    shuffled = fit(chinchilla, runs.sample(fraction=1.0, shuffle=True, seed=1), bootstrap=300, cluster="N")
    assert shuffled.discrepancy == wrong.discrepancy
    D = np.geomspace(1e9, 1e12, 7)
    whole = wrong.predict(N=1e9, D=D)
    monkeypatch.setattr(sys.modules[Fit.__module__], "_CELLS", 600)
    np.testing.assert_array_equal(wrong.predict(N=1e9, D=D).median, whole.median)


def test_discrepancy_is_invariant_to_how_many_origins_memory_holds(wrong, monkeypatch):
    monkeypatch.setattr("scaling.fitting.solve._BLOCK", 100)
    assert fit(chinchilla, limited(), bootstrap=300, cluster="N").discrepancy == wrong.discrepancy


def test_runs_without_weight_are_not_looked_at():
    runs = square(chinchilla, noise=0.003, **CHINCHILLA)
    spoiled = runs.head(4).with_columns(loss=3 * pl.col("loss"), counts=pl.lit(0.0))
    both = pl.concat([runs.with_columns(counts=pl.lit(1.0)), spoiled])
    clean = fit(chinchilla, runs, bootstrap=20, cluster="rows").discrepancy
    mixed = fit(chinchilla, both, bootstrap=20, cluster="rows", weights="counts").discrepancy
    assert mixed.origins == clean.origins
    assert mixed.scale < 3 * clean.scale


def test_missing_floor_is_seen_before_it_is_reached():
    """A law without a floor, fitted to losses that end at one, misses the larger runs to one side from every origin."""
    N = np.geomspace(1e6, 1e9, 16)
    loss = power_law_floor(N, E=1.5, A=300.0, alpha=0.35) * np.exp(
        0.002 * np.random.default_rng(0).normal(size=16)
    )
    fitted = fit(power_law, {"N": N, "loss": loss}, bootstrap=200)
    truth = power_law_floor(1e10, E=1.5, A=300.0, alpha=0.35)
    moved, plain = (fitted.predict(N=1e10, discrepancy=on) for on in (True, False))
    assert plain.high < truth
    assert plain.median < moved.median
    assert abs(moved.median - truth) < 0.6 * abs(plain.median - truth)
