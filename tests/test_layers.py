"""Imports run downwards only, and README's table of rooms is what the code says."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "scaling").rglob("*.py"))
LAYERS = (
    ("errors",),
    ("arguments", "units", "files", "show"),
    ("flops", "laws", "records", "leases"),
    ("corpora",),
    ("study", "published", "intake"),
    ("store", "artifacts"),
    ("sweeps", "fitting"),
    ("train", "design", "verdict", "check"),
    ("questions", "charts"),
    ("reports", "reproduce"),
    ("__main__",),
)
LAYER = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}


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
    room = path.relative_to(ROOT / "scaling").parts[0].removesuffix(".py")
    if room == "__init__":
        return  # the face names every room, and imports none before it is used
    for other in imported(path):
        if other in LAYER and other != room:
            assert LAYER[other] < LAYER[room], f"{room} ({LAYER[room]}) imports {other} ({LAYER[other]})"


def test_train_and_fitting_meet_in_the_store_alone():
    for path in FILES:
        room = path.relative_to(ROOT / "scaling").parts[0]
        forbidden = {"train": "fitting", "fitting": "train"}.get(room)
        assert forbidden not in set(imported(path))


def test_readme_shows_the_rooms_as_their_docstrings_describe_them():
    lines = ["| layer | room | what is in it |", "|---|---|---|"]
    for number, rooms in enumerate(LAYERS):
        for room in rooms:
            summary = importlib.import_module(f"scaling.{room}").__doc__.splitlines()[0]
            lines.append(f"| {number} | `{room}` | {summary} |")
    assert "\n".join(lines) in (ROOT / "README.md").read_text()
