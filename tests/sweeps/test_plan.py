"""What a sweep says before it begins, who trains together, and how much memory that takes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import scaling
from scaling.flops import Shape
from scaling.store import Store
from scaling.study import Trunk, read_study
from scaling.study.identity import run_id
from scaling.sweeps import machine, pack, plan
from scaling.sweeps.launch import WorkersFailed
from scaling.sweeps.pack import ModelTooLarge, Pack, pack_trunks, stack_bytes
from scaling.sweeps.plan import plan_sweep
from scaling.train import loop
from scaling.train.loop import Worker

STUDY = """
[corpus]
source = "folder"
path = "{}"
[defaults]
budgets = ["4Ki", "8Ki"]
warmup_tokens = "1Ki"
context = 32
[[grid]]
width = [16, 32]
seed = [0, 1]
"""
COMMITTED = sorted((Path(__file__).parents[2] / "runs").glob("*/study.toml"))


@pytest.fixture
def study(tmp_path, library):
    folder = tmp_path / "runs" / "planned"
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(STUDY.format(library))
    return read_study(folder)


class Ended:
    """A worker that has ended."""

    def __init__(self, status):
        self.status = status

    def poll(self):
        return self.status


class OnlyNarrow:
    """An engine that trains in this process, at its second attempt, and only what is 16 wide."""

    def __init__(self):
        self.started = []

    def start(self, job, log, hear):
        asked = json.loads(job.read_text())
        trunks = [Trunk.of(**t) for t in asked["trunks"]]
        self.started.append(trunks[0].model.width)
        if trunks[0].model.width > 16 or self.started.count(16) == 1:
            log.write_text("too wide, or too early")
            return Ended(1)
        corpus = scaling.corpora.corpus.Corpus.load(asked["corpus"])
        folder = Path(asked["folder"])
        device = loop.torch.device(asked["device"])
        Worker(
            trunks, corpus, study=asked["study"], folder=folder, pack=asked["pack"], device=device, say=hear
        ).train()
        return Ended(0)


def test_a_plan_says_what_is_done_and_what_is_left_of_each_shape(study, capsys):
    """From the speed of a product; once an engine has trained one of two shapes, from its rows."""
    fresh = plan_sweep(study, workers=1, device="cpu", progress=False)
    assert (fresh.runs, fresh.done, len(fresh.packs)) == (8, 0, 2)
    assert "with 1 worker (from the speed of a plain product on" in str(fresh)
    engine = OnlyNarrow()
    with pytest.raises(WorkersFailed, match=r"(?s)width 32 .*too wide, or too early"):
        scaling.sweep(study, workers=1, device="cpu", engine=engine)
    assert sorted(engine.started) == [16, 16, 32, 32, 32]
    assert "planned: 4/8 runs" in capsys.readouterr().err
    half = plan_sweep(study, workers=1, device="cpu", progress=False)
    assert [(p.width, p.runs, p.done) for p in half.parts] == [(16, 4, 4), (32, 4, 0)]
    assert half.parts[0].hours == half.parts[0].flops == 0
    assert half.parts[1].hours == half.hours > 0
    assert half.flops == half.parts[1].flops
    assert half.disk == half.packs[0].checkpoint_bytes + half.packs[0].row_bytes
    assert str(half).startswith("8 runs, 4 of them done; to train: 18.4k tokens")
    assert "(from this study's rows of " in str(half)
    assert 0 < half.ceiling_share < 1
    assert f", at {half.ceiling_share:.0%} of the ceiling measured)" in str(half)


def test_expected_hours_deal_the_stacks_out_to_the_workers(study):
    one, two = (plan_sweep(study, workers=n, device="cpu", progress=False) for n in (1, 2))
    assert one.hours == pytest.approx(sum(part.hours for part in one.parts))
    assert max(part.hours for part in one.parts) / 2 <= two.hours < one.hours


@pytest.mark.parametrize("file", COMMITTED, ids=lambda file: file.parent.name)
def test_packing_is_invariant_to_a_memory_limit_of_24_gb(file):
    trunks = read_study(file).trunks
    assert pack_trunks(trunks, "c", 2, False, plan.MEMORY_SHARE * 24e9) == pack_trunks(trunks, "c", 2, False)


def test_stacks_are_as_large_as_memory_allows():
    trunks = tuple(Trunk.of(width=16, seed=s, budgets=(8192,), tokens_per_step=256) for s in range(8))
    room = stack_bytes(trunks[0], 3)
    assert [len(p.trunks) for p in pack_trunks(trunks, "c", 1, False, room)] == [3, 3, 2]
    members = tuple(replace(trunks[0], member=m) for m in range(4))
    with pytest.raises(ModelTooLarge, match=r"4 models together .* one worker has"):
        pack_trunks(members, "c", 1, False, pack.passes_and_bytes(trunks[0], 4, 0)[1] - 1)


def test_a_batch_goes_through_in_the_fewest_passes_that_fit():
    trunk = Trunk.of(width=512, budgets=(2**20,), tokens_per_step=2**15)
    whole, halves = stack_bytes(trunk, 1), stack_bytes(trunk, 1, passes=2)
    assert pack.passes_and_bytes(trunk, 1, whole) == (1, whole)
    assert pack.passes_and_bytes(trunk, 1, whole - 1) == (2, halves)
    assert pack.passes_and_bytes(trunk, 1, 0)[0] == 2**15 // 128
    assert [p.trunks for p in pack_trunks((trunk,), "c", 1, False, whole - 1)] == [(trunk,)]


def test_budgets_that_differ_share_a_stack_where_few_steps_are_for_nothing():
    """A tenth more than its own for any model on a CPU, twice as many on a GPU."""
    budgets = [(2**16,), (2**13, 2**16), (3 * 2**14,), (2**16, 2**16 + 1024), (2**12,)]
    trunks = tuple(Trunk.of(width=16, seed=s, budgets=b) for s, b in enumerate(budgets))
    stacks = {
        gpu: [{t.seed for t in p.trunks} for p in pack_trunks(trunks, "c", 1, gpu)] for gpu in (True, False)
    }
    assert stacks == {True: [{0, 1, 2, 3}, {4}], False: [{0, 1}, {3}, {2}, {4}]}
    assert pack.together(trunks[:3]).schedule.budgets == (2**13, 3 * 2**14, 2**16)


def test_a_stack_that_was_begun_stays_as_it_is_where_it_fits():
    trunks = tuple(Trunk.of(width=16, seed=s, budgets=(8192,), tokens_per_step=256) for s in range(6))
    begun = [Pack(trunks[:4], "c"), Pack(trunks[3:5], "c"), Pack((replace(trunks[0], seed=9),), "c")]
    asked = pack_trunks(trunks, "c", 3, False, begun=begun)
    assert [p.trunks for p in asked] == [trunks[:4], trunks[4:5], trunks[5:]]
    room = 3 * stack_bytes(trunks[0], 3)
    assert max(len(p.trunks) for p in pack_trunks(trunks, "c", 3, False, room, begun)) == 2


def test_what_is_left_of_a_stack_keeps_ensembles_whole():
    members = tuple(Trunk.of(width=16, seed=s, member=m, budgets=(8192,)) for s in range(2) for m in range(2))
    pack = Pack(members, "c")
    done = {run_id(t, "c", 8192) for t in members[:3]}
    assert pack.left(done).trunks == members[2:]
    assert pack.left(pack.run_ids) is None


def test_a_model_beyond_memory_is_named_before_any_work(study, monkeypatch):
    monkeypatch.setattr(plan, "total_memory", lambda: int(0.6e9))
    with pytest.raises(
        ModelTooLarge, match=r"width 16 .* GB of memory, but 2 workers share 0\.48 GB.*--workers 1"
    ):
        plan_sweep(study, workers=2, device="cpu", progress=False)
    assert not Store(study).local.exists()
    giant = (Trunk.of(width=8192, depth=80, head_dim=128, budgets=(2048,)),)
    with pytest.raises(ModelTooLarge, match="Lower tokens_per_step or the width"):
        pack_trunks(giant, "c", 64, True, 80e9)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_expected_memory_matches_the_peak_of_a_process(corpus):
    """Eight models of width 64 train, fork and are evaluated; the guess may be a tenth too low and a half too high."""
    code = f"""
