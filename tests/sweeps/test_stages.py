"""Later stages of training: what they lower, what they start from, and what they refuse."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from scaling.artifacts import load_weights, save_weights
from scaling.errors import BadValue
from scaling.flops import count_parameters
from scaling.questions import locality, preference
from scaling.store import open_measurements, open_runs
from scaling.study import Trunk, read_study
from scaling.study.identity import config_hash, run_id
from scaling.study.spec import OtherShape, ParentNotInStudy, StageWithoutParent
from scaling.sweeps.engines.base import Asked
from scaling.sweeps.engines.local import LocalEngine
from scaling.sweeps.job import Job, StackSpec
from scaling.sweeps.launch import sweep
from scaling.sweeps.plan import ParentWeightsGone, plan_sweep
from scaling.train.losses import DirectPreferences, Preferences, log_probabilities
from scaling.train.model import Forward, matrix_views
from scaling.train.post import OtherWeights, parent_weights
from scaling.train.post.pairs import NoPairs, Tie, read_pairs
from scaling.train.post.sft import NoAnswers, check_answers

STUDY = """
keep = "weights"
probes = ["executed", "preferred"]
[corpus]
source = "synthetic"
train_documents = 96
heldout_documents = 16
[corpus.documents.errands]
kind = "errands"
longest = 40
tools_per_family = 1
[corpus.documents.known]
kind = "requests"
longest = 40
tools_per_family = 1
[corpus.documents.new]
kind = "requests"
tools_asked = "held out"
longest = 40
tools_per_family = 1
[corpus.documents.pairs]
kind = "errand pairs"
pairs = 1
longest = 40
tools_per_family = 1
[defaults]
width = 16
tokens_per_step = 164
warmup_tokens = 0
max_epochs = 100
seed = [0, 1]
[[grid]]
name = "base"
blend = { errands = 1.0 }
budgets = [3280]
[[grid]]
parent = "base"
stage = "sft"
blend = { known = 0.5, errands = 0.5 }
budgets = [1640]
[[grid]]
parent = "base"
stage = "reward"
score_head = true
blend = { pairs = 1.0 }
budgets = [1640]
[[grid]]
parent = "base"
stage = "prefer"
blend = { pairs = 1.0 }
budgets = [1640]
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Trained here, in all stages."""
    folder = tmp_path_factory.mktemp("stages")
    (folder / "study.toml").write_text(STUDY)
    study = read_study(folder)
    sweep(study, workers=1, device="cpu", progress=False)
    return study


def test_every_stage_goes_on_from_its_parent(study):
    runs = open_runs(study)
    assert runs["stage"].value_counts().sort("stage").rows() == [
        ("prefer", 2), ("pretrain", 2), ("reward", 2), ("sft", 2),
    ]  # fmt: skip
    base = runs.filter(stage="pretrain")
    for run in runs.filter(pl.col("stage") != "pretrain").iter_rows(named=True):
        (parent,) = base.filter(pl.col("seed") == run["seed"])["run_id"]
        assert run["parent_run"] == parent
        assert run["status"] == "done"
        mine, its = (load_weights(study, i).matrices for i in (run["run_id"], parent))
        apart = float(np.abs(mine["0.up"] - its["0.up"]).mean() / np.abs(its["0.up"]).mean())
        assert 0 < apart < 0.5  # moved, and by no more than so few steps can
    assert base["parent_run"].is_null().all()
    assert runs.filter(stage="reward")["params_head"][0] == base["params_head"][0] + 16


def test_every_stage_measures_what_it_is_asked_for(study):
    measured = open_measurements(study).join(open_runs(study).select("run_id", "stage"), on="run_id")
    groups = {
        stage: set(measured.filter(stage=stage, probe="executed")["group"])
        for stage in ("pretrain", "sft", "reward", "prefer")
    }
    assert groups["pretrain"] >= {"known", "new", "known after 1", "new after 2"}
    assert groups["sft"] == groups["prefer"] == groups["pretrain"]
    assert groups["reward"] == {f"{d} best of {n}" for d in ("known", "new") for n in (1, 4, 16, 64)}
    preferred = measured.filter(probe="preferred")
    assert set(preferred["stage"]) == {"reward", "prefer"}
    assert preferred["value"].is_between(0, 1).all()


def test_a_study_that_is_done_trains_nothing_again(study):
    plan = plan_sweep(study, LocalEngine().capacity(Asked(workers=1, device="cpu")), progress=False)
    assert plan.stacks == ()


def test_weights_that_are_gone_are_named_with_the_command_that_makes_them(study):
    """Asked before anything is trained."""
    more = study.folder / "more.toml"
    more.write_text(
        STUDY + '[[grid]]\nparent = "base"\nstage = "sft"\nblend = { errands = 1.0 }\nbudgets = [820]\n'
    )
    local = study.folder / ".store" / study.folder.name
    asked = read_study(more)
    object.__setattr__(asked, "folder", study.folder)
    (local / "asked").unlink()
    kept = local / "weights"
    kept.rename(local / "elsewhere")
    capacity = LocalEngine().capacity(Asked(workers=1, device="cpu"))
    try:
        with pytest.raises(
            ParentWeightsGone,
            match=r"asked to train 1 trunk from .* delete .*jsonl if it is there, and type scaling sweep",
        ):
            plan_sweep(asked, capacity, progress=False)
    finally:
        (local / "elsewhere").rename(kept)
    assert len(plan_sweep(asked, capacity, progress=False).stacks) == 1


def test_weights_of_another_shape_are_named(study, tmp_path):
    """As after an edit of the file, or with a tokeniser that has come to another number of tokens."""
    corpus = study.build_corpus(progress=False)
    child = next(t for t in study.trunks if t.stage == "sft" and t.seed == 0)
    parent = child.parent_trunk
    run = run_id(parent, corpus.corpus_hash, max(parent.schedule.budgets))
    local = study.folder / ".store" / study.folder.name
    job = Job(study="s", folder=local, corpus=corpus.folder, stack=StackSpec((child,), corpus.corpus_hash))
    assert parent_weights(job).shape == (1, count_parameters(child.model).total)
    kept = local / "weights" / f"{run}.safetensors"
    before = kept.read_bytes()
    save_weights(
        local, run, {"embedding": np.zeros((3, 32), np.float32)}, Trunk.of(width=32, budgets=(512,)).model
    )
    try:
        with pytest.raises(OtherWeights, match=r"another shape, or another tokeniser.*scaling sweep"):
            parent_weights(job)
    finally:
        kept.write_bytes(before)


def test_the_smoke_study_of_locality_runs_from_text_to_verdict(tmp_path):
    """Every stage and arm, at a size that has learned nothing yet: no ceiling, so no index; up to eight examples."""
    smoke = Path(__file__).parents[2] / "runs" / "locality" / "smoke.toml"
    (tmp_path / "study.toml").write_text(smoke.read_text())
    runs = sweep(tmp_path, workers=1, device="cpu", progress=False)
    assert len(runs) == 2 * 2 * 6
    verdict = locality(runs, open_measurements(tmp_path))
    assert verdict.answer == "cannot tell"
    shown = {"1 example", *(f"{k} examples" for k in range(2, 9))}
    assert set(verdict.evidence["arms"]["arm"]) >= {"nothing", "labels of others", "2 documents", *shown}


# --- what is asked ----------------------------------------------------------------------------------


def base(**changed):
    return Trunk.of(**{"width": 32, "budgets": (1024, 4096), "seed": 3, "context": 32} | changed)


def test_a_child_knows_its_parent_and_its_parents_parent():
    parent = base()
    child = parent.then(stage="sft", budgets=(1024,), peak_lr=0.001)
    grandchild = child.then(stage="prefer", budgets=(2048,))
    assert child.parent_trunk == base(budgets=(4096,))
    assert grandchild.parent_trunk == child
    assert grandchild.parent_trunk.parent_trunk == base(budgets=(4096,))
    for trunk in (child, grandchild):
        assert Trunk.of(**json.loads(json.dumps(trunk.flat))) == trunk  # as a job file says it
    other = base(seed=4).then(stage="sft", budgets=(1024,), peak_lr=0.001)
    assert config_hash(other) == config_hash(child)
    assert other.stack_key == child.stack_key
    later = base(blend=(("code", 1.0),)).then(stage="sft", budgets=(1024,), peak_lr=0.001)
    assert config_hash(later) != config_hash(child)
    assert later.stack_key == child.stack_key


def test_trunks_name_a_parent_that_is_missing_or_does_not_fit(tmp_path):
    with pytest.raises(StageWithoutParent, match=r'asked for stage = "sft".*parent = "that name"'):
        base(stage="sft")
    with pytest.raises(OtherShape, match=r"only score_head may differ"):
        base().then(stage="sft", width=64, budgets=(1024,))
    with pytest.raises(BadValue, match='score_head = False, but it must be true where stage = "reward"'):
        base().then(stage="reward", budgets=(1024,))
    with pytest.raises(BadValue, match="kl_weight = 0, but it must be above 0"):
        base(kl_weight=0)
    file = tmp_path / "study.toml"
    for old, new, words in (
        ('parent = "base"', 'parent = "bass"', "parent = 'bass', but it must be the name of a"),
        ('keep = "weights"', "", "keep = 'none', but it must be \"weights\" where a trunk has a parent"),
    ):
        file.write_text(STUDY.replace(old, new))
        with pytest.raises(BadValue, match=words):
            read_study(tmp_path)
    file.write_text(STUDY)
    study = read_study(tmp_path)
    with pytest.raises(ParentNotInStudy, match="which this study does not train to that budget"):
        replace(study, trunks=tuple(t for t in study.trunks if t.parent))


# --- what is lowered --------------------------------------------------------------------------------

SHAPE = Trunk.of(
    width=16, budgets=(4096,), context=8, tokens_per_step=32, vocabulary=20, score_head=True
).model


def pairs():
    torch.manual_seed(0)
    weights, start = (
        0.2 * torch.randn(2, count_parameters(SHAPE).total, dtype=torch.float64) for _ in range(2)
    )
    batch = {"inputs": torch.randint(20, (2, 5, 2, 8)), "last": torch.randint(1, 8, (2, 5, 2))}
    return weights, start, batch, Forward(SHAPE, weights.device, torch.float64)


def one_by_one(net, views, text, last):
    """Log-probability of a text, a token at a time, from logits alone, in Python's own floats."""
    total = 0.0
    for place in range(int(last)):
        logits = net.logits(views, text[None, None, : place + 1])[0, 0, -1].tolist()
        top = max(logits)
        total += logits[int(text[place + 1])] - top - math.log(math.fsum(math.exp(x - top) for x in logits))
    return total


