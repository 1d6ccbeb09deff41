"""Sweeps for real: rows, resuming after SIGKILL, sharing the work, divergence, refusals."""

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError
from nbformat.v4 import new_code_cell, new_notebook

import scaling
from scaling.corpora.corpus import Corpus
from scaling.corpora.sampler import BudgetBeyondCorpus, held_out_windows
from scaling.errors import BadOption
from scaling.leases import Lease
from scaling.records import append_rows
from scaling.store import Store, StudyChanged
from scaling.study import Trunk, read_study
from scaling.sweeps.cost import tokens_to_train
from scaling.sweeps.curve import FINAL_WINDOWS
from scaling.sweeps.engines.base import Asked, Capacity
from scaling.sweeps.engines.local import LocalEngine
from scaling.sweeps.job import EXIT_NO_ROOM, Message
from scaling.sweeps.launch import ATTEMPTS, WorkersFailed
from scaling.sweeps.machine import DeviceNotFound, find_gpu
from scaling.sweeps.mode import Mode
from scaling.sweeps.plan import TooManyRanks, plan_sweep
from scaling.sweeps.stacks import stack_trunks
from scaling.train.carry_out import carry_out
from scaling.train.schedule import trunk_share
from scaling.train.stack import Stack

STUDY = """
[corpus]
source = "folder"
path = "text"
[defaults]
budgets = ["16Ki", "32Ki", "64Ki"]
warmup_tokens = "4Ki"
context = 32
[[grid]]
width = [16, 32]
seed = [0, 1]
"""
KINDS = (
    STUDY.replace("width = [16, 32]\n", 'width = 16\nunique_budget = "16Ki"\nmax_epochs = 4\n')
    + """
[[grid]]
width = 16
seed = [0, 1]
cooldown = 1.0
cooldown_shape = "cosine"
[[grid]]
width = 16
seed = [0, 1]
average_gamma = 17
[[grid]]
width = 16
seed = [0, 1]
peak_lr = 1e30
"""
)
SHORT = STUDY.replace('"16Ki", "32Ki", "64Ki"', '"4Ki", "16Ki"')
FEWER = SHORT.replace("[16, 32]", "16")
CPU = torch.device("cpu")
WHAT_MAY_DIFFER = ["seconds", "flops_per_second", "ceiling", "study"]


@pytest.fixture
def study(tmp_path, library):
    return write_study(tmp_path, library, "tiny", SHORT)


@pytest.fixture(scope="module")
def swept(tmp_path_factory, shared_library):
    """Long enough to be killed in the middle of, done: of it tests read, or take a copy."""
    folder = write_study(tmp_path_factory.mktemp("swept"), shared_library, "tiny", STUDY)
    scaling.sweep(folder, progress=False)
    return folder


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, shared_library):
    """Trunks of width 16 that each ask for something else, done: of those tests read one kind each."""
    folder = write_study(tmp_path_factory.mktemp("kinds"), shared_library, "kinds", KINDS)
    scaling.sweep(folder, progress=False)
    return folder


def write_study(root, library, name, text):
    folder = root / "runs" / name
    folder.mkdir(parents=True)
    (folder / "text").symlink_to(library)
    (folder / "study.toml").write_text(text)
    return folder


def planned(folder, workers=None):
    asked = Asked(workers=workers)
    return plan_sweep(read_study(folder), LocalEngine().capacity(asked), asked, progress=False)


def rows(folder, **only):
    frame = scaling.open_runs(folder).filter(**only)
    return frame.drop(*WHAT_MAY_DIFFER, "origin").sort("run_id")


