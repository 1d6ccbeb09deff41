"""Pages that models wrote: kept under the run that wrote them, and made a corpus for the models that read them next.

    .store/<study>/pages/<run_id>-<count>.npy    token rows of so many pages, as the run wrote them
    .store/<study>/pages/<trunk_id>/             the text that a trunk is trained on, real and written pages together

The held-out text of such a corpus is that of the real one, so losses of all generations are on the same windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.corpus import Corpus, token_file, token_type
from scaling.corpora.synthetic import writer
from scaling.corpora.synthetic.chance import split_of
from scaling.corpora.synthetic.documents import FILLER, Writer
from scaling.corpora.synthetic.programs import Programs
from scaling.errors import CorpusError
from scaling.files import sha256_of, written_whole

Pages = NDArray[np.int64]
"""Tokens of pages, `[pages, row]`, as `documents` lays them out."""
Generated = Literal["replace", "accumulate", "verified"]
"""What a generation reads: the pages of the one before it; the real ones and those of all before it; or of these the
right ones, as the executor of their programs says."""
TRIES = 4
"""Pages that a model writes for each that is wanted, so that enough of them may be right."""


class NotExecutable(CorpusError):
    """Pages whose answers nobody can execute."""

    domain: str
    kind: str

    def __str__(self) -> str:
        return (
            f"asked to keep the right pages of {self.domain!r}, but {self.kind!r} have no executor that reads them. "
            'Ask for "programs" without a placebo on a surface that tells their steps, or generated = "accumulate".'
        )


def check_executable(domain: str, kind: str, made: Writer) -> None:
    """Refuse pages that nobody can execute.

    Raises:
        NotExecutable: names their domain.
    """
    if not isinstance(made, Programs) or not made.executable:
        raise NotExecutable(domain, kind)


def kept_pages(folder: Path, run_id: str, count: int, write: Callable[[], Pages]) -> Pages:
    """The pages that a run wrote, written now where they are not kept yet.

    Args:
        folder: of a study's store.
        run_id: of the run whose model writes.
        count: of pages.
        write: makes them.
    """
    path = folder / "pages" / f"{run_id}-{count}.npy"
    if not path.exists():
        pages = write()
        with written_whole(path, "pages") as scratch, scratch.open("wb") as file:
            np.save(file, pages.astype(np.uint16))
    return np.load(path).astype(np.int64)


def text_of_generation(
    generated: Generated, corpus: Corpus, domain: str, real: Pages, written: Sequence[Pages]
) -> Pages:
    """What a generation reads.

    Args:
        generated: which of the pages.
        corpus: whose words they are in.
        domain: that they are of.
        real: pages, as many as each generation adds.
        written: pages of each generation before it, the first one first.

    Raises:
        NotExecutable: right pages are asked for of a domain that has no executor.
    """
    added = [_fit(corpus, domain, pages, generated == "verified")[: len(real)] for pages in written]
    return added[-1] if generated == "replace" else np.concatenate([real, *added])


def _fit(corpus: Corpus, domain: str, pages: Pages, verified: bool) -> Pages:
    """Pages that may be read: none about what models are tested on, and verified the right ones alone."""
    about = corpus.documents[domain]
    made = writer(about["kind"], tuple((key, value) for key, value in about["parameters"]))
    if verified:
        check_executable(domain, about["kind"], made)
    if not isinstance(made, Programs) or not made.executable:
        return pages
    kept = []
    for page in pages:
        told = made.told(page_words(corpus, page))
        trained = told is None or split_of(str(told.program)) == "train"
        kept.append(trained and (not verified or (told is not None and told.right(traced=made.traced))))
    return pages[kept]


def page_words(corpus: Corpus, page: Pages) -> Sequence[str]:
    """The words of a page, without what fills its row up."""
    words = [corpus.words[int(token)] for token in page[1:].tolist()]
    return words[: words.index(corpus.words[FILLER])] if corpus.words[FILLER] in words else words


def corpus_of_pages(folder: Path, trunk_id: str, corpus: Corpus, domain: str, pages: Pages) -> Corpus:
    """The corpus with a domain's training text replaced by these pages."""
    home = folder / "pages" / trunk_id
    if not home.exists():
        with written_whole(home, "a corpus") as scratch:
            scratch.mkdir()
            kind = token_type(corpus.vocabulary)
            closed = np.append(pages.ravel(), FILLER).astype(
                kind
            )  # the target of the last window's last place
            (scratch / token_file(domain, "train")).write_bytes(closed.data)
            heldout = corpus.tokens(domain, "heldout")
            (scratch / token_file(domain, "heldout")).write_bytes(np.asarray(heldout).data)
    return replace(corpus, folder=home, bytes={domain: pages.size})


def text_hash(corpus: Corpus, domain: str) -> str:
    """SHA-256 of a domain's training text, the first 12 hex digits."""
    return sha256_of(corpus.folder / token_file(domain, "train"))[:12]
