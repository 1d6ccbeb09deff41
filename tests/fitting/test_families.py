"""Several families of runs under one law, fitted together."""

import numpy as np
import polars as pl
import pytest
from pytest import approx

import scaling
from scaling.errors import BadOption, MissingColumns
from scaling.fitting.families import NoOtherFamily
from scaling.fitting.pooling import FamilyRefused, OneFamily, TooFewOfAFamily
from scaling.laws import chinchilla, power_law_floor, score_from_compute
from scaling.laws.base import UnknownParameter

EXPONENTS = ("alpha", "beta")


def families(count, *, sizes=3, budgets=4, spread=0.02, noise=0.004, seed=0):
    """Runs of each family, and what made them."""
    rng = np.random.default_rng(seed)
    truth, tables = {}, []
    for f in range(count):
        alpha, beta = 0.34 + spread * rng.normal(), 0.30 + spread * rng.normal()
        made = {"E": rng.uniform(1.5, 2.1), "alpha": alpha, "beta": beta}
        made |= {"A": rng.uniform(0.4, 0.9) * 3e7**alpha, "B": rng.uniform(0.4, 0.9) * 1e9**beta}
        N, D = np.meshgrid(np.geomspace(2e6, 3e8, sizes), np.geomspace(3e7, 6e9, budgets))
        N, D = N.ravel() * rng.uniform(0.7, 1.4), D.ravel() * rng.uniform(0.7, 1.4)
        loss = chinchilla(N, D, **made) * np.exp(noise * rng.normal(size=len(N)))
        truth[f"corpus {f}"] = made
        tables.append(pl.DataFrame({"corpus": [f"corpus {f}"] * len(N), "N": N, "D": D, "loss": loss}))
    return pl.concat(tables), truth


RUNS, TRUTH = families(6, noise=0.01)
FEW = RUNS.filter(
    (pl.col("corpus") != "corpus 0") | pl.int_range(pl.len()).is_in([0, 4, 8, 9])
)  # 4 runs of it


@pytest.fixture(scope="module")
def together():
    return scaling.pool(chinchilla, RUNS, by="corpus", cluster="rows")


@pytest.fixture(scope="module")
def few():
    return scaling.pool(chinchilla, FEW, by="corpus", cluster="rows")


def test_pool_recovers_every_family_and_their_spread(together):
    own = together.table.filter(pl.col("parameter").is_in(EXPONENTS))
    truth = np.array([TRUTH[family][p] for family, p in own.select("family", "parameter").iter_rows()])
    held = (own["low"].to_numpy() <= truth) & (truth <= own["high"].to_numpy())
    assert held.mean() > 0.8
    misses = [np.sqrt(np.mean((own[column].to_numpy() - truth) ** 2)) for column in ("value", "alone")]
    assert misses[0] < misses[1]
    for p in EXPONENTS:
        within = together.spread(p)
        assert within.low <= 0.02 <= within.high < 0.1
        assert together.means[p].low < {"alpha": 0.34, "beta": 0.30}[p] < together.means[p].high
    ahead = together.predict("corpus 3", N=3e9, D=6e10, level=0.95)
    assert ahead.low < chinchilla(3e9, 6e10, **TRUTH["corpus 3"]) < ahead.high


def test_a_family_with_few_runs_leans_on_the_others(together, few):
    rows = few.table.filter((pl.col("family") == "corpus 0") & pl.col("parameter").is_in(EXPONENTS))
    assert rows["runs"].to_list() == [4, 4] and rows["alone"].null_count() == 2
    others = together.table.filter((pl.col("family") == "corpus 0") & pl.col("parameter").is_in(EXPONENTS))
    assert (rows["from_others"] > others["from_others"]).all()
    assert few.params("corpus 0")["alpha"] == approx(0.34, abs=0.06)
    width = [
        float(np.ptp([b.low, b.high]))
        for b in (p.predict("corpus 0", N=3e9, D=6e10) for p in (together, few))
    ]
    assert width[1] > width[0]


def test_a_new_family_is_less_certain_than_one_with_runs(together):
    at = {"N": 1e8, "D": 2e9, "level": 0.8}
    known, new = together.predict("corpus 1", **at), together.predict(**at)
    assert new.high - new.low > 3 * (known.high - known.low)
    losses = [chinchilla(1e8, 2e9, **made) for made in TRUTH.values()]
    assert new.low < np.median(losses) < new.high
    run = together.predict("corpus 1", **at, new_run=True)
    assert run.high - run.low > known.high - known.low and run.kind == "new run"


def test_pool_is_invariant_to_row_order(few):
    again = scaling.pool(
        chinchilla, FEW.sample(fraction=1.0, shuffle=True, seed=4), by="corpus", cluster="rows"
    )
    assert again.table.equals(few.table)


