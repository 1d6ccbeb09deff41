"""A law of N and D that learns what a repeat is worth."""

import numpy as np
import pytest
from pytest import approx

import scaling
from scaling.laws import (
    chinchilla,
    describe,
    effective_data,
    fading_pool,
    get,
    kaplan,
    overfitting,
    power_law,
    power_mean,
    repeated_data,
    with_fading,
    with_overfitting,
    with_repeats,
)
from scaling.laws.base import NotALaw

TRUTH = {"N_c": 1e6, "D_c": 1e7, "alpha_N": 0.15, "alpha_D": 0.2}


def test_with_repeats_of_chinchilla_matches_the_law_of_muennighoff():
    at = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28, "R_D": 15.4}
    N, D, U = np.array([1e8, 1e9]), np.array([1e10, 4e10]), np.array([1e9, 4e10])
    assert with_repeats(chinchilla)(N, D, U, **at) == approx(repeated_data(N, D, U, **at), rel=1e-15)
    assert with_repeats(kaplan)(N, D, D, R_D=3.0, **TRUTH) == approx(kaplan(N, D, **TRUTH), rel=1e-15)


def test_with_repeats_recovers_the_worth_of_a_repeat():
    N, D = (a.ravel() for a in np.meshgrid([6e3, 25e3, 55e3, 98e3], np.geomspace(1.3e5, 2.1e6, 5)))
    U = np.tile([np.inf, 131072.0], N.size // 2)
    U = np.minimum(D, U)
    runs = {"N": N, "D": D, "unique_tokens": U, "loss": kaplan(N, effective_data(D, U, 9.0), **TRUTH)}
    fitted = scaling.fit(with_repeats(kaplan), runs, bootstrap=0)
    assert fitted.params == approx(TRUTH | {"R_D": 9.0}, rel=1e-4)


def test_with_repeats_keeps_names_bounds_and_order():
    law = describe(with_repeats(kaplan))
    assert law.column_names == ("N", "D", "unique_tokens")
    assert law.parameter_names == ("N_c", "D_c", "alpha_N", "alpha_D", "R_D")
    assert [p.quantity for p in law.parameters[:-1]] == [p.quantity for p in describe(kaplan).parameters]
    assert get("kaplan with repeats") is with_repeats(kaplan)


def test_with_fading_matches_the_law_of_one_pool():
    D, U = np.array([1e9, 3e9, 2.5e10]), 1e9
    at = {"E": 1.5, "beta": 0.3}
    alone = fading_pool(D, U, A=400.0, half_life=3.0, **at)
    assert with_fading(chinchilla)(1e9, D, U, A=0.0, B=400.0, alpha=0.3, half_life=3.0, **at) == approx(alone)
    assert with_fading(kaplan)(1e5, D, D, half_life=3.0, **TRUTH) == approx(kaplan(1e5, D, **TRUTH))


def test_with_overfitting_matches_the_law_of_lovelace_and_joins_fading_repeats():
    N, D, U = np.array([1e8, 1e9]), np.array([1e10, 4e10]), np.array([1e9, 4e10])
    plain = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    price = {"P": 0.2, "delta": 1.1, "kappa": 0.4}
    assert with_overfitting(chinchilla)(N, D, U, **plain, **price) == approx(
        overfitting(N, D, U, **plain, **price)
    )
    both = with_overfitting(with_repeats(chinchilla))(N, D, U, **plain, **price, R_D=15.0)
    assert both - repeated_data(N, D, U, **plain, R_D=15.0) == approx(0.2 * 9**1.1 * 0.1**0.4 * (D > U))


@pytest.mark.parametrize("made", [with_repeats, with_fading, with_overfitting])
def test_made_laws_are_found_by_their_name(made):
    law = made(power_mean)
    assert get(describe(law).name) is law
    twice = with_overfitting(with_repeats(kaplan))
    assert get("kaplan with repeats with overfitting") is twice


def test_with_repeats_names_a_law_that_reads_other_columns():
    with pytest.raises(NotALaw, match="power_law reads N, and repeats need N and D"):
        with_repeats(power_law)
    with pytest.raises(NotALaw, match="power_law with overfitting"):
        with_overfitting(power_law)