def test_sweep_writes_every_row_and_trains_nothing_twice(swept):
    frame = scaling.open_runs(swept)
    assert frame.height == 2 * 2 * 3
    assert frame["run_id"].n_unique() == 12
    assert frame["trunk_id"].n_unique() == 4
    for row in frame.iter_rows(named=True):
        assert row["C"] == row["flops_matrix"] + row["flops_attention"] + row["flops_head"]
        assert row["D"] == row["steps"] * row["tokens_per_step"]
        assert row["unique_tokens"] == row["D"]
        assert 0 < row["flops_per_second"] < row["ceiling"]
        assert row["loss"] == pytest.approx((row["loss_code"] + row["loss_prose"]) / 2)
        assert json.loads(row["versions"])["torch"]
        assert set(json.loads(row["corpus_bytes"])) == {"code", "prose"}
    by_budget = frame.group_by("D").agg(pl.col("loss").mean()).sort("D")["loss"].to_list()
    assert by_budget == sorted(by_budget, reverse=True)  # more data, less loss
    curve = scaling.open_evaluations(swept)
    assert set(frame["run_id"]) | set(frame["trunk_id"]) == set(curve["run_id"])
    assert planned(swept).stacks == ()
    before = rows(swept)
    assert scaling.sweep(swept, progress=False).height == frame.height
    assert rows(swept).equals(before)
    assert not list(Store(read_study(swept)).local.glob("leases/*"))
    assert not list(Store(read_study(swept)).local.glob("checkpoints/*"))


