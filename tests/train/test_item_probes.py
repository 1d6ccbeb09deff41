"""A study's items are scored as a model would read and write them one by one, and the same after any interruption."""

import json

import numpy as np
import pytest
import torch

import scaling
from scaling.corpora.items import Item, Items
from scaling.errors import BadValue
from scaling.records import read_rows
from scaling.study import Trunk, read_study
from scaling.sweeps.job import Job, StackSpec
from scaling.train.loop import Worker
from scaling.train.probes import item_exact
from scaling.train.probes.item_choice import ItemChoice
from scaling.train.probes.item_exact import ItemExact
from scaling.train.probes.item_log_probability import ItemLogProbability
from scaling.train.stack import Stack

CPU = torch.device("cpu")
TRUNK = Trunk.of(
    width=16, budgets=(4096, 8192), context=32, tokens_per_step=128, warmup_tokens=512, cooldown=0.5
)
TRUNKS = [TRUNK, TRUNK.but(seed=1)]
CLOCK = {"seconds", "flops_per_second", "ceiling"}


def spelled(prompt, answer, *choices, group="all"):
    return Item(
        *(tuple(t.encode()) for t in (prompt, answer)), tuple(tuple(c.encode()) for c in choices), group
    )


ITEMS = Items(
    (
        spelled("def f(", "self", "self", "zqxj", group="code"),
        spelled("import ", "os", "os", "\x01\x02", "import", group="code"),
        spelled("the", " ", " ", "~", "@", "\x07", group="prose"),
        spelled("of th", "e "),
    ),
    samples=1,
    temperature=0.0,
    stop=(),
    per_token=False,
)


@pytest.fixture
def stack(corpus):
    """Two models that have learned a little."""
    torch.set_num_threads(1)
    stack = Stack(TRUNKS, corpus, CPU)
    stack.advance(60, lambda step: 1 - step / 60)
    return stack


def log_probability(stack, k, prompt, answer):
    """One answer after one prompt, by the loss of every token."""
    window = torch.tensor([[[*prompt, *answer]]] * len(stack.trunks))
    losses = stack.forward.token_losses(stack.views, window)[k, 0]
    return -float(losses[len(prompt) - 1 :].sum())


def readings(probe, stack):
    return {(r.model, r.group): r for r in probe.measure(stack, {})}


def test_log_probability_matches_the_losses_of_the_answer(stack):
    measured = readings(ItemLogProbability(ITEMS), stack)
    assert set(measured) == {(k, group) for k in (0, 1) for group in ("code", "prose", "all")}
    for (k, group), reading in measured.items():
        mine = [log_probability(stack, k, i.prompt, i.answer) for i in ITEMS.each if i.group == group]
        assert reading.value == pytest.approx(np.mean(mine), abs=1e-4)
        assert reading.n == len(mine)


@pytest.mark.parametrize("per_token", [False, True])
def test_choices_are_ranked_by_their_likelihood_alone_or_per_token(stack, per_token):
    measured = readings(ItemChoice(Items(ITEMS.each, 1, 0.0, (), per_token)), stack)
    assert set(measured) == {(k, group) for k in (0, 1) for group in ("code", "prose")}
    for (k, group), reading in measured.items():
        right = []
        for item in (i for i in ITEMS.each if i.group == group and i.choices):
            scores = [
                log_probability(stack, k, item.prompt, c) / (len(c) if per_token else 1) for c in item.choices
            ]
            right.append(item.choices[int(np.argmax(scores))] == item.answer)
        assert (reading.value, reading.n) == (np.mean(right), len(right))


def test_a_model_that_knows_nothing_chooses_by_chance(corpus):
    """The starting weights find all bytes alike; of choices of one length each then counts its share."""
    alike = Items((ITEMS.each[0], ITEMS.each[2]), 1, 0.0, (), per_token=False)
    measured = readings(ItemChoice(alike), Stack(TRUNKS, corpus, CPU))
    assert measured[1, "code"].value == pytest.approx(1 / 2)
    assert measured[1, "prose"].value == pytest.approx(1 / 4)


def greedy(stack, k, prompt, length):
    """The likeliest token after what there is, again and again."""
    tokens = [*prompt]
    for _ in range(length):
        logits = stack.forward.logits(stack.views, torch.tensor([[tokens]] * len(stack.trunks)))
        tokens.append(int(logits[k, 0, -1].argmax()))
    return tuple(tokens[len(prompt) :])


