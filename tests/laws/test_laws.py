"""Laws: read from their signatures, the same through arrays and dual numbers, equal to the published values."""

import functools
import math
from typing import Annotated

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling import laws
from scaling.errors import NotALaw, NotTraceable, UnknownLaw
from scaling.laws.base import Exponent, Quantity, describe
from scaling.laws.dual import Dual, duals

ROWS = 6
COLUMNS = {
    "N": np.geomspace(1e6, 1e9, ROWS),
    "D": np.geomspace(1e8, 3e10, ROWS)[::-1],
    "C": np.geomspace(1e16, 1e22, ROWS),
    "unique_tokens": np.array([1e8, 1e9, 2e9, 1e8, 3e7, 1e7]),
}


def point(law, batch=3):
    """Columns and a batch of parameters from the middle of where starts are sought."""
    law = describe(law)
    middles = []
    for p in law.parameters:
        low, high = p.quantity.start
        middles.append(math.sqrt(low * high) if low > 0 else 0.4 * (low + high))
    spread = np.random.default_rng(0).uniform(0.8, 1.25, (batch, len(middles)))
    return law, [COLUMNS[c] for c in law.column_names], np.array(middles) * spread


@pytest.mark.parametrize("name", laws.LAWS)
def test_dual_numbers_match_differences_of_every_law(name):
    """Central differences at a relative step of 1e-6 are good to about 1e-8 of the largest derivative."""
    law, columns, x = point(laws.LAWS[name])
    names = law.parameter_names
    result = law(*columns, **duals(x, names))

    def at(y):
        return law(*columns, **{p: y[:, j : j + 1] for j, p in enumerate(names)})

    np.testing.assert_allclose(result.value, at(x), rtol=1e-12)
    for j in range(len(names)):
        step = 1e-6 * x[:, j]
        above, below = x.copy(), x.copy()
        above[:, j] += step
        below[:, j] -= step
        difference = (at(above) - at(below)) / (2 * step[:, None])
        exact = np.broadcast_to(result.parts.get(j, 0.0), difference.shape)
        np.testing.assert_allclose(
            exact, difference, rtol=1e-5, atol=2e-8 * np.abs(at(x)).max() / np.abs(x[:, j]).min()
        )


GROWTH = [
    np.exp,
    np.exp2,
    np.expm1,
    np.log,
    np.log2,
    np.log10,
    np.log1p,
    np.sqrt,
    np.cbrt,
    np.square,
    np.reciprocal,
]
WAVES = [np.tanh, np.sinh, np.cosh, np.sin, np.cos, np.arctan, np.negative, np.positive, np.absolute]


@pytest.mark.parametrize("ufunc", [*GROWTH, *WAVES])
def test_dual_numbers_match_differences_of_every_ufunc_of_one(ufunc):
    x, h = np.array([0.3, 0.7, 1.9]), 1e-6
    result = ufunc(Dual(x, {0: np.ones(3)}))
    np.testing.assert_allclose(result.value, ufunc(x), rtol=1e-14)
    np.testing.assert_allclose(
        result.parts[0] * np.ones(3), (ufunc(x + h) - ufunc(x - h)) / (2 * h), rtol=1e-8
    )