def test_sweep_killed_and_typed_again_gives_the_same_rows(tmp_path, library, swept):
    """SIGKILL to launcher and workers twice, then the same command with more workers to the end, which go on with the
    stack that was begun; against a calm run. What a kill at any moment leaves of one worker is the matter of
    test_worker."""
    killed = write_study(tmp_path, library, "killed", STUDY.replace("[16, 32]", "32"))
    command = [sys.executable, "-m", "scaling", "sweep", str(killed), "--quiet", "--workers"]
    for moment in (1, 3):
        launcher = subprocess.Popen([*command, "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_rows(killed, moment)
        workers = workers_of(launcher)
        launcher.send_signal(signal.SIGKILL)
        launcher.wait()
        for pid in workers:
            kill(pid)
    assert 0 < rows_on_disk(killed) < 6
    assert [len(stack.trunks) for stack in planned(killed, workers=2).stacks] == [2]
    subprocess.run([*command, "2"], check=True, stdout=subprocess.DEVNULL)
    assert len(jobs(killed)) == 1
    assert rows(killed).equals(rows(swept, width=32))


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("moment", ["at start", "at work"])
def test_workers_end_within_a_second_of_a_launcher_that_is_killed(study, ranks, moment):
    """While they import torch and while they train; every rank of them; what they were at is saved.

    A second of a core each, and of the clock as much longer as processes wait for a core here.
    """
    (study / "study.toml").write_text(STUDY.replace('"64Ki"]', '"512Ki"]\nmax_epochs = 8'))
    planned(study)  # writes the corpus
    command = [sys.executable, "-m", "scaling", "sweep", str(study), "--quiet", "--workers", "1"]
    launcher = subprocess.Popen([*command, "--ranks", str(ranks)], stdout=subprocess.DEVNULL)
    wait_for(lambda: sum("libtorch" in read_of(pid, "maps") for pid in workers_of(launcher)) == ranks)
    if moment == "at work":
        wait_for_rows(study, 1)
    workers = workers_of(launcher)
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    spent, killed = {pid: [seconds_of(pid)] for pid in workers}, time.monotonic()

    def all_ended():
        for pid in filter(is_running, workers):
            spent[pid].append(seconds_of(pid))
        return not any(map(is_running, workers))

    wait_for(all_ended)
    assert time.monotonic() - killed < 20
    assert all(max(seconds) - seconds[0] < 1 for seconds in spent.values())
    kept = list(Store(read_study(study)).local.glob("checkpoints/*/**/step-*"))
    assert bool(kept) == (moment == "at work")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_sweep_interrupted_says_how_to_go_on(study, stop):
    (study / "study.toml").write_text(STUDY)
    command = [sys.executable, "-m", "scaling", "sweep", str(study), "--quiet"]
    launcher = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for_rows(study, 1)
    workers = workers_of(launcher)
    launcher.send_signal(stop)
    _, errors = launcher.communicate(timeout=300)
    assert launcher.returncode == 130
    assert "type the same command to go on" in errors
    assert workers and not any(map(is_running, workers))
    assert not list(Store(read_study(study)).local.glob("leases/*"))


def test_sweep_runs_from_a_notebook_cell(tmp_path, library):
    """In a kernel of its own, without a __main__ guard, its progress bar among the outputs.

    Asked twice at most: once in many times a kernel's reply is lost on the way, all rows written and its loop idle.
    """
    for name in ("cell", "again"):
        folder = write_study(tmp_path, library, name, FEWER)
        cell = new_code_cell(f"import scaling\nscaling.sweep({str(folder)!r}).height")
        notebook = new_notebook(
            cells=[cell], metadata={"kernelspec": {"name": "python3", "display_name": "python3"}}
        )
        try:
            NotebookClient(notebook, timeout=90).execute()
            break
        except CellTimeoutError:
            if name == "again":
                raise
    assert notebook.cells[0].outputs[-1]["data"]["text/plain"] == "4"
    assert "4/4 runs" in str(notebook.metadata["widgets"])  # the bar is a widget, whose state is kept apart


@pytest.mark.parametrize("workers", [(1, 1), (1, 2)], ids=str)
def test_two_launchers_share_one_store_whatever_their_workers(study, workers):
    """No trunk is in two stacks, and no run is written twice."""
    command = [sys.executable, "-m", "scaling", "sweep", str(study), "--quiet", "--workers"]
    launchers = [subprocess.Popen([*command, str(n)], stdout=subprocess.DEVNULL) for n in workers]
    assert [launcher.wait() for launcher in launchers] == [0, 0]
    written = [
        json.loads(line)["run"]["run_id"]
        for file in Store(read_study(study)).local.glob("rows/*.jsonl")
        for line in file.read_text().splitlines()
        if '"run"' in line
    ]
    assert len(written) == len(set(written)) == 8
    trained = [(t["width"], t["seed"]) for job in jobs(study) for t in job["stack"]["trunks"]]
    assert len(trained) == len(set(trained)) == 4


def test_sweep_repeats_data_exactly_as_often_as_asked(kinds):
    frame = scaling.open_runs(kinds).filter(pl.col("unique_budget") == 16384).sort("D")
    assert frame["epochs"].unique().sort().to_list() == [1.0, 2.0, 4.0]
    assert frame["unique_tokens"].to_list() == [16384] * 6
    for row in frame.iter_rows(named=True):
        epochs = json.loads(row["domain_epochs"])
        assert epochs == pytest.approx(dict.fromkeys(("code", "prose"), row["epochs"]))


def test_a_cosine_over_the_whole_budget_is_a_run_of_its_own(kinds):
    (trunk,) = (t for t in read_study(kinds).trunks if t.schedule.cooldown == 1.0 and t.seed == 0)
    assert tokens_to_train(trunk) == sum(trunk.schedule.budgets)
    frame = scaling.open_runs(kinds).filter(schedule="cosine cooldown over the last 100%")
    assert frame.height == 6
    alone = Stack([trunk], Corpus.load(planned(kinds).corpus.folder), CPU)
    alone.advance(32, lambda s: trunk_share(s, 8) * (1 + np.cos(np.pi * s / 32)) / 2)
    windows = held_out_windows(alone.corpus, "code", 32, FINAL_WINDOWS)
    row = frame.filter(pl.col("seed") == trunk.seed, pl.col("D") == 32 * 512)
    assert row["loss_code"][0] == pytest.approx(float(alone.evaluate(windows).mean()), rel=1e-5)


def test_averages_of_the_trunk_are_free_points_marked_as_such(kinds, swept, capsys):
    """Where the trunk passes a budget its averaged weights come close to the cooled-down ones, and cost no step."""
    cooled = scaling.open_runs(kinds)
    assert "4 average" in capsys.readouterr().out
    averages, key, losses = scaling.open_runs(kinds, kind="average"), ["seed", "D"], pl.col("loss")
    cooled = cooled.filter(pl.col("trunk_id").is_in(averages["trunk_id"].to_list())).sort(key)
    assert cooled["loss"].to_list() == rows(swept, width=16).sort(key)["loss"].to_list()
    beside = averages.join(cooled, on=key, suffix="_cooled").select(losses / pl.col("loss_cooled"))["loss"]
    assert len(beside) == 4
    assert beside.is_between(0.95, 1.05).all()


def test_a_diverged_run_keeps_its_row_and_the_others_go_on(kinds, capsys):
    frame = scaling.open_runs(kinds)
    assert "6 diverged" in capsys.readouterr().out
    assert frame["peak_lr"].max() < 1
    wild = scaling.open_runs(kinds, status="diverged")
    assert wild.height == 6
    assert all("not finite" in note or "uniform guess" in note for note in wild["note"])


def test_sweep_refuses_a_study_that_asks_otherwise_after_it_ran_and_goes_on_from_one_that_asks_for_more(
    swept, tmp_path
):
    shutil.copytree(swept.parents[1], tmp_path / "copy", symlinks=True)
    study = tmp_path / "copy" / "runs" / "tiny"
    before = rows(study)
    file = study / "study.toml"
    file.write_text(file.read_text().replace("seed = [0, 1]", "seed = [0, 2]"))
    with pytest.raises(StudyChanged, match="a name \\(and folder\\) of its own") as problem:
        scaling.sweep(study, progress=False)
    assert '"seed": 1' in problem.value.difference
    assert '"seed": 2' in problem.value.difference
    file.write_text(STUDY.replace("seed = [0, 1]", "seed = [2, 1, 0]"))
    after = scaling.sweep(study, progress=False)
    assert after.filter(pl.col("seed") == 2).height == before.filter(pl.col("seed") == 1).height == 6
    assert rows(study).filter(pl.col("seed") < 2).equals(before)


def test_sweep_names_a_budget_beyond_the_corpus_before_any_work(tmp_path, library):
    folder = write_study(tmp_path, library, "big", STUDY.replace('"64Ki"', '"1T"'))
    with pytest.raises(BudgetBeyondCorpus, match="allow repeats with max_epochs"):
        scaling.sweep(folder, progress=False)
    assert not Store(read_study(folder)).local.exists()


def test_sweep_gives_up_a_stack_that_keeps_failing_and_shows_its_log(study):
    """One stack's folder of checkpoints is a file, so its worker cannot write there; the others are finished."""
    asked = read_study(study)
    plan = planned(study, workers=2)
    checkpoints = Store(asked).local / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / plan.stacks[0].id).write_text("in the way")
    engine = Counting()
    with pytest.raises(WorkersFailed, match=r"File exists.*Name another place") as problem:
        scaling.sweep(study, progress=False, workers=2, engine=engine)
    assert len(problem.value.names) == 1
    assert engine.taken.pop(plan.stacks[0].id) == ATTEMPTS
    assert set(engine.taken.values()) == {1}
    done = {r for stack in plan.stacks[1:] for r in stack.run_ids}
    assert set(scaling.open_runs(study)["run_id"]) == done


class Disturbed(LocalEngine):
    """Processes of this machine, each of which gets a signal when it has spoken twice, so many times in all."""

    def __init__(self, sent, times):
        super().__init__()
        self.sent, self.left, self.started = sent, times, 0

    def start(self, asked, log, hear):
        self.started += 1
        heard = []

        def and_disturb(message):
            hear(message)
            heard.append(message)
            if self.left and len(heard) == 2:
                self.left -= 1
                worker.processes[0].send_signal(self.sent)

        worker = super().start(asked, log, and_disturb)
        return worker


def test_rows_are_invariant_to_what_their_worker_did_before(study, swept, tmp_path, library):
    """One worker trains both shapes, the wide one first; against several workers, and the narrow one for itself."""
    (study / "study.toml").write_text(STUDY)
    engine = Counting()
    scaling.sweep(study, progress=False, workers=1, engine=engine)
    assert (engine.started, len(engine.taken)) == (1, 2)
    alone = write_study(tmp_path, library, "alone", STUDY.replace("[16, 32]", "16"))
    scaling.sweep(alone, progress=False, workers=1)
    assert rows(study, width=16).equals(rows(alone))
    assert rows(study).equals(rows(swept))


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_rows_are_invariant_to_a_worker_that_is_killed_under_a_living_launcher(
    tmp_path, library, swept, sent
):
    disturbed = write_study(tmp_path, library, "disturbed", STUDY.replace("[16, 32]", "32"))
    engine = Disturbed(sent, times=2)
    scaling.sweep(disturbed, progress=False, workers=1, engine=engine)
    assert engine.started == 3 and engine.left == 0
    assert rows(disturbed).equals(rows(swept, width=32))


def test_sweep_gives_up_a_stack_that_something_keeps_stopping(tmp_path, library):
    text = STUDY.replace("width = [16, 32]", "width = 32")
    engine = Disturbed(signal.SIGTERM, times=10)
    with pytest.raises(WorkersFailed, match="something stopped it 3 times, and not this sweep"):
        scaling.sweep(
            write_study(tmp_path, library, "stopped", text), progress=False, workers=1, engine=engine
        )
    assert engine.started == ATTEMPTS


def test_a_stack_whose_lease_another_launcher_took_is_left_to_it(study, monkeypatch):
    """As after a long sleep of this machine: the worker is stopped, and what the other one did is not done again."""
    monkeypatch.setattr("scaling.sweeps.launch._REFRESH_SECONDS", 0.0)
    lost = []

    def refresh(lease):
        lost.append(lease)
        return len(lost) > 1

    monkeypatch.setattr(Lease, "refresh", refresh)
    engine = Counting()
    assert scaling.sweep(study, progress=False, workers=1, engine=engine).height == 8
    assert sorted(engine.taken.values()) == [1, 2]


class Counting(LocalEngine):
    """Processes of this machine, how many were started, and how often each job was given to one."""

    def __init__(self):
        super().__init__()
        self.started, self.taken = 0, Counter()

    def start(self, asked, log, hear):
        self.started += 1
        worker = super().start(asked, log, hear)
        take = worker.take

        def and_count(job):
            self.taken[job.stem] += 1
            take(job)

        worker.take = and_count
        return worker


def test_sweep_on_a_full_disk_ends_that_stack_at_once_and_goes_on_when_there_is_room(study):
    """No file may grow beyond 500 kB: room for the checkpoints of two models of width 16, and not of width 32."""
    plan = planned(study, workers=1)  # writes the corpus
    wide, narrow = plan.stacks
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, limits[1]))
    engine = Counting()
    try:
        with pytest.raises(
            WorkersFailed, match=r"a checkpoint had to be written to .*no room \(file too large"
        ) as problem:
            scaling.sweep(study, progress=False, workers=1, engine=engine)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert problem.value.names == [wide.trunks[0].name]
    assert engine.taken == {wide.id: 1, narrow.id: 1}
    assert set(scaling.open_runs(study)["run_id"]) == narrow.run_ids
    assert scaling.sweep(study, progress=False, workers=1).height == 8


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")
def test_a_worker_names_a_full_disk_also_where_its_log_has_no_room(study):
    plan = planned(study)
    path = plan.job(plan.stacks[0]).write()
    with Path("/dev/full").open("w") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "scaling.train.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        )
    worker.stdin.write(f"{path}\n")
    worker.stdin.flush()  # and stays open: its end would mean that the launcher is gone
    last = Message.read(worker.stdout.readlines()[-1])
    assert worker.wait() == EXIT_NO_ROOM
    assert "a checkpoint had to be written to" in last.problem
    worker.stdin.close()
    worker.stdout.close()


