"""What stands in a row: the same as in rows that were written before, to the last key."""

import json
import math
from pathlib import Path

import pytest
import torch

from scaling.corpora.source import CorpusSource, LanguageSource
from scaling.corpora.text import build_corpus
from scaling.records import Asked, Cost, Outcome, Run
from scaling.study import Trunk, identity
from scaling.sweeps.job import Job, StackSpec
from scaling.train.loop import Worker

GOLDEN = Path(__file__).parent / "golden" / "rows.jsonl"
"""Written when rows were first made: annealed, averaged, an ensemble's and diverged ones, and their learning curves."""
MACHINE = {"seconds", "flops_per_second", "ceiling", "versions", "device"}
LANGUAGES = (
    LanguageSource(name="brackets", kind="nested", parameters=(("depth", 2), ("kinds", 2), ("words", 8))),
    LanguageSource(name="hops", kind="markov", parameters=(("states", 12),)),
)


@pytest.fixture
def trained(tmp_path):
    """Lines of the rows of two members of an ensemble and of a model whose rate is absurd."""
    torch.set_num_threads(1)
    source = CorpusSource(source="language", train_tokens=2**15, heldout_tokens=2**12, languages=LANGUAGES)
    corpus = build_corpus(source, progress=False)
    trunk = Trunk.of(
        width=16, budgets=(4096, 8192), context=32, tokens_per_step=128, warmup_tokens=512, cooldown=0.5,
        average_gamma=17, blend=(("brackets", 0.25), ("hops", 0.75)), vocabulary=corpus.vocabulary,
        unique_budget=4096, max_epochs=4,
    )  # fmt: skip
    trunks = [trunk, trunk.but(member=1), trunk.but(peak_lr=1e38)]
    stack = StackSpec(tuple(trunks), corpus.corpus_hash)
    Worker(Job(study="golden", folder=tmp_path, corpus=corpus.folder, stack=stack), corpus).train()
    files = [tmp_path / "rows" / f"{identity.trunk_id(t, corpus.corpus_hash)}.jsonl" for t in trunks]
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def comparable(row, **added):
    """Without what a machine says of itself; losses to the digits that two processors share."""
    (kind,) = row.keys() - {"crc"}
    kept = {key: value for key, value in row[kind].items() if key not in MACHINE} | added
    return json.loads(json.dumps({kind: kept}), parse_float=_rounded, parse_constant=str)


def _rounded(text):
    return float(f"{float(text):.5g}") if math.isfinite(float(text)) else text


def test_rows_are_what_they_were_and_say_their_stage(trained):
    """Keys that came later are at their defaults, and the distinct tokens of the domains are those of the whole."""
    before = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    assert len(before) == len(trained) == 75
    for old, new in zip(before, trained, strict=True):
        later = {}
        if "run" in old:
            each = new["run"]["domain_unique"]
            assert sum(each.values()) == old["run"]["unique_tokens"]
            later = {"stage": "pretrain", "parent_run": None, "domain_unique": each}
            later |= {"generation": None, "generated": None}
        assert comparable(new) == comparable(old, **later)


def test_a_run_is_what_was_asked_what_was_spent_and_what_came_out(trained):
    run = Run(**next(row["run"] for row in trained if "run" in row))
    parts = (
        {name: getattr(run, name) for name in part.__dataclass_fields__} for part in (Asked, Cost, Outcome)
    )
    asked, cost, outcome = parts
    assert Run.of(Asked(**asked), Cost(**cost), Outcome(**outcome)) == run
    assert len(asked) + len(cost) + len(outcome) == len(run.to_json())
