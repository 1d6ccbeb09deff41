"""Many weightings fitted at once are the fits made one by one."""

import dataclasses

import numpy as np
import pytest
from pytest import approx
from worlds import CHINCHILLA, square

from scaling.errors import BadOption
from scaling.fitting import fit
from scaling.fitting.batch import fit_batch
from scaling.fitting.options import Options
from scaling.laws import chinchilla, describe, kaplan
from scaling.laws.base import UnknownParameter

TRUTH = {chinchilla: CHINCHILLA, kaplan: {"N_c": 6e13, "D_c": 2e13, "alpha_N": 0.076, "alpha_D": 0.103}}


@pytest.mark.parametrize("law", TRUTH)
def test_a_batch_recovers_the_fits_one_by_one(law):
    runs = square(law, noise=0.01, **TRUTH[law])
    rng = np.random.default_rng(0)
    weights = np.stack([np.ones(30), np.where(np.arange(30) % 7, 1.0, 0.0), rng.uniform(0.5, 2.0, 30)])
    options = [Options(objective="squares_log"), Options(delta=1e-2), Options(objective="squares")]
    for one, batch in zip(options, fit_batch(law, runs, weights, options), strict=True):
        assert batch.converged.all()
        for i, counted in enumerate(weights):
            alone = fit(law, runs, objective=one.objective, delta=one.delta, weights=counted, bootstrap=0)
            assert {p: float(v[i]) for p, v in batch.params.items()} == approx(alone.params, rel=1e-4)
            assert batch.rms_percent[i] == approx(alone.rms_percent, rel=1e-6)


def test_options_are_checked_and_plain():
    options = Options(delta=np.float32(0.5), seed=np.int64(3), fixed={"E": np.float64(1.7)})
    assert dataclasses.asdict(options) == dataclasses.asdict(Options(delta=0.5, seed=3, fixed={"E": 1.7}))
    assert type(options.delta) is float and type(options.seed) is int
    with pytest.raises(BadOption, match="'pairs' or 'wild'"):
        Options(resample="coins")
    with pytest.raises(UnknownParameter, match="fixed names the parameter 'e'"):
        Options(fixed={"e": 1.7}).free(describe(chinchilla))