@pytest.fixture(scope="module")
def by_two(tmp_path_factory, shared_library):
    """A smaller study, done by two ranks."""
    folder = write_study(tmp_path_factory.mktemp("by two"), shared_library, "together", FEWER)
    scaling.sweep(folder, progress=False, workers=1, ranks=2)
    return folder


def test_sweep_by_two_ranks_matches_one(tmp_path, library, by_two):
    """Sums in another order alone, and none of the rest: one writes rows, checkpoints and learning curves."""
    study = write_study(tmp_path, library, "alone", FEWER)
    alone = scaling.sweep(study, progress=False, workers=1).sort("run_id")
    shared = rows(by_two)
    assert shared["run_id"].equals(alone["run_id"])
    assert shared["loss"].to_numpy() == pytest.approx(alone["loss"].to_numpy(), rel=1e-3)


def test_a_killed_rank_is_named_and_the_same_command_goes_on_to_the_same_rows(
    tmp_path, library, by_two, monkeypatch
):
    """SIGKILL to the second of two once a row is there, in a sweep that tries once; against a calm one."""
    killed = write_study(tmp_path, library, "killed", FEWER)
    monkeypatch.setattr("scaling.sweeps.launch.ATTEMPTS", 1)
    engine = LocalEngine()

    def kill_one():
        wait_for_rows(killed, 1)
        engine.workers[0].processes[1].kill()

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(WorkersFailed, match=r"asked 2 ranks .*, but rank 1 was killed \(SIGKILL\)"):
        scaling.sweep(killed, progress=False, workers=1, ranks=2, engine=engine)
    killer.join()
    assert not any(process.poll() is None for worker in engine.workers for process in worker.processes)
    scaling.sweep(killed, progress=False, workers=1, ranks=2)
    assert rows(killed).equals(rows(by_two))


