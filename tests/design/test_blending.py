"""Proposed blends: the best one comes back, rows of every form are read, doubts and bad input are said in words."""

import json

import numpy as np
import polars as pl
import pytest
from pytest import approx

import scaling
from scaling import laws
from scaling.design.blending import Blend
from scaling.design.domains import read_blends, without
from scaling.design.simplex import lowest
from scaling.errors import BadOption, FitError, MissingColumns

DOMAINS = ("code", "prose", "math")
PROSE = {"C": np.array([0.10, 0.80, 0.15]), "gamma": np.array([0.5, 0.4, 0.7]), "E": 1.5}
CODE = {"C": np.array([0.90, 0.15, 0.05]), "gamma": np.array([0.4, 0.6, 0.5]), "E": 1.2}


def additive(shares, C, gamma, E):
    return E + 1 / (C * np.asarray(shares) ** gamma).sum(axis=-1)


def rows(count=20, noise=0.003, seed=0, **columns):
    """Runs as the store keeps them: a struct of shares, a loss for each domain that was measured."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(3), count)
    losses = {
        f"loss_{d}": additive(shares, **law) * np.exp(noise * rng.normal(size=count))
        for d, law in (("prose", PROSE), ("code", CODE))
    }
    blends = [dict(zip(DOMAINS, map(float, each), strict=True)) for each in shares]
    return pl.DataFrame({"blend": blends, **losses, **columns})


def as_columns(runs):
    return runs.select(*(pl.col("blend").struct.field(d).alias(f"w_{d}") for d in DOMAINS), "^loss_.*$")


@pytest.fixture(scope="module")
def proposed() -> Blend:
    return scaling.blend(rows(), {"prose": 1, "code": 1}, law="additive_mixing", bootstrap=60)


def test_blend_recovers_the_best_blend_of_the_law_that_made_the_runs():
    """Without noise to what the flat optimum lets a descent see; a grid of 0.5 % finds the truth."""
    best = scaling.blend(rows(noise=1e-6), {"prose": 3, "code": 1}, law="additive_mixing", bootstrap=20)
    step = np.linspace(0, 1, 201)
    code, prose = (a.ravel() for a in np.meshgrid(step, step))
    grid = np.stack([code, prose, 1 - code - prose], axis=1)[code + prose <= 1 + 1e-9].clip(0)
    loss = 0.75 * additive(grid, **PROSE) + 0.25 * additive(grid, **CODE)
    assert best.shares.median == approx(grid[np.argmin(loss)], abs=0.01)
    assert best.loss.median == approx(loss.min(), abs=1e-4)
    assert best.shares.median.sum() == approx(1)
    assert best.target == approx({"prose": 0.75, "code": 0.25})


def test_blend_proposes_for_the_tokens_that_most_blends_were_tried_for_and_within_what_was_tried_there():
    """Long runs on code alone say nothing of prose for as long: it is proposed for them as far as it was tried."""
    half = rows(D=5e5).with_columns(pl.col("loss_prose", "loss_code") + 0.1)
    short = pl.concat([half, rows(D=1e6)])
    long = [{"code": share, "prose": 0.1, "math": 0.9 - share} for share in (0.9, 0.6, 0.3)]
    losses = {
        f"loss_{d}": [float(additive([b[x] for x in DOMAINS], **law)) - 0.1 for b in long]
        for d, law in (("prose", PROSE), ("code", CODE))
    }
    both = pl.concat([short, pl.DataFrame({"blend": long, **losses, "D": 4e6})])
    best = scaling.blend(both, "prose", law="additive_mixing", bootstrap=20)
    assert best.D == 1e6
    assert best.proposal["prose"] > 0.6
    later = scaling.blend(both, "prose", law="additive_mixing", bootstrap=20, D=4e6)
    assert later.proposal["prose"] == approx(0.1)
    alone = without(both, ["math", "maths"])
    assert len(alone) == 1
    assert alone["blend"].struct.field("code").item() == 0.9
    with pytest.raises(FitError, match=r"runs of N = 50 have 4 different blends.*name another size"):
        scaling.blend(rows(N=50.0).head(4), "prose")


def test_blend_prints_shares_gains_and_doubts(proposed):
    said = str(proposed)
    for words in ("from 20 runs on 20 blends of 3 domains", "proposed, %", "80 %", "best run, %", "uniform"):
        assert words in said
    assert "additive_mixing for prose (misses blends left out by" in said
    assert proposed._repr_html_().count("<table>") == 2
    assert proposed.answer in ("better than every run", "no better than the best run")
    assert proposed.over_uniform.low > 0
    assert 0 <= proposed.regret.low <= proposed.regret.high < 0.02
    assert set(proposed.fits) == {"prose", "code"}


def test_blend_predicts_any_blend(proposed):
    own = proposed.predict(proposed.proposal)
    assert (own.median, own.low) == approx((proposed.loss.median, proposed.loss.low))
    both = proposed.predict(np.array([[1 / 3] * 3, [0.5, 0.5, 0.0]]))
    assert both.median.shape == (2,)
    assert float(both.median[0]) == approx(proposed.uniform)
    true = 0.5 * (additive([0.5, 0.5, 0.0], **PROSE) + additive([0.5, 0.5, 0.0], **CODE))
    assert both.low[1] - 0.03 < true < both.high[1] + 0.03
    with pytest.raises(BadOption, match="shares of 3 domains"):
        proposed.predict({"code": 0.5})


def test_blend_is_invariant_to_how_the_rows_say_it(proposed):
    runs = rows()
    as_json = runs.with_columns(blend=pl.Series([json.dumps(b) for b in runs["blend"]]))
    listed = [
        [{"domain": d, "loss": row[f"loss_{d}"]} for d in ("code", "prose")]
        for row in runs.iter_rows(named=True)
    ]
    as_list = runs.select("blend", domains=pl.Series(listed))
    for same in (as_columns(runs), as_json, as_list, runs.to_arrow()):
        read = read_blends(same)
        assert read.domains == DOMAINS
        assert read.shares == approx(read_blends(runs).shares)
        assert read.losses["code"] == approx(runs["loss_code"].to_numpy())
    again = scaling.blend(as_json, {"code": 2, "prose": 2}, law="additive_mixing", bootstrap=60)
    assert again.shares.median == approx(proposed.shares.median, abs=1e-6)


def test_blend_of_a_transfer_matrix_counts_tokens():
    """Target tokens fixed, code added in doses: what the exchange law sees is tokens of each domain."""
    rng = np.random.default_rng(1)
    english, code = (a.ravel() for a in np.meshgrid([2e5, 4e5, 8e5], np.array([0, 0.5, 1, 2, 4]) * 2e5))
    law = laws.exchange("english", "code")
    loss = law(english, code, E=1.6, B=60.0, beta=0.35, tau_code=0.2) * np.exp(0.002 * rng.normal(size=15))
    blends = [
        {"english": e, "code": c} for e, c in np.stack([english, code], axis=1) / (english + code)[:, None]
    ]
    runs = pl.DataFrame({"blend": blends, "loss_english": loss, "D": english + code, "N": 1e5})
    best = scaling.blend(runs, "english", law="exchange", bootstrap=40, D=1e6)
    assert best.fits["english"].params["tau_code"] == approx(0.2, abs=0.05)
    assert best.proposal["english"] == approx(1, abs=1e-3)
    assert "for 1M tokens" in str(best)
    assert best.loss.median == approx(float(law(1e6, 0.0, E=1.6, B=60.0, beta=0.35, tau_code=0.2)), rel=0.01)


def test_blend_cannot_tell_where_blends_do_not_matter():
    rng = np.random.default_rng(3)
    runs = rows(24).with_columns(loss_prose=3 * np.exp(0.01 * rng.normal(size=24)))
    best = scaling.blend(runs, "prose", law="mixing", bootstrap=60)
    assert best.answer == "cannot tell from uniform"
    assert "these runs cannot tell it from uniform" in str(best)


def test_blend_says_where_the_best_is_at_the_edge_of_what_was_tried():
    """Only up to half code was tried, and more of it would be better."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(3), 20) * np.array([0.4, 0, 0]) + rng.dirichlet(np.ones(3), 20) * 0.1
    shares[:, 1] = 1 - shares[:, 0] - shares[:, 2]
    runs = pl.DataFrame(
        {f"w_{d}": shares[:, i] for i, d in enumerate(DOMAINS)} | {"loss_code": additive(shares, **CODE)}
    )
    best = scaling.blend(runs, "code", law="exchange", bootstrap=20)
    assert "code" in best.edge
    assert "at the edge of what was tried" in str(best)
    within = scaling.blend(runs, "code", law="exchange", bootstrap=20, limits={"code": (0, 0.2)})
    assert within.proposal["code"] <= 0.2 + 1e-9