def test_shared_parameters_have_one_value():
    runs, _ = families(3, spread=0.0, noise=0.002)
    wide = scaling.pool(chinchilla, runs, by="corpus", pooled=["beta"], shared=["alpha"], cluster="rows")
    assert np.ptp(wide.draws["alpha"], axis=1).max() == 0.0 < np.ptp(wide.draws["beta"], axis=1).min()
    assert np.quantile(wide.draws["alpha"][:, 0], [0.01, 0.99]) == approx([0.34, 0.34], abs=0.03)
    assert wide.spread("beta").low == 0.0
    assert "alpha: one value in all families" in str(wide)


def test_scores_of_model_series_are_pooled_by_differences():
    rng = np.random.default_rng(2)
    C, series = np.tile(np.geomspace(1e18, 1e24, 8), 4), np.repeat(["a", "b", "c", "d"], 8)
    half = np.repeat([1e21, 3e21, 1e22, 6e20], 8)
    score = score_from_compute(C, low=0.25, high=0.85, slope=1.3, C_mid=half) + 0.01 * rng.normal(size=32)
    runs = {"series": series, "C": C, "score": score}
    wide = scaling.pool(
        score_from_compute, runs, by="series", objective="squares", target="score", fixed={"low": 0.25},
        cluster="rows",
    )  # fmt: skip
    assert wide.pooled == ("slope",)
    assert wide.means["slope"].low < 1.3 < wide.means["slope"].high
    assert wide.params("d")["C_mid"] == approx(6e20, rel=0.3) and wide.params("d")["low"] == 0.25


def test_pooled_prints_families_beside_their_own_fits(few):
    words = str(few)
    assert "chinchilla fitted to 6 families of corpus together, 64 runs" in words
    assert "spread between them" in words and "from the others, %" in words
    assert next(line for line in words.splitlines() if line.startswith("corpus 0")).split()[2:5] == [
        "4",
        "alpha",
        "–",
    ]
    assert "<table>" in few._repr_html_()
    ahead = few.predict("corpus 2", N=3e9, D=1e9)
    assert ahead.discrepancy and "beyond the runs (N by 1 decades)" in str(ahead)
    assert "beyond all families' runs in N: the form of chinchilla is taken for true" in str(
        few.predict(N=3e9, D=1e9)
    )


def test_pool_names_what_it_cannot_do(together):
    with pytest.raises(MissingColumns, match="Say which column names the families"):
        scaling.pool(chinchilla, RUNS)
    one = RUNS.with_columns(corpus=pl.lit("web"))
    with pytest.raises(OneFamily, match="all runs are of one, web"):
        scaling.pool(chinchilla, one, by="corpus")
    with pytest.raises(TooFewOfAFamily, match="'corpus 0' has 2 runs for 3 parameters of its own"):
        scaling.pool(chinchilla, RUNS[10:], by="corpus")
    with pytest.raises(BadOption, match="2 runs have no family"):
        gaps = pl.when(pl.int_range(pl.len()) < 2).then(None).otherwise("corpus")
        scaling.pool(chinchilla, RUNS.with_columns(corpus=gaps), by="corpus")
    level = RUNS.with_columns(N=pl.when(pl.col("corpus") == "corpus 1").then(1e7).otherwise("N"))
    with pytest.raises(FamilyRefused, match=r"'corpus 1' cannot be fitted with the others.*scales of N"):
        scaling.pool(chinchilla, level, by="corpus")
    with pytest.raises(UnknownParameter, match="pooled names the parameter 'gamma'"):
        scaling.pool(chinchilla, RUNS, by="corpus", pooled=["gamma"])
    with pytest.raises(BadOption, match=r"shared=\['alpha'\].*not pooled too"):
        scaling.pool(chinchilla, RUNS, by="corpus", pooled=["alpha"], shared=["alpha"])
    with pytest.raises(BadOption, match="families have nothing in common"):
        scaling.pool(chinchilla, RUNS, by="corpus", pooled=[])
    with pytest.raises(BadOption, match=r"spread.*for pooled parameters: alpha, beta"):
        scaling.pool(chinchilla, RUNS, by="corpus", spread={"E": 0.1})
    with pytest.raises(BadOption, match="alpha is fixed"):
        scaling.pool(chinchilla, RUNS, by="corpus", pooled=["alpha"], fixed={"alpha": 0.3})
    with pytest.raises(BadOption, match="Did you mean 'corpus 1'"):
        together.predict("corpus 11", N=1e8, D=1e9)


def test_two_families_say_nothing_of_a_third():
    D = np.tile(np.geomspace(1e8, 1e11, 8), 2)
    loss = power_law_floor(D, E=1.8, A=400.0, alpha=0.3)
    loss *= np.exp(0.003 * np.random.default_rng(3).normal(size=16))
    runs = {"family": np.repeat(["web", "books"], 8), "N": D, "loss": loss}
    wide = scaling.pool(power_law_floor, runs, cluster="rows")
    assert wide.params("web")["alpha"] == approx(0.3, abs=0.03)
    assert "of 2 families hardly anything is known of their spread" in str(wide)
    with pytest.raises(NoOtherFamily, match="needs 3 families"):
        wide.predict(N=1e10)
