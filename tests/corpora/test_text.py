import json
import resource
from dataclasses import replace

import numpy as np
import pytest

from scaling.corpora.files import MissingFolder, PackageNotInstalled
from scaling.corpora.source import CorpusSource, LanguageSource
from scaling.corpora.text import build_corpus
from scaling.files import DiskFull
from scaling.study import read_study


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


def test_files_of_any_text_are_one_domain_and_what_is_none_is_counted(tmp_path):
    """Files and folders, whatever their names; not UTF-8, a zero byte and a second copy are left out."""
    folder = tmp_path / "letters"
    (folder / "old").mkdir(parents=True)
    for number in range(60):
        (folder / "old" / f"{number}.xyz").write_text(f"Dear {number}, ærlig talt. " * 20)
    (folder / "picture.png").write_bytes(b"\x89PNG\xff")
    (folder / "table.bin").write_bytes(b"text\0text")
    (tmp_path / "book").write_text("def chapter(): # is one\n" * 50)
    (tmp_path / "study.toml").write_text(
        '[corpus]\nsource = "files"\npaths = ["letters", "book", "letters/old/7.xyz"]\n'
        '[[grid]]\nwidth = 16\nbudgets = ["1Ki"]\n'
    )
    study = read_study(tmp_path)
    assert study.trunks[0].data.blend == (("text", 1.0),)
    corpus = build_corpus(study.source, progress=False)
    assert corpus.domains == ("text",)
    assert corpus.files == 63
    assert corpus.left_out["not readable as Python or text"] == 2
    told = b"".join(bytes(corpus.tokens("text", split)) for split in ("train", "heldout"))
    assert "Dear 59, ærlig talt.".encode() in told and b"# is one" in told
    with pytest.raises(MissingFolder, match="no such file or folder"):
        build_corpus(CorpusSource(source="files", paths=(str(tmp_path / "gone"),)), progress=False)


@pytest.mark.parametrize("kind", ["bytes", "language", "tokens"])
def test_corpus_names_a_full_disk_and_leaves_nothing_of_it(library, tmp_path, monkeypatch, kind):
    """No file may grow beyond a limit, as on a full disk; the same call goes on when there is room."""
    monkeypatch.setenv("SCALING_CACHE", str(tmp_path / "cache"))
    source = CorpusSource(source="folder", path=str(library))
    if kind == "language":
        source = CorpusSource(
            source="language",
            train_tokens=50_000,
            heldout_tokens=1_000,
            languages=(LanguageSource(name="hops", kind="markov"),),
        )
    elif kind == "tokens":
        pytest.importorskip("tokenizers")
        build_corpus(source, progress=False)
        source = replace(source, vocabulary=300)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    before = sorted((tmp_path / "cache").rglob("*"))
    try:
        with pytest.raises(DiskFull, match=r"a corpus had to be written to .* no room \(file too large"):
            build_corpus(source, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [
        p for p in sorted((tmp_path / "cache").rglob("*")) if p not in before and p.name != "corpora"
    ] == []
    assert build_corpus(source, progress=False).vocabulary == source.model_vocabulary
