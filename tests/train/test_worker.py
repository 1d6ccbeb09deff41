"""One worker on its way: stopped or killed where it stands, it goes on from there to the same rows."""

import ctypes
import multiprocessing
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import scaling.train.carry_out
import scaling.train.loop
from scaling.corpora.corpus import Corpus
from scaling.records import read_rows
from scaling.study import Trunk, identity
from scaling.sweeps.curve import cooldown_steps
from scaling.sweeps.job import Job, StackSpec
from scaling.train.loop import Stopped, Worker

TRUNK = Trunk.of(
    width=16, budgets=(4096, 8192), context=32, tokens_per_step=128, warmup_tokens=512, cooldown=0.5
)
LONGER = TRUNK.but(budgets=(16_384, 32_768))
CLOCK = {"seconds", "flops_per_second", "ceiling"}


class Counted(Worker):
    """A worker that is asked to stop after some steps."""

    def run(self, steps):
        advance, self.steps = self.stack.advance, []
        self.stopping = lambda: len(self.steps) == steps

        def counted(to, share, each=lambda: None):
            def and_stop():
                self.steps.append(self.stack.step)
                each()

            advance(to, share, and_stop)

        self.stack.advance = counted
        self.train()


def worker(corpus, folder, *trunks, say=lambda _: None):
    torch.set_num_threads(1)
    stack = StackSpec(trunks or (TRUNK,), corpus.corpus_hash)
    return Counted(Job(study="s", folder=folder, corpus=corpus.folder, stack=stack), corpus, say=say)


def written(folder, trunk, corpus, kind="run"):
    """The rows of one trunk, as they stand in its file."""
    return read_rows(folder / "rows" / f"{identity.trunk_id(trunk, corpus.corpus_hash)}.jsonl", kind)


def rows(folder):
    (file,) = (folder / "rows").glob("*.jsonl")
    return [{k: v for k, v in row.items() if k not in CLOCK} for row in read_rows(file, "run")]


@pytest.fixture
def undisturbed(corpus, tmp_path):
    alone = worker(corpus, tmp_path / "alone")
    alone.run(10**9)
    return rows(tmp_path / "alone"), len(alone.steps)


@pytest.mark.parametrize("stop_after", [7, 25, 45])
def test_stopped_worker_goes_on_where_it_was(corpus, tmp_path, undisturbed, stop_after):
    """Of the 64 steps, the trunk takes 16, the first branch 16 more, the trunk 16, the second branch 32."""
    wanted, steps = undisturbed
    folder = tmp_path / "stopped"
    first = worker(corpus, folder)
    with pytest.raises(Stopped):
        first.run(stop_after)
    second = worker(corpus, folder)
    second.run(10**9)
    assert rows(folder) == wanted
    assert len(first.steps) + len(second.steps) == steps  # no step was trained twice
    assert not any((folder / "checkpoints").iterdir())


def test_stopped_stack_of_different_budgets_goes_on_where_it_was(corpus, tmp_path):
    """The second model is not asked for the first budget: that it has no such row is no gap."""
    trunks = TRUNK, TRUNK.but(seed=1, budgets=(8192,))
    calm, first, second = (worker(corpus, tmp_path / name, *trunks) for name in ("calm", "mixed", "mixed"))
    calm.run(10**9)
    with pytest.raises(Stopped):
        first.run(45)
    second.run(10**9)
    assert len(first.steps) + len(second.steps) == len(calm.steps)


def test_a_row_that_is_gone_is_made_again_where_the_first_of_a_stack_has_no_such_budget(corpus, tmp_path):
    """Stopped at 45 steps, beyond the second model's branch at 16 of the trunk, of which its row is gone."""
    trunks = TRUNK.but(budgets=(8192,)), TRUNK.but(seed=1)
    calm, folder = worker(corpus, tmp_path / "calm", *trunks), tmp_path / "gone"
    calm.run(10**9)
    with pytest.raises(Stopped):
        worker(corpus, folder, *trunks).run(45)
    assert len(written(folder, trunks[1], corpus)) == 1
    (folder / "rows" / f"{identity.trunk_id(trunks[1], corpus.corpus_hash)}.jsonl").unlink()
    worker(corpus, folder, *trunks).run(10**9)
    for trunk in trunks:
        again, wanted = (written(f, trunk, corpus) for f in (folder, tmp_path / "calm"))
        assert [(row["D"], row["loss"]) for row in again] == [(row["D"], row["loss"]) for row in wanted]


