"""Laws: read from their signatures, the same through arrays and dual numbers, equal to the published values."""

import functools
import math
from typing import Annotated

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling import laws
from scaling.laws import UnknownLaw
from scaling.laws.base import Exponent, NotALaw, Quantity, describe
from scaling.laws.dual import Dual, NotTraceable, duals

ROWS = 6
COLUMNS = {
    "N": np.geomspace(1e6, 1e9, ROWS),
    "D": np.geomspace(1e8, 3e10, ROWS)[::-1],
    "C": np.geomspace(1e16, 1e22, ROWS),
    "unique_tokens": np.array([1e8, 1e9, 2e9, 1e8, 3e7, 1e7]),
    "M": np.geomspace(5.0, 640.0, ROWS),
    "members": np.array([1.0, 2.0, 3.0, 4.0, 8.0, 16.0]),
    "loss": np.linspace(2.0, 4.0, ROWS),
    "S1": np.linspace(0.5, 7.0, ROWS),
    "S2": np.linspace(0.0, 0.3, ROWS),
    "fall_1": np.array([0.0, 0.0, 1e-4, 1e-4, 1e-4, 1e-4]),
    "rate_1": np.array([1.0, 1.0, 2e-4, 2e-4, 2e-4, 2e-4]),
    "area_1": np.array([0.0, 0.0, 0.1, 0.4, 1.0, 2.0]),
    "D_finetune": np.geomspace(1e5, 1e8, ROWS),
    "code": np.linspace(0.0, 0.6, ROWS),
    "prose": np.linspace(0.4, 0.1, ROWS),
    "share": np.linspace(0.05, 1.0, ROWS),
    "sqrt_kl": np.linspace(0.3, 2.5, ROWS),
    "pretrained": np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0]),
}


def point(law, batch=3):
    """Columns and a batch of parameters from the middle of where starts are sought."""
    law = describe(law)
    held = {"E": 1.1, "L0": 4.1, "N_stop": 1e8, "C_mid": 1e19, "C_stop": 1e20, "d1": 3e7, "d2": 3e8}
    middles = []
    for p in law.parameters:
        low, high = p.quantity.start
        middle = math.sqrt(low * high) if low > 0 else 0.4 * (low + high) + 0.3 * (low < 0)
        middles.append(held.get(p.name, middle))
    spread = np.random.default_rng(0).uniform(0.8, 1.25, (batch, len(middles)))
    return law, [COLUMNS[c] for c in law.column_names], np.array(middles) * spread


MADE = [
    "bnsl(breaks=1)",
    "bnsl(breaks=2)",
    "mixing(code, prose)",
    "additive_mixing(code, prose)",
    "exchange(code, prose)",
    "additive_mixing(code, prose) with scale N, D",
    "kaplan with transfer",
    "power_law_floor along D",
    "multi_power(falls=1)",
    "multi_power(falls=1, waning)",
]


@pytest.mark.parametrize("name", [*laws.LAWS, *laws.IMPLICIT, *MADE])
def test_dual_numbers_match_differences_of_every_law(name):
    """Central differences at a relative step of 1e-6 are good to about 1e-8 of the largest derivative."""
    law, columns, x = point(laws.get(name))
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
    """Fresh-token worth of each number of epochs at R_D = 15.39, from the formula to the printed digits."""
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
        (
            "chinchilla",
            "'chinchilla' was given as a law, but it is no function; pass one itself, e.g. laws.get",
        ),
    ],
)
def test_law_names_what_its_signature_lacks(function, words):
    with pytest.raises(NotALaw, match=words):
        describe(function)


def test_along_takes_a_law_that_cannot_be_hashed():
    class Law:
        __hash__ = None

        def __call__(self, N, *, E):
            return E + 0 * N

    assert describe(laws.along(Law(), "D")).column_names == ("D",)