def test_blend_takes_the_law_that_predicts_blends_left_out():
    """Exponential in the shares: that law is taken over those that bend the other way."""
    rng = np.random.default_rng(2)
    shares = rng.dirichlet(np.ones(3), 24)
    loss = (1.5 + np.exp(shares @ np.array([-2.0, 0.5, 1.5]))) * np.exp(0.002 * rng.normal(size=24))
    runs = pl.DataFrame({f"w_{d}": shares[:, i] for i, d in enumerate(DOMAINS)} | {"loss_code": loss})
    best = scaling.blend(runs, "code", bootstrap=20)
    (law,) = best.laws.filter("chosen")["law"]
    assert law == "mixing"
    assert best.laws["held_out_percent"].to_list() == sorted(best.laws["held_out_percent"])


def test_blend_of_two_budgets_is_by_exchange():
    """A term of tokens needs three."""
    D = np.tile([1e6, 4e6], 10)
    assert scaling.blend(rows(D=D), "prose", bootstrap=20).laws["law"].to_list() == ["exchange"]


def test_blend_needs_a_target_only_at_the_size_asked_for():
    unmeasured = rows(10, N=1e6).with_columns(loss_prose=pl.lit(None, pl.Float64))
    both = pl.concat([unmeasured, rows(16, N=1e7)])
    assert scaling.blend(both, "prose", law="exchange", bootstrap=20).runs == 16
    with pytest.raises(scaling.ScalingError, match="10 of the runs do not have it"):
        scaling.blend(both, "prose", N=1e6)