import re, torch
from pathlib import Path
from scaling.corpora.corpus import Corpus
from scaling.corpora.sampler import held_out_windows
from scaling.study import Trunk
from scaling.train.stack import Stack
corpus = Corpus.load({str(corpus.folder)!r})
torch.set_num_threads(1)
stack = Stack([Trunk.of(width=64, seed=s, budgets=(8192,)) for s in range(8)], corpus, torch.device("cpu"))
stack.advance(2, lambda _: 0.1)
kept = stack.fork()
stack.advance(4, lambda _: 0.1)
stack.evaluate(held_out_windows(corpus, "code", 128, 256))
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    peak = 1024 * int(said)
    assert 0.9 * peak < stack_bytes(Trunk.of(width=64, budgets=(8192,)), 8) < 1.5 * peak


def test_an_evaluation_pass_shrinks_with_the_vocabulary_and_not_below_a_window():
    def tokens(vocabulary, gpu, context=128):
        return pack.evaluation_tokens(Shape(width=64, vocabulary=vocabulary, context=context), 8, gpu=gpu)

    assert [tokens(v, gpu=True) for v in (64, 256, 1024, 50_257)] == [65_536, 65_536, 65_536, 1335]
    assert [tokens(v, gpu=False) for v in (64, 256, 1024, 50_257)] == [4096, 4096, 4096, 1335]
    assert tokens(50_257, gpu=True, context=1024) == 8 * 1025
    small, large = (Trunk.of(width=64, budgets=(8192,), vocabulary=v) for v in (256, 50_257))
    assert stack_bytes(large, 2) - stack_bytes(small, 2) < 3e9


def test_what_the_launcher_knows_without_torch_is_what_workers_use():
    assert pack._WINDOWS == loop.FINAL_WINDOWS
    assert 1e8 < machine.total_memory() < 1e14
    assert 1e8 < machine.product_ceiling() < 1e14
