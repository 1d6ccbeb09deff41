"""What a table says about its runs and a law does not see is printed with the fit."""

import numpy as np
import polars as pl
import pytest
from worlds import grid

import scaling
from scaling.laws import chinchilla, repeated_data

TRUTH = {"E": 1.7, "A": 400.0, "B": 410.0, "alpha": 0.34, "beta": 0.28}


@pytest.fixture
def runs():
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e5, 1e7, 4), np.geomspace(1e7, 1e9, 4)))
    return pl.DataFrame(
        {"N": N, "D": D, "unique_tokens": np.minimum(D, 1e8), "loss": chinchilla(N, D, **TRUTH)}
    )


def test_a_fit_names_runs_that_repeat_data_unseen(runs):
    words = str(scaling.fit(chinchilla, runs, bootstrap=0))
    assert "8 of the runs repeat data, which chinchilla takes for new" in words
    assert "repeat data" not in str(scaling.fit(repeated_data, runs, bootstrap=0))
    assert "repeat data" not in str(
        scaling.fit(chinchilla, runs.with_columns(unique_tokens="D"), bootstrap=0)
    )


def test_a_fit_names_runs_of_several_corpora(runs):
    mixed = runs.with_columns(corpus_hash=pl.Series(["a", "b"] * 8))
    assert "the runs come from 2 corpora" in str(scaling.fit(chinchilla, mixed, bootstrap=0))


@pytest.mark.parametrize("scatter", [0.02, 0.08, 0.15])
def test_a_fit_names_a_ratio_that_is_nearly_constant(scatter):
    rng = np.random.default_rng(0)
    N = np.geomspace(1e7, 1e9, 24)
    D = 20 * N * np.exp(scatter * rng.normal(size=24))
    line = {"N": N, "D": D, "loss": chinchilla(N, D, **TRUTH) * np.exp(0.003 * rng.normal(size=24))}
    (note,) = scaling.fit(chinchilla, line, bootstrap=0).notes
    assert note.startswith("D/N is nearly constant, ") and "add runs off that line" in note
    bent = line | {"D": 1e4 * N**0.7 * np.exp(scatter * rng.normal(size=24))}
    (note,) = scaling.fit(chinchilla, bent | {"loss": chinchilla(N, bent["D"], **TRUTH)}, bootstrap=0).notes
    assert note.startswith("N and D nearly follow from each other in these runs")


@pytest.mark.parametrize("seed", range(3))
def test_a_fit_raises_no_alarm_over_curves_of_equal_compute(seed):
    """Nine budgets of seven sizes: as few clusters as that determine every parameter in every draw."""
    rng, C = np.random.default_rng(seed), np.repeat(np.geomspace(1e17, 1e20, 9), 7)
    N = 0.08 * C**0.5 * np.tile(np.geomspace(0.2, 5, 7), 9)
    D = C / (6 * N)
    sound = {"N": N, "D": D, "C": C, "loss": chinchilla(N, D, **TRUTH) * np.exp(0.004 * rng.normal(size=63))}
    assert scaling.fit(chinchilla, sound, bootstrap=100).notes == ()


def test_a_fit_names_runs_that_did_not_end_well(runs):
    marked = runs.with_columns(status=pl.Series(["done", "finished"] * 7 + ["diverged", "Crashed"]))
    (note,) = (n for n in scaling.fit(repeated_data, marked, bootstrap=0).notes if "status" in n)
    assert note.startswith("2 of the runs did not end well by their status (crashed, diverged)")
    ended = marked.with_columns(status=pl.lit("done"))
    assert not any("status" in n for n in scaling.fit(repeated_data, ended, bootstrap=0).notes)


@pytest.mark.parametrize("column", ["vocabulary", "tokenizer"])
def test_a_fit_names_runs_of_several_tokenisers(runs, column):
    mixed = runs.with_columns(pl.Series(column, ["32000", "50257"] * 8))
    (note,) = (n for n in scaling.fit(repeated_data, mixed, bootstrap=0).notes if column in n)
    assert note.startswith(f"the runs have 2 values of {column}, and a token is not the same for each")
    one = runs.with_columns(pl.lit("32000").alias(column))
    assert not any(column in n for n in scaling.fit(repeated_data, one, bootstrap=0).notes)


def test_logarithms_of_counts_are_named_by_reading_and_by_fits(runs, capsys):
    logs = runs.with_columns(pl.col("N", "D").log10())
    scaling.read_runs(logs.select("N", "D", "loss"))
    assert "if they are log10 of counts, make N=10.0 ** pl.col('N')" in capsys.readouterr().out
    notes = scaling.fit(chinchilla, logs.select("N", "D", "loss"), bootstrap=0).notes
    assert sum("and counts are larger: if they are log10 of counts" in note for note in notes) == 2
    scaling.read_runs(runs.select("N", "D", "loss"))
    assert "counts are larger" not in capsys.readouterr().out


def test_epochs_that_contradict_the_tokens_are_named_by_reading_and_by_fits(runs, capsys):
    right = runs.select("N", "D", "loss", unique_tokens=pl.col("D") / 4, epochs=pl.lit(4.0))
    wrong = right.with_columns(epochs=pl.when(pl.int_range(pl.len()) < 3).then(1.0).otherwise("epochs"))
    for table, count in ((right, 0), (wrong, 3)):
        scaling.read_runs(table)
        assert capsys.readouterr().out.count("epochs says 1 where D / unique_tokens makes 4") == bool(count)
        notes = scaling.fit(repeated_data, table, bootstrap=0, fixed={"R_D": 15.0}).notes
        assert [
            n for n in notes if n.startswith(f"epochs contradicts D / unique_tokens in {count} of the")
        ] == ([n for n in notes if "epochs contradicts" in n])
        assert sum("epochs contradicts" in n for n in notes) == bool(count)


def test_losses_of_two_decimals_are_said_to_be_rounded():
    """Large models differ by a hundredth of a nat, as which their losses are often published."""
    columns = {"N": np.geomspace(1e9, 7e10, 5), "D": np.geomspace(1e11, 2e12, 5)}
    runs = grid(chinchilla, noise=0.0005, columns=columns, **TRUTH)
    words = "loss is written to 0.01, and rounding makes most of the scatter"
    assert words in str(scaling.fit(chinchilla, runs.with_columns(pl.col("loss").round(2)), bootstrap=0))
    assert "is written to" not in str(
        scaling.fit(chinchilla, runs.with_columns(pl.col("loss").round(4)), bootstrap=0)
    )
    noisy = grid(chinchilla, noise=0.02, columns=columns, **TRUTH).with_columns(pl.col("loss").round(2))
    assert "is written to" not in str(scaling.fit(chinchilla, noisy, bootstrap=0))
