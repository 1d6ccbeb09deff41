"""What probes say of documents that a model has seen, beside what follows from the documents themselves."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from scaling.corpora.source import CorpusSource, DocumentSource
from scaling.corpora.text import build_corpus
from scaling.flops import count_parameters
from scaling.study import Trunk
from scaling.train.probes import memorised, perturbed_exact, seen_exact
from scaling.train.probes.heldout import outcome
from scaling.train.probes.memorised import evenly, generator_bits, pages, seen_pages
from scaling.train.stack import Stack

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def source():
    strings = DocumentSource(name="strings", kind="strings", parameters=(("length", 8), ("symbols", 16)))
    people = DocumentSource(name="people", kind="biographies", parameters=(("facts", 1), ("names", 8)))
    return CorpusSource(
        source="synthetic", documents=(strings, people), train_documents=400, heldout_documents=50
    )


@pytest.fixture(scope="module")
def stack(source, tmp_path_factory):
    """A model that has seen 24 strings 80 times over, one that has not begun, and one that reads people too."""
    corpus = build_corpus(source)
    context = source.model_context
    asked = {
        "width": 16,
        "context": context,
        "vocabulary": corpus.vocabulary,
        "tokens_per_step": 8 * context,
        "budgets": (240 * 8 * context,),
        "peak_lr": 0.02,
        "warmup_tokens": 0,
        "max_epochs": 100,
    }
    only, both = (("strings", 1.0),), (("strings", 0.5), ("people", 0.5))
    trunks = [
        Trunk.of(**asked, blend=only, unique_budget=24 * context),
        Trunk.of(**asked, blend=both, unique_budget=48 * context, seed=1),
    ]
    made = Stack(trunks, corpus, CPU)
    made.advance(240, lambda step: min(1.0, (step + 1) / 20) * min(1.0, (240 - step) / 60))
    return made


def readings(probe, stack):
    return {(r.model, r.group): r for r in probe.PROBE.measure(stack, {})}


def test_seen_pages_are_those_of_the_batches(stack):
    context = stack.shape.context
    for k, domain in ((0, "strings"), (1, "strings"), (1, "people")):
        sampler = stack.samplers[k]
        sources, starts = sampler.places(0, stack.step)
        mine = starts[sources == sampler.domains.index(domain)] // context
        assert set(seen_pages(stack, domain)[k].tolist()) == set(mine.tolist())
        assert len(seen_pages(stack, domain)[k]) == 24
    assert set(seen_pages(stack, "people")) == {1}


def test_memorised_bits_match_what_each_document_costs(stack):
    """By hand, document by document: what the generator pays above what the model pays, nothing where it pays less."""
    said = readings(memorised, stack)
    context, parameters = stack.shape.context, count_parameters(stack.shape).total
    for k, domain, share in ((0, "strings", 1.0), (1, "people", 0.5)):
        gains = {}
        for split, numbers in (("train", seen_pages(stack, domain)[k]), ("heldout", np.arange(50))):
            bits = generator_bits(stack.corpus, domain, split, context)[numbers] - math.log2(share)
            windows = pages(stack.corpus, domain, split, numbers, context)
            paid = stack.token_losses(windows)[k].sum(1) / math.log(2)
            gains[split] = np.mean([max(0, b - p) for b, p in zip(bits, paid, strict=True)])
        total = 24 * (gains["train"] - gains["heldout"])
        assert said[k, domain].value == pytest.approx(total / parameters, rel=0.02)
        assert said[k, domain].n == 24
    assert said[0, "strings on offer"].value == pytest.approx(24 * 8 * 4 / parameters)
    offered = 3 * 3 + 4 + 1 + 1  # a name, a fact, two ways to tell it, one of two domains
    assert said[1, "people on offer"].value == pytest.approx(24 * offered / parameters)


def test_a_model_memorises_what_it_has_seen_often_and_nothing_before(stack):
    said = readings(memorised, stack)
    assert said[0, "strings"].value > 0.6 * said[0, "strings on offer"].value
    assert (0, "people") not in said
    untrained = Stack(stack.trunks, stack.corpus, CPU)
    assert memorised.PROBE.measure(untrained, {}) == []
    untrained.advance(3, lambda step: 0.0)
    assert {r.value for r in memorised.PROBE.measure(untrained, {}) if "offer" not in r.group} == {0.0}


def test_seen_answers_are_right_where_memory_is_good(stack):
    said = readings(seen_exact, stack)
    assert said[0, "strings"].value > 0.5
    assert said[0, "strings"].n == 24
    assert {group for _, group in said} == {"strings", "people"}


def test_windows_of_each_models_own_are_measured_like_those_of_all(stack):
    windows = pages(stack.corpus, "strings", "train", np.arange(40).reshape(2, 20), stack.shape.context)
    own, first = stack.token_losses(windows), stack.token_losses(windows[0])
    assert own[0] == pytest.approx(first[0], abs=1e-5)
    assert own[1] == pytest.approx(stack.token_losses(windows[1])[1], abs=1e-5)
    assert (stack.likeliest(windows)[1] == stack.likeliest(windows[1])[1]).all()


def test_documents_are_spread_evenly_or_repeated():
    assert evenly(np.arange(10), 4).tolist() == [0, 3, 6, 9]
    assert evenly(np.arange(3), 5).tolist() == [0, 1, 2, 0, 1]


def test_text_without_known_bits_is_left_out(source):
    pictures = DocumentSource(name="pictures", kind="programs", parameters=(("surface", "picture"),))
    corpus = build_corpus(replace(source, documents=(pictures,)))
    assert generator_bits(corpus, "pictures", "train", corpus.bytes["pictures"] // 400) is None
    assert replace(corpus, documents={}).documents == {}


def test_a_model_that_knows_few_documents_by_heart_has_not_diverged(stack):
    """Its loss on others is above a uniform guess; the same loss without repeats is a run gone wrong."""
    losses = {"strings": np.full(9, 30.0)}
    asked = (losses, None, stack.trunks[0], stack.corpus, "")
    assert outcome(*asked, epochs=40).status == "done"
    assert outcome(*asked).status == "diverged"
    assert "no better than a uniform guess" in outcome(*asked).note
    assert outcome({"strings": np.full(9, np.nan)}, *asked[1:], epochs=40).status == "diverged"


def test_an_answer_known_by_heart_is_wrong_once_a_word_is_changed():
    """A model of few sums knows their answers, and gives the old ones where the executor says others."""
    sums = {
        "depth": 1,
        "distractors": 0,
        "modulus": 7,
        "names": 4,
        "skill": "sums",
        "stretch": 0,
        "traced": 1,
    }
    documents = DocumentSource(name="sums", kind="programs", parameters=tuple(sorted(sums.items())))
    source = CorpusSource(
        source="synthetic", documents=(documents,), train_documents=64, heldout_documents=20
    )
    corpus, context = build_corpus(source), source.model_context
    asked = {"width": 16, "context": context, "vocabulary": corpus.vocabulary, "blend": (("sums", 1.0),)}
    asked |= {
        "tokens_per_step": 8 * context,
        "budgets": (300 * 8 * context,),
        "peak_lr": 0.03,
        "max_epochs": 200,
    }
    made = Stack([Trunk.of(**asked, warmup_tokens=0, unique_budget=16 * context)], corpus, CPU)
    made.advance(300, lambda step: min(1.0, (step + 1) / 20) * min(1.0, (300 - step) / 60))
    windows = {"sums": pages(corpus, "sums", "heldout", np.arange(20), context)}
    (seen,), (changed,) = (p.PROBE.measure(made, windows) for p in (seen_exact, perturbed_exact))
    assert (seen.value, seen.n, changed.group) == (1.0, 16, "sums")
    assert changed.value < 0.5
    assert 8 <= changed.n <= 16  # those left out stand in the training text as they are now