def test_branch_is_resumed_from_its_own_checkpoint(corpus, tmp_path, undisturbed):
    folder = tmp_path / "branch"
    first = worker(corpus, folder)
    with pytest.raises(Stopped):
        first.run(20)
    assert [p.name for p in (folder / "checkpoints").glob("*/branch-*")] == ["branch-32"]
    assert first.steps[-1] == 20
    second = worker(corpus, folder)
    second.run(10**9)
    assert second.steps[0] == 21
    assert rows(folder) == undisturbed[0]


@pytest.mark.parametrize("gamma", [0, 17])
def test_worker_makes_rows_that_are_gone_from_a_state_before_their_branch(corpus, tmp_path, gamma):
    """Stopped at 45 steps, beyond the first branch at 16 of the trunk, of which no row is left."""
    trunk = TRUNK.but(budgets=(2048, *TRUNK.schedule.budgets), average_gamma=gamma)
    calm, folder = worker(corpus, tmp_path / "calm", trunk), tmp_path / "gone"
    calm.run(10**9)
    first = worker(corpus, folder, trunk)
    with pytest.raises(Stopped):
        first.run(60)
    (file,) = (folder / "rows").glob("*.jsonl")
    rows_kept = [line for line in file.read_text().splitlines(keepends=True) if f'"D": {4096}' not in line]
    file.write_text("".join(rows_kept))
    second = worker(corpus, folder, trunk)
    second.run(10**9)
    assert second.steps[0] <= 17
    assert sorted(rows(folder), key=str) == sorted(rows(tmp_path / "calm"), key=str)


def test_worker_killed_between_a_checkpoint_and_its_rows_still_measures_that_step(corpus, tmp_path):
    trunk = TRUNK.but(average_gamma=17)
    calm, folder = worker(corpus, tmp_path / "calm", trunk), tmp_path / "killed"
    calm.run(10**9)
    first = worker(corpus, folder, trunk)
    with pytest.raises(Stopped):
        first.run(32)  # the trunk's 16 and the first branch's 16
    again = worker(corpus, folder, trunk)
    with pytest.raises(Stopped):
        again.run(16)  # the trunk is at 32, where its average is measured
    again = worker(corpus, folder, trunk)
    again.run(10**9)
    assert rows(folder) == rows(tmp_path / "calm")


@pytest.mark.parametrize("stop_after", [7, 25, 45])
def test_worker_says_what_was_done_what_it_trains_and_at_which_loss(corpus, tmp_path, stop_after):
    said = []
    with pytest.raises(Stopped):
        worker(corpus, tmp_path, say=said.append).run(stop_after)
    assert not any(message.earlier_tokens for message in said)
    said.clear()
    worker(corpus, tmp_path, say=said.append).run(10**9)
    earlier, trained = (
        sum(getattr(message, what) for message in said) for what in ("earlier_tokens", "tokens")
    )
    assert earlier == stop_after * 128
    assert earlier + trained == StackSpec((TRUNK,), corpus.corpus_hash).tokens
    (file,) = (tmp_path / "rows").glob("*.jsonl")
    runs = {row["run_id"]: row["steps"] for row in read_rows(file, "run")}
    curve = [row for row in read_rows(file, "evaluation") if row["step"] != runs.get(row["run_id"])]
    last = [row["loss"] for row in curve[-2:]]  # of two domains, in the last cooldown
    assert [message.loss for message in said if message.loss is not None][-1] == pytest.approx(np.mean(last))