@pytest.mark.parametrize(
    "ufunc",
    [np.add, np.subtract, np.multiply, np.divide, np.power, np.minimum, np.maximum, np.logaddexp, np.hypot],
)
def test_dual_numbers_match_differences_of_every_ufunc_of_two(ufunc):
    x, y, h = np.array([0.3, 2.7, 1.9]), np.array([1.4, 0.6, 1.1]), 1e-6
    result = ufunc(Dual(x, {0: np.ones(3)}), Dual(y, {1: np.ones(3)}))
    by_x = (ufunc(x + h, y) - ufunc(x - h, y)) / (2 * h)
    by_y = (ufunc(x, y + h) - ufunc(x, y - h)) / (2 * h)
    np.testing.assert_allclose(result.parts[0] * np.ones(3), by_x, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(result.parts[1] * np.ones(3), by_y, rtol=1e-7, atol=1e-9)


def test_dual_numbers_are_finite_where_the_base_of_a_power_is_zero():
    """R^delta at R = 0 (a run without repeats) does not move with delta."""
    result = np.array([0.0, 2.0]) ** Dual(np.array([[1.5]]), {0: 1.0})
    np.testing.assert_allclose(result.parts[0], [[0.0, 2**1.5 * math.log(2)]])


@pytest.mark.parametrize(
    ("body", "used"),
    [
        (lambda x: x if x > 0 else -x, "truth value"),
        (lambda x: math.exp(x), "plain number"),
        (lambda x: np.where(x > 0, x, 0.0), "np.where"),
        (lambda x: np.sum(x), "np.sum"),
        (lambda x: np.gcd(x, 2), "np.gcd"),
        (lambda x: list(x), "sequence"),
        (lambda x: np.asarray(x), "array"),
    ],
)
def test_dual_numbers_names_what_does_not_let_them_through(body, used):
    with pytest.raises(NotTraceable, match=used):
        body(Dual(np.array(1.0) if used != "np.gcd" else np.array(1), {0: 1.0}))


def test_data_constrained_matches_muennighoff():
    """Two values that the authors' code prints for C4; every digit."""
    assert laws.MUENNIGHOFF_2023(6.34e9, 242e9, 25e9) == pytest.approx(2.2256440889984477, rel=1e-14)
    assert laws.MUENNIGHOFF_2023(8.67e9, 178e9, 25e9) == pytest.approx(2.2269634075087867, rel=1e-14)


@pytest.mark.parametrize(
    ("epochs", "worth"), [(2, 1.97), (4, 3.73), (8, 6.62), (16, 10.58), (40, 15.17), (1e9, 16.39)]
)
def test_effective_data_matches_the_worth_of_repeats(epochs, worth):
    """Fresh-token worth of each number of passes at R_D = 15.39, from the formula to the printed digits."""
    assert laws.effective_data(epochs * 1e9, 1e9, 15.39) / 1e9 == pytest.approx(worth, abs=0.006)


def test_repetition_laws_meet_the_laws_of_fresh_tokens():
    """With every token fresh D' = D; with N below U_N also N' = N, and the law is Chinchilla's."""
    constants = {"E": 1.87, "A": 521.0, "B": 1488.0, "alpha": 0.353, "beta": 0.353}
    N, D = 1e8, 1e11
    plain = laws.chinchilla(N, D, **constants)
    assert laws.repeated_data(N, D, D, R_D=15.0, **constants) == pytest.approx(plain, rel=1e-14)
    assert laws.data_constrained(N, D, D, R_D=15.0, R_N=5.0, **constants) == pytest.approx(plain, rel=1e-14)


def test_power_mean_meets_its_limits():
    constants = {"E": 1.7, "A": 400.0, "B": 2000.0, "alpha": 0.34, "beta": 0.37}
    N, D = COLUMNS["N"], COLUMNS["D"]
    np.testing.assert_allclose(laws.power_mean(N, D, q=1.0, **constants), laws.chinchilla(N, D, **constants))
    larger = 1.7 + np.maximum(400 / N**0.34, 2000 / D**0.37)
    np.testing.assert_allclose(laws.power_mean(N, D, q=80.0, **constants), larger, rtol=1e-2)
    kaplan = laws.kaplan(N, D, N_c=1e9, D_c=1e10, alpha_N=0.08, alpha_D=0.1)
    same = laws.power_mean(N, D, E=0.0, A=1e9**0.08, B=1e10**0.1, alpha=0.08, beta=0.1, q=10.0)
    np.testing.assert_allclose(kaplan, same, rtol=1e-12)


def test_law_is_read_from_its_signature():
    law = describe(laws.chinchilla)
    assert law.name == "chinchilla"
    assert law.column_names == ("N", "D")
    assert law.parameter_names == ("E", "A", "B", "alpha", "beta")
    assert law.parameters[0].quantity.unit == "nats/token"
    assert (law.parameters[3].quantity.low, law.parameters[3].quantity.high) == (0.0, 10.0)


def test_law_of_the_users_own_needs_no_annotation():
    def mine(x, *, a, b=2.0):
        return a + b * x

    law = describe(mine)
    assert law.column_names == ("x",)
    assert [p.annotated for p in law.parameters] == [False, False]
    assert law.parameters[1].default == 2.0


def test_law_may_carry_annotations_of_the_users_own():
    def mine(x, *, share: Annotated[float, Quantity("", low=0.0, high=1.0)], alpha: Exponent):
        return share * x**alpha

    assert describe(mine).parameters[0].quantity.high == 1.0


def test_partial_holds_parameters_still():
    law = describe(functools.partial(laws.chinchilla, E=1.69))
    assert law.held == {"E": 1.69}
    assert law.parameter_names == ("A", "B", "alpha", "beta")
    assert describe(laws.HOFFMANN_2022).parameters == ()


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x, "nothing to fit"),
        (lambda *, a: a, "reads no column"),
        (lambda x, *y, a: a, r"\*y"),
        (lambda x, *, a, **k: a, r"\*\*k"),
        (dict.fromkeys, "signature|reads|fit"),
    ],
)
def test_law_names_what_its_signature_lacks(function, words):
    with pytest.raises(NotALaw, match=words):
        describe(function)


