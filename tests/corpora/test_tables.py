import json
import sys

import polars as pl
import pytest

from scaling.corpora.corpus import UnknownDomain
from scaling.corpora.files import MissingFolder
from scaling.corpora.source import CorpusSource
from scaling.corpora.tables import DatasetNotFound, MissingTextColumn, UnreadableText
from scaling.corpora.text import build_corpus
from scaling.corpora.write import NoText, TooManyDomains
from scaling.errors import MissingPackage

ROWS = [{"text": f"Row {i} says {i * i}.", "lang": ("de", "en/us")[i % 3 == 0], "n": i} for i in range(300)]


def as_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def table(tmp_path):
    return as_jsonl(tmp_path / "rows.jsonl", ROWS)


def source_of(path, **keys):
    return CorpusSource(source=path.suffix[1:], path=str(path), **keys)


def said(corpus, domain, split):
    return corpus.tokens(domain, split).tobytes().decode().split("\0")[:-1]


def test_table_gives_every_row_once_and_holds_whole_rows_out(table):
    corpus = build_corpus(source_of(table), progress=False)
    assert corpus.domains == ("text",)
    train, held = said(corpus, "text", "train"), said(corpus, "text", "heldout")
    assert sorted(train + held) == sorted(row["text"] for row in ROWS)
    assert 5 < len(held) < 30
    assert corpus.files == 300
    assert corpus.left_out == {"empty text": 0, "same text again": 0}


def test_table_splits_by_the_domain_column(table):
    corpus = build_corpus(source_of(table, domain_column="lang"), progress=False)
    assert set(corpus.domains) == {"de", "en/us"}
    assert len(said(corpus, "en/us", "train") + said(corpus, "en/us", "heldout")) == 100
    with pytest.raises(UnknownDomain, match="'fr', but the corpus has 'en/us', 'de'"):
        corpus.tokens("fr")
    by_number = as_jsonl(table.with_name("numbered.jsonl"), [r | {"lang": i % 2} for i, r in enumerate(ROWS)])
    assert set(build_corpus(source_of(by_number, domain_column="lang"), progress=False).domains) == {"0", "1"}


def test_table_counts_what_it_leaves_out(table):
    as_jsonl(table, [*ROWS, ROWS[7], {"text": "", "lang": "de"}, {"text": None, "lang": "de"}])
    corpus = build_corpus(source_of(table), progress=False)
    assert corpus.left_out == {"empty text": 2, "same text again": 1}
    assert corpus.files == 303


def test_corpus_is_invariant_to_the_format_of_its_table(table, tmp_path):
    parquet, folder = tmp_path / "rows.parquet", tmp_path / "shards"
    pl.DataFrame(ROWS).write_parquet(parquet)
    folder.mkdir()
    for number in range(3):
        as_jsonl(folder / f"{number}.jsonl", ROWS[number * 100 : number * 100 + 100])
    shards = CorpusSource(source="jsonl", path=str(folder))
    corpora = [build_corpus(s, progress=False) for s in (source_of(table), source_of(parquet), shards)]
    assert len({c.corpus_hash for c in corpora}) == 1


def test_corpus_of_a_dataset_folder_is_the_corpus_of_its_file(table, tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hub")
    folder = tmp_path / "dataset"
    folder.mkdir()
    as_jsonl(folder / "train.jsonl", ROWS)
    keys = {"domain_column": "lang"}
    corpus = build_corpus(CorpusSource(source="huggingface", name=str(folder), **keys), progress=False)
    assert corpus.corpus_hash == build_corpus(source_of(table, **keys), progress=False).corpus_hash
    with pytest.raises(DatasetNotFound, match="the split 'test' of the dataset"):
        build_corpus(CorpusSource(source="huggingface", name=str(folder), split="test"), progress=False)
    with pytest.raises(DatasetNotFound, match="cannot be had"):
        build_corpus(CorpusSource(source="huggingface", name=str(tmp_path / "gone")), progress=False)
    with pytest.raises(MissingTextColumn, match="has 'text', 'lang', 'n'"):
        named = CorpusSource(source="huggingface", name=str(folder), text_column="body")
        build_corpus(named, progress=False)


def test_dataset_names_the_package_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingPackage, match=r"needs datasets.*pip install 'scaling\[text\]'"):
        build_corpus(CorpusSource(source="huggingface", name="any/thing"), progress=False)


def test_table_names_a_missing_column(table, tmp_path):
    with pytest.raises(MissingTextColumn, match=r"'body', but line 1 of .* has 'text', 'lang', 'n'"):
        build_corpus(source_of(table, text_column="body"), progress=False)
    pl.DataFrame(ROWS).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(MissingTextColumn, match="Name one of these as text_column") as problem:
        build_corpus(source_of(tmp_path / "rows.parquet", domain_column="language"), progress=False)
    assert problem.value.columns == ["text", "lang", "n"]


@pytest.mark.parametrize(
    ("line", "keys", "words"),
    [
        ('{"text": "cut', {}, "row 301 of .*not JSON"),
        ('["text"]', {}, "a list, and not an object"),
        ('{"text": 3}', {}, "column 'text' holds a int and not text"),
        ('{"text": "a", "lang": null}', {"domain_column": "lang"}, "column 'lang' is empty"),
    ],
)
def test_table_names_a_row_that_cannot_be_read(table, line, keys, words):
    table.write_text(table.read_text() + line + "\n")
    with pytest.raises(UnreadableText, match=words) as problem:
        build_corpus(source_of(table, **keys), progress=False)
    assert problem.value.row == 301


def test_table_names_a_file_that_is_no_table_and_one_that_is_not_there(tmp_path):
    (tmp_path / "rows.parquet").write_text("PAR? not at all")
    with pytest.raises(UnreadableText, match=r"rows\.parquet cannot be read as text"):
        build_corpus(source_of(tmp_path / "rows.parquet"), progress=False)
    with pytest.raises(MissingFolder, match=r"gone\.jsonl"):
        build_corpus(source_of(tmp_path / "gone.jsonl"), progress=False)
    with pytest.raises(MissingFolder, match=r"\*\.jsonl"):
        build_corpus(CorpusSource(source="jsonl", path=str(tmp_path)), progress=False)


def test_table_names_text_that_is_empty_and_domains_without_end(tmp_path):
    empty = as_jsonl(tmp_path / "empty.jsonl", [{"text": ""}] * 3)
    with pytest.raises(NoText, match="3 documents give none \\(3 empty text\\)"):
        build_corpus(source_of(empty), progress=False)
    many = as_jsonl(tmp_path / "many.jsonl", [{"text": f"t{i}", "lang": str(i)} for i in range(300)])
    with pytest.raises(TooManyDomains, match="more than 256 different values"):
        build_corpus(source_of(many, domain_column="lang"), progress=False)
