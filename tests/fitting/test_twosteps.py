"""A score in two steps, by way of the loss."""

import numpy as np
import polars as pl
import pytest
from pytest import approx
from worlds import CHINCHILLA, square

import scaling
from scaling.errors import BadOption, MissingColumns
from scaling.fitting import fit
from scaling.laws import chinchilla, error_from_loss, score_from_loss

SCORE = {"a": 0.6, "b": 0.25, "k": 3.0, "L_mid": 2.6}
AT = {"N": 3e9, "D": 1e11}


def scored(*, noise=0.003, spread=0.004, seed=0, sizes=8, budgets=6):
    runs = square(chinchilla, noise=noise, seed=seed, sizes=sizes, budgets=budgets, **CHINCHILLA)
    clean = score_from_loss(runs["loss"].to_numpy(), **SCORE)
    return runs.with_columns(
        score=clean + spread * np.random.default_rng(seed + 1).normal(size=len(runs)),
        trunk_id=pl.col("N").rank("dense"),
    )


@pytest.fixture(scope="module")
def both():
    return scaling.downstream(chinchilla, score_from_loss, scored(), bootstrap=200)


def test_downstream_recovers_the_score_far_out(both):
    truth = score_from_loss(chinchilla(**AT, **CHINCHILLA), **SCORE)
    predicted = both.predict(**AT, level=0.95)
    assert float(predicted.median) == approx(truth, abs=0.02)
    assert predicted.low < truth < predicted.high
    assert both.paired and both.score.params == approx(SCORE, rel=0.2)


def test_downstream_is_invariant_to_row_order_and_runs_without_a_score(both):
    runs = scored()
    shuffled = runs.sample(fraction=1.0, shuffle=True, seed=3)
    again = scaling.downstream(chinchilla, score_from_loss, shuffled, bootstrap=200)
    assert again.predict(**AT).low == approx(both.predict(**AT).low, rel=1e-6)
    some = runs.with_columns(score=pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise("score"))
    fewer = scaling.downstream(chinchilla, score_from_loss, some, bootstrap=50)
    alone = fit(
        score_from_loss,
        some.filter(pl.col("score").is_not_null()),
        target="score",
        objective="squares",
        bootstrap=0,
    )
    assert fewer.score.params == approx(alone.params, rel=1e-4)
    assert "fitted to 32 runs (16 more weigh nothing)" in str(fewer)


def test_draws_of_both_steps_rest_on_the_same_runs():
    """The score depends on what pushed the loss, so that runs of a low draw of E have the scores that go with it:
    paired, the interval among the runs is narrower than with the second step's draws in another order."""
    rng = np.random.default_rng(5)
    runs = square(chinchilla, sizes=12, budgets=6, **CHINCHILLA).with_columns(
        trunk_id=pl.col("N").rank("dense")
    )
    push = rng.normal(scale=0.03, size=12)[runs["trunk_id"].to_numpy().astype(int) - 1]
    score = score_from_loss(runs["loss"].to_numpy(), **SCORE)  # of the loss without the push
    pushed = runs.with_columns(loss=pl.col("loss") * np.exp(push), score=score)
    options = {"bootstrap": 300, "objective": "squares_log"}
    paired = scaling.downstream(chinchilla, score_from_loss, pushed, **options)
    apart = scaling.downstream(chinchilla, score_from_loss, pushed.drop("score"), scores=pushed, **options)
    widths = [
        float(np.ptp([b.predict(N=1e8, D=3e9).low, b.predict(N=1e8, D=3e9).high])) for b in (paired, apart)
    ]
    assert paired.paired and not apart.paired
    assert widths[0] < 0.8 * widths[1]


def test_prediction_of_a_score_says_what_it_rests_on(both):
    predicted = both.predict(**AT)
    words = str(predicted)
    assert "lies outside those that have a score" in words and "the form of score_from_loss decides" in words
    assert "decades of compute beyond the runs" in words
    assert "lies outside" not in str(both.predict(N=1e8, D=3e9))
    assert "score from loss in two steps, both steps drawn together" in str(both)
    assert "both steps miss the score by" in str(both) and "score_from_compute alone by" in str(both)
    new = both.predict(**AT, new_run=True)
    assert new.high - new.low > predicted.high - predicted.low and new.kind == "new run"
    quick = scaling.downstream(chinchilla, score_from_loss, scored(), bootstrap=0).predict(**AT)
    assert np.isnan(quick.low) and float(quick.median) == approx(float(predicted.median), abs=0.02)


def test_downstream_takes_a_loss_of_its_own_and_options_of_the_second_step():
    runs = scored().rename({"loss": "bits"}).with_columns(loss=pl.lit(1.0), error=1 - pl.col("score"))
    result = scaling.downstream(
        chinchilla, error_from_loss, runs, loss="bits", score="error", bootstrap=20,
        score_options={"bounds": {"error_at_chance": (None, 0.8)}},
    )  # fmt: skip
    assert result.loss.target == "bits" and result.score.target == "error"
    assert result.score.params["error_at_chance"] <= 0.8


def test_downstream_names_what_it_lacks():
    runs = scored()
    with pytest.raises(BadOption, match="reads loss alone"):
        scaling.downstream(chinchilla, chinchilla, runs)
    with pytest.raises(MissingColumns, match="accuracy"):
        scaling.downstream(chinchilla, score_from_loss, runs, score="accuracy")
    with pytest.raises(BadOption, match="a score for some of the runs"):
        scaling.downstream(chinchilla, score_from_loss, runs.with_columns(score=pl.lit(None, pl.Float64)))