def test_get_names_the_closest_law():
    assert laws.get("chinchilla") is laws.chinchilla
    with pytest.raises(UnknownLaw, match="Did you mean 'chinchilla'") as caught:
        laws.get("chinchila")
    assert caught.value.closest == "chinchilla"
    assert "power_mean" in str(caught.value)
    with pytest.raises(UnknownLaw, match="Known: power_law"):
        laws.get("zzz")


@given(st.floats(1e15, 1e26), st.floats(0.15, 0.7), st.floats(0.15, 0.7))
def test_optimum_in_closed_form_matches_the_search(C, alpha, beta):
    """q = 1 makes the power mean additive, which is then searched and not solved; loss is flat at the minimum, so
    N is found to the root of the rounding error of a derivative, here about 1e-8."""
    constants = {"E": 1.7, "A": 400.0, "B": 2000.0, "alpha": alpha, "beta": beta}
    closed = laws.optimum(laws.chinchilla, C, **constants)
    searched = laws.optimum(laws.power_mean, C, q=1.0, **constants)
    if closed.N > 1 and closed.D > 1:
        assert pytest.approx(closed.N, rel=1e-6) == searched.N
        assert searched.loss == pytest.approx(closed.loss, rel=1e-12)
        assert pytest.approx(C, rel=1e-12) == 6 * closed.N * closed.D


def test_optimum_matches_besiroglu():
    """Their constants put a = beta/(alpha+beta) at 0.5126."""
    two = laws.optimum(laws.BESIROGLU_2024, [1e20, 1e24])
    assert np.log10(two.N[1] / two.N[0]) / 4 == pytest.approx(0.5126, abs=1e-4)


def test_optimum_broadcasts_draws_against_budgets():
    draws = {"E": np.full(5, 1.7), "A": np.linspace(300, 500, 5), "B": np.full(5, 2000.0)}
    found = laws.optimum(laws.chinchilla, [1e20, 1e21, 1e22], alpha=0.34, beta=0.37, **draws)
    assert found.N.shape == found.loss.shape == found.C.shape == (5, 3)
    one = laws.optimum(laws.chinchilla, 1e21, E=1.7, A=500.0, B=2000.0, alpha=0.34, beta=0.37)
    assert found.N[4, 1] == pytest.approx(one.N)
    assert found.tokens_per_parameter[4, 1] == pytest.approx(one.D / one.N)


def test_optimum_matches_muennighoff_on_repeated_data():
    """When tokens run out, compute is better spent on passes than on size (their section 5): R_N is below R_D."""
    free = laws.optimum(laws.MUENNIGHOFF_2023, 1e24, unique_tokens=1e15)
    short = laws.optimum(laws.MUENNIGHOFF_2023, 1e24, unique_tokens=25e9)
    assert short.loss > free.loss
    assert short.D > free.D
    assert short.N < free.N


def test_optimum_names_what_is_missing():
    with pytest.raises(NotALaw, match="split between N and D"):
        laws.optimum(laws.power_law, 1e20, A=1.0, alpha=0.3)
    with pytest.raises(NotALaw, match="no value was given for beta"):
        laws.optimum(laws.chinchilla, 1e20, E=1.0, A=1.0, B=1.0, alpha=0.3)