def test_direct_preferences_match_their_formula():
    """In double precision, to 1e-10, against a sum that is made token by token."""
    weights, start, batch, net = pairs()
    reference = log_probabilities(net, matrix_views(start, SHAPE), batch["inputs"], batch["last"])
    loss = DirectPreferences(0.3)
    lowered = loss.summed(net, matrix_views(weights, SHAPE), {**batch, "reference": reference}) / loss.total(
        batch
    )
    for k in range(2):
        mine, its = (matrix_views(w[k : k + 1], SHAPE) for w in (weights, start))
        losses = []
        for pair in range(5):
            gains = [
                one_by_one(net, mine, batch["inputs"][k, pair, side], batch["last"][k, pair, side])
                - one_by_one(net, its, batch["inputs"][k, pair, side], batch["last"][k, pair, side])
                for side in (0, 1)
            ]
            losses.append(math.log1p(math.exp(-0.3 * (gains[0] - gains[1]))))
        assert float(lowered[k]) == pytest.approx(math.fsum(losses) / 5, abs=1e-10)


def test_reward_loss_matches_its_formula():
    """In double precision, to 1e-10, a pair at a time."""
    weights, _, batch, net = pairs()
    loss = Preferences()
    lowered = loss.summed(net, matrix_views(weights, SHAPE), batch) / loss.total(batch)
    for k in range(2):
        views = matrix_views(weights[k : k + 1], SHAPE)
        losses = []
        for pair in range(5):
            scores = []
            for text, last in zip(batch["inputs"][k, pair], batch["last"][k, pair], strict=True):
                hidden = net.hidden(views, text[None, None])[0, 0, int(last)]
                scores.append(math.fsum((hidden * views["score"][0, :, 0]).tolist()))
            losses.append(math.log1p(math.exp(scores[1] - scores[0])))
        assert float(lowered[k]) == pytest.approx(math.fsum(losses) / 5, abs=1e-10)