def test_ranks_without_a_window_each_are_named(study):
    with pytest.raises(TooManyRanks, match=r"asked 17 ranks to share a step of width 16 .* of 16 windows"):
        scaling.sweep(study, progress=False, workers=1, ranks=17)


def test_sweep_in_bf16_says_so_and_lands_near_fp32(tmp_path, library, swept):
    """Measured 1.0 % at most after 16 to 64Ki tokens, on losses of 2.3 to 2.8."""
    study = write_study(tmp_path, library, "rounded", STUDY.replace("[16, 32]", "16"))
    exact = rows(swept, width=16)
    rounded = scaling.sweep(study, progress=False, workers=1, precision="bf16").sort("run_id")
    assert (set(exact["precision"]), set(rounded["precision"])) == ({"fp32"}, {"bf16"})
    assert rounded["loss"].to_numpy() == pytest.approx(exact["loss"].to_numpy(), rel=0.02)


def test_sweep_names_a_precision_that_there_is_not(study):
    with pytest.raises(BadOption, match="'auto' or 'fp32' or 'bf16'"):
        scaling.sweep(study, precision="fp8", progress=False)


def test_a_worker_without_room_takes_more_passes_and_notes_it_in_the_rows(study, monkeypatch):
    advance = Stack.advance

    def full_in_one_pass(stack, *arguments):
        if stack.mode.passes == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        advance(stack, *arguments)

    plan = planned(study)
    monkeypatch.setattr("scaling.train.stack.Stack.advance", full_in_one_pass)
    assert carry_out(plan.job(plan.stacks[0]), lambda: False, lambda _: None) == 0
    texts = [path.read_text() for path in plan.job(plan.stacks[0]).folder.glob("rows/*.jsonl")]
    written = [json.loads(line) for text in texts for line in text.splitlines()]
    notes = {row["run"]["note"] for row in written if "run" in row}
    assert notes == {"trained in 2 passes a step, as 1 did not fit into the memory"}


