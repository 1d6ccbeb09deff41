"""Open results of others in the run schema: `open_runs("published:chinchilla")`.

A source is looked for in the folder that SCALING_PUBLISHED names (tidy tables, one folder per source), then in the
cache, where `fetch_published` puts the raw files of those that are plain CSV at a fixed commit. Nothing is unpickled or
executed, and the suite ships none of the files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import polars as pl

from scaling.errors import RecordError, check_installed, did_you_mean
from scaling.files import cache_folder, download
from scaling.published.raw import FROM_RAW, read_csv
from scaling.published.sources import SOURCES, Source
from scaling.records import UnreadableTable


class UnknownPublished(RecordError):
    """A name that no published source has."""

    given: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked for published:{self.given}, which is not known. {did_you_mean(self.given, self.known)}Known: "
            f"{', '.join(self.known)}."
        )


class MissingPublished(RecordError):
    """A published source that is not on this machine."""

    name: str
    fetchable: bool

    def __str__(self) -> str:
        fetch = f"Fetch it with `scaling published fetch {self.name}`, or name" if self.fetchable else "Name"
        return (
            f"asked for published:{self.name}, which is not on this machine. {fetch} a folder that has it "
            "in SCALING_PUBLISHED."
        )


def open_published(name: str) -> pl.DataFrame:
    """Published results in the run schema, as far as the source knows them.

    Args:
        name: a key of `SOURCES`.

    Raises:
        UnknownPublished: no such source.
        MissingPublished: not on this machine; the message says how to get it.
        UnreadableTable: a file that is not the table it should be.
    """
    source = _source(name)
    path = tidy_path(source)
    if path is None and not _is_cached(source):
        raise MissingPublished(name, fetchable=bool(source.raw))
    try:
        return source.runs(read_csv(path) if path else FROM_RAW[name](_cache(source)))
    except pl.exceptions.PolarsError as problem:
        reason = f"not the table of {name}: {str(problem).splitlines()[0]}"
        raise UnreadableTable(path or _cache(source), reason) from problem


def fetch_published(name: str, *, progress: bool = True, timeout: float = 30.0) -> Path:
    """The folder with the raw files of a source, downloaded where they are not there yet, each checked by its hash.

    Raises:
        MissingPackage: progress was asked for, and rich is not installed; `progress=False` does without.
        UnknownPublished: no such source.
        MissingPublished: a source that can only be read from a local folder.
        DownloadFailed, DiskFull: a file that did not come as promised; those that did are kept.
    """
    source = _source(name)
    if not source.raw:
        raise MissingPublished(name, fetchable=False)
    folder, before = _cache(source), 0
    with _bar(name, sum(file.bytes for file in source.raw)) if progress else nullcontext() as show:
        for file in source.raw:
            advance = (lambda come, before=before: show(before + come)) if show else None
            path = folder / file.path
            download(file.url, path, sha256=file.sha256, size=file.bytes, timeout=timeout, show=advance)
            before += file.bytes
    return folder


@contextmanager
def _bar(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on the terminal; what it gives moves it to so many bytes."""
    check_installed("cli", "rich")
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns) as bar:
        task = bar.add_task(name, total=total)
        yield lambda come: bar.update(task, completed=come)


def catalogue() -> pl.DataFrame:
    """One row per source: name, title, paper, licence, units, and where it is.

    where is "local", "cached", "can be fetched" or "missing".
    """
    shown = ("name", "title", "paper", "licence", "units")
    rows = [[*(getattr(source, key) for key in shown), _where(source)] for source in SOURCES.values()]
    return pl.DataFrame(rows, schema=[*shown, "where"], orient="row")


def _where(source: Source) -> str:
    if tidy_path(source):
        return "local"
    if _is_cached(source):
        return "cached"
    return "can be fetched" if source.raw else "missing"


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise UnknownPublished(name, tuple(SOURCES))
    return SOURCES[name]


def tidy_path(source: Source) -> Path | None:
    """The table of a source in the folder that SCALING_PUBLISHED names; None where there is none."""
    named = os.environ.get("SCALING_PUBLISHED")
    path = Path(named) / source.tidy if named else None
    return path if path and path.exists() else None


def _cache(source: Source) -> Path:
    return cache_folder("published", source.name)


def _is_cached(source: Source) -> bool:
    return bool(source.raw) and all((_cache(source) / file.path).exists() for file in source.raw)