def test_blend_of_the_largest_size_or_the_one_asked_for():
    small, large = rows(16, seed=1, N=1e6), rows(18, seed=2, N=1e7)
    both = pl.concat([small, large])
    assert scaling.blend(both, "prose", law="exchange", bootstrap=20).runs == 18
    assert scaling.blend(both, "prose", law="exchange", bootstrap=20, N=1e6).N == 1e6
    with pytest.raises(BadOption, match=r"a size that there are runs of: 1e\+06, 1e\+07"):
        scaling.blend(both, "prose", N=3e6)


def test_lowest_meets_the_closed_form():
    """Σ a_j / r_j is lowest at r_j ∝ sqrt(a_j); bounds hold, and a problem's slope may be infinite at 0."""
    a = np.array([[1.0, 4.0, 9.0], [1.0, 1.0, 1.0]])
    best = lowest(lambda r: ((a / r).sum(axis=1), -a / r**2), 2, np.zeros(3), np.ones(3))
    assert best == approx(np.sqrt(a) / np.sqrt(a).sum(axis=1, keepdims=True), abs=1e-4)
    capped = lowest(lambda r: ((a / r).sum(axis=1), -a / r**2), 2, np.zeros(3), np.array([1, 1, 0.4]))
    assert capped[0] == approx([0.2, 0.4, 0.4], abs=1e-4)


def _percent(runs):
    return as_columns(runs).with_columns(pl.col("^w_.*$") * 100)


def _one_domain(runs):
    return runs.select(pl.lit(1.0).alias("w_prose"), "loss_prose")


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (_percent, {}, "add up to 1, but those of 20 of the runs do not .*together 100.*percent are divided by 100"),
        (lambda r: r, {"target": "proze"}, "the loss on 'proze' was asked for.*Did you mean 'prose'"),
        (lambda r: r, {"target": "math"}, "20 of the runs do not have it. They are trained on it, but its loss is not"),
        (_one_domain, {}, "all runs were trained on prose alone"),
        (lambda r: r.head(4), {}, "4 different blends, and 7 are the least"),
        (lambda r: r, {"target": {"prose": -1}}, "weights above zero"),
        (lambda r: r, {"target": {}}, "weights above zero"),
        (lambda r: r, {"law": "linear"}, "'auto' or one of 'additive_mixing'"),
        (lambda r: r, {"limits": {"maths": (0, 1)}}, "names the domain 'maths', which no run.*Did you mean 'math'"),
        (lambda r: r, {"limits": {"math": (0.5, 0.2)}}, "lowest, highest"),
        (lambda r: r, {"limits": {"math": (0, 0.1), "code": (0, 0.1), "prose": (0, 0.1)}}, "can add up to 1"),
        (lambda r: r, {"D": 1e6}, "the runs do not differ in tokens"),
        (lambda r: r, {"N": 1e6}, "no column N"),
        (lambda r: r, {"bootstrap": 5}, "at least 20"),
        (lambda r: r, {"level": 2}, "level"),
    ],
)  # fmt: skip
def test_blend_names_what_it_cannot_do(change, options, words):
    with pytest.raises(scaling.ScalingError, match=words):
        scaling.blend(change(rows()), **{"target": "prose"} | options)


def test_blend_names_the_columns_that_are_missing():
    with pytest.raises(MissingColumns, match="a column w_<domain> for each"):
        scaling.blend(rows().drop("blend"), "prose")
    with pytest.raises(MissingColumns, match="loss_<domain>"):
        scaling.blend(rows().select("blend"), "prose")
