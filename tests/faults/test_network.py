"""A shared store on a bad network: rows are neither lost, nor doubled, nor changed, and what is not sent is kept."""

import fsspec
import pretending
import pytest
from disturb import Tally, make_study, rows_of, runs_on_disk
from flaky import flaky
from networks import share_a_study

import scaling.leases
import scaling.store.objects
import scaling.store.shared
from scaling.store import StoreUnreachable, open_runs
from scaling.store.objects import TRIES, Objects
from scaling.study import read_study


@pytest.fixture(autouse=True)
def _brisk(monkeypatch):
    monkeypatch.setattr(scaling.store.objects, "_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(scaling.store.shared, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(scaling.leases, "LEASE_SECONDS", 1.0)  # of a lease that could not be given back
    monkeypatch.setenv("PRETENDED_SECONDS", "0")


@pytest.mark.parametrize("share", [0.05, 0.4])
def test_rows_are_invariant_to_calls_that_fail_hang_or_are_not_answered(tmp_path, share):
    tally, network = share_a_study(tmp_path, share, seed=int(100 * share))
    assert tally.is_clean, tally
    assert min(network.failed, network.hung, network.unanswered) > 0


def test_a_store_that_stays_away_is_named_and_gets_what_it_missed_when_the_command_is_typed_again(
    tmp_path, monkeypatch
):
    """It goes away once the first rows are there."""
    monkeypatch.setattr(scaling.store.shared, "PATIENCE_SECONDS", 0.1)
    folder, url = make_study(tmp_path, "cut"), f"flaky://{tmp_path}/shared"
    with flaky(0.0) as network:
        with monkeypatch.context() as patched:
            carry = network.carry
            patched.setattr(network, "carry", lambda act: _gone() if runs_on_disk(folder) else carry(act))
            with pytest.raises(
                StoreUnreachable, match=r"ConnectionResetError: gone.*What was made here is kept"
            ):
                pretending.launch(folder, store=url)
        assert runs_on_disk(folder) and not list(tmp_path.glob("shared/cut/rows/*"))
        pretending.launch(folder, store=url)
        assert set(open_runs(f"{url}/cut")["run_id"]) == {row["run_id"] for row in runs_on_disk(folder)}
    corpus = runs_on_disk(folder)[0]["corpus_hash"]
    groups = [group for trunk in read_study(folder).trunks for group in rows_of(trunk, corpus, "cut")]
    tally = Tally("network")
    tally.compare(runs_on_disk(folder), [rows[-1]["run"] for rows in groups])
    assert tally.is_clean, tally


def _gone():
    raise ConnectionResetError("gone")


def test_a_call_is_tried_so_often_and_an_answer_is_taken_at_once(tmp_path):
    (tmp_path / "file").touch()
    with flaky(1.0) as network:
        objects = Objects(fsspec.filesystem("flaky"))
        with pytest.raises((ConnectionResetError, TimeoutError)):
            objects.cat_file(f"{tmp_path}/file")
        assert network.calls == TRIES
    with flaky(0.0) as network:
        with pytest.raises(FileNotFoundError):
            objects.cat_file(f"{tmp_path}/gone")
        assert network.calls == 1
