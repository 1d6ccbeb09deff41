"""Other values for what a notebook's cell of parameters sets."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from scaling.errors import ReportError, check_installed, did_you_mean


class NoSuchParameter(ReportError):
    """A parameter that a notebook does not have."""

    name: str
    path: str | Path
    known: tuple[str, ...]

    def __str__(self) -> str:
        there = ", ".join(self.known) or "none, for it has no cell tagged 'parameters'"
        return (
            f"asked to run {self.path} with the parameter {self.name!r}, but it has {there}. "
            f"{did_you_mean(self.name, self.known)}Name one of its own."
        )


def with_parameters(notebook: Any, path: Path, given: Mapping[str, Any]) -> Any:
    """The notebook with a cell that sets these behind its own, as papermill writes it.

    Raises:
        NoSuchParameter: its own cell does not set one of them.
        MissingPackage: the extra "notebooks" is not installed.
    """
    check_installed("notebooks", "papermill")
    from papermill.parameterize import parameterize_notebook

    known = tuple(_set_by(notebook))
    for name in given:
        if name not in known:
            raise NoSuchParameter(name, path, known)
    notebook.metadata.setdefault("papermill", {})
    for cell in notebook.cells:  # as papermill's own reader leaves them
        cell.metadata.setdefault("tags", [])
    return parameterize_notebook(notebook, dict(given), kernel_name="python3", language="python")


def parameter_value(text: str) -> Any:
    """What a value on the command line means: a place that is there, a Python literal where it is one, else the text.

    A notebook runs in its own folder, so a place is given to it from the root.
    """
    with suppress(OSError, ValueError):  # too long for a name, or not one
        if text and Path(text).exists():
            return str(Path(text).resolve())
    with suppress(ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return ast.literal_eval(text)
    return text


def _set_by(notebook: Any) -> list[str]:
    """Names that the cells tagged "parameters" assign."""
    sources = [c.source for c in notebook.cells if "parameters" in c.metadata.get("tags", ())]
    return [
        target.id
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
