"""The text of a study file: TOML that `read_study` reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


def study_text(top: Mapping[str, Any], grids: Iterable[Mapping[str, Any]], said: Iterable[str] = ()) -> str:
    """TOML of a study.

    Args:
        top: its keys, tables as mappings; those that are none come first.
        grids: of each [[grid]] its keys.
        said: lines of comment at its head.
    """
    lines = [f"# {line}".rstrip() for line in said]
    lines += [f"{key} = {_value(value)}" for key, value in top.items() if not isinstance(value, Mapping)]
    for name, table in top.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{name}]", *(f"{_key(key)} = {_value(value)}" for key, value in table.items())]
    for grid in grids:
        lines += ["", "[[grid]]", *(f"{_key(key)} = {_value(value)}" for key, value in grid.items())]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("_", "a").replace("-", "a").isalnum() else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
