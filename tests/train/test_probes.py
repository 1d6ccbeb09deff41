"""Probes and kept weights: asked for by a study, the same after any interruption, and without effect on a run."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from scaling.artifacts import load_weights
from scaling.corpora.corpus import cached_corpus
from scaling.corpora.items import Items
from scaling.corpora.sampler import held_out_windows
from scaling.corpora.synthetic.documents import Page, write_pages
from scaling.errors import BadValue
from scaling.records import PROBES, read_rows
from scaling.study import Trunk
from scaling.sweeps.job import Job, StackSpec
from scaling.train.loop import Stopped, Worker
from scaling.train.probes import answer_exact, answer_loss, asked_probes
from scaling.train.probes.position import position_groups
from scaling.train.stack import Stack

CPU = torch.device("cpu")
TRUNK = Trunk.of(
    width=16, budgets=(4096, 8192), context=32, tokens_per_step=128, warmup_tokens=512, cooldown=0.5
)
TRUNKS = [TRUNK, TRUNK.but(seed=1, blend=(("code", 0.25), ("prose", 0.75)))]
STUDY = '[defaults]\nbudgets = ["4Ki"]\n[[grid]]\nwidth = 16\n'
CLOCK = {"seconds", "flops_per_second", "ceiling"}


class Interrupted(Worker):
    """A worker that is stopped after some steps."""

    def run(self, steps):
        advance, taken = self.stack.advance, []
        self.stopping = lambda: len(taken) == steps

        def counted(to, share, each=lambda: None):
            def and_stop():
                taken.append(self.stack.step)
                each()

            advance(to, share, and_stop)

        self.stack.advance = counted
        self.train()


def worker(corpus, folder, trunks=TRUNKS, **asked):
    torch.set_num_threads(1)
    stack = StackSpec(tuple(trunks), corpus.corpus_hash)
    return Interrupted(Job(study="s", folder=folder, corpus=corpus.folder, stack=stack, **asked), corpus)


def rows(folder, kind):
    """All rows of a kind, trunk by trunk."""
    return [row for file in sorted((folder / "rows").glob("*.jsonl")) for row in read_rows(file, kind)]


def without_clock(folder):
    return [{key: value for key, value in row.items() if key not in CLOCK} for row in rows(folder, "run")]


def test_loss_by_position_matches_the_loss_of_the_run(corpus, tmp_path):
    """Weighted by size, the groups are the run; later tokens, which see more, are easier than the first two."""
    longer = [trunk.but(budgets=(16_384, 32_768)) for trunk in TRUNKS]
    worker(corpus, tmp_path, longer, probes=("position",)).train()
    runs, measured = rows(tmp_path, "run"), rows(tmp_path, "measurement")
    assert len(runs) == 4 and len(measured) == 4 * 5
    for run in runs:
        mine = {row["group"]: row for row in measured if row["run_id"] == run["run_id"]}
        assert list(mine) == ["1-2", "3-4", "5-8", "9-16", "17-32"]
        sizes = [2, 2, 4, 8, 16]
        mean = sum(size * row["value"] for size, row in zip(sizes, mine.values(), strict=True)) / 32
        assert mean == pytest.approx(run["loss"], abs=1e-6)
        for row in mine.values():
            assert (row["step"], row["probe"], row["unit"]) == (run["steps"], "position", "nats/token")
            assert row["n"] == sum(len(held_out_windows(corpus, d, 32, 256)) for d in ("code", "prose"))
            assert run["loss_stderr"] < row["stderr"] < 0.2
        assert mine["17-32"]["value"] < mine["1-2"]["value"]


def test_position_groups_cover_a_window_once():
    for context in (1, 2, 3, 32, 100, 128):
        positions = [p for first, last in position_groups(context) for p in range(first, last + 1)]
        assert positions == list(range(1, context + 1))


def test_runs_and_curves_are_invariant_to_probes_and_kept_weights(corpus, tmp_path):
    worker(corpus, tmp_path / "plain").train()
    worker(corpus, tmp_path / "both", probes=("position:curve", "heldout"), keep="weights").train()
    assert without_clock(tmp_path / "both") == without_clock(tmp_path / "plain")
    assert rows(tmp_path / "both", "evaluation") == rows(tmp_path / "plain", "evaluation")
    assert rows(tmp_path / "plain", "measurement") == []
    assert not (tmp_path / "plain" / "weights").exists()


def test_a_probe_on_curves_measures_every_point_of_them(corpus, tmp_path):
    worker(corpus, tmp_path, probes=("position:curve",)).train()
    points = {(row["run_id"], row["step"]) for row in rows(tmp_path, "evaluation")}
    assert {(row["run_id"], row["step"]) for row in rows(tmp_path, "measurement")} == points
    assert len(points) > 4


@pytest.mark.parametrize("stop_after", [7, 20, 32, 45, 60])
def test_measurements_are_neither_lost_nor_doubled_by_a_stop(corpus, tmp_path, stop_after):
    asked = {"probes": ("position:curve",), "keep": "weights"}
    worker(corpus, tmp_path / "calm", **asked).train()
    with pytest.raises(Stopped):
        worker(corpus, tmp_path / "stopped", **asked).run(stop_after)
    worker(corpus, tmp_path / "stopped", **asked).train()
    for kind in ("measurement", "evaluation"):
        assert rows(tmp_path / "stopped", kind) == rows(tmp_path / "calm", kind)
    calm, stopped = (sorted((tmp_path / name / "weights").iterdir()) for name in ("calm", "stopped"))
    assert [path.name for path in calm] == [path.name for path in stopped]
    assert len(calm) == 4
    for pair in zip(calm, stopped, strict=True):
        one, other = map(load_file, pair)
        assert all(np.array_equal(one[name], other[name]) for name in one | other)


def test_measurements_are_neither_lost_nor_doubled_where_a_file_of_rows_is_cut_short(corpus, tmp_path):
    """As by a machine that loses its power: whatever is left of the file, going on makes the same measurements."""
    asked = {"trunks": [TRUNK], "probes": ("position:curve",)}
    worker(corpus, tmp_path, **asked).train()
    (file,) = (tmp_path / "rows").glob("*.jsonl")
    whole, wanted = file.read_bytes(), rows(tmp_path, "measurement")
    for share in np.linspace(0.05, 0.99, 6):
        file.write_bytes(whole[: int(share * len(whole))])
        worker(corpus, tmp_path, **asked).train()
        assert sorted(rows(tmp_path, "measurement"), key=str) == sorted(wanted, key=str)


def test_a_model_that_has_diverged_is_neither_measured_nor_kept(corpus, tmp_path):
    trunks = [TRUNK, TRUNK.but(peak_lr=1e38)]
    worker(corpus, tmp_path, trunks, probes=("position",), keep="weights").train()
    done = {row["run_id"] for row in rows(tmp_path, "run") if row["status"] == "done"}
    assert len(done) == 2
    assert {row["run_id"] for row in rows(tmp_path, "measurement")} == done
    assert {path.stem for path in (tmp_path / "weights").iterdir()} == done


def test_kept_weights_recover_the_loss_of_their_run(corpus, tmp_path):
    """Loaded by study and run_id into a fresh model, whose loss is that of the row."""
    folder = tmp_path / "runs" / "kept"
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(STUDY)
    local = tmp_path / ".store" / "kept"
    worker(corpus, local, keep="weights").train()
    for run in rows(local, "run"):
        weights = load_weights(folder, run["run_id"])
        assert weights.shape == TRUNK.model
        stack = Stack([TRUNK], corpus, CPU)
        for name, view in stack.views.items():
            view[0] = torch.from_numpy(weights.matrices[name])
        windows = {d: held_out_windows(corpus, d, 32, 256) for d in run["blend"]}
        loss = sum(share * stack.evaluate(windows[d])[0].mean() for d, share in run["blend"].items())
        assert loss == pytest.approx(run["loss"], abs=1e-6)


def test_every_probe_of_the_registry_has_its_name_and_an_unknown_one_is_named():
    items = Items((), samples=1, temperature=0.0, stop=(), per_token=False)
    for name in PROBES:
        asked = asked_probes([name], on_curves=False, items=items)
        assert {probe.name for probe in asked} == {name} - {"heldout"}
    with pytest.raises(BadValue, match=r"probes = 'positon', .* among heldout, position"):
        asked_probes(["positon"], on_curves=False)


class Letters:
    """Documents that say a letter and then the answer: always "yes" in one domain, a coin's throw in the other."""

    words = (*"abcd", "yes", "no", "?")
    longest = 3

    def __init__(self, answers):
        self.answers = answers

    def pages(self, split, count):
        generator = np.random.default_rng(split == "train")
        for number in range(count):
            answer = self.answers[generator.integers(len(self.answers))]
            yield Page(["?", "abcd"[number % 4], answer], [2], f"{split} {number}")


