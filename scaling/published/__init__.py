"""Open results of others, in the schema of runs: a catalogue, the files it checks, how each becomes runs."""

from scaling.published.access import catalogue, fetch_published, open_published
from scaling.published.sources import SOURCES, Source

__all__ = ["SOURCES", "Source", "catalogue", "fetch_published", "open_published"]
