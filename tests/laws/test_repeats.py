"""A law of N and D that learns what a repeat is worth."""

import numpy as np
import pytest
from pytest import approx

import scaling
from scaling.errors import NotALaw
from scaling.laws import (
    chinchilla,
    describe,
    effective_data,
    get,
    kaplan,
    power_law,
    repeated_data,
    with_repeats,
)

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
    found = scaling.fit(with_repeats(kaplan), runs, bootstrap=0)
    assert found.params == approx(TRUTH | {"R_D": 9.0}, rel=1e-4)


def test_with_repeats_keeps_names_bounds_and_order():
    law = describe(with_repeats(kaplan))
    assert law.column_names == ("N", "D", "unique_tokens")
    assert law.parameter_names == ("N_c", "D_c", "alpha_N", "alpha_D", "R_D")
    assert [p.quantity for p in law.parameters[:-1]] == [p.quantity for p in describe(kaplan).parameters]
    assert get("kaplan with repeats") is with_repeats(kaplan)


def test_with_repeats_names_a_law_that_reads_other_columns():
    with pytest.raises(NotALaw, match="power_law reads N, and repeats need N and D"):
        with_repeats(power_law)