def test_get_names_the_closest_law():
    assert laws.get("chinchilla") is laws.chinchilla
    assert (laws.get("m1"), laws.get("m2")) == (laws.power_law, laws.power_law_floor)
    with pytest.raises(UnknownLaw, match="Did you mean 'chinchilla'") as caught:
        laws.get("chinchila")
    assert "Did you mean 'chinchilla'?" in str(caught.value)
    assert "power_mean" in str(caught.value)
    with pytest.raises(UnknownLaw, match="Known: power_law"):
        laws.get("zzz")


@given(st.floats(1e15, 1e26), st.floats(0.15, 0.7), st.floats(0.15, 0.7))
def test_optimum_in_closed_form_matches_the_search(C, alpha, beta):
    """q = 1 makes the power mean additive, which is then searched and not solved; loss is flat at the minimum, so
    N is known to the root of the rounding error of a derivative, here about 1e-8."""
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
    best = laws.optimum(laws.chinchilla, [1e20, 1e21, 1e22], alpha=0.34, beta=0.37, **draws)
    assert best.N.shape == best.loss.shape == best.C.shape == (5, 3)
    one = laws.optimum(laws.chinchilla, 1e21, E=1.7, A=500.0, B=2000.0, alpha=0.34, beta=0.37)
    assert best.N[4, 1] == pytest.approx(one.N)
    assert best.tokens_per_parameter[4, 1] == pytest.approx(one.D / one.N)


def test_optimum_matches_muennighoff_on_repeated_data():
    """When tokens run out, compute is better spent on epochs than on size (their section 5): R_N is below R_D."""
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


def test_m4_solves_its_own_equation():
    N, E, L0, A, alpha, a = np.geomspace(1e2, 1e10, 30), 0.4, 2.5, 50.0, 0.4, 1.7
    L = laws.m4(N, E=E, L0=L0, A=A, alpha=alpha, a=a)
    np.testing.assert_allclose(np.log((L - E) / (L0 - L) ** a), np.log(A / N**alpha), atol=1e-9)


@given(st.floats(0.02, 20.0), st.floats(0.05, 1.5), st.floats(-3.0, 9.0))
def test_m4_recovers_the_equation_over_a_wide_range(a, alpha, log10_A):
    """The fixed number of Newton steps is enough from far below the bend to far above it."""
    N, E, L0, A = np.geomspace(1e3, 1e9, 9), 1.0, 6.0, 10.0**log10_A
    u = (laws.m4(N, E=E, L0=L0, A=A, alpha=alpha, a=a) - E) / (L0 - E)
    inside = (u > 1e-6) & (u < 1 - 1e-6)
    left = np.log(u[inside]) - a * np.log1p(-u[inside])
    right = np.log(A) - alpha * np.log(N[inside]) + (a - 1) * np.log(L0 - E)
    np.testing.assert_allclose(left, right, atol=1e-6)


def test_broken_power_law_meets_its_limits():
    """Far below the break the slope is -c0, far above it -(c0 + c1); without the break's change it is a power law."""
    law = laws.bnsl(1)
    constants = {"E": 0.0, "A": 5.0, "c0": 0.1, "c1": 0.2, "d1": 1e6, "f1": 0.2}
    slope = lambda x: np.diff(np.log(law(np.array([x, 1.01 * x]), **constants)))[0] / np.log(1.01)  # noqa: E731
    assert slope(1e1) == pytest.approx(-0.1, abs=1e-6)
    assert slope(1e11) == pytest.approx(-0.3, abs=1e-6)
    N = COLUMNS["N"]
    np.testing.assert_allclose(law(N, **constants | {"c1": 0.0}), laws.power_law(N, A=5.0, alpha=0.1))
    assert laws.bnsl(2) is laws.bnsl(2)
    assert describe(laws.bnsl(2)).parameter_names == ("E", "A", "c0", "c1", "d1", "f1", "c2", "d2", "f2")


def test_overtraining_is_chinchilla_with_equal_exponents():
    N, D, a, b, eta = COLUMNS["N"], COLUMNS["D"], 60.0, 2000.0, 0.17
    same = {"E": 1.8, "A": a * 6**-eta, "B": b * 6**-eta, "alpha": 2 * eta, "beta": 2 * eta}
    over = laws.overtraining(6 * N * D, D / N, E=1.8, a=a, b=b, eta=eta)
    np.testing.assert_allclose(over, laws.chinchilla(N, D, **same))


