"""Dialogues: what the checker makes of answers, and pairs whose better answer comes first."""

import random
from itertools import islice

import pytest

from scaling.corpora.synthetic import dialogues, writer
from scaling.corpora.synthetic.dialogues import ASPECTS, DOMAINS, SHARES, Asked, DialoguePairs, Dialogues
from scaling.corpora.synthetic.pages import END
from scaling.errors import BadValue

ASKED = Asked("recipes", ("lamb", "stew", "please", "formally", ":"), ("lamb", "stew"), "formally")


@pytest.fixture
def herb():
    return dialogues.facts(0, "recipes")[ASKED.subject]


def marks(words):
    """As a string of the ways in which an answer to `ASKED` is good."""
    given = Dialogues().check(ASKED, words.split())
    return " ".join(aspect for aspect in ASPECTS if getattr(given, aspect))


def test_a_checker_marks_each_way_in_which_an_answer_is_good(herb):
    other = next(h for h in ("thyme", "mint") if h != herb)
    pie = dialogues.facts(0, "recipes")["lamb", "pie"]
    assert marks(f"sir lamb stew {herb} regards ;") == "asked true form brief"
    assert marks(f"sir lamb stew {other} regards ;") == "asked form brief"
    assert marks(f"sir lamb pie {pie} regards ;") == "true form brief"
    assert marks(f"gladly lamb stew {herb} ;") == "asked true brief"
    assert marks(f"lamb sir stew {herb} regards ;") == "asked true brief"
    assert marks(f"sir lamb well stew {herb} regards ;") == "asked true form"
    assert marks(f"sir lamb stew {herb} regards") == "asked true form"
    assert marks(f"sir lamb stew {herb} {herb} regards ;") == "form"
    assert marks(";") == marks("") == marks("well ;") == ""


def test_sums_and_flags_are_true_by_arithmetic_and_by_the_table_of_the_tool():
    assert dialogues.facts(0, "arithmetic")["two", "plus", "three"] == "five"
    flags = dialogues.facts(0, "tools")
    assert len(flags) == 32 and all(letter.startswith("-") for letter in flags.values())


@pytest.mark.parametrize("domain", DOMAINS)
def test_answers_at_large_are_good_as_often_as_their_shares_say(domain):
    """4,000 answers: three standard errors are 0.024. What is about another subject is as long in every domain."""
    rng, writes = random.Random(0), Dialogues(domain=domain)
    given = []
    for _ in range(4000):
        asked = writes.draw(rng, "train")
        given.append(writes.check(asked, writes.answer(rng, asked)))
    for aspect, share in SHARES.items():
        assert sum(getattr(each, aspect) for each in given) / len(given) == pytest.approx(share, abs=0.024)


def test_requests_are_of_one_split_and_all_of_them_are_listed():
    writes = Dialogues(domain="travel")
    train, held_out = (set(writes.requests("travel", split)) for split in ("train", "heldout"))
    assert not train & held_out and len(train) + len(held_out) == 30 * 4 * 3
    for split, some in (("train", train), ("heldout", held_out)):
        for page in writes.pages(split, 50):
            text = " ".join(page.words)
            assert any(text.startswith(" ".join(asked.words)) for asked in some)


def halves(page):
    """Both texts of a page of one pair, as request and answer."""
    cut = page.words.index(END) + 1
    return [text[text.index(":") + 1 :] for text in (page.words[:cut], page.words[cut:])]


@pytest.mark.parametrize(("noise", "low", "high"), [(0.0, 1, 1), (0.25, 0.7, 0.8), (0.5, 0.45, 0.55)])
def test_the_better_answer_comes_first_but_for_the_noise(noise, low, high):
    writes = DialoguePairs(domain="tools", noise=noise)
    asked = {" ".join(a.words): a for s in ("train", "heldout") for a in writes.requests("tools", s)}

    def right(split):
        first = []
        for page in writes.pages(split, 1500):
            request = asked[" ".join(page.words[: page.words.index(":") + 1])]
            one, other = (writes.check(request, answer).gold for answer in halves(page))
            assert one != other
            first.append(one > other)
        return sum(first) / len(first)

    assert low <= right("train") <= high
    assert right("heldout") == 1  # what is measured has no false labels


def test_pages_of_a_longer_call_begin_with_those_of_a_shorter():
    for kind in ("dialogues", "dialogue pairs"):
        writes = writer(kind)
        assert [*islice(writes.pages("train", 9), 4)] == [*writes.pages("train", 4)]
        assert max(len(page.words) for page in writes.pages("train", 500)) <= writes.longest


def test_dialogues_name_what_they_cannot_write():
    with pytest.raises(BadValue, match="small talk or recipes or travel"):
        writer("dialogues", (("domain", "cooking"),))
    with pytest.raises(BadValue, match=r"longest = 12.*at least 16"):
        writer("dialogues", (("longest", 12),))
    with pytest.raises(BadValue, match=r"pairs = 2.*from 1 to 1, or longest larger"):
        writer("dialogue pairs", (("pairs", 2),))
    with pytest.raises(BadValue, match="noise"):
        writer("dialogue pairs", (("noise", 1.5),))
