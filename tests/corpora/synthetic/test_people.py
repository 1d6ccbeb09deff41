import math
from collections import Counter

import numpy as np
import pytest

from scaling.corpora.synthetic.chance import TooFewLatents
from scaling.corpora.synthetic.people import biographies, strings
from scaling.errors import BadValue


def entropy(counts):
    share = np.array([*counts.values()]) / counts.total()
    return float(-(share * np.log2(share)).sum())


def facts_of(page):
    return {page.words[place].split("-")[0]: page.words[place] for place in page.scored}


def test_facts_have_the_entropy_that_is_said():
    """Plug-in entropy of 4,000 draws of each fact; its bias is (values - 1) / (2 · 4,000 ln 2), below 0.001 bits."""
    writer = biographies(facts=3, values=8)
    facts = [facts_of(page) for page in writer.pages("train", 3_500)]
    measured = sum(entropy(Counter(one[kind] for one in facts)) for kind in facts[0])
    assert measured == pytest.approx(writer.fact_bits, abs=0.01)
    assert writer.fact_bits == 9
    together = Counter((one["city"], one["month"]) for one in facts)
    assert entropy(together) == pytest.approx(6, abs=0.03)


def test_bits_of_a_page_are_those_of_name_facts_order_and_wording():
    """A world of 8 names and 2 facts of 2 values: 8 · 4 · 2 · 4 pages, all equally likely."""
    writer = biographies(facts=2, values=2, names=2)
    (bits,) = set(writer.bits("train", 3).tolist())
    assert bits == pytest.approx(math.log2(8 * 4 * 2 * 4))
    texts = {
        " ".join(page.words)
        for seed in range(400)
        for page in biographies(facts=2, values=2, names=2, seed=seed).pages("train", 4)
    }
    people = {
        text.partition(" was")[0].split(" month")[0].split(" lives")[0].split(" city")[0] for text in texts
    }
    assert len(people) in (6, 7, 8)
    assert len(texts) > 0.98 * len(people) * 4 * 2 * 4


def test_paraphrases_tell_the_same_of_one_person_in_other_words():
    pages = list(biographies(paraphrases=4).pages("train", 42))
    assert [page.latent for page in pages[:8]] == [pages[0].latent] * 4 + [pages[4].latent] * 4
    for first in range(0, 40, 4):
        several = pages[first : first + 4]
        assert all(facts_of(page) == facts_of(several[0]) for page in several)
        assert len({" ".join(page.words) for page in several}) > 1
    assert len({page.latent for page in pages}) == 11


@pytest.mark.parametrize("writer", [biographies(paraphrases=3), strings()], ids=["biographies", "strings"])
def test_pages_are_invariant_to_how_many_are_asked_for(writer):
    longer = list(writer.pages("heldout", 50))
    assert list(writer.pages("heldout", 20)) == longer[:20]
    assert not {page.latent for page in longer} & {page.latent for page in writer.pages("train", 2_000)}
    assert all(len(page.words) <= writer.longest for page in longer)
    assert {word for page in longer for word in page.words} <= set(writer.words)
    assert len(writer.bits("heldout", 50)) == 50


def test_strings_are_uniform_and_independent():
    writer = strings(symbols=16, length=10)
    words = np.array([page.words for page in writer.pages("train", 2_000)])
    assert entropy(Counter(words.ravel().tolist())) == pytest.approx(4, abs=0.01)
    neighbours = Counter(zip(words[:, :-1].ravel().tolist(), words[:, 1:].ravel().tolist(), strict=True))
    assert entropy(neighbours) == pytest.approx(8, abs=0.02)
    assert writer.bits("train", 1)[0] == 40
    assert list(next(writer.pages("train", 1)).scored) == [5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    "make, asked, words",
    [
        (biographies, {"facts": 9}, "biographies: facts = 9, but it must be from 1 to 8"),
        (biographies, {"paraphrases": 0}, "paraphrases = 0, but it must be at least 1"),
        (strings, {"symbols": 1}, "strings: symbols = 1, but it must be from 2 to 4096"),
    ],
)
def test_a_number_out_of_range_names_the_range(make, asked, words):
    with pytest.raises(BadValue) as problem:
        make(**asked)
    assert words in str(problem.value)


def test_more_people_than_names_are_named():
    with pytest.raises(TooFewLatents, match=r"asked for 40 different people \(train\)"):
        list(biographies(names=3).pages("train", 40))
