"""Text to train on: where it comes from, how it is cut, and which tokens a model sees when."""

from scaling.corpora.corpus import Corpus
from scaling.corpora.source import CorpusSource, LanguageSource, Placebo
from scaling.corpora.text import build_corpus

__all__ = ["Corpus", "CorpusSource", "LanguageSource", "Placebo", "build_corpus"]
