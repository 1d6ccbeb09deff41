"""Imports run downwards only, as README's table of layers says."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "scaling").rglob("*.py"))


def layers():
    """Layer of each room, from README's table."""
    found = {}
    for number, rooms in re.findall(
        r"^\| (\d+) \| ([^|]+) \|", (ROOT / "README.md").read_text(), re.MULTILINE
    ):
        found |= dict.fromkeys(re.findall(r"`(\w+)`", rooms), int(number))
    return found


def room_of(module):
    return module.split(".")[1] if "." in module else ""


def imported(path):
    """Rooms that a file imports from at any depth of its code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("scaling"):
            names = [f"scaling.{a.name}" for a in node.names] if node.module == "scaling" else [node.module]
            yield from filter(None, map(room_of, names))
        elif isinstance(node, ast.Import):
            yield from (room_of(a.name) for a in node.names if a.name.startswith("scaling."))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards(path):
    known = layers()
    room = path.relative_to(ROOT / "scaling").parts[0].removesuffix(".py")
    if room == "__init__":
        return  # the face names every room, and imports none before it is used
    assert room in known or room.startswith("published"), f"README's table has no {room}"
    mine = known.get(room, known["published"])
    for other in imported(path):
        if other in known and other != room:
            assert known[other] < mine, f"{room} (layer {mine}) imports {other} (layer {known[other]})"


def test_train_and_fit_meet_in_the_store_alone():
    for path in FILES:
        room = path.relative_to(ROOT / "scaling").parts[0]
        forbidden = {"train": "fit", "fit": "train"}.get(room)
        assert forbidden not in set(imported(path))
