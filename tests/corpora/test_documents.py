"""Synthetic documents: a row each, their answers marked, and nothing that is tested on known by heart."""

from dataclasses import dataclass

import numpy as np
import pytest

from scaling.corpora.synthetic import WRITERS, documents
from scaling.corpora.synthetic.documents import BadPage, Page, SharedLatent
from scaling.corpora.text import build_corpus
from scaling.errors import BadValue, UnknownKey
from scaling.study import read_study
from scaling.study.spec import ContextMismatch

STUDY = """
[corpus]
source = "synthetic"
train_documents = 60
heldout_documents = 20
blend = { plain = 0.25, polite = 0.75 }
[corpus.documents.plain]
kind = "sums"
[corpus.documents.polite]
kind = "sums"
before = "please"
most = 7
[defaults]
budgets = ["4Ki"]
tokens_per_step = 70
[[grid]]
width = 16
"""


@dataclass(frozen=True)
class Sums:
    """Sums of two digits; odd first digits are for training."""

    most: int
    before: tuple[str, ...]
    shared: bool = False

    @property
    def words(self):
        return (*map(str, range(self.most * 2 + 1)), "+", "=", *self.before)

    longest = 6

    def pages(self, split, count):
        generator = np.random.default_rng(split == "train")
        for _ in range(count):
            first, second = 2 * generator.integers(self.most // 2), generator.integers(self.most)
            first += split == "train" and not self.shared
            words = [*self.before, str(first), "+", str(second), "=", str(first + second)]
            yield Page(words, [len(words) - 1], f"{first} + {second}")


def sums(*, most: int = 9, before: str = "", seed: int = 0) -> Sums:
    """Documents about sums; `seed` stands for what every writer may have."""
    del seed
    return Sums(most, tuple(before.split()))


@pytest.fixture(autouse=True)
def kinds(monkeypatch):
    from scaling.corpora import synthetic

    monkeypatch.setitem(WRITERS, "sums", sums)
    synthetic.writer.cache_clear()
    yield
    synthetic.writer.cache_clear()


def study(folder, text=STUDY):
    (folder / "study.toml").write_text(text)
    return read_study(folder)


def test_documents_become_the_domains_of_a_study_and_models_follow_them(tmp_path):
    asked = study(tmp_path)
    assert asked.trunks[0].data.blend == (("plain", 0.25), ("polite", 0.75))
    assert asked.trunks[0].model.context == 7
    corpus = build_corpus(asked.source, progress=False)
    assert asked.trunks[0].model.vocabulary == corpus.vocabulary == len(corpus.words) == 1 + 19 + 3
    for split, count in (("train", 60), ("heldout", 20)):
        tokens, scored = (corpus.tokens("polite", s) for s in (split, f"{split}.scored"))
        assert len(tokens) == len(scored) == count * 7 + 1
        for row, mark in zip(tokens[:-1].reshape(-1, 7), scored[:-1].reshape(-1, 7), strict=True):
            text = [corpus.words[int(token)] for token in row]
            assert text[:2] == ["", "please"]
            assert int(text[2]) + int(text[4]) == int(text[6])
            assert mark.tolist() == [0, 0, 0, 0, 0, 0, 1]
        shorter = corpus.tokens("plain", split)[:-1].reshape(-1, 7)
        assert (shorter[:, 6] == 0).all()
        assert (shorter[:, 5] != 0).all()


def test_every_window_is_a_document(tmp_path):
    asked = study(tmp_path)
    trunk = asked.trunks[0]
    sampler = trunk.sampler(build_corpus(asked.source, progress=False))
    assert sampler.windows("plain") == 60
    assert (sampler.batch(0)[:, [0, -1]] == 0).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (('kind = "sums"\nbefore', 'kind = "summs"\nbefore'), BadValue, "'sums'"),
        (("most = 7", "most = 'seven'"), BadValue, "most = 'seven', but it must be a whole number"),
        (("most = 7", "moost = 7"), UnknownKey, "Did you mean 'most'"),
        (("most = 7", "seed = -1"), BadValue, "seed = -1, but it must be at least 0"),
        (('before = "please"', "before = 3"), BadValue, "before = 3, but it must be text"),
        (("train_documents = 60", ""), BadValue, "train_documents"),
        (
            ("tokens_per_step = 70", "tokens_per_step = 64\ncontext = 8"),
            ContextMismatch,
            "a document in each 7",
        ),
        (("tokens_per_step = 70", "tokens_per_step = 512"), BadValue, "multiple of context = 7"),
    ],
    ids=lambda value: value[1][:24] if isinstance(value, tuple) else None,
)
def test_study_names_what_no_writer_can_do(tmp_path, change, error, words):
    with pytest.raises(error, match=words):
        study(tmp_path, STUDY.replace(*change))


def test_a_latent_in_both_splits_is_named(tmp_path):
    writers = {"plain": Sums(9, ()), "leaky": Sums(9, (), shared=True)}
    with pytest.raises(
        SharedLatent, match=r"in training text of 'leaky' and in held-out text of '(plain|leaky)'"
    ):
        documents.write_pages(tmp_path, writers, {"train": 90, "heldout": 90})


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (Page(["1", "plus"], [], "a"), "has the word 'plus', which is not among"),
        (Page(["1"] * 7, [], "b"), "has 7 words, more than 6"),
        (Page(["1"], [1], "c"), r"is scored at \[1\], beyond its 1 words"),
    ],
    ids=["word", "length", "place"],
)
def test_pages_are_held_to_what_their_writer_promised(tmp_path, page, words):
    class Odd(Sums):
        def pages(self, split, count):
            del split, count
            yield page

    with pytest.raises(BadPage, match=words):
        documents.write_pages(tmp_path, {"plain": Odd(9, ())}, {"train": 1, "heldout": 1})
