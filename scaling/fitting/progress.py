"""How far long work has come, on the screen of whoever waits for it: from two seconds on, and nowhere else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

_PATIENCE = 2.0  # seconds before anything is shown


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A function that counts what is done, and a bar on stderr once that takes long.

    Nothing is shown, and rich is not imported, within the first two seconds; nor in a log or a pipe, where nobody
    waits: a terminal or a notebook it must be. The bar is gone when the work ends, however it ends.

    Args:
        what: is done, e.g. "bootstrap refits".
        total: how many in all.
    """
    started, done, bar = time.monotonic(), 0, None

    def count(more: int) -> None:
        nonlocal done, bar
        done += more
        if bar is None and time.monotonic() - started > _PATIENCE and done < total:
            bar = _bar(what, total)
        if bar is not None:
            bar.update(bar.task_ids[0], completed=done)

    try:
        yield count
    finally:
        if bar is not None:
            bar.stop()


def _bar(what: str, total: int) -> Any:
    """Of rich, begun; one that shows nothing where there is no screen."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    seen = console.is_terminal or console.is_jupyter
    bar = Progress(*columns, console=console, transient=True, disable=not seen)
    bar.add_task(what, total=total)
    bar.start()
    return bar
