import json

import numpy as np
import pytest

from scaling.corpora.text import CorpusSource, build_corpus
from scaling.errors import MissingFolder, PackageNotInstalled


def test_corpus_holds_out_whole_files(library, monkeypatch, tmp_path):
    corpus = build_corpus(CorpusSource(source="folder", path=str(library)), progress=False)
    train, heldout = (bytes(corpus.tokens("code", s)).split(b"\0") for s in ("train", "heldout"))
    assert len(heldout) > 2
    assert not set(filter(None, train)) & set(filter(None, heldout))


def test_corpus_is_invariant_to_where_and_in_what_order_files_lie(library, tmp_path):
    first = build_corpus(CorpusSource(source="folder", path=str(library)), progress=False)
    moved = tmp_path / "moved"
    for number, path in enumerate(sorted(library.glob("*"), reverse=True)):
        target = moved / f"{number % 3}" / f"{number:03d}{path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    again = build_corpus(CorpusSource(source="folder", path=str(moved)), progress=False)
    assert again.corpus_hash == first.corpus_hash


def test_corpus_leaves_a_second_copy_out_and_counts_it(library):
    source = CorpusSource(source="folder", path=str(library))
    once = build_corpus(source, progress=False)
    (library / "again.py").write_bytes(next(library.glob("*.py")).read_bytes())
    twice = build_corpus(source, progress=False)
    assert twice.corpus_hash == once.corpus_hash


def test_corpus_hash_changes_with_the_text(library):
    source = CorpusSource(source="folder", path=str(library))
    before = build_corpus(source, progress=False)
    (library / "new.py").write_text("answer = 42\n")
    after = build_corpus(source, progress=False)
    assert before.corpus_hash != after.corpus_hash
    record = json.loads((after.folder / "corpus.json").read_text())
    assert record["bytes"]["code"] == len(after.tokens("code"))
    assert "python" in record["versions"]


def test_corpus_of_installed_packages_has_both_domains():
    corpus = build_corpus(CorpusSource(packages=("lmfit",)), progress=False)
    assert corpus.versions.keys() == {"python", "lmfit"}
    assert min(corpus.bytes.values()) > 1e6
    assert corpus.tokens("prose").dtype == np.uint8


def test_corpus_names_a_missing_folder_and_a_missing_package(tmp_path):
    with pytest.raises(MissingFolder, match="no such file or folder"):
        build_corpus(CorpusSource(source="folder", path=str(tmp_path / "gone")))
    with pytest.raises(PackageNotInstalled, match="pip install no-such-package"):
        build_corpus(CorpusSource(packages=("no-such-package",)))
