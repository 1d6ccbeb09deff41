"""What a repeat is worth, in worlds where that is known."""

import itertools
import math

import numpy as np
import polars as pl
import pytest
from pytest import approx

from scaling.errors import MissingColumns
from scaling.fitting import fit
from scaling.laws import chinchilla, effective_data, ensemble, overfitting, with_repeats
from scaling.questions import best_epochs, interventions, judge, repetition
from scaling.questions._repetition.answer import NothingRepeats, epochs_table
from scaling.questions._repetition.words import CANNOT, FADE, HURT
from scaling.questions._repetition.worth import worth_of_epochs

PLAIN = {"E": 1.5, "A": 60.0, "B": 900.0, "alpha": 0.4, "beta": 0.45}
LAWS = (chinchilla, with_repeats(chinchilla), overfitting)
SIZES = (6_144, 24_576, 55_296, 98_304)


def fading(N, D, U):
    return chinchilla(N, effective_data(D, U, 8.0), **PLAIN)


def overfitted(N, D, U):
    return overfitting(N, D, U, P=0.02, delta=1.2, kappa=0.8, **PLAIN)


def world(loss, most, *, seeds=2, noise=0.002, decay=0.0, members=1):
    """Single epochs to 4 Mi tokens, and two budgets to so many epochs."""
    rows = []
    rng = np.random.default_rng(0)
    for N, budget, seed in itertools.product(SIZES, (2**16, 2**18, 2**25), range(seeds)):
        for D in (2**k for k in range(16, 23)):
            U = min(D, budget)
            if budget == 2**25 or 1 <= D / budget <= most:
                value = loss(N, D, U) * math.exp(noise * rng.normal())
                rows.append((N, D, U, budget, seed, decay, members, f"{N} {budget} {seed} {decay}", value))
    header = [
        "N",
        "D",
        "unique_tokens",
        "unique_budget",
        "seed",
        "weight_decay",
        "members",
        "trunk_id",
        "loss",
    ]
    return pl.DataFrame(rows, schema=header, orient="row")


def test_worth_recovers_what_that_the_law_states():
    fitted = fit(with_repeats(chinchilla), world(fading, 64, noise=0), bootstrap=0)
    seen = worth_of_epochs(fitted, 98_304, 65_536)
    exact = effective_data(seen.epochs, 1.0, 8.0)
    assert seen.worth[0] == approx(exact, rel=2e-3)
    assert seen.useless[0] == approx(1 + 8 * math.log(10), rel=0.05)
    assert seen.harmful[0] == math.inf
    e = seen.nearly_free[0]
    assert (effective_data(e, 1.0, 8.0) - 1) / (e - 1) == approx(0.9, abs=0.01)


def test_worth_recovers_the_epoch_from_which_more_hurt():
    fitted = fit(overfitting, world(overfitted, 64, noise=0), bootstrap=0)
    seen = worth_of_epochs(fitted, 98_304, 65_536)
    epochs = np.linspace(1, 100, 100_000)
    best = epochs[overfitted(98_304, 65_536 * epochs, 65_536).argmin()]
    assert seen.harmful[0] == approx(best, rel=0.03)
    assert seen.loss[0, 0] == approx(overfitted(98_304, 65_536, 65_536), rel=1e-6)


def test_every_epoch_is_new_to_a_law_without_repeats():
    seen = worth_of_epochs(fit(chinchilla, world(fading, 64, noise=0), bootstrap=0), 98_304, 65_536)
    assert seen.worth[0] == approx(seen.epochs, rel=2e-3)
    assert math.inf == seen.nearly_free[0] == seen.harmful[0]


def test_repetition_recovers_the_efold_of_fading_repeats():
    said = repetition(world(fading, 64), laws=LAWS, bootstrap=60)
    assert said.answer == FADE and said.identifiable
    efold = said.numbers["repeats until a token is worth 1/e (R*)"]
    assert efold.low < 8.0 < efold.high
    half_life = said.numbers["half-life of a repeat (R* ln 2)"]
    assert half_life.value == approx(efold.value * math.log(2))
    useless = [n for name, n in said.numbers.items() if "useless" in name]
    assert useless and all(n.value == approx(1 + 8 * math.log(10), rel=0.15) for n in useless)
    assert set(said.evidence["cells"]["harmful"]) == {math.inf}


def test_grid_that_stops_at_four_epochs_cannot_tell():
    said = repetition(world(fading, 4), laws=LAWS, bootstrap=20)
    assert said.answer == CANNOT and not said.identifiable
    assert "no text is seen more than 4 times" in said.sentence
    assert "16 and 64 epochs" in said.next_runs[0]
    assert "scaling propose RUNS --question repetition --flops" in said.would_tell


