"""Refits on all cores: the same numbers, and no part lost."""

import os
import signal

import numpy as np
import polars as pl
import pytest
from worlds import CHINCHILLA, square

from scaling.fitting import fit, parallel
from scaling.fitting.estimate import bootstrap_refits
from scaling.fitting.minimum import minimise, pose
from scaling.fitting.options import Options
from scaling.fitting.problem import LawFails
from scaling.fitting.resample import clusters
from scaling.laws import chinchilla, describe


def test_parts_are_those_of_one_process():
    assert parallel.in_parts(lambda part: (part, os.getpid()), 1) == [(0, os.getpid())]
    parts = parallel.in_parts(lambda part: (np.full(3, part), os.getpid()), 3)
    assert [one.tolist() for one, _ in parts] == [[0] * 3, [1] * 3, [2] * 3]
    assert parts[0][1] == os.getpid() and len({pid for _, pid in parts}) == 3


@pytest.mark.parametrize("priors", [{}, {"E": (1.7, 0.02), "alpha": (0.3, 0.1)}])
@pytest.mark.parametrize("resample", ["pairs", "wild"])
def test_refits_are_invariant_to_the_number_of_processes(resample, priors):
    options = Options(resample=resample, priors=priors)
    problem, data = pose(describe(chinchilla), square(chinchilla, noise=0.01, **CHINCHILLA), options)
    minimum, rows = minimise(problem, options), clusters(data, "rows")
    draws = [
        np.concatenate([s.parameters for s in bootstrap_refits(minimum, rows, 50, options, processes=n)])
        for n in (1, 2, 3)
    ]
    assert np.array_equal(draws[0], draws[1]) and np.array_equal(draws[0], draws[2])


def test_a_part_that_fails_raises_here():
    def job(part):
        if part == 1:
            raise LawFails("mine", "it returned words")

    with pytest.raises(LawFails, match="it returned words"):
        parallel.in_parts(job, 2)


def test_a_part_whose_process_is_killed_is_done_here():
    here = os.getpid()

    def job(part):
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return part

    assert parallel.in_parts(job, 2) == [0, 1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked on unix")
def test_a_forked_process_names_the_threads_that_it_lacks(tmp_path):
    """polars would wait for ever for threads that stayed behind; those of the parent go on."""
    runs = square(chinchilla, **CHINCHILLA)
    pl.DataFrame({"a": [1.0, 2.0]}).select(pl.col("a").is_first_distinct())  # polars has started its threads
    said = tmp_path / "said"
    if not (child := os.fork()):
        try:
            fit(chinchilla, runs, bootstrap=0)
        except BaseException as refused:
            said.write_text(f"{type(refused).__name__}: {refused}")
        os._exit(0)
    os.waitpid(child, 0)
    assert said.read_text().startswith(f"ForkedProcess: this process was forked from {os.getpid()}")
    assert "get_context('spawn')" in said.read_text()
    assert fit(chinchilla, runs, bootstrap=0).rows == len(runs)