def test_plateau_and_sigmoid_meet_their_limits():
    flat = {"E": 1.5, "A": 100.0, "alpha": 0.1, "C_stop": 1e20, "q": 5.0}
    assert laws.plateau(1e30, **flat) == pytest.approx(1.5 + 100 / 1e20**0.1, rel=1e-6)
    assert laws.plateau(1e12, **flat) == pytest.approx(1.5 + 100 / 1e12**0.1, rel=1e-3)
    step = {"E": 1.5, "L0": 5.0, "C_mid": 1e20, "k": 1.0}
    assert [float(laws.sigmoid(C, **step)) for C in (1e5, 1e20, 1e35)] == pytest.approx([5.0, 3.25, 1.5])
    assert laws.m3(1e30, A=20.0, alpha=0.2, N_stop=1e8) == pytest.approx(20 / 1e8**0.2)


def test_fading_pool_is_a_power_law_of_fresh_tokens_and_stops_at_many_passes():
    constants = {"E": 1.5, "A": 300.0, "beta": 0.3, "half_life": 4.0}
    fresh = np.geomspace(1e7, 1e9, 5)
    np.testing.assert_allclose(laws.fading_pool(fresh, 1e9, **constants), 1.5 + 300 / fresh**0.3)
    second = 1.5 + 300 / (1e9**0.3 * 2 ** (0.3 * 0.5**0.25))
    assert laws.fading_pool(2e9, 1e9, **constants) == pytest.approx(second)
    assert laws.fading_pool(1e12, 1e9, **constants) == laws.fading_pool(1e13, 1e9, **constants)


def test_annealing_areas_match_their_sums():
    """A constant rate, then one fall: S2 approaches the fall times the memory of 1/(1 - λ) steps, step by step."""
    step, rate = np.arange(1, 3001), np.where(np.arange(1, 3001) <= 1000, 3e-4, 1e-4)
    S1, S2 = laws.annealing_areas(step, rate, decay=0.99)
    assert S1[999] - S1[0] == pytest.approx(999 * 3e-4)
    assert S1[-1] - S1[999] == pytest.approx(2000 * 1e-4)
    assert np.all(S2[:1000] == 0.0)
    assert S2[1000] == pytest.approx(2e-4)
    assert S2[-1] == pytest.approx(2e-4 * 100, rel=1e-6)
    warm, _ = laws.annealing_areas(step + 99, rate, warmup_steps=100)
    assert warm[0] == pytest.approx(50 * 3e-4)


def test_falling_columns_cut_a_curve_into_equal_falls():
    step = np.arange(0, 10001, 100)
    rate = 3e-4 * (1.0 - 0.9 * step / 10000)
    columns = laws.falling_columns(step, rate, falls=4)
    assert [columns[f"fall_{k}"][-1] for k in (1, 4)] == pytest.approx([2.7e-4 / 4, 2.7e-4 / 4])
    assert columns["rate_1"][-1] == pytest.approx(3e-4 - 2.7e-4 / 8, rel=1e-3)
    assert columns["area_4"][-1] < columns["area_1"][-1] < columns["S1"][-1]
    assert columns["fall_4"][50] == 0.0
    flat = laws.falling_columns(step, np.full(len(step), 3e-4), falls=2)
    assert not flat["fall_1"].any()
    assert not flat["area_2"].any()


def test_transferred_data_matches_hernandez():
    """Their constants from text to Python, at 1e6 characters and 1e8 parameters."""
    worth = laws.transferred_data(1e6, 1e8, k=1.9e4, alpha=0.18, beta=0.38)
    assert worth == pytest.approx(1.9e4 * 10 ** (6 * 0.18 + 8 * 0.38))


