import argparse
import dataclasses
import inspect
import json
import logging
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from scaling.corpora.bpe import VocabularyBeyondText
from scaling.corpora.corpus import SPLITS
from scaling.corpora.sampler import Sampler
from scaling.corpora.source import CorpusSource
from scaling.corpora.text import build_corpus
from scaling.errors import MissingPackage

VOCABULARY = 1_000


@pytest.fixture
def table(tmp_path):
    """Real text in small documents: some modules of the standard library, thirty lines a row."""
    rows = []
    for module in (argparse, inspect, logging, tarfile):
        lines = Path(str(module.__file__)).read_text().splitlines()
        rows += [
            {"text": "\n".join(lines[i : i + 30]), "module": module.__name__}
            for i in range(0, len(lines), 30)
        ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def source(table):
    pytest.importorskip("tokenizers")
    return CorpusSource(source="jsonl", path=str(table), domain_column="module", vocabulary=VOCABULARY)


@pytest.fixture
def plain(source):
    return build_corpus(dataclasses.replace(source, vocabulary=256), progress=False)


@pytest.fixture
def encoded(source):
    return build_corpus(source, progress=False)


def test_tokens_recover_every_byte(encoded, plain):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(encoded.folder / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == encoded.vocabulary == VOCABULARY
    for domain in plain.domains:
        for split in SPLITS:
            tokens = encoded.tokens(domain, split)
            assert tokens.dtype == np.uint16
            assert tokens.max() < VOCABULARY
            assert tokenizer.decode(tokens.tolist()).encode() == plain.tokens(domain, split).tobytes()


def test_bytes_per_token_is_measured_on_held_out_text(encoded, plain):
    for domain in plain.domains:
        measured = len(plain.tokens(domain, "heldout")) / len(encoded.tokens(domain, "heldout"))
        assert encoded.bytes_per_token[domain] == pytest.approx(measured)
        assert 1.5 < measured < 6
    assert encoded.bytes == plain.bytes
    assert not plain.bytes_per_token


def test_documents_end_with_one_token_that_nothing_else_uses(encoded, plain):
    from tokenizers import Tokenizer

    separator = Tokenizer.from_file(str(encoded.folder / "tokenizer.json")).encode("\0").ids
    assert len(separator) == 1
    for domain in plain.domains:
        documents = (plain.tokens(domain) == 0).sum()
        assert (encoded.tokens(domain) == separator[0]).sum() == documents


def test_encoding_is_invariant_to_when_it_is_made(encoded, source, monkeypatch, tmp_path):
    monkeypatch.setenv("SCALING_CACHE", str(tmp_path / "fresh"))
    again = build_corpus(source, progress=False)
    assert again.folder != encoded.folder
    assert again.corpus_hash == encoded.corpus_hash
    assert "tokenizers" in again.versions


def test_sampler_deals_tokens_of_two_bytes(encoded):
    batch = Sampler(encoded, {"inspect": 0.5, "tarfile": 0.5}, 32, 4, seed=0).batch(0)
    assert batch.shape == (4, 33)
    assert 256 < batch.max() < VOCABULARY


def test_encoding_names_a_vocabulary_beyond_the_text_and_a_missing_package(source, monkeypatch, tmp_path):
    few = tmp_path / "few.jsonl"
    few.write_text("".join(f'{{"text": "the {i}"}}\n' for i in range(100)))
    with pytest.raises(VocabularyBeyondText, match=r"a vocabulary of 5,000, but .* bytes of training text"):
        build_corpus(CorpusSource(source="jsonl", path=str(few), vocabulary=5_000), progress=False)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingPackage, match=r"needs tokenizers.*pip install 'scaling\[text\]'"):
        build_corpus(dataclasses.replace(source, vocabulary=999), progress=False)