# --- what is read -----------------------------------------------------------------------------------


class Text:
    """A corpus of rows that are given."""

    def __init__(self, rows, ends):
        self.rows = {"train": rows, "train.scored": ends}

    def tokens(self, domain, split="train"):
        return np.append(np.array(self.rows[split], np.uint16).ravel(), np.uint16(0))


def test_pairs_are_read_back_from_their_rows():
    corpus = Text(
        [[0, 5, 6, 7, 5, 8, 0, 0], [0, 9, 9, 3, 0, 0, 0, 0]],
        [[0, 0, 0, 1, 0, 1, 0, 0], [0, 0, 1, 1, 0, 0, 0, 0]],
    )
    texts, last = read_pairs(corpus, "pairs", 8)
    assert texts.tolist() == [[[[0, 5, 6, 7], [0, 5, 8, 0]]], [[[0, 9, 9, 0], [0, 3, 0, 0]]]]
    assert last.tolist() == [[[3, 2]], [[2, 1]]]


def test_pairs_name_ties_and_documents_that_are_none():
    with pytest.raises(Tie, match=r"pair 0 of document 1 of 'pairs' is a tie"):
        read_pairs(Text([[0, 5, 6, 7], [0, 4, 4, 0]], [[0, 0, 1, 1], [0, 1, 1, 0]]), "pairs", 4)
    with pytest.raises(NoPairs, match="ends of 0 to 2 texts"):
        read_pairs(Text([[0, 5, 6, 7], [0, 4, 4, 0]], [[0, 0, 1, 1], [0, 0, 0, 0]]), "pairs", 4)
    with pytest.raises(NoPairs, match="it has no train documents"):
        read_pairs(Text([], []), "pairs", 4)
    with pytest.raises(
        NoAnswers, match=r"asked to learn the answers of 'prose', but its documents mark none"
    ):
        check_answers(Text([[0, 5, 6, 7]], [[0, 0, 0, 0]]), ["prose"])


def test_the_smoke_study_of_preferences_runs_from_text_to_verdict(tmp_path):
    """Every stage, at a size that has learned nothing yet, so that no gain is one."""
    smoke = Path(__file__).parents[2] / "runs" / "preference" / "smoke.toml"
    (tmp_path / "study.toml").write_text(smoke.read_text())
    runs = sweep(tmp_path, workers=1, device="cpu", progress=False)
    assert len(runs) == 2 * (1 + 3 + 2)
    measured = open_measurements(tmp_path)
    verdict = preference(runs, measured, tested=("arithmetic",), bootstrap=0)
    assert verdict.answer in ("not at these sizes", "not identifiable")
    assert set(verdict.evidence["curves"]["n"]) == {1, 2, 4, 8, 16, 32, 64}
    assert len(verdict.evidence["policies"]) == 2 * 2
    moved = measured.filter(probe="divergence")
    assert len(moved) == 2 * 2 * 2 and moved["value"].is_between(-0.1, 1).all()
    ranked = measured.filter(probe="preferred").join(runs.select("run_id", "stage"), on="run_id")
    assert len(ranked.filter(stage="reward")) == 2 * 3 * 3  # also of the domains that were left out
