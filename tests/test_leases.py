"""Who works on what: one holder of each piece, whoever dies, sleeps or comes at the same moment."""

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from scaling.leases import LEASE_SECONDS, claim


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "leases"


@pytest.fixture
def clock(monkeypatch):
    """The clock of whoever wants a lease, which moves on when told to."""
    at = [0.0]
    monkeypatch.setattr("scaling.leases.monotonic", lambda: at[0])

    def move_on(seconds=LEASE_SECONDS + 1):
        at[0] += seconds

    return move_on


def test_lease_is_held_once_and_free_again_when_its_holder_is_dead_or_silent(folder, clock):
    lease, file = claim(folder, ("work",)), folder / "work.json"
    assert lease and not claim(folder, ("work",))
    file.write_text(json.dumps({"pid": 2**22 + 1, "host": socket.gethostname()}))  # no such process
    assert claim(folder, ("work",))
    file.write_text(json.dumps({"pid": os.getpid(), "host": "another machine"}))
    assert not claim(folder, ("work",))
    for left in (
        file.read_text(),
        '{"pi',
        "[]",
        '{"pid": "1"}',
        "\xff",
    ):  # silent, cut short by a kill, harmed
        file.write_text(left, encoding="latin-1")
        assert not claim(folder, ("work",))
        clock()
        assert claim(folder, ("work",))


@pytest.mark.parametrize("hours", [-1, 1])
def test_lease_is_invariant_to_clocks_that_are_set(folder, clock, hours):
    """The holder's, that stamps it, and that of whoever looks; one that is refreshed stays, one that is not goes."""
    lease, file = claim(folder, ("work",)), folder / "work.json"
    file.write_text(file.read_text().replace(socket.gethostname(), "another machine"))
    for _ in range(3):
        assert not claim(folder, ("work",))
        clock(LEASE_SECONDS - 1)
        then = file.stat().st_mtime + 3600 * hours
        os.utime(file, (then, then))
    assert not claim(folder, ("work",))
    clock()
    assert claim(folder, ("work",))
    assert not lease.refresh()


def test_lease_takes_all_of_several_pieces_or_none(folder):
    held = claim(folder, ("b",))
    assert not claim(folder, ("a", "b", "c"))
    assert [path.name for path in folder.iterdir()] == ["b.json"]
    held.release()
    both = claim(folder, ("a", "b", "c"))
    assert both and not claim(folder, ("c",))
    both.release()
    assert not list(folder.iterdir())


def test_lease_is_refreshed_and_given_back_by_its_holder_alone(folder, clock):
    slept, file = claim(folder, ("work",)), folder / "work.json"
    assert not claim(folder, ("work",))
    clock()
    assert slept.refresh() and not claim(folder, ("work",))
    clock()
    new = claim(folder, ("work",))
    stamped = file.stat().st_mtime_ns
    assert new and not slept.refresh()
    assert file.stat().st_mtime_ns == stamped
    slept.release()
    assert new.refresh()
    new.release()
    assert not file.exists() and not new.refresh()


def test_of_many_that_find_a_lease_expired_one_takes_it_over(folder, clock):
    barrier = Barrier(8)

    def take(_):
        barrier.wait()
        return claim(folder, ("a", "b"))

    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            (lease,) = filter(None, threads.map(take, range(8)))
            assert lease.refresh() and not claim(folder, ("a", "b"))
            clock()
