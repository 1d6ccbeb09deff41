"""The optimum that the browser finds is the one that Python finds."""

from __future__ import annotations

import altair as alt
import numpy as np
import polars as pl
import pytest
from real_vega import marks, scene

from scaling.charts.optimum import optimum as in_browser
from scaling.charts.optimum import quantiles
from scaling.design.allocation import allocate, flops_per_token, with_unique_tokens
from scaling.fitting import fit
from scaling.flops import Shape, count_flops, count_parameters
from scaling.laws import (
    MUENNIGHOFF_2023,
    chinchilla,
    kaplan,
    optimum,
    power_mean,
    repeated_data,
)

TRUTH = {"E": 0.9, "A": 14.0, "B": 150.0, "alpha": 0.28, "beta": 0.36}
BUDGETS = np.logspace(10, 15, 11)


def settled(law, parameters, cost, unique):
    """N and loss at each budget, as the chain of transforms leaves them in Vega."""
    rows = [{"C": float(C), **parameters} for C in BUDGETS]
    chain = in_browser(
        law, list(parameters), flops_per_token=cost, compute="datum.C", unique_tokens=repr(unique)
    )
    chart = alt.Chart(alt.InlineData(values=rows)).mark_text().encode(text="said:N")
    chart = chart.transform_calculate(said="datum.N+' '+datum.loss")
    chart.transform = [*chain, *chart.transform]
    texts = [item["text"].split() for group in marks(scene(chart), "text") for item in group]
    return np.array(texts, float).T


@pytest.mark.parametrize("unique", [3e5, 1e7, 1e12])
def test_browser_optimum_matches_a_search_in_python(ladder: pl.DataFrame, unique: float) -> None:
    """Loss within 1e-5; N within 3 %, for the loss is flat around its optimum."""
    cost = flops_per_token(ladder)
    N, loss = settled(with_unique_tokens(chinchilla), TRUTH, cost, unique)
    sizes = np.exp(np.linspace(np.log(1e2), np.log(1e9), 4001))[:, None]
    losses = with_unique_tokens(chinchilla)(sizes, BUDGETS / cost(sizes), unique, **TRUTH)
    np.testing.assert_allclose(loss, losses.min(axis=0), rtol=1e-5)
    np.testing.assert_allclose(N, sizes[losses.argmin(axis=0), 0], rtol=0.03)


@pytest.mark.parametrize(
    ("law", "parameters"),
    [
        (kaplan, {"N_c": 2e7, "D_c": 1e9, "alpha_N": 0.1, "alpha_D": 0.2}),
        (power_mean, TRUTH | {"q": 2.5}),
    ],
)
def test_browser_optimum_matches_the_suite_for_other_laws(law, parameters) -> None:
    """At 6ND, where `laws.optimum` needs no wrapping."""
    N, loss = settled(with_unique_tokens(law), parameters, lambda N: 6 * N, 1e15)
    best = optimum(law, BUDGETS, **parameters)
    np.testing.assert_allclose(loss, best.loss, rtol=1e-5)
    np.testing.assert_allclose(N, best.N, rtol=0.01)


def test_flops_per_token_recovers_the_cost_of_a_ladder(ladder: pl.DataFrame) -> None:
    """Exact for widths that the runs do not have, because depth, context and vocabulary are theirs."""
    cost = flops_per_token(ladder)
    for width in (16, 128, 256):
        shape = Shape(width=width)
        wanted = count_flops(shape).total
        assert cost(count_parameters(shape).matrices) == pytest.approx(wanted, rel=1e-12)


def test_allocate_matches_the_closed_form_at_6nd(ladder: pl.DataFrame) -> None:
    """Hoffmann et al. 2022, equation 4."""
    plain = ladder.with_columns(C=6.0 * pl.col("N") * pl.col("D"))
    fitted = fit(chinchilla, plain, bootstrap=50)
    best = allocate(fitted, plain, BUDGETS, discrepancy=False)
    closed = optimum(chinchilla, BUDGETS, **fitted.draws)
    np.testing.assert_allclose(best.N.median, np.median(closed.N, axis=0), rtol=1e-6)
    np.testing.assert_allclose(best.loss.high, np.quantile(closed.loss, 0.9, axis=0), rtol=1e-9)
    np.testing.assert_allclose(6 * best.N.median * best.D.median, BUDGETS, rtol=0.02)


def test_allocate_names_what_it_found(ladder: pl.DataFrame) -> None:
    best = allocate(fit(chinchilla, ladder, bootstrap=50), ladder, [1e12, 1e14])
    assert "80 % intervals; the largest run took 1.4e13 FLOPs" in str(best)
    assert "<table>" in best._repr_html_()
    assert best.loss.low[1] < best.loss.median[1] < best.loss.high[1]


def test_repeats_are_invariant_to_fresh_data() -> None:
    """With as many distinct tokens as are trained on, the law is the one that was fitted."""
    D, U = np.array([1e6, 1e8]), 1e10
    assert with_unique_tokens(kaplan)(1e4, D, U, N_c=1e7, D_c=1e9, alpha_N=0.1, alpha_D=0.2) == pytest.approx(
        kaplan(1e4, D, N_c=1e7, D_c=1e9, alpha_N=0.1, alpha_D=0.2), rel=1e-12
    )
    assert with_unique_tokens(repeated_data) is repeated_data
    few = {"unique_tokens": 1e6, "R_D": MUENNIGHOFF_2023.keywords["R_D"]}
    assert with_unique_tokens(chinchilla)(1e4, D, 1e6, **TRUTH) == pytest.approx(
        repeated_data(1e4, D, **few, **TRUTH)
    )


def test_quantiles_match_numpy() -> None:
    values = np.random.default_rng(0).normal(size=(2, 40))
    rows = [{"group": g, "loss": float(v)} for g, row in enumerate(values) for v in row]
    chart = alt.Chart(alt.InlineData(values=rows)).mark_text().encode(text="said:N")
    chart = chart.transform_calculate(said="datum.loss_low+' '+datum.loss_mid+' '+datum.loss_high")
    chart.transform = [*quantiles(["loss"], 0.8, ["group"]), *chart.transform]
    texts = [item["text"].split() for group in marks(scene(chart), "text") for item in group]
    np.testing.assert_allclose(
        np.array(texts, float).T, np.quantile(values, [0.1, 0.5, 0.9], axis=1), rtol=1e-12
    )


def test_flops_per_token_is_invariant_to_how_c_was_counted() -> None:
    runs = pl.DataFrame({"N": [1e6, 1e7], "D": [1e8, 1e9], "C": [6e14, 6e16]})
    assert flops_per_token(runs)(1e9) == pytest.approx(6e9, rel=1e-12)
