"""What is read by people holds no control character: one is left of a backslash that a string swallowed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
READ = {".py", ".ipynb", ".md", ".toml", ".txt", ".j2", ".yml", ".cff", ".json", ".csv"}
ROOMS = ("scaling", "tests", "benchmarks", "notebooks", "runs")
FILES = [
    path
    for folder in [ROOT, *map(ROOT.joinpath, ROOMS)]
    for path in (folder.glob("*") if folder == ROOT else folder.rglob("*"))
    if path.suffix in READ and not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
]
CONTROL = re.compile("[\x00-\x08\x0b-\x1f]")


def texts(path: Path) -> Iterator[str]:
    """What a file says; of a notebook and of JSON each string, for a control character is escaped there."""

    def strings(part: object) -> Iterator[str]:
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict | list):
            for below in part.values() if isinstance(part, dict) else part:
                yield from strings(below)

    yield path.read_text()
    if path.suffix in (".ipynb", ".json"):
        yield from strings(json.loads(path.read_text()))


def test_no_text_holds_a_control_character():
    assert len(FILES) > 100
    for path in FILES:
        for text in texts(path):
            assert not CONTROL.search(text), f"{path.relative_to(ROOT)}: {text[:80]!r}"


def test_the_search_sees_what_a_notebook_escapes(tmp_path):
    notebook = tmp_path / "one.ipynb"
    notebook.write_text(json.dumps({"cells": [{"source": ["$N^{-\alpha}$"]}]}))
    assert any(CONTROL.search(text) for text in texts(notebook))
