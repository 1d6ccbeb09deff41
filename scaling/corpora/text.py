"""From a source to its corpus, by way of the cache: files, tables, synthetic languages, and their tokenisers.

The text that every machine with this suite has is the standard library and the installed packages; folders, tables and
datasets of one's own and synthetic languages go through the same door. Without a tokeniser tokens are bytes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from scaling.corpora.bpe import encode_corpus
from scaling.corpora.corpus import BYTES, SPLITS, Corpus, cached_corpus, token_file, token_type
from scaling.corpora.files import Files
from scaling.corpora.languages import GENERATOR, language
from scaling.corpora.manuals import Manuals
from scaling.corpora.placebos import with_placebos
from scaling.corpora.source import CorpusSource
from scaling.corpora.synthetic import GENERATOR as DOCUMENTS
from scaling.corpora.synthetic.documents import spell_pages, write_pages
from scaling.corpora.tables import Table
from scaling.corpora.write import Document, write_documents
from scaling.errors import check_installed
from scaling.files import short_hash


def build_corpus(source: CorpusSource, *, progress: bool = True) -> Corpus:
    """The corpus of a source, from the cache where the very same documents have been read before.

    Raises:
        MissingFolder, PackageNotInstalled, DatasetNotFound, NoManuals: the source is not there.
        MissingTextColumn, UnreadableText: a table has no such column, or a row that cannot be read.
        PlaceboWithoutSource: a placebo is of a domain that turns out not to be there.
        NoText, TooManyDomains: nothing to train on, or domains without end.
        VocabularyBeyondText: the text has too few different pieces for so many tokens.
        MissingPackage: `tokenizers` or `datasets` is needed and not installed.
        BadPage, SharedLatent: synthetic documents that are not what they should be.
        DiskFull: there is no room for its tokens; nothing of it is left.
    """
    if source.source == "language":
        return _spoken(source)
    if source.source == "synthetic":
        return _written(source)
    if source.vocabulary != BYTES:
        check_installed("text", "tokenizers")
    corpus = _read(source, progress)
    if source.placebos:
        corpus = with_placebos(corpus, source.placebos)
    if source.documents:
        corpus = _with_documents(corpus, source)
    if source.vocabulary == BYTES:
        return corpus
    return encode_corpus(corpus, source.vocabulary, progress=progress)


def _read(source: CorpusSource, progress: bool) -> Corpus:
    """Documents as bytes."""
    documents = _documents(source, progress)
    spelled = {one.name for one in source.documents}

    def write(folder: Path) -> dict[str, Any]:
        counted = write_documents(
            folder,
            _tracked(documents, progress),
            domains=tuple(domain for domain in source.domains if domain not in spelled),
            unreadable=documents.unreadable,
            asked=source.path or source.name or ", ".join(source.paths) or "installed packages",
        )
        counted["left_out"] = {**documents.left_out, **counted["left_out"]}
        return {"versions": documents.versions, **counted}

    return cached_corpus(documents.fingerprint, write)


def _documents(source: CorpusSource, progress: bool) -> Files | Manuals | Table:
    if source.source == "manuals":
        return Manuals(source)
    of_files = source.source in ("installed", "folder", "files")
    return Files(source) if of_files else Table(source, progress=progress)


def _spoken(source: CorpusSource) -> Corpus:
    """Text of every language, each split from a seed of its own."""
    recipe = json.dumps([GENERATOR, np.__version__, asdict(source)], sort_keys=True)
    lengths = dict(zip(SPLITS, (source.train_tokens, source.heldout_tokens), strict=True))

    def write(folder: Path) -> dict[str, Any]:
        for one in source.languages:
            for number, (split, tokens) in enumerate(lengths.items()):
                text = language(one.kind, one.parameters).sample(tokens, [number, *one.name.encode()])
                data = text.astype(token_type(source.model_vocabulary)).data
                (folder / token_file(one.name, split)).write_bytes(data)  # tofile hides the system's error
        return {
            "bytes": {one.name: source.train_tokens for one in source.languages},
            "versions": {"numpy": np.__version__},
            "files": len(source.languages),
            "left_out": {},
            "vocabulary": source.model_vocabulary,
            "languages": {
                one.name: {"kind": one.kind, "parameters": one.parameters} for one in source.languages
            },
        }

    return cached_corpus(short_hash(f"languages {recipe}"), write)


def _written(source: CorpusSource) -> Corpus:
    """Documents of every kind that is asked for."""
    versions = {"numpy": np.__version__, "documents": DOCUMENTS}
    recipe = json.dumps([versions, asdict(source)], sort_keys=True)
    counts, kinds = _asked_documents(source)

    def write(folder: Path) -> dict[str, Any]:
        return {"versions": versions, "documents": kinds, **write_pages(folder, source.writers, counts)}

    return cached_corpus(short_hash(f"documents {recipe}"), write)


def _with_documents(corpus: Corpus, source: CorpusSource) -> Corpus:
    """The same corpus with a domain more for each kind of documents, in bytes."""
    versions = {"numpy": np.__version__, "documents": DOCUMENTS}
    recipe = json.dumps([versions, corpus.corpus_hash, asdict(source)], sort_keys=True)
    counts, kinds = _asked_documents(source)

    def write(folder: Path) -> dict[str, Any]:
        for path in corpus.folder.glob("*.bin"):
            shutil.copyfile(path, folder / path.name)
        spell_pages(folder, source.writers, counts, source.document_bytes)
        sizes = dict.fromkeys(kinds, counts["train"] * source.document_bytes)
        return corpus.record | {
            "bytes": {**corpus.bytes, **sizes},
            "versions": {**corpus.versions, "documents": DOCUMENTS},
            "documents": kinds,
        }

    return cached_corpus(short_hash(f"spelled {recipe}"), write)


def _asked_documents(source: CorpusSource) -> tuple[dict[str, int], dict[str, dict[str, Any]]]:
    """How many of each split, and of each domain what they are."""
    every = (source.train_documents, source.heldout_documents)
    counts: dict[str, int] = dict(zip(SPLITS, every, strict=True))
    return counts, {one.name: {"kind": one.kind, "parameters": one.parameters} for one in source.documents}


def _tracked(documents: Files | Manuals | Table, progress: bool) -> Iterator[Document]:
    from rich.console import Console  # here, because a worker opens a corpus without it
    from rich.progress import track

    yield from track(
        documents,
        "reading text",
        total=documents.total,
        console=Console(stderr=True),
        disable=not progress,
        transient=True,
    )
