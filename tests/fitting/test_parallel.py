"""Refits on all cores: the same numbers, and no part lost."""

import os
import signal

import numpy as np
import pytest
from worlds import CHINCHILLA, square

from scaling.fitting import fit, parallel
from scaling.fitting.estimate import bootstrap_draws, minimise, prepare
from scaling.fitting.problem import LawFails
from scaling.fitting.resample import clusters
from scaling.laws import chinchilla, describe


def test_parts_are_those_of_one_process():
    assert parallel.in_parts(lambda part: (part, os.getpid()), 1) == [(0, os.getpid())]
    found = parallel.in_parts(lambda part: (np.full(3, part), os.getpid()), 3)
    assert [one.tolist() for one, _ in found] == [[0] * 3, [1] * 3, [2] * 3]
    assert found[0][1] == os.getpid() and len({pid for _, pid in found}) == 3


@pytest.mark.parametrize("wild", [False, True])
def test_refits_are_invariant_to_the_number_of_processes(wild):
    runs = square(chinchilla, noise=0.01, **CHINCHILLA)
    settings = fit(chinchilla, runs, bootstrap=0).settings
    problem, data = prepare(describe(chinchilla), runs, settings)
    problem, solution, _ = minimise(problem, {}, 0)
    best, rows = solution.parameters[np.argmin(solution.value)], clusters(data, "rows")
    found = [
        np.concatenate(
            [s.parameters for s in bootstrap_draws(problem, best, rows, 50, 0, wild=wild, processes=n)]
        )
        for n in (1, 2, 3)
    ]
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])


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
