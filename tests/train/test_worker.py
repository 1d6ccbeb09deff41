"""One worker on its way: stopped where it stands, also inside a branch, it goes on from there to the same rows."""

import pytest
import torch

from scaling.records import read_rows
from scaling.study import Trunk
from scaling.train.worker import Stopped, Worker

TRUNK = Trunk(
    width=16, budgets=(4096, 8192), context=32, tokens_per_step=128, warmup_tokens=512, cooldown=0.5
)
CLOCK = {"seconds", "flops_per_second", "ceiling"}


class Counted(Worker):
    """A worker that asks itself to stop after some steps."""

    def run(self, steps):
        advance, self.steps = self.stack.advance, []

        def counted(to, share, each=lambda: None):
            def and_stop():
                self.steps.append(self.stack.step)
                self.stop = len(self.steps) == steps
                each()

            advance(to, share, and_stop)

        self.stack.advance = counted
        self.train()


def worker(corpus, folder):
    torch.set_num_threads(1)
    return Counted([TRUNK], corpus, study="s", folder=folder, pack="p", device=torch.device("cpu"))


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


def test_branch_is_resumed_from_its_own_checkpoint(corpus, tmp_path, undisturbed):
    folder = tmp_path / "branch"
    first = worker(corpus, folder)
    with pytest.raises(Stopped):
        first.run(20)
    assert [p.name for p in (folder / "checkpoints" / "p").glob("branch-*")] == ["branch-32"]
    assert first.steps[-1] == 20
    second = worker(corpus, folder)
    second.run(10**9)
    assert second.steps[0] == 21
    assert rows(folder) == undisturbed[0]
