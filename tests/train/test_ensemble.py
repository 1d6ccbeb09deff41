"""An ensemble: models on the same tokens whose mean prediction is a row of its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from scaling.corpora.sampler import Sampler, held_out_windows
from scaling.errors import BadValue
from scaling.records import read_rows
from scaling.study import Trunk
from scaling.sweeps.engines.base import Capacity
from scaling.sweeps.job import Job, StackSpec
from scaling.sweeps.stacks import stack_trunks
from scaling.train.loop import Worker
from scaling.train.stack import Stack

CPU = torch.device("cpu")
TRUNK = Trunk(
    width=16, budgets=(4096,), context=32, tokens_per_step=128, warmup_tokens=512, unique_budget=1024, max_epochs=4
)  # fmt: skip
MEMBERS = [replace(TRUNK, member=m) for m in range(4)]


def written(folder):
    """The rows of all runs, trunk by trunk."""
    return [row for file in sorted((folder / "rows").glob("*.jsonl")) for row in read_rows(file, "run")]


def job(corpus, folder):
    stack = StackSpec(tuple(MEMBERS), corpus.corpus_hash)
    return Job(study="s", folder=folder, corpus=corpus.folder, stack=stack)


def test_members_see_the_same_windows_in_another_order(corpus):
    def windows(seed, member):
        sampler = Sampler(corpus, {"code": 1.0}, 32, 4, seed=seed, unique_budget=1024, member=member)
        return [row.tobytes() for step in range(8) for row in sampler.batch(step)]

    assert windows(0, 0) != windows(0, 1)
    assert set(windows(0, 0)) == set(windows(0, 1))
    assert set(windows(0, 0)) != set(windows(1, 0))


def test_members_start_from_other_weights_and_the_first_is_the_plain_run(corpus):
    first, second = Stack(MEMBERS[:2], corpus, CPU).weights
    assert not torch.equal(first, second)
    assert torch.equal(first, Stack([TRUNK], corpus, CPU).weights[0])
    ids = {t.trunk_id("corpus") for t in MEMBERS}
    assert len(ids) == 4 and TRUNK.trunk_id("corpus") in ids
    assert len({t.config_hash for t in MEMBERS}) == 1


def test_ensemble_predicts_with_the_mean_of_the_probabilities(corpus):
    stack = Stack(MEMBERS, corpus, CPU)
    stack.advance(8, lambda _: 1.0)
    windows = held_out_windows(corpus, "code", 32, 5)
    with torch.no_grad():
        batch = torch.from_numpy(windows).expand(4, -1, -1)
        each = stack.net.token_losses(stack.views, batch).double().exp().reciprocal()
    wanted = -(each[[0, 2]].mean(0)).log().mean(1).numpy()
    pair, whole = stack.evaluate_ensembles(windows, [[0, 2], [0, 1, 2, 3]])
    assert pair == pytest.approx(wanted, rel=1e-5)
    assert (whole <= stack.evaluate(windows).mean(0)).all()


def test_worker_writes_a_row_for_every_power_of_two_of_members(corpus, tmp_path):
    worker = Worker(job(corpus, tmp_path), corpus)
    worker.train()
    rows = written(tmp_path)
    together = {row["members"]: row for row in rows if row["kind"] == "ensemble"}
    alone = [row for row in rows if row["kind"] == "annealed"]
    assert sorted(together) == [2, 4] and sorted(row["member"] for row in alone) == [0, 1, 2, 3]
    assert together[4]["loss"] < np.mean([row["loss"] for row in alone])
    first = next(row for row in alone if row["member"] == 0)
    for name in ("C", "params_total", "flops_matrix"):
        assert together[4][name] == 4 * first[name]
    for name in ("N", "D", "unique_tokens", "trunk_id", "epochs"):
        assert together[4][name] == first[name]
    assert len({row["run_id"] for row in rows}) == 6
    again = Worker(job(corpus, tmp_path), corpus)
    again.train()
    assert written(tmp_path) == rows


def test_diverged_member_is_in_no_ensemble(corpus, tmp_path):
    worker = Worker(job(corpus, tmp_path), corpus)
    worker.diverged[3] = "said so"
    worker.train()
    assert [row["members"] for row in written(tmp_path) if row["kind"] == "ensemble"] == [2]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_ensemble_stays_in_one_stack(workers):
    trunks = tuple(replace(t, seed=s) for s in range(3) for t in MEMBERS)
    stacks = stack_trunks(trunks, "corpus", Capacity(workers=workers))
    where = {t: stack.id for stack in stacks for t in stack.trunks}
    assert sum(len(stack.trunks) for stack in stacks) == 12
    assert all(len({where[t] for t in trunks if t.seed == s}) == 1 for s in range(3))


def test_negative_member_names_the_key():
    with pytest.raises(BadValue, match="member"):
        replace(TRUNK, member=-1)
