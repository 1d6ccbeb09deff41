"""Every exception of the suite, the family tree at the top.

    ScalingError
    ├── RecordError      a row, a table or a file that cannot be read as runs
    ├── StudyError       a study file that cannot be carried out
    ├── CorpusError      text that cannot be found or cut as asked
    ├── TrainError       a run that cannot start or go on
    ├── LawError         a function that cannot serve as a law
    ├── FitError         a fit that cannot be made from these runs
    ├── PlotError        something that cannot be drawn
    └── ReportError      a notebook that cannot be turned into a report

Each message says what was asked, what was found, and one way out; the parts are attributes too.
The command line prints the message on one line and exits with 2.
"""

from __future__ import annotations

from pathlib import Path


class ScalingError(Exception):
    """Anything the suite refuses to do, in words."""


# --- records and the store -------------------------------------------------------------------------


class RecordError(ScalingError):
    """A row, a table or a file that cannot be read as runs."""


class MissingRuns(RecordError):
    """Nothing to open where runs were expected."""

    def __init__(self, where: str | Path, hint: str):
        self.where = str(where)
        super().__init__(f"asked for runs at {self.where}, but found none there. {hint}")


class UnreadableTable(RecordError):
    """A file that is cut short, or not the format its name says."""

    def __init__(self, path: str | Path, reason: str):
        self.path, self.reason = str(path), reason
        super().__init__(
            f"{self.path} cannot be read as a table ({reason}). "
            "Restore it, or delete it and run the sweep again to rebuild it."
        )


class MissingColumns(RecordError):
    """A table without a column that was asked for."""

    def __init__(self, missing: list[str], found: list[str], hint: str):
        self.missing, self.found = missing, found
        super().__init__(
            f"column {', '.join(missing)} asked for, but the table has {', '.join(found)}. {hint}"
        )


class UnknownUnit(RecordError):
    """A unit or a quantity that cannot be understood."""

    def __init__(self, given: str, known: str):
        self.given = given
        super().__init__(f"cannot understand {given!r}; known are {known}.")


# --- study files -----------------------------------------------------------------------------------


class StudyError(ScalingError):
    """A study file that cannot be carried out."""


class UnknownKey(StudyError):
    """A key that no study has."""

    def __init__(self, where: str, key: str, known: list[str], closest: str | None):
        self.key, self.known = key, known
        guess = f"Did you mean {closest!r}?" if closest else f"Known keys: {', '.join(known)}."
        super().__init__(f"{where} has the key {key!r}, which no study has. {guess}")


class BadValue(StudyError):
    """A value of the wrong kind or out of range."""

    def __init__(self, where: str, key: str, found: object, wanted: str):
        self.key, self.found, self.wanted = key, found, wanted
        super().__init__(f"{where}: {key} = {found!r}, but it must be {wanted}. Change it in the study file.")


class BudgetBeyondCorpus(StudyError):
    """A token budget larger than the tokens on offer, with no epochs allowed."""

    def __init__(self, domain: str, asked: int, available: int, max_epochs: float):
        self.domain, self.asked, self.available, self.max_epochs = domain, asked, available, max_epochs
        super().__init__(
            f"the study asks for {asked:,} tokens of {domain!r}, but {available:,} distinct ones are on offer and "
            f"max_epochs is {max_epochs:g}. "
            f"Lower the budget, or allow repeats with max_epochs = {-(-asked // available)}."
        )


class StudyChanged(StudyError):
    """A study file edited after it has run."""

    def __init__(self, name: str, difference: str):
        self.name, self.difference = name, difference
        super().__init__(
            f"study {name!r} has rows that were made from another study file; the difference is\n{difference}\n"
            "Undo the edit, or give the changed study a name (and folder) of its own."
        )


# --- corpora ---------------------------------------------------------------------------------------


class CorpusError(ScalingError):
    """Text that cannot be found or cut as asked."""


class MissingFolder(CorpusError):
    """A folder or file of text that is not there."""

    def __init__(self, path: str | Path):
        self.path = str(path)
        super().__init__(
            f"asked for text in {self.path}, but there is no such file or folder. Check the path in the study file."
        )


# --- training --------------------------------------------------------------------------------------


class TrainError(ScalingError):
    """A run that cannot start or go on."""


# --- laws and fits ---------------------------------------------------------------------------------


class LawError(ScalingError):
    """A function that cannot serve as a law."""


class NotTraceable(LawError):
    """A law whose body asks for a value, where the browser needs its formula."""

    def __init__(self, used: str):
        self.used = used
        super().__init__(
            f"a law was traced for the browser, but its body uses {used}, which leaves no formula behind. "
            "Write it with operators and ufuncs that Vega can compute (np.exp, np.log1p, np.minimum, ...)."
        )


class FitError(ScalingError):
    """A fit that cannot be made from these runs."""


# --- figures ---------------------------------------------------------------------------------------


class PlotError(ScalingError):
    """Something that cannot be drawn."""


class UnknownResult(PlotError):
    """An object that no figure is made for."""

    def __init__(self, given: object, known: tuple[str, ...]):
        self.given, self.known = given, known
        super().__init__(
            f"asked to draw a {type(given).__name__}, but figures are made for {', '.join(known)}. "
            "Pass one of these, e.g. plot(fit(chinchilla, runs))."
        )


class MissingPackage(PlotError):
    """A package of an extra that is not installed."""

    def __init__(self, package: str, extra: str):
        self.package, self.extra = package, extra
        super().__init__(
            f"this needs {package}, which is not installed. Add it with pip install 'scaling[{extra}]'."
        )


# --- reports ---------------------------------------------------------------------------------------


class ReportError(ScalingError):
    """A notebook that cannot be turned into a report."""


class MissingNotebook(ReportError):
    """No notebook of that name."""

    def __init__(self, name: str, folder: str | Path, found: list[str]):
        self.name, self.folder, self.found = name, str(folder), found
        there = f"there are {', '.join(found)}" if found else "there is none"
        super().__init__(
            f"asked for a report of {name!r}, but in {self.folder} {there}. Name one of these, or add {name}.ipynb."
        )


class UnreadableNotebook(ReportError):
    """A file that is not a notebook."""

    def __init__(self, path: str | Path, reason: str):
        self.path, self.reason = str(path), reason
        super().__init__(
            f"{self.path} cannot be read as a notebook ({reason}). Restore it from version control."
        )


class FailedCell(ReportError):
    """A cell of a notebook that raised."""

    def __init__(self, path: str | Path, number: int, cells: int, source: str, error: str):
        self.path, self.number, self.cells, self.source, self.error = str(path), number, cells, source, error
        first = next((line for line in source.splitlines() if line.strip()), "")
        super().__init__(
            f"code cell {number} of {cells} in {self.path}, which begins {first.strip()!r}, failed with {error}. "
            "Run it in JupyterLab to see the whole trace; the last report was left as it is."
        )