def test_worker_killed_at_ten_random_moments_writes_the_same_rows_bit_for_bit(corpus, tmp_path):
    """SIGKILL a random time after a random step, so that it falls into steps, evaluations, rows and checkpoints alike;
    a checkpoint is written every few steps, and often lies behind the rows."""
    calm, folder = worker(corpus, tmp_path / "calm", LONGER), tmp_path / "killed"
    calm.run(10**9)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["scaling.train.carry_out"])
    generator = np.random.default_rng(0)
    for steps, seconds in zip(generator.integers(5, 25, 10), generator.uniform(0, 0.01, 10), strict=True):
        heard, said = processes.Pipe(duplex=False)
        process = processes.Process(target=train_and_tell, args=(corpus.folder, folder, said))
        process.start()
        said.close()
        for _ in range(steps):
            heard.recv()
        time.sleep(seconds)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        heard.close()
    last = worker(corpus, folder, LONGER)
    last.run(10**9)
    assert 0 < len(last.steps) < len(calm.steps)
    assert rows(folder) == rows(tmp_path / "calm")


@pytest.mark.parametrize("gamma", [0, 17])
def test_a_stack_of_different_budgets_writes_the_rows_of_each_model_alone(corpus, tmp_path, gamma):
    """Rows, averages and learning curves, bit for bit; among the budgets are two of one number of steps."""
    asked = [(4096, 8192), (2048, 8200), (4096,)]
    trunks = [TRUNK.but(seed=k, budgets=b, average_gamma=gamma) for k, b in enumerate(asked)]
    both = worker(corpus, tmp_path / "both", *trunks)
    both.run(10**9)
    assert len(both.steps) * 128 * 3 == StackSpec(tuple(trunks), corpus.corpus_hash).tokens
    for k, trunk in enumerate(trunks):
        alone = worker(corpus, tmp_path / f"alone{k}", trunk)
        alone.run(10**9)
        curves = [written(tmp_path / name, trunk, corpus, "evaluation") for name in ("both", f"alone{k}")]
        assert curves[0] == curves[1] != []
        with_clock = written(tmp_path / "both", trunk, corpus)
        assert [{k: v for k, v in row.items() if k not in CLOCK} for row in with_clock] == rows(
            tmp_path / f"alone{k}"
        )
        assert len(with_clock) == len(trunk.schedule.budgets) + len(trunk.schedule.averages())


def test_a_cooldown_has_a_point_in_its_middle_and_where_the_trunk_would():
    soon, late = (Trunk.of(width=16, budgets=(2**20,), warmup_tokens=t) for t in (0, 2**15))
    assert cooldown_steps(soon.schedule, 205, 256) == [230, 256]
    assert cooldown_steps(soon.schedule, 0, 64) == [16, 23, 32, 45, 64]
    assert cooldown_steps(late.schedule, 0, 128) == [64, 91, 128]
    assert cooldown_steps(soon.schedule, 80, 100) == [90, 91, 100]
    assert cooldown_steps(soon.schedule, 0, 1) == [1]


def test_a_run_has_a_learning_curve_inside_its_cooldown(corpus, tmp_path):
    """A plain cosine run is nothing but cooldown; its curve falls, and an interruption changes none of it."""
    cosine = TRUNK.but(cooldown=1.0, cooldown_shape="cosine")
    calm, stopped = (worker(corpus, tmp_path / name, cosine) for name in ("calm", "stopped"))
    calm.run(10**9)
    with pytest.raises(Stopped):
        stopped.run(45)  # on a step of the curve, after its checkpoint and before its rows
    again = worker(corpus, tmp_path / "stopped", cosine)
    again.run(10**9)
    curve, resumed = (written(tmp_path / name, cosine, corpus, "evaluation") for name in ("calm", "stopped"))
    assert curve == resumed
    for budget, steps in ((4096, [16, 23, 32]), (8192, [16, 23, 32, 45, 64])):
        mine = [row for row in curve if row["run_id"] == identity.run_id(cosine, corpus.corpus_hash, budget)]
        code = {row["step"]: row["loss"] for row in mine if row["domain"] == "code"}
        assert list(code) == steps
        assert code[steps[-1]] < code[16]


WILD = TRUNK.but(peak_lr=1e38)


