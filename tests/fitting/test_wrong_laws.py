"""Laws of one's own with mistakes in them: refused by what is wrong, or fitted with a word about it."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from worlds import square

from scaling.fitting import fit
from scaling.fitting.problem import LawFails
from scaling.laws import chinchilla
from scaling.laws.base import NotALaw, describe

TRUTH = {"E": 1.8, "A": 400.0, "B": 410.0, "alpha": 0.34, "beta": 0.28}
RUNS = square(chinchilla, noise=0.003, **TRUTH)
CALLS = itertools.count()


def size_alone(N, D, *, E, A, alpha):
    return E + A / N**alpha


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (lambda N, E: E + 1 / 0, "it raised ZeroDivisionError"),
        (lambda N, E: {}["E"], "it raised KeyError"),
        (lambda N, E: E + (-N) ** (0.3 + 0j), "it returns complex numbers"),
        (
            lambda N, E: (E + 1 / N).astype("f4"),
            "it returns float32, whose digits are too few.*jax_enable_x64",
        ),
        (lambda N, E: E + 1e-3 * next(CALLS) + 0 * N, "it gives another value when it is called again"),
        (lambda N, E: E + N / N.mean(), "its value for a run depends on the other runs"),
        (lambda N, E: np.sort(E + 1e6 / N), "its value for a run depends on the other runs"),
    ],
)
def test_fit_names_what_is_wrong_with_a_law(value, words):
    def law(N, D, *, E):
        return value(N, E)

    with pytest.raises(LawFails, match=words):
        fit(law, RUNS, bootstrap=0)


def test_a_flag_is_no_parameter_and_can_be_set_before():
    def law(N, D, *, E, A, alpha, with_floor=True, form="power"):
        return E * with_floor + A / N**alpha

    with pytest.raises(
        NotALaw, match="with_floor is True by default, which is no number; set it before, by functools"
    ):
        describe(law)
    set_before = describe(functools.partial(law, with_floor=True, form="power"))
    assert set_before.parameter_names == ("E", "A", "alpha")
    assert fit(set_before, RUNS, bootstrap=0).free == ("E", "A", "alpha")
    with pytest.raises(LawFails, match="it raised"):
        fit(functools.partial(chinchilla, E="1.8"), RUNS, bootstrap=0)


def test_a_column_that_a_law_does_not_use_is_said():
    assert "size_alone reads D and does not use it" in str(fit(size_alone, RUNS, bootstrap=0))
    assert "does not use it" not in str(fit(chinchilla, RUNS, bootstrap=0))


def test_a_fit_at_the_brink_of_where_its_law_has_a_value_says_so():
    def law(N, D, *, E, A, B, alpha, beta):
        return np.where(alpha > 0.3, np.nan, chinchilla(N, D, E=E, A=A, B=B, alpha=alpha, beta=beta))

    words = str(fit(law, RUNS, bootstrap=0))
    assert "law has no usable value just beyond alpha = 0.3: the fit stands at that brink" in words
    assert "brink" not in str(fit(chinchilla, RUNS, bootstrap=0))


def test_parameters_that_make_up_for_each_other_have_no_interval():
    def law(N, D, *, E, more, A, B, alpha, beta, unused):
        return chinchilla(N, D, E=E + more, A=A, B=B, alpha=alpha, beta=beta)

    for names, held in (({"unused"}, {}), ({"E", "more"}, {"unused": 1.0})):
        fitted = fit(law, RUNS, bootstrap=30, fixed=held)
        ends = fitted.intervals()
        assert {name for name, (low, _) in ends.items() if np.isnan(low)} == names
        for name in names:
            line = next(line for line in str(fitted).splitlines() if line.split()[0] == name)
            assert "±" not in line and line.endswith("not determined")
        assert ends["alpha"][0] < 0.34 < ends["alpha"][1]


def test_a_law_of_whole_numbers_determines_nothing():
    def law(N, D, *, E, A, alpha):
        return np.round(E + A / N**alpha)

    fitted = fit(law, RUNS, bootstrap=20)
    assert set(fitted.undetermined) == {"E", "A", "alpha"}