def test_runs_whose_loss_rises_are_said_to_hurt():
    runs = world(overfitted, 64)
    said = repetition(runs, laws=LAWS, bootstrap=60)
    assert said.answer == HURT and "The loss rises after" in said.sentence
    assert any("loss rises" in doubt for doubt in said.would_change)
    cells = epochs_table(fit(overfitting, runs, bootstrap=60), runs)
    cell = cells.filter((pl.col("N") == 98_304) & (pl.col("unique_budget") == 65_536)).row(0, named=True)
    epochs = np.linspace(1, 100, 100_000)
    best = epochs[overfitted(98_304, 65_536 * epochs, 65_536).argmin()]
    assert cell["harmful_low"] <= 1.03 * best and best <= 1.03 * cell["harmful_high"]
    assert cell["best_epochs"] == min((1, 2, 4, 8, 16, 32, 64), key=lambda e: abs(math.log(e / best)))


def test_epochs_name_no_interval_of_few_draws():
    """Ten draws are no interval: the marks are those of the best fit, and their ends unknown."""
    runs = world(fading, 64)
    few, none = (epochs_table(fit(LAWS[1], runs, bootstrap=draws), runs) for draws in (10, 0))
    assert few["nearly_free"].equals(none["nearly_free"]) and few["nearly_free_low"].is_nan().all()
    said = repetition(runs, laws=LAWS, bootstrap=0)
    assert "no interval" in str(said) and "nan" not in str(said)


@pytest.mark.parametrize("truth, law", [(fading, "chinchilla with repeats"), (overfitted, "overfitting")])
def test_judge_recovers_the_law_that_made_the_runs(truth, law):
    table = judge(world(truth, 64), LAWS)
    assert table["law"][0] == law
    assert table["held_out_epochs_percent"][0] < 0.6 < table.filter(pl.col("law") == "chinchilla")["mean"][0]


def test_interventions_recover_what_they_are_worth_in_data():
    """An intervention that makes every token count twice; and one so strong that no single epoch reaches its loss."""
    plain = world(fading, 64)
    double = world(lambda N, D, U: fading(N, 2 * D, 2 * U), 64, decay=0.3)
    strong = world(lambda N, D, U: fading(N, D, U) - 1.6, 64, decay=1.0)
    runs = pl.concat([plain, double, strong]).drop("members")
    four = world(lambda N, D, U: fading(N, 3 * D, 3 * U), 64, members=4)
    table = interventions(runs, four)
    worth = dict(
        table.filter((pl.col("unique_budget") == 2**16) & (pl.col("N") == SIZES[-1]))[
            "intervention", "multiplier"
        ].iter_rows()
    )
    assert worth["weight decay 0.3"] == approx(2, rel=0.2)
    assert worth["4 models together"] == approx(3, rel=0.2)
    held = table.filter(pl.col("intervention") == "weight decay 0.3", ~pl.col("at_least"))
    assert ((held["low"] < 2.1) & (held["high"] > 1.9)).mean() > 0.7
    assert table.filter(pl.col("intervention") == "weight decay 1")["at_least"].all()


def test_best_epochs_recover_the_ensemble_law_that_made_them():
    """The members' excess falls as 1/K: found again from the best of each cell."""
    truth = {"E": 1.6, "A": 40.0, "alpha": 0.45, "B": 0.2}

    def of(members):
        return lambda N, D, U: ensemble(N, members, **truth) + 0.1 * math.log(D / U / 8) ** 2

    alone = world(of(1), 64, noise=0).drop("members")
    together = pl.concat([world(of(k), 64, noise=0, members=k) for k in (2, 4, 8)])
    best = best_epochs(alone, together).filter(pl.col("unique_budget") == 2**16)
    assert set(best["epochs"]) == {8.0} and len(best) == 4 * len(SIZES)
    fitted = fit(ensemble, best, bootstrap=0)
    assert fitted.params == approx(truth, rel=1e-3)
    assert set(best_epochs(alone)["members"]) == {1}


def test_interventions_of_one_seed_carry_no_interval():
    runs = pl.concat([world(fading, 64, seeds=1), world(fading, 64, seeds=1, decay=0.3)])
    table = interventions(runs)
    assert np.isnan(table["low"].to_numpy()).all()
    assert table["multiplier"].to_numpy() == approx(1, rel=0.15)
    said = repetition(runs, laws=LAWS, bootstrap=20)
    assert any("One seed only" in doubt for doubt in said.would_change)


def test_repetition_is_invariant_to_row_order():
    runs = world(fading, 16)
    one, other = (
        repetition(r, laws=LAWS[:2], bootstrap=10)
        for r in (runs, runs.sample(fraction=1, shuffle=True, seed=1))
    )
    first = "repeats until a token is worth 1/e (R*)"
    assert one.numbers[first].value == approx(other.numbers[first].value, rel=1e-6)
    assert one.evidence["cells"]["best_epochs"].to_list() == other.evidence["cells"]["best_epochs"].to_list()


def test_laws_may_come_from_a_generator():
    said = repetition(world(fading, 16), laws=(law for law in LAWS[:2]), bootstrap=10)
    assert said.answer == FADE


def test_repetition_names_runs_without_repeats():
    with pytest.raises(NothingRepeats, match="all 56 runs saw every token once"):
        repetition(world(fading, 64).filter(pl.col("unique_budget") == 2**25))


def test_repetition_names_a_missing_column():
    with pytest.raises(MissingColumns, match="unique_tokens"):
        repetition(world(fading, 4).drop("unique_tokens"))