def test_scores_fall_with_loss_between_their_levels():
    loss = np.linspace(0.0, 40.0, 50)
    score = laws.score_from_loss(loss, a=0.6, b=0.25, k=2.0, L_mid=2.5)
    assert np.all(np.diff(score) <= 0)
    assert score[-1] == pytest.approx(0.25)
    assert laws.error_from_loss(40.0, error_at_chance=0.75, k=1.0, gamma=0.8) == pytest.approx(0.75)
    middle = laws.score_from_compute(1e22, low=0.25, high=0.95, slope=1.3, C_mid=1e22)
    assert middle == pytest.approx(0.6)


def test_gains_are_largest_where_over_optimisation_begins():
    d = np.linspace(0.01, 6.0, 6000)
    choice = laws.best_of_n_gain(d, alpha=0.6, beta=0.15)
    assert d[choice.argmax()] == pytest.approx(0.6 / (2 * 0.15), abs=2e-3)
    trained = laws.policy_gain(d, alpha=0.3, beta=0.2)
    assert d[trained.argmax()] == pytest.approx(math.exp(0.3 / 0.2 - 1), abs=2e-3)


def test_along_exchanges_one_column():
    law = laws.along(laws.power_law_floor, "D")
    assert describe(law).column_names == ("D",)
    assert describe(law).parameters[0].quantity.unit == "nats/token"
    assert law(1e9, E=1.0, A=10.0, alpha=0.1) == laws.power_law_floor(1e9, E=1.0, A=10.0, alpha=0.1)
    held = describe(laws.along(functools.partial(laws.power_law_floor, E=1.0), "D"))
    assert held.parameter_names == ("A", "alpha")
    with pytest.raises(NotALaw, match="only one name can be exchanged"):
        laws.along(laws.chinchilla, "D")


def test_laws_that_are_made_name_what_they_cannot_be():
    with pytest.raises(NotALaw, match="it needs a break"):
        laws.bnsl(0)
    with pytest.raises(NotALaw, match="names of columns"):
        laws.mixing("not a name")


UNROUNDED = functools.partial(laws.chinchilla, E=1.69337, A=406.401, B=410.7228, alpha=0.33917, beta=0.28491)
"""The constants of Hoffmann et al. before rounding; the rounded ones move the optimum by more than inference does."""


def test_cheapest_meets_the_optimum_when_nobody_uses_the_model():
    plain = laws.optimum(UNROUNDED, np.geomspace(1e20, 1e25, 4))
    served = laws.cheapest(UNROUNDED, plain.loss)
    np.testing.assert_allclose(served.N, plain.N, rtol=1e-5)
    np.testing.assert_allclose(served.total_flops, plain.C, rtol=1e-9)


def test_cheapest_matches_sardana():
    """The quality of a compute-optimal 13B model for 2T tokens of use: train 7B longer, 17 % fewer FLOPs in all.
    The published figures are to one or two digits."""
    C = 1e22 * np.geomspace(1, 100, 2001)
    plain = laws.optimum(UNROUNDED, C)
    at = int(np.argmin(np.abs(plain.N - 13e9)))
    served = laws.cheapest(UNROUNDED, plain.loss[at], inference_tokens=2e12)
    assert pytest.approx(7e9, rel=0.03) == served.N
    before = C[at] + 2 * plain.N[at] * 2e12
    assert served.total_flops / before - 1 == pytest.approx(-0.17, abs=0.01)


def test_cheapest_says_when_a_loss_is_out_of_reach():
    served = laws.cheapest(UNROUNDED, [1.5, 2.0], inference_tokens=1e12)
    assert np.isnan(served.N[0])
    assert np.isnan(served.total_flops[0])
    assert np.isfinite(served.N[1])
    with pytest.raises(NotALaw, match="a law of N and D"):
        laws.cheapest(laws.power_law, 2.0, A=1.0, alpha=0.1)
    with pytest.raises(NotALaw, match="no value was given for E"):
        laws.cheapest(laws.chinchilla, 2.0, A=1.0, B=1.0, alpha=0.1, beta=0.1)