def test_answers_are_scored_where_documents_have_them(tmp_path):
    writers = {"coin": Letters(["yes", "no"]), "sure": Letters(["yes"])}

    def write(folder):
        return {"versions": {}, **write_pages(folder, writers, {"train": 400, "heldout": 80})}

    corpus = cached_corpus(f"letters {tmp_path}".replace("/", " "), write)
    trunk = Trunk.of(
        width=16, budgets=(8192,), context=4, tokens_per_step=64, warmup_tokens=512, vocabulary=corpus.vocabulary,
        blend=(("coin", 0.5), ("sure", 0.5)), max_epochs=20, peak_lr=0.01,
    )  # fmt: skip
    stack = Stack([trunk, trunk.but(seed=1)], corpus, CPU)
    windows = {d: held_out_windows(corpus, d, 4, 16) for d in corpus.domains}
    before = answer_loss.PROBE.measure(stack, windows)
    asked = [(k, domain, 64) for domain in corpus.domains for k in range(2)]
    assert [(r.model, r.group, r.n) for r in before] == asked
    np.testing.assert_allclose([r.value for r in before], np.log(corpus.vocabulary), rtol=1e-5)
    stack.advance(200, lambda step: 1 - step / 200)
    losses = {(r.model, r.group): r.value for r in answer_loss.PROBE.measure(stack, windows)}
    right = {(r.model, r.group): r for r in answer_exact.PROBE.measure(stack, windows)}
    for model in range(2):
        # nothing tells the domains apart, so "yes" has 3/4 and "no" 1/4, and the likeliest answer is "yes"
        assert losses[model, "sure"] == pytest.approx(-np.log(0.75), abs=0.1)
        assert losses[model, "coin"] == pytest.approx(-np.log(0.75 * 0.25) / 2, abs=0.1)
        assert right[model, "sure"].value == 1
        assert 0.25 < right[model, "coin"].value < 0.75
        assert 0 < right[model, "sure"].stderr < 0.05 < right[model, "coin"].stderr


def test_answers_are_not_asked_of_text(corpus):
    stack = Stack(TRUNKS, corpus, CPU)
    windows = {d: held_out_windows(corpus, d, 32, 8) for d in corpus.domains}
    assert answer_exact.PROBE.measure(stack, windows) == []
