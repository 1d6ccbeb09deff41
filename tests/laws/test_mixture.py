"""Laws of blends and of transfer: what they say at their limits, fitted from runs, through dual numbers and Vega."""

import numpy as np
import pytest
from pytest import approx

import scaling
from scaling import laws
from scaling.laws.base import NotALaw, describe
from scaling.laws.dual import Dual

SHARES = {"code": np.array([0.0, 0.2, 0.5, 0.9]), "prose": np.array([1.0, 0.8, 0.5, 0.1])}
TERMS = {"C_code": 0.4, "gamma_code": 0.3, "C_prose": 0.9, "gamma_prose": 0.6}


def blends(count, domains, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(domains), count).T


def test_additive_mixing_adds_what_domains_are_worth():
    law = laws.additive_mixing("code", "prose")
    r, q = SHARES["code"], SHARES["prose"]
    assert law(r, q, E=1.5, **TERMS) == approx(1.5 + 1 / (0.4 * r**0.3 + 0.9 * q**0.6))
    assert law is laws.additive_mixing("code", "prose")
    assert law is laws.get("additive_mixing(code, prose)")


def test_additive_mixing_is_convex_in_the_shares():
    law, (a, b) = laws.additive_mixing("code", "prose"), blends(40, 2)
    middle = law(a.mean(), 1 - a.mean(), E=1.5, **TERMS)
    assert middle < law(a, 1 - a, E=1.5, **TERMS).mean()
    assert b == approx(1 - a)


def test_exchange_counts_each_domain_in_tokens_of_the_target():
    law = laws.exchange("english", "code")
    constants = {"E": 1.7, "B": 300.0, "beta": 0.3}
    alone = law(3e6, 0.0, **constants, tau_code=0.25)
    assert law(2e6, 4e6, **constants, tau_code=0.25) == approx(alone)
    assert law(3e6, 9e6, **constants, tau_code=0.0) == approx(alone)


def test_with_scale_adds_size_and_tokens():
    plain = laws.additive_mixing("code", "prose")
    law = laws.with_scale(plain, "N", "D")
    assert law is laws.get("additive_mixing(code, prose) with scale N, D")
    assert describe(law).column_names == ("code", "prose", "N", "D")
    both = law(*SHARES.values(), 1e8, 1e9, E=1.5, **TERMS, A=400.0, alpha=0.34, B=2000.0, beta=0.37)
    assert both == approx(plain(*SHARES.values(), E=1.5, **TERMS) + 400 / 1e8**0.34 + 2000 / 1e9**0.37)


def test_with_transfer_meets_both_of_its_arms():
    """From scratch it is the law itself; pre-trained, the law with D_T more data."""
    law = laws.with_transfer(laws.kaplan)
    plain = {"N_c": 1e9, "D_c": 1e10, "alpha_N": 0.08, "alpha_D": 0.1}
    extra = {"k": 1.9e4, "alpha_T": 0.18, "beta_T": 0.38}
    N, D = 1e7, np.geomspace(1e5, 1e8, 4)
    assert law(N, D, 0.0, **plain, **extra) == approx(laws.kaplan(N, D, **plain))
    more = D + laws.transferred_data(D, N, k=1.9e4, alpha=0.18, beta=0.38)
    assert law(N, D, 1.0, **plain, **extra) == approx(laws.kaplan(N, more, **plain))
    assert law is laws.get("kaplan with transfer")


def test_bivariate_mixing_is_a_power_of_the_own_share():
    at = {"B": 200.0, "C": 1.5, "alpha": 0.1, "beta": 0.3}
    half, whole = (laws.bivariate_mixing(r, 1e9, **at) for r in (0.5, 1.0))
    assert half / whole == approx(2**0.1)
    assert whole == approx(200 / 1e9**0.3 + 1.5)


ADDITIVE = TERMS | {"E": 1.5, "C_math": 0.2, "gamma_math": 0.8}
RATES = {"E": 1.5, "B": 0.8, "beta": 0.4, "tau_prose": 0.3, "tau_math": 0.05}
GROWING = {"E": 1.5, "k": 1.0, "t_code": -1.0, "t_prose": 0.5, "B": 50.0, "beta": 0.3}
RECOVERED = [
    (laws.additive_mixing("code", "prose", "math"), ADDITIVE, False),
    (laws.exchange("code", "prose", "math"), RATES, False),
    (laws.with_scale(laws.mixing("code", "prose"), "D"), GROWING, True),
]


@pytest.mark.parametrize(("law", "truth", "scaled"), RECOVERED, ids=lambda v: getattr(v, "__name__", ""))
def test_fit_recovers_laws_of_blends(law, truth, scaled):
    columns = dict(zip(("code", "prose", "math"), blends(40, 3), strict=True))
    columns |= {"D": np.tile(np.geomspace(1e6, 1e8, 8), 5)} if scaled else {}
    at = [columns[c] for c in describe(law).column_names]
    fitted = scaling.fit(law, columns | {"loss": law(*at, **truth)}, bootstrap=0)
    assert fitted.params == approx(truth, rel=1e-3)


def test_fit_recovers_the_data_transferred_from_losses_of_both_arms():
    """Constants of the paper's size; the law of the loss is known from the runs from scratch, D_T from the others."""
    law = laws.with_transfer(laws.chinchilla)
    truth = {
        "E": 1.5,
        "A": 40.0,
        "alpha": 0.3,
        "B": 150.0,
        "beta": 0.35,
        "k": 1.9e4,
        "alpha_T": 0.18,
        "beta_T": 0.38,
    }
    grid = np.meshgrid(np.geomspace(1e5, 1e8, 4), np.geomspace(1e5, 1e8, 6), [0.0, 1.0])
    N, D, pretrained = (a.ravel() for a in grid)
    runs = {"N": N, "D": D, "pretrained": pretrained, "loss": law(N, D, pretrained, **truth)}
    fitted = scaling.fit(law, runs, bootstrap=0)
    worth = {p: fitted.params[p] for p in ("alpha_T", "beta_T", "beta", "alpha")}
    assert worth == approx({p: truth[p] for p in worth}, rel=1e-2)


@pytest.mark.parametrize("name", ["additive_mixing(code, prose)", "exchange(code, prose)", "mixing(code)"])
def test_laws_of_blends_have_a_slope_by_share(name):
    """The best blend is sought along it; central differences at a step of 1e-6."""
    law = describe(laws.get(name))
    at = {p.name: 0.4 for p in law.parameters}
    columns = [SHARES[c][1:] for c in law.column_names]
    moved = law(*(Dual(c, {j: 1.0}) for j, c in enumerate(columns)), **at)
    for j in range(len(columns)):
        ends = [law(*(c + sign * 1e-6 * (i == j) for i, c in enumerate(columns)), **at) for sign in (1, -1)]
        np.testing.assert_allclose(moved.parts[j], (ends[0] - ends[1]) / 2e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: laws.additive_mixing("not a name"), "names of columns, at least one"),
        (lambda: laws.exchange("code"), "names of columns, at least two"),
        (lambda: laws.with_scale(laws.mixing("code"), "C"), "N, D or both"),
        (lambda: laws.with_scale(laws.chinchilla, "N"), "has A, N, alpha already"),
        (lambda: laws.with_transfer(laws.mixing("code")), "transfer needs N and D"),
    ],
)
def test_laws_of_blends_names_what_they_cannot_be(made, words):
    with pytest.raises(NotALaw, match=words):
        made()