def test_exact_match_recovers_what_a_model_writes_by_itself(stack):
    """Of five items the first model's own answers are asked for in three, in one of them with another end."""
    prompts = [tuple(text.encode()) for text in ("def f(", "import ", "the", "of th", "for i")]
    own = [greedy(stack, 0, prompt, 2 + k % 2) for k, prompt in enumerate(prompts)]
    asked = [*own[:3], ((own[3][0] + 1) % 256, 0), (*own[4][:-1], (own[4][-1] + 1) % 256)]
    items = Items(tuple(Item(p, a, (), "") for p, a in zip(prompts, asked, strict=True)), 1, 0.0, (), False)
    assert readings(ItemExact(items), stack)[0, ""].value == 3 / 5
    after = [greedy(stack, 0, p, len(a) + 1)[-1] for p, a in zip(prompts, asked, strict=True)]
    ends = Items(items.each, 1, 0.0, (after[0],), per_token=False)
    assert readings(ItemExact(ends), stack)[0, ""].value == np.mean(
        [after[0] == a for a in after[:3]] + [0] * 2
    )


def test_drawn_answers_recover_their_probability_and_are_invariant_to_the_stack(stack, corpus):
    asked = spelled("the", " "), spelled("import ", "o")
    items = Items(asked, samples=400, temperature=1.0, stop=(), per_token=False)
    measured = readings(ItemExact(items), stack)
    alone = Stack(TRUNKS[1:], corpus, CPU)
    alone.restore({name: tensor[1:] for name, tensor in stack.state().items()}, stack.step)
    assert readings(ItemExact(items), alone)[0, "all"].value == measured[1, "all"].value
    for k in (0, 1):
        expected = float(np.mean([np.exp(log_probability(stack, k, i.prompt, i.answer)) for i in asked]))
        assert measured[k, "all"].value == pytest.approx(expected, abs=4 * (expected / 800) ** 0.5)


def worker(corpus, folder, items):
    folder.mkdir(exist_ok=True)
    items.write(folder / "items.json")
    stack = StackSpec(tuple(TRUNKS), corpus.corpus_hash)
    probes = ("item_exact:curve", "item_log_probability", "item_choice:curve")
    return Worker(
        Job(
            study="s",
            folder=folder,
            corpus=corpus.folder,
            stack=stack,
            probes=probes,
            items=folder / "items.json",
        ),
        corpus,
    )


def rows(folder, kind):
    every = [row for file in sorted((folder / "rows").glob("*.jsonl")) for row in read_rows(file, kind)]
    return [{key: value for key, value in row.items() if key not in CLOCK} for row in every]


@pytest.mark.parametrize("call", [3, 9, 21])
def test_a_job_killed_while_a_probe_generates_goes_on_to_the_same_rows(corpus, tmp_path, monkeypatch, call):
    """At a point of the trunk, inside a branch, at its end; answers are drawn, and the draws are those of the step."""
    torch.set_num_threads(1)
    drawn = Items(ITEMS.each, samples=3, temperature=1.0, stop=(), per_token=False)
    worker(corpus, tmp_path / "calm", drawn).train()
    generate, calls = item_exact.generate, []

    def cut_short(*given, **asked):
        calls.append(None)
        if len(calls) == call:
            raise KeyboardInterrupt
        return generate(*given, **asked)

    monkeypatch.setattr(item_exact, "generate", cut_short)
    monkeypatch.setattr("scaling.train.loop.CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        worker(corpus, tmp_path / "killed", drawn).train()
    worker(corpus, tmp_path / "killed", drawn).train()
    for kind in ("run", "evaluation", "measurement"):
        assert rows(tmp_path / "killed", kind) == rows(tmp_path / "calm", kind) != []
    assert {row["probe"] for row in rows(tmp_path / "calm", "measurement")} == {
        "item_exact", "item_log_probability", "item_choice",
    }  # fmt: skip


STUDY = """
probes = ["item_choice"]
[items]
path = "quiz.jsonl"
[corpus]
source = "folder"
path = "text"
[defaults]
budgets = ["2Ki"]
warmup_tokens = 0
context = 32
[[grid]]
width = 16
"""


def test_a_sweep_asks_a_studys_items_and_names_what_cannot_be_asked(tmp_path, library):
    folder = tmp_path / "runs" / "asked"
    folder.mkdir(parents=True)
    (folder / "text").symlink_to(library)
    (folder / "study.toml").write_text(STUDY)
    (folder / "quiz.jsonl").write_text(json.dumps({"prompt": "a", "answer": "b"}))
    with pytest.raises(BadValue, match=r"a file of items with choices, for item_choice"):
        scaling.sweep(folder, progress=False)
    asked = {"prompt": "the", "answer": " ", "choices": [" ", "@"], "group": "space"}
    (folder / "quiz.jsonl").write_text(json.dumps(asked))
    (run,) = scaling.sweep(folder, progress=False).rows(named=True)
    (row,) = scaling.open_measurements(folder).rows(named=True)
    assert (row["run_id"], row["probe"], row["group"], row["n"]) == (run["run_id"], "item_choice", "space", 1)
    assert row["value"] in (0.0, 1.0)
    (folder / "study.toml").write_text(STUDY.replace('[items]\npath = "quiz.jsonl"', ""))
    with pytest.raises(BadValue, match=r"probes = 'item_choice', .* asked for where \[items\] names a file"):
        read_study(folder)
