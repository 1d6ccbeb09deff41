"""What comes with the suite: its notebooks and its committed runs, in a repository or beside an installed package."""

from __future__ import annotations

import json
import re
from pathlib import Path

from scaling.errors import ReportError, brief, did_you_mean
from scaling.files import written_whole

HERE = "notebooks"
"""The folder that notebooks of one's own are in; those of the suite are there besides."""


class MissingNotebook(ReportError):
    """No notebook of that name."""

    name: str
    folder: str | Path
    notebooks: list[str]

    def __str__(self) -> str:
        there = f"there are {', '.join(self.notebooks)}" if self.notebooks else "there is none"
        suite = " and the suite" if str(self.folder) == HERE else ""
        return (
            f"asked for a report of {brief(self.name)}, but in {self.folder}{suite} {there}. "
            f"{did_you_mean(self.name, self.notebooks)}Name one of these, or add "
            f"{self.folder}/{Path(self.name).stem}.ipynb."
        )


class UnknownStart(ReportError):
    """A kind of folder that nothing is known to begin with."""

    kind: str
    kinds: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked for a new folder like {self.kind!r}, but there are {', '.join(self.kinds)}. "
            f"{did_you_mean(self.kind, self.kinds)}Name one of these."
        )


class FolderTaken(ReportError):
    """A new folder that is there already."""

    folder: str | Path

    def __str__(self) -> str:
        return f"asked to make {self.folder}, but there is something of that name. Choose another name, or move it."


def suite_folder() -> Path:
    """The folder with the suite's own `notebooks/` and `runs/`."""
    packaged = Path(__file__).parents[1] / "suite"
    return packaged if packaged.is_dir() else Path(__file__).parents[2]


def notebooks(folder: str | Path | None = None) -> dict[str, Path]:
    """Every notebook of a folder by its name, which is its stem without the number before it, in their order.

    Without a folder it is `notebooks/` here, and the suite's own are there besides.
    """
    folders = [Path(folder)] if folder else [suite_folder() / "notebooks", Path(HERE)]
    paths = [path for one in folders for path in sorted(one.glob("*.ipynb"))]
    return {name_of(path): path for path in paths}


def name_of(path: Path) -> str:
    """A notebook's name: "plateau" of 04-plateau.ipynb."""
    return re.sub(r"^\d+-", "", path.stem)


def find_notebook(name: str, folder: str | Path | None = None) -> Path:
    """The notebook of a name, of a stem, or at a path.

    Raises:
        MissingNotebook: none of that name; lists those there are.
    """
    if name.endswith(".ipynb") and Path(name).is_file():
        return Path(name)
    known = notebooks(folder)
    for path in known.values():
        if path.stem == name:
            return path
    if name not in known:
        raise MissingNotebook(name, folder or HERE, sorted(known))
    return known[name]


# --- a folder to begin with ------------------------------------------------------------------------

STARTS = {
    "quickstart": "the suite's first study, to be trained here in minutes",
    "text": "a ladder of models on text of your own, which goes into text/",
    "table": "a table of runs of your own, runs.csv",
    "transfer": "what one domain of text does for another",
    "gpu": "a ladder of models of 1M to 30M parameters, for one GPU",
}
"""What `start` can begin, and what is in it."""
_STUDIES = {
    "quickstart": "quickstart",
    "text": "quickstart",
    "transfer": "transfer-text",
    "gpu": "ladder-gpu",
}
_NOTEBOOKS = {"quickstart": "quickstart", "text": "quickstart", "transfer": "transfer", "gpu": "quickstart"}
_COLUMNS = ("N", "D", "loss")


def start(folder: str | Path, like: str = "quickstart") -> list[Path]:
    """Make a working folder: a study or a table, a notebook that reads it, and where its rows will be.

    Args:
        folder: to be made; its name is the study's and the notebook's.
        like: one of `STARTS`.

    Returns:
        The files that were written.

    Raises:
        UnknownStart: there is no such kind.
        FolderTaken: the folder is there already.
        DiskFull, NotWritten: nothing is left of it.
    """
    if like not in STARTS:
        raise UnknownStart(like, tuple(STARTS))
    folder = Path(folder)
    if folder.exists():
        raise FolderTaken(folder)
    name = folder.resolve().name
    with written_whole(folder, "a folder") as scratch:
        for place, text in _files(name, like).items():
            (scratch / place).parent.mkdir(parents=True, exist_ok=True)
            (scratch / place).write_text(text)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _files(name: str, like: str) -> dict[str, str]:
    """The files of a new folder, by their place in it."""
    if like == "table":
        return {
            f"notebooks/{name}.ipynb": _notebook("own-runs", "table", "../runs.csv"),
            "runs.csv": _example(),
        }
    study = (suite_folder() / "runs" / _STUDIES[like] / "study.toml").read_text()
    named = rf'\1notebook = "{name}"\n'
    study = re.sub(r"^(question = .*\n)(?:notebook = .*\n)?", named, study, count=1, flags=re.MULTILINE)
    files = {}
    if like == "text":
        study = re.sub(r"^\[corpus\]\n(?:.+\n)*", _TEXT, study, flags=re.MULTILINE)
        files["text/README.md"] = _TEXT_WORDS
    return files | {
        f"runs/{name}/study.toml": study,
        f"notebooks/{name}.ipynb": _notebook(_NOTEBOOKS[like], "study", f"../runs/{name}"),
    }


_TEXT = """\
[corpus]
source = "files"
paths = ["../../text"] # files, or folders of them: everything that is UTF-8 text
"""
_TEXT_WORDS = """\
Put your text here, a megabyte or more, in as many files as you like, and take this one away.
One document in twenty is held out, and models are tested on it.
"""


def _notebook(name: str, parameter: str, value: str) -> str:
    """A notebook of the suite with another default of one of its parameters."""
    notebook = json.loads(find_notebook(name, suite_folder() / "notebooks").read_text())
    for cell in notebook["cells"]:
        if "parameters" in cell["metadata"].get("tags", ()):
            lines = "".join(cell["source"]).splitlines(keepends=True)
            cell["source"] = [
                re.sub(rf"^{parameter} = .*", f'{parameter} = "{value}"', line) for line in lines
            ]
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _example() -> str:
    """A table of runs that were really trained, to be replaced by one's own."""
    import polars as pl

    runs = pl.read_parquet(suite_folder() / "runs" / "quickstart" / "runs.parquet")
    return runs.filter(pl.col("status") == "done", pl.col("kind") == "annealed").select(_COLUMNS).write_csv()
