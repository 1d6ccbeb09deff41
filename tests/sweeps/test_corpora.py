"""Sweeps on corpora other than files: languages with known entropy, tables, byte-pair tokens."""

import json

import numpy as np
import pytest

import scaling
from scaling.corpora.corpus import UnknownDomain
from scaling.corpora.languages import language
from scaling.corpora.sampler import EmptyDomain, held_out_windows
from scaling.corpora.text import build_corpus
from scaling.store import Store
from scaling.study import read_study
from scaling.sweeps.engines.base import Capacity
from scaling.sweeps.plan import plan_sweep
from scaling.units import bits_per_byte

REST = """
[defaults]
context = 32
warmup_tokens = "4Ki"
peak_lr = 0.02
[[grid]]
width = 16
budgets = ["16Ki", "128Ki"]
"""
LANGUAGE = (
    """
[corpus]
source = "language"
train_tokens = "256Ki"
heldout_tokens = "32Ki"
[corpus.languages.hops]
kind = "markov"
states = 12
[corpus.languages.brackets]
kind = "nested"
kinds = 2
words = 8
depth = 2
"""
    + REST
)
ROWS = "".join(
    json.dumps({"text": f"{i} times {i} is {i * i}. " * 20, "lang": "ab"[i % 2]}) + "\n" for i in range(2_000)
)


def write_study(folder, text):
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(text)
    return folder


def test_rows_carry_the_entropy_of_their_own_windows(tmp_path):
    text = LANGUAGE.replace(
        "width = 16", "width = 16\nblend = [{ hops = 1.0 }, { hops = 0.25, brackets = 0.75 }]"
    )
    folder = write_study(tmp_path / "runs" / "spoken", text)
    frame = scaling.sweep(folder, progress=False, workers=1)
    corpus = build_corpus(read_study(folder).source, progress=False)
    windows = {d: held_out_windows(corpus, d, 32, 256) for d in corpus.domains}
    hops = language("markov", (("states", 12),))
    for row in frame.iter_rows(named=True):
        blend = json.loads(row["blend"])
        expected = sum(s * corpus.optimal_losses(windows[d], blend).mean() for d, s in blend.items())
        assert row["entropy"] == pytest.approx(expected, abs=1e-12)
        assert row["loss"] > row["entropy"] - 3 * row["excess_stderr"]
        assert 0 < row["excess_stderr"] < row["loss_stderr"]
        assert row["vocabulary"] == 12
        if blend == {"hops": 1.0}:
            assert row["entropy"] == pytest.approx(hops.window_losses(windows["hops"]).mean())
    alone = frame.filter(frame["blend"] == '{"hops": 1.0}').sort("D")
    assert alone["loss"][-1] < alone["loss"][0]
    assert alone["loss"][-1] - alone["entropy"][-1] < 0.2  # a bigram table that has nearly been learned
    assert np.log(12) - alone["entropy"][-1] > 0.5


def test_text_has_no_known_entropy(tmp_path):
    (tmp_path / "rows.jsonl").write_text(ROWS)
    text = '[corpus]\nsource = "jsonl"\npath = "../../rows.jsonl"\ndomain_column = "lang"\n'
    text += "blend = { a = 0.5, b = 0.5 }\n" + REST.replace('"128Ki"', '"32Ki"')
    frame = scaling.sweep(write_study(tmp_path / "runs" / "told", text), progress=False, workers=1)
    assert frame["entropy"].to_list() == frame["excess_stderr"].to_list() == [None, None]
    assert {"loss_a", "loss_b"} <= set(frame.columns)


def test_bits_per_byte_count_the_bytes_of_a_token(tmp_path):
    pytest.importorskip("tokenizers")
    (tmp_path / "rows.jsonl").write_text(ROWS)
    text = '[corpus]\nsource = "jsonl"\npath = "../../rows.jsonl"\nvocabulary = 300\n' + REST
    folder = write_study(tmp_path / "runs" / "merged", text.replace(', "128Ki"', ""))
    frame = scaling.sweep(folder, progress=False, workers=1)
    corpus = build_corpus(read_study(folder).source, progress=False)
    row = frame.row(0, named=True)
    assert row["vocabulary"] == 300
    assert row["params_head"] == 300 * 16
    assert corpus.bytes_per_token["text"] > 1.2
    expected = bits_per_byte(row["loss"], corpus.bytes_per_token["text"])
    assert row["loss_bits_per_byte"] == pytest.approx(expected)
    assert row["loss_bits_per_byte_text"] == pytest.approx(expected)
    assert json.loads(row["corpus_bytes"]) == dict(corpus.bytes)


def test_plan_names_an_unknown_domain_and_one_without_held_out_text_before_any_work(tmp_path):
    folder = write_study(
        tmp_path / "runs" / "wrong", LANGUAGE.replace("width = 16", "width = 16\nblend = { hop = 1.0 }")
    )
    with pytest.raises(UnknownDomain, match="'hop', but the corpus has 'brackets', 'hops'"):
        plan_sweep(read_study(folder), Capacity(), progress=False)
    short = write_study(tmp_path / "runs" / "short", LANGUAGE.replace('"32Ki"', '"20"'))
    with pytest.raises(EmptyDomain, match="33 tokens of 'brackets' \\(heldout\\), but the corpus has 20"):
        plan_sweep(read_study(short), Capacity(), progress=False)
    assert not Store(read_study(folder)).local.exists()
