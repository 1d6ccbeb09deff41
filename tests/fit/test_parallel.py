"""Refits on all cores: the same numbers, and no part lost."""

import os
import signal

import numpy as np
import pytest

from scaling.errors import LawFails
from scaling.fit import parallel


def test_parts_are_those_of_one_process():
    assert parallel.in_parts(lambda part: (part, os.getpid()), 1) == [(0, os.getpid())]
    found = parallel.in_parts(lambda part: (np.full(3, part), os.getpid()), 3)
    assert [one.tolist() for one, _ in found] == [[0] * 3, [1] * 3, [2] * 3]
    assert found[0][1] == os.getpid() and len({pid for _, pid in found}) == 3


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
