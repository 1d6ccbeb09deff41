"""Who works on what: one holder of each piece, whoever dies, sleeps or comes at the same moment."""

import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from scaling.leases import LEASE_SECONDS, claim

LONG_AGO = time.time() - LEASE_SECONDS - 1


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "leases"


def test_lease_is_held_once_and_free_again_when_its_holder_is_dead_or_silent(folder):
    lease, file = claim(folder, ("work",)), folder / "work.json"
    assert lease and not claim(folder, ("work",))
    file.write_text(json.dumps({"pid": 2**22 + 1, "host": socket.gethostname()}))  # no such process
    assert claim(folder, ("work",))
    file.write_text(json.dumps({"pid": os.getpid(), "host": "another machine"}))
    assert not claim(folder, ("work",))
    for left in (file.read_text(), '{"pi'):  # silent, and cut short by a kill
        file.write_text(left)
        assert not claim(folder, ("work",))
        os.utime(file, (LONG_AGO, LONG_AGO))
        assert claim(folder, ("work",))


def test_lease_takes_all_of_several_pieces_or_none(folder):
    held = claim(folder, ("b",))
    assert not claim(folder, ("a", "b", "c"))
    assert [path.name for path in folder.iterdir()] == ["b.json"]
    held.release()
    both = claim(folder, ("a", "b", "c"))
    assert both and not claim(folder, ("c",))
    both.release()
    assert not list(folder.iterdir())


def test_lease_is_refreshed_and_given_back_by_its_holder_alone(folder):
    slept, file = claim(folder, ("work",)), folder / "work.json"
    os.utime(file, (LONG_AGO, LONG_AGO))
    assert slept.refresh() and time.time() - file.stat().st_mtime < 5
    os.utime(file, (LONG_AGO, LONG_AGO))
    new = claim(folder, ("work",))
    os.utime(file, (LONG_AGO, LONG_AGO))
    assert not slept.refresh()
    assert file.stat().st_mtime == pytest.approx(LONG_AGO)
    slept.release()
    assert new.refresh()
    new.release()
    assert not file.exists() and not new.refresh()


def test_of_many_that_find_a_lease_expired_one_takes_it_over(folder):
    barrier = Barrier(8)

    def take(_):
        barrier.wait()
        return claim(folder, ("a", "b"))

    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            (lease,) = filter(None, threads.map(take, range(8)))
            assert lease.refresh()
            for work in ("a", "b"):
                os.utime(folder / f"{work}.json", (LONG_AGO, LONG_AGO))
