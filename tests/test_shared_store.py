"""A store that machines without a common disk share by a URL, here a folder's and memory's: leases, rows and state."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import fsspec
import pytest

import scaling.leases
import scaling.store.shared
from scaling.leases import ObjectLeases
from scaling.records import MissingRuns, append_rows, read_rows
from scaling.store import SharedStore, StoreUnreachable, StudyChanged, open_runs
from scaling.store.objects import TRIES, Objects
from scaling.study import read_study

STUDY = '[defaults]\nbudgets = ["64Ki"]\n[[grid]]\nwidth = 16\nseed = [0, 1]\n'


@pytest.fixture(params=["file", "memory"])
def files(request, tmp_path):
    """A file system, and a folder in it."""
    root = str(tmp_path / "shared") if request.param == "file" else f"/{tmp_path.name}"
    options = {"auto_mkdir": True} if request.param == "file" else {}
    return Objects(fsspec.filesystem(request.param, **options)), root


def elsewhere(leases, path):
    """Make an object say that its holder is on another machine."""
    said = json.loads(leases.files.cat_file(path)) | {"host": "another machine"}
    leases.files.pipe_file(path, json.dumps(said).encode())


def test_an_object_lease_is_held_once_and_free_again_when_released_or_its_holder_is_dead(files, monkeypatch):
    monkeypatch.setattr(scaling.leases, "_LOOK_SECONDS", 0.0)
    first, second = ObjectLeases(*files), ObjectLeases(*files)
    held = first.claim(("b",))
    assert held and held.refresh()
    assert not second.claim(("a", "b", "c"))
    held.release()
    both = second.claim(("a", "b", "c"))
    assert both and not first.claim(("c",)) and both.refresh()
    monkeypatch.setattr(scaling.leases, "is_alive", lambda pid: False)
    assert first.claim(("c",)) and not both.refresh()


def test_an_object_lease_of_a_silent_holder_is_taken_over_once_whatever_the_clocks_say(files, monkeypatch):
    monkeypatch.setattr(scaling.leases, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(scaling.leases, "LEASE_SECONDS", 0.5)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    slept, others = ObjectLeases(*files).claim(("work",)), [ObjectLeases(*files) for _ in range(8)]
    elsewhere(slept.leases, slept.paths["work"])
    barrier = Barrier(8)

    def take(leases):
        barrier.wait()
        return leases.claim(("work",))

    with ThreadPoolExecutor(8) as threads:
        assert not any(threads.map(take, others))  # all see it for the first time
        time.sleep(0.7)
        (taken,) = filter(None, threads.map(take, others))
    assert taken.refresh() and not slept.refresh()
    slept.release()
    assert taken.refresh()


def test_a_look_that_takes_longer_than_a_lease_frees_none(files, monkeypatch):
    monkeypatch.setattr(scaling.leases, "LEASE_SECONDS", 0.05)
    system = files[0].files
    held = ObjectLeases(*files).claim(("work",))
    elsewhere(held.leases, held.paths["work"])
    find = system.find
    monkeypatch.setattr(system, "find", lambda *a, **k: (find(*a, **k), time.sleep(0.1))[0])
    assert not ObjectLeases(*files).claim(("work",)) and held.is_newest()


@pytest.fixture
def machines(tmp_path):
    """The same study on two machines, and the URL of the store that they share."""
    stores = []
    for name in ("here", "there"):
        folder = tmp_path / name / "runs" / "made"
        folder.mkdir(parents=True)
        (folder / "study.toml").write_text(STUDY)
        stores.append(SharedStore(read_study(folder), f"file://{tmp_path}/shared"))
    return stores


def send(store, *trunks, done=True):
    store.send("stack", trunks, (), done=done).result()


def test_rows_of_each_machine_reach_the_others_once_and_none_writes_over_them(machines):
    here, there = machines
    here.check_unchanged()
    here.remember_study()
    append_rows(here.local / "rows" / "t.jsonl", {"run": {"run_id": "a"}})
    send(here, "t")
    there.check_unchanged()
    append_rows(there.local / "rows" / "t.jsonl", {"run": {"run_id": "b"}})
    send(there, "t")
    append_rows(
        here.local / "rows" / "t.jsonl", {"run": {"run_id": "c"}}
    )  # as a holder that slept and wakes up
    send(here, "t")
    for store in machines:
        store.check_unchanged()
        rows = read_rows(store.local / "rows" / "t.jsonl", "run")
        assert sorted(row["run_id"] for row in rows) == ["a", "b", "c"]
        assert store.finished(trunks=["t"]) == {"a", "b", "c"} and not store.finished(trunks=["other"])


def test_rows_that_were_never_sent_are_sent_when_the_same_command_is_typed_again(machines):
    here, there = machines
    append_rows(here.local / "rows" / "t.jsonl", {"run": {"run_id": "a"}})
    SharedStore(here.study, here.url).check_unchanged()
    there.check_unchanged()
    assert [row["run_id"] for row in read_rows(there.local / "rows" / "t.jsonl", "run")] == ["a"]


def test_the_state_of_a_stack_goes_on_elsewhere_and_is_removed_when_it_is_done(machines):
    here, there = machines
    state = here.local / "checkpoints" / "stack" / "branch-9" / "step-000000004.safetensors"
    state.parent.mkdir(parents=True)
    state.write_bytes(b"state")
    send(here, done=False)
    there.bring("stack", ())
    assert (there.local / state.relative_to(here.local)).read_bytes() == b"state"
    state.unlink()
    send(here)
    assert not list((there.local.parents[2] / "shared").rglob("step-*"))


def test_a_study_that_another_machine_asks_otherwise_is_refused(machines):
    here, there = machines
    here.remember_study()
    append_rows(here.local / "rows" / "t.jsonl", {"run": {"run_id": "a"}})
    send(here, "t")
    file = there.study.folder / "study.toml"
    file.write_text(STUDY.replace("[0, 1]", "[0, 2]"))
    with pytest.raises(StudyChanged, match='"seed": 2'):
        SharedStore(read_study(file), there.url).check_unchanged()


def test_a_store_that_refuses_is_named_and_one_that_comes_back_gets_what_it_missed(
    machines, monkeypatch, tmp_path
):
    monkeypatch.setattr(scaling.store.shared, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(scaling.store.objects, "_PAUSE_SECONDS", 0.001)
    here, there = machines
    here.check_unchanged()
    lease = here.claim("t")
    append_rows(here.local / "rows" / "t.jsonl", {"run": {"run_id": "a"}})
    files = here._files.files
    pipe, refused = files.pipe_file, []

    def refuse(*arguments, **options):
        if len(refused) < 2 * TRIES:
            refused.append(arguments)
            raise TimeoutError("no answer")
        return pipe(*arguments, **options)

    monkeypatch.setattr(files, "pipe_file", refuse)
    assert lease.refresh()  # nobody can have taken it within seconds
    send(here, "t")
    assert len(refused) == 2 * TRIES
    there.check_unchanged()
    assert read_rows(there.local / "rows" / "t.jsonl", "run") == [{"run_id": "a"}]
    (tmp_path / "a file").touch()
    with pytest.raises(
        StoreUnreachable, match=r"a file/in it.*cannot be read and written \(NotADirectoryError"
    ):
        SharedStore(here.study, f"file://{tmp_path}/a file/in it").check_unchanged()
    with pytest.raises(StoreUnreachable, match="Protocol not known: nowhere"):
        SharedStore(here.study, "nowhere://bucket").check_unchanged()


def test_open_runs_names_a_study_that_a_shared_store_lacks(tmp_path):
    with pytest.raises(MissingRuns, match=f"scaling sweep STUDY --store file://{tmp_path}"):
        open_runs(f"file://{tmp_path}/gone")
