"""Open results of others in the run schema: `open_runs("published:chinchilla")`.

A source is found in the folder that SCALING_PUBLISHED names (tidy tables, one folder per source), else in the cache,
where `fetch_published` puts the raw files of those that are plain CSV at a fixed commit. Nothing is unpickled or
executed, and the suite ships none of the files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import polars as pl

from scaling.errors import MissingPackage, RecordError, did_you_mean
from scaling.files import download
from scaling.published.sources import SOURCES, Reader, Source, read_csv
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
        way = (
            f"Fetch it with `scaling published fetch {self.name}`, or self.name" if self.fetchable else "Name"
        )
        return (
            f"asked for published:{self.name}, which is not on this machine. {way} a folder that has it "
            "in SCALING_PUBLISHED."
        )


__all__ = ["SOURCES", "Source", "catalogue", "fetch_published", "open_published"]


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
    tidy, cached = _tidy_path(source), _cache(source)
    if tidy is not None and tidy.exists():
        return _shaped(source, tidy, read_csv)
    if source.from_raw is not None and all((cached / file.path).exists() for file in source.raw):
        return _shaped(source, cached, source.from_raw)
    raise MissingPublished(name, fetchable=bool(source.raw))


def fetch_published(name: str, *, progress: bool = True, timeout: float = 30.0) -> Path:
    """The folder with the raw files of a source, downloaded where they are not there yet, each checked by its hash.

    Raises:
        MissingPackage: progress was asked for, and rich is not installed; `progress=False` does without.
        UnknownPublished: no such source.
        MissingPublished: a source that can only be read from a local folder.
        DownloadFailed: a file that did not come as promised; those that did are kept.
    """
    source = _source(name)
    if not source.raw:
        raise MissingPublished(name, fetchable=False)
    folder = _cache(source)
    wanted = [file for file in source.raw if not (folder / file.path).exists()]
    if not wanted:
        return folder
    with _bar(name, sum(file.bytes for file in wanted)) if progress else nullcontext() as advance:
        for file in wanted:
            download(
                file.url, folder / file.path, sha256=file.sha256, size=file.bytes, timeout=timeout, advance=advance
            )  # fmt: skip
    return folder


@contextmanager
def _bar(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on the terminal; what it gives moves it on by so many bytes."""
    try:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        raise MissingPackage("rich", "cli") from None
    with Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    ) as bar:
        yield partial(bar.advance, bar.add_task(name, total=total))


def catalogue() -> pl.DataFrame:
    """One row per source: name, title, paper, licence, units, and where it is.

    where is "local", "cached", "can be fetched" or "missing".
    """
    rows = []
    for source in SOURCES.values():
        tidy = _tidy_path(source)
        if tidy is not None and tidy.exists():
            where = "local"
        elif source.raw and all((_cache(source) / file.path).exists() for file in source.raw):
            where = "cached"
        else:
            where = "can be fetched" if source.raw else "missing"
        rows.append((source.name, source.title, source.paper, source.licence, source.units, where))
    return pl.DataFrame(rows, schema=["name", "title", "paper", "licence", "units", "where"], orient="row")


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise UnknownPublished(name, tuple(SOURCES))
    return SOURCES[name]


def _tidy_path(source: Source) -> Path | None:
    """In the folder that SCALING_PUBLISHED names; nowhere where it names none."""
    named = os.environ.get("SCALING_PUBLISHED")
    return Path(named) / source.tidy if named else None


def _cache(source: Source) -> Path:
    named = os.environ.get("SCALING_CACHE")
    base = (
        Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "scaling"
    )
    return base / "published" / source.name


def _shaped(source: Source, path: Path, read: Reader) -> pl.DataFrame:
    try:
        return source.shape(read(path))
    except pl.exceptions.PolarsError as reason:
        raise UnreadableTable(
            path, f"not the table of {source.name}: {str(reason).splitlines()[0]}"
        ) from reason
