"""Sources with a known answer: documents that a program writes, and can therefore score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from scaling.corpora.kinds import Parameters, make
from scaling.corpora.synthetic import people, programs
from scaling.corpora.synthetic.dialogues import DialoguePairs, Dialogues
from scaling.corpora.synthetic.documents import Writer
from scaling.corpora.synthetic.errands import ErrandPairs, Errands, Prose
from scaling.corpora.synthetic.tools import Manuals, Requests, Scripts

GENERATOR = "2"
"""Raised when the same parameters come to write other documents, so that old caches and new ones are never mixed."""

WRITERS: dict[str, Callable[..., Writer]] = {
    "biographies": people.biographies,
    "programs": programs.programs,
    "strings": people.strings,
    "manuals": Manuals,
    "scripts": Scripts,
    "requests": Requests,
    "prose": Prose,
    "errands": Errands,
    "errand pairs": ErrandPairs,
    "dialogues": Dialogues,
    "dialogue pairs": DialoguePairs,
}
"""Kinds of documents, each a function of keyword-only parameters."""


@lru_cache(maxsize=64)
def writer(kind: str, parameters: Parameters = ()) -> Writer:
    """The writer of a kind in `WRITERS`; parameters that are not given have their defaults.

    Raises:
        BadValue: there is no such kind, or a parameter is of the wrong type or out of range.
        UnknownKey: the kind has no such parameter.
    """
    return make(WRITERS, "documents", kind, parameters)


def writers(asked: Mapping[str, tuple[str, Parameters]]) -> dict[str, Writer]:
    """The writer of each domain, from its kind and parameters."""
    return {domain: writer(kind, parameters) for domain, (kind, parameters) in asked.items()}
