"""The families of errors, and what they share; each leaf stands beside the code that raises it.

    ScalingError
    ├── MissingPackage   a package of an extra that is not installed
    ├── ForkedProcess    a forked process in which work on tables would never end
    ├── BadOption        an option of a call that cannot be carried out
    ├── BadValue         a value of the wrong kind or out of range; in a study file it is a StudyError too
    ├── UnknownKey       a key that there is not; in a study file it is a StudyError too
    ├── FileError        a file that could not be written or fetched
    ├── RecordError      a row, a table or a file that cannot be read as runs
    ├── StudyError       a study file that cannot be carried out
    ├── CorpusError      text that cannot be found or cut as asked
    ├── TrainError       a run that cannot start or go on
    ├── LawError         a function that cannot serve as a law
    ├── FitError         a fit that cannot be made from these runs
    ├── QuestionError    a question that these inputs cannot answer
    ├── ScenarioError    assumptions that no forecast can be made from
    ├── PlotError        something that cannot be drawn
    └── ReportError      a notebook that cannot be turned into a report

A leaf is a dataclass: its fields are what was asked and what there was, and `__str__` says both with one way out.
The command line prints that on one line and exits with 2.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, dataclass_transform


@dataclass_transform(eq_default=False)
class ScalingError(Exception):
    """Anything the suite refuses to do, in words."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(eq=False, repr=False)(cls)

    def __reduce__(self) -> tuple[Any, ...]:
        """So that an error crosses from one process to another whole."""
        return type(self), tuple(getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]


def brief(given: object, most: int = 200) -> str:
    """A value as Python writes it, in one line; a frame or an array, which would fill the screen, by its kind."""
    try:
        words = repr(given)
    except ValueError:  # a whole number of more digits than Python writes out
        words = "\n"
    if "\n" in words:
        words = f"a {type(given).__name__}"
    return words if len(words) <= most else f"{words[: most - 1]}…"


def did_you_mean(given: object, known: Iterable[object]) -> str:
    """A question with the closest known name, whatever its capitals, and a space; nothing where none is close."""
    names = {str(name).lower(): name for name in known}
    close = difflib.get_close_matches(str(given).lower(), names, 1)
    return f"Did you mean {names[close[0]]!r}? " if close else ""


class MissingPackage(ScalingError):
    """A package of an extra that is not installed."""

    package: str
    extra: str

    def __str__(self) -> str:
        return f"this needs {self.package}, which is not installed. Add it with pip install 'scaling[{self.extra}]'."


def check_installed(extra: str, *packages: str) -> None:
    """Refuse what needs a package of an extra that is not installed, before any work.

    Raises:
        MissingPackage: the first that is not.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise MissingPackage(package, extra)


class ForkedProcess(ScalingError):
    """A process forked from one whose table library had started its threads, none of which came along."""

    parent: int

    def __str__(self) -> str:
        return (
            f"this process was forked from {self.parent}, in which polars had started threads that a fork leaves "
            "behind: a table would be waited for without end. Start processes afresh, e.g. "
            "multiprocessing.get_context('spawn').Pool(), or ProcessPoolExecutor(mp_context=get_context('spawn'))."
        )


_threads = {"started": False, "left_behind": False}


def _look_before_fork() -> None:
    """Whether the threads of polars run, which Linux names; elsewhere processes are not forked by default."""
    names = (_text_of(path) for path in Path("/proc/self/task").glob("*/comm"))
    _threads["started"] = any(re.match(r"polars-\d", name) for name in names)


def _text_of(path: Path) -> str:
    """The text of a file that may be gone by now."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _know_after_fork() -> None:
    _threads["left_behind"] |= _threads["started"]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_look_before_fork, after_in_child=_know_after_fork)


def check_forked() -> None:
    """Refuse work on tables in a forked process in which it would never end.

    Raises:
        ForkedProcess: the parent had worked on tables when it was forked.
    """
    if _threads["left_behind"]:
        raise ForkedProcess(os.getppid())


