"""What a table says about its runs and a law does not see is printed with the fit."""

import numpy as np
import polars as pl
import pytest

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
