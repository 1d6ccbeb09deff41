"""A corpus of bytes again as one of longer tokens: byte-pair encoding, learned from its own training text."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.corpus import SPLITS, Corpus, cached_corpus, token_file, token_type
from scaling.corpora.write import documents
from scaling.errors import CorpusError, check_installed
from scaling.files import short_hash

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class VocabularyBeyondText(CorpusError):
    """More tokens than can be learned from the text."""

    asked: int
    learned: int
    size: int

    def __str__(self) -> str:
        return (
            f"asked for a vocabulary of {self.asked:,}, but {self.size:,} bytes of training text give {self.learned:,} "
            f"tokens that occur twice. Lower it to {self.learned:,} or less, or add text."
        )


TOKENIZER_FILE = "tokenizer.json"
"""Stored beside the tokens; `tokenizers.Tokenizer.from_file` reads it."""
_SCHEME = "1"
"""Raised when the rules below change, so that old caches and new ones are never mixed."""
_LEAST_COUNT = 2
"""A pair seen once is not worth a token."""
_BATCH = 256


def encode_corpus(corpus: Corpus, vocabulary: int, *, progress: bool = True) -> Corpus:
    """The same documents in tokens learned from the training text of all domains, and never from held-out text.

    Placebos have no say in it: their tokens are those of the text that they are made of.

    Tokens are the 256 bytes and then the merges, words split as GPT-2 splits them, so every text can be written and is
    read back byte for byte. The zero byte between two documents is a token of its own and never merged. The record
    gets `bytes_per_token`, bytes over tokens of each domain's held-out text, which turns nats/token into bits/byte.

    Args:
        corpus: tokens are bytes, as `build_corpus` makes them with `vocabulary` 256.
        vocabulary: tokens to learn, the bytes included, from 257 to 65536.
        progress: show a bar while the merges are learned.

    Raises:
        VocabularyBeyondText: the training text has too few different pieces for so many tokens.
        MissingPackage: `tokenizers` is not installed.
        DiskFull: there is no room for its tokens; nothing of them is left.
    """
    check_installed("text", "tokenizers")
    versions = {**corpus.versions, "tokenizers": importlib.metadata.version("tokenizers")}
    recipe = f"bpe {_SCHEME} {vocabulary} {versions['tokenizers']} {corpus.corpus_hash}"

    def write(folder: Path) -> dict[str, Any]:
        tokenizer = _learn(corpus, vocabulary, progress)
        text = tokenizer.to_str(pretty=True)  # its own save hides the system's error
        (folder / TOKENIZER_FILE).write_text(text)
        lengths = {}
        for domain in corpus.domains:
            for split in SPLITS:
                path = folder / token_file(domain, split)
                lengths[domain, split] = _encode(tokenizer, corpus.tokens(domain, split), path, vocabulary)
        return corpus.record | {
            "versions": versions,
            "vocabulary": vocabulary,
            "bytes_per_token": {
                d: len(corpus.tokens(d, "heldout")) / lengths[d, "heldout"]
                for d in corpus.domains
                if lengths[d, "heldout"]
            },
        }

    return cached_corpus(short_hash(recipe), write)


def texts(corpus: Corpus, domain: str, split: str) -> Iterator[str]:
    """The documents of a corpus of text, in bytes or learned tokens, in the order in which they lie.

    Raises:
        UnknownDomain: the corpus has no such domain.
        MissingPackage: `tokenizers` is needed and not installed.
    """
    tokens, path = corpus.tokens(domain, split), corpus.folder / TOKENIZER_FILE
    if not path.exists():
        yield from documents(tokens)
        return
    check_installed("text", "tokenizers")
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    (separator,) = tokenizer.encode("\0").ids
    start = 0
    for end in np.flatnonzero(tokens == separator):
        yield tokenizer.decode(tokens[start:end].tolist())
        start = end + 1


def _learn(corpus: Corpus, vocabulary: int, progress: bool) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=_LEAST_COUNT,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=progress,
    )
    read = (domain for domain in corpus.domains if domain not in corpus.placebos)
    texts = (text for domain in read for text in documents(corpus.tokens(domain)))
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() < vocabulary:
        raise VocabularyBeyondText(vocabulary, tokenizer.get_vocab_size(), sum(corpus.bytes.values()))
    return tokenizer


def _encode(tokenizer: Tokenizer, data: NDArray[np.unsignedinteger], path: Path, vocabulary: int) -> int:
    """Write the tokens of a file of bytes, and return how many there are."""
    separator = tokenizer.encode("\0").ids
    assert len(separator) == 1
    texts, written = documents(data), 0
    with path.open("wb") as file:
        while batch := list(islice(texts, _BATCH)):
            for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
                ids = np.array(encoding.ids + separator, token_type(vocabulary))
                file.write(ids.tobytes())
                written += len(ids)
    return written