def test_a_worker_names_a_gpu_without_room_and_is_not_started_again(study, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore.")

    plan, said = planned(study), []
    job = plan.job(plan.stacks[0])
    trunk = job.stack.trunks[0]
    windows = trunk.schedule.tokens_per_step // trunk.model.context
    job = replace(job, mode=Mode(passes=windows))
    monkeypatch.setattr("scaling.train.stack.Stack.advance", full)
    assert carry_out(job, lambda: False, said.append) == EXIT_NO_ROOM
    words = "but the GPU has no room for them: CUDA out of memory. Tried to allocate 2 GiB. Lower"
    assert f"in {windows} passes a step, {words}" in said[-1].problem


def test_sweep_names_a_gpu_that_is_not_there(study, monkeypatch):
    monkeypatch.setenv("PATH", "")
    find_gpu.cache_clear()
    with pytest.raises(DeviceNotFound, match="--device cpu"):
        scaling.sweep(study, device="cuda", progress=False)
    assert not Store(read_study(study)).local.exists()
    find_gpu.cache_clear()


def test_stacks_share_the_work_and_never_mix_shapes():
    trunks = tuple(
        Trunk.of(width=w, seed=s, budgets=(1024,), tokens_per_step=256) for w in (16, 32) for s in range(6)
    )
    stacks = stack_trunks(trunks, "c", Capacity(workers=2))
    assert sorted(len(stack.trunks) for stack in stacks) == [3, 3, 3, 3]
    assert all(len({t.stack_key for t in stack.trunks}) == 1 for stack in stacks)
    assert [stack.cost for stack in stacks] == sorted((stack.cost for stack in stacks), reverse=True)
    assert len(stack_trunks(trunks, "c", Capacity(device="cuda"))) == 2
    long_steps = tuple(Trunk.of(width=16, seed=s, budgets=(8192,), tokens_per_step=4096) for s in range(4))
    assert all(len(stack.trunks) == 1 for stack in stack_trunks(long_steps, "c", Capacity(workers=2)))


def test_tokens_to_train_count_the_trunk_once_and_every_cooldown():
    trunk = Trunk.of(width=16, budgets=(512 * 100, 512 * 200), cooldown=0.2)
    assert tokens_to_train(trunk) == 512 * (160 + 20 + 40)


def test_a_line_cut_short_is_passed_over_and_closed(tmp_path):
    from scaling.records import read_rows

    path = tmp_path / "rows.jsonl"
    append_rows(path, {"run": {"run_id": "a"}})
    with path.open("a") as file:
        file.write('{"run": {"run_id": "b", "lo')
    append_rows(path, {"run": {"run_id": "c"}}, {"evaluation": {"step": 1}})
    assert [r["run_id"] for r in read_rows(path, "run")] == ["a", "c"]
    assert read_rows(path, "evaluation") == [{"step": 1}]


def rows_on_disk(folder):
    files = Store(read_study(folder)).local.glob("rows/*.jsonl")
    return sum(file.read_text().count('{"run":') for file in files)


def jobs(folder):
    return [json.loads(f.read_text()) for f in Store(read_study(folder)).local.glob("jobs/*.json")]


def workers_of(launcher):
    """Processes that a launcher has started to train."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    return [int(pid) for pid in children if "scaling.train.worker" in read_of(pid, "cmdline")]


def is_running(pid):
    return "State:" in (status := read_of(pid, "status")) and "State:\tZ" not in status


def seconds_of(pid):
    """Of cores that a process has had, all of its threads; 0 where it has ended."""
    fields = read_of(pid, "stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def read_of(pid, what):
    try:
        return Path(f"/proc/{pid}/{what}").read_text()
    except OSError:
        return ""


def kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wait_for_rows(folder, count):
    wait_for(lambda: rows_on_disk(folder) >= count)


def wait_for(condition, seconds=300.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