class BadOption(ScalingError):
    """An option of a fit that cannot be carried out."""

    option: str
    given: object
    wanted: str

    def __str__(self) -> str:
        return f"{self.option}={brief(self.given)} was asked for, but it must be {self.wanted}. Change it in the call."


def require_kind(option: str, given: object, kind: type | tuple[type, ...], wanted: str) -> None:
    """Nothing, where what a call was given is of this kind.

    Raises:
        BadOption: it is something else.
    """
    if not isinstance(given, kind):
        plain = given is None or isinstance(given, str | int | float)
        raise BadOption(option, given if plain else type(given).__name__, wanted)


class UnknownKey(ScalingError):
    """A key that a thing made of keys does not have."""

    where: str
    key: str
    known: list[str]

    def __str__(self) -> str:
        guess = did_you_mean(self.key, self.known) or f"Known keys: {', '.join(self.known)}."
        return f"{self.where} has the key {self.key!r}, which there is not. {guess.strip()}"


class BadValue(ScalingError):
    """A value of the wrong kind or out of range."""

    where: str
    key: str
    value: object
    wanted: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key} = {brief(self.value)}, but it must be {self.wanted}."


def require(thing: object, where: str, **rules: tuple[bool, str]) -> None:
    """Nothing, where every attribute of a thing is as it must be.

    Args:
        thing: what has the attributes.
        where: what to call it.
        rules: of each attribute, whether it is right, and what it must be.

    Raises:
        BadValue: names the first that is wrong.
    """
    for key, (right, wanted) in rules.items():
        if not right:
            raise BadValue(where, key, getattr(thing, key), wanted)


class FileError(ScalingError):
    """A file that could not be written or fetched."""


class RecordError(ScalingError):
    """A row, a table or a file that cannot be read as runs."""


class MissingColumns(RecordError):
    """A table without a column that was asked for."""

    missing: list[str]
    there: list[str]
    hint: str

    def __str__(self) -> str:
        own = {there: name for name, there in self._spelled.items()}
        way = f"They differ in capitals: runs.rename({own})." if own else ""
        if len(own) < len(self.missing):
            way = f"{way} {self.hint}".lstrip()
        return f"{self._asked} {way}"

    @property
    def on_the_command_line(self) -> str:
        """The same, where columns are named by options."""
        options = (
            f"--columns {self._spelled.get(name, 'YOUR_NAME')}={name}" for name in map(str, self.missing)
        )
        return f"{self._asked} Say which it is: {' '.join(options)}."

    @property
    def _spelled(self) -> dict[str, str]:
        """Of the missing those that are there in other capitals, and how."""
        there = {name.lower(): name for name in self.there}
        return {name: there[name.lower()] for name in map(str, self.missing) if name.lower() in there}

    @property
    def _asked(self) -> str:
        there = ", ".join(self.there) or "none"
        return f"column {', '.join(map(str, self.missing))} asked for, but the table has {there}."


def require_columns(needed: Iterable[str], there: list[str], hint: str) -> None:
    """Nothing, where a table has every column that is needed; else raises MissingColumns with the way out."""
    if missing := [name for name in needed if name not in there]:
        raise MissingColumns(missing, there, hint)


class StudyError(ScalingError):
    """A study file that cannot be carried out."""


class CorpusError(ScalingError):
    """Text that cannot be found or cut as asked."""


class TrainError(ScalingError):
    """A run that cannot start or go on."""


class LawError(ScalingError):
    """A function that cannot serve as a law."""


class FitError(ScalingError):
    """A fit that cannot be made from these runs."""


class QuestionError(ScalingError):
    """A question that these inputs cannot answer."""


class ScenarioError(ScalingError):
    """Assumptions that no forecast can be made from."""


class PlotError(ScalingError):
    """Something that cannot be drawn."""


class ReportError(ScalingError):
    """A notebook that cannot be turned into a report."""