def test_training_ends_where_every_model_has_diverged_and_their_rows_say_at_which_step(corpus, tmp_path):
    wild = worker(corpus, tmp_path, WILD, WILD.but(seed=1))
    wild.run(10**9)
    assert wild.steps[-1] == 16
    for k in range(2):
        noted = written(tmp_path, wild.trunks[k], corpus)
        assert [row["run_id"] for row in noted] == [
            identity.run_id(wild.trunks[k], corpus.corpus_hash, b) for b in TRUNK.schedule.budgets
        ]
        for row in noted:
            assert row["status"] == "diverged"
            assert row["steps"] * 128 == row["D"] == 16 * 128
            assert row["note"].endswith(
                "its losses are not finite at step 16. Lower its peak_lr, or lengthen warmup_tokens."
            )
    again = worker(corpus, tmp_path, *wild.trunks)
    again.run(10**9)
    assert written(tmp_path, wild.trunks[1], corpus) == noted


def test_a_model_is_invariant_to_one_beside_it_that_diverges(corpus, tmp_path, undisturbed):
    both = worker(corpus, tmp_path / "both", WILD, TRUNK)
    both.run(10**9)
    assert len(both.steps) == undisturbed[1]
    wild, calm = (written(tmp_path / "both", trunk, corpus) for trunk in both.trunks)
    assert [{k: v for k, v in row.items() if k not in CLOCK} for row in calm] == undisturbed[0]
    assert [row["status"] for row in wild] == ["diverged"] * 2
    assert [row["steps"] for row in wild] == [32, 64]


def test_a_cooldown_that_diverges_ends_alone(corpus, tmp_path, undisturbed, monkeypatch):
    """Weights are spoilt at the branch's second step, and looked at two steps later."""
    monkeypatch.setattr(scaling.train.loop, "DIVERGENCE_STEPS", 4)
    mine = worker(corpus, tmp_path / "spoilt")
    steps_taken, sound = [], mine.stack.optimizer.step

    def spoiling(weights, gradient, rate):
        sound(weights, gradient, rate)
        steps_taken.append(mine.stack.step)
        if len(steps_taken) == 16 + 2:  # the trunk's, and two of its first branch
            weights[0, 3] = float("nan")

    mine.stack.optimizer.step = spoiling
    mine.run(10**9)
    first, second = rows(tmp_path / "spoilt")
    assert (first["status"], first["steps"]) == ("diverged", 20)
    assert "its weights are not finite at step 20" in first["note"]
    assert second == undisturbed[0][1]


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library has no mallopt")
def test_freed_pages_stay_with_a_process_that_keeps_them():
    """Of 64 MiB that are freed, all stay resident, and without the setting none."""
    code = """
import sys, numpy
from pathlib import Path
from scaling.train.carry_out import keep_pages
if sys.argv[1] == "keep":
    keep_pages()
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
before, block = resident(), numpy.ones(64 << 20, "u1")
del block
print(resident() - before)
"""
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", code, how], capture_output=True, check=True).stdout)
        for how in ("keep", "give")
    )
    assert kept > 60 << 20 > 8 << 20 > given_back


def test_a_c_library_without_mallopt_is_passed_over(monkeypatch):
    asked = []

    def note(*said):
        asked.append(said)

    full = SimpleNamespace(mallopt=note, aligned_alloc=lambda *_: None)
    glibc = SimpleNamespace(mallopt=note, aligned_alloc=lambda *_: 1 << 21, madvise=note, free=note)
    monkeypatch.setattr(sys, "platform", "linux")
    for library, calls in ((SimpleNamespace(), 0), (full, 2), (glibc, 4)):
        monkeypatch.setattr(ctypes, "CDLL", lambda _, library=library: library)
        asked.clear()
        scaling.train.carry_out.keep_pages()
        assert len(asked) == calls
    (place, size, advice), (freed,) = asked[2:]
    assert (place.value, freed.value, size.value, advice) == (1 << 21, 1 << 21, 1 << 28, 14)


def train_and_tell(corpus_folder, folder, said):
    """In a process of its own: train with frequent checkpoints, and say so after every step."""
    scaling.train.loop.CHECKPOINT_SECONDS = 0.005
    mine = worker(Corpus.load(corpus_folder), folder, LONGER)
    advance = mine.stack.advance

    def telling(to, share, each=lambda: None):
        def and_tell():
            each()
            said.send(None)

        advance(to, share, and_tell)

    mine.stack.advance = telling
    mine.train()
