"""State of a stack on disk: safetensors with a checksum, written aside and renamed. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from scaling.errors import CorruptCheckpoint
from scaling.records import naming_a_full_disk

KEPT = 2
"""Checkpoints kept of each stack: the newest, and one before it in case the newest is damaged."""


def save(folder: Path, step: int, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write `step-<step>.safetensors` and remove all but the newest `KEPT`.

    Raises:
        DiskFull: there was no room; the older checkpoints are still there.
    """
    path = folder / f"step-{step:09d}.safetensors"
    scratch = folder / f".step-{step}.{os.getpid()}"
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    about = {"facts": json.dumps(facts | {"step": step}), "sha256": _checksum(tensors)}
    with naming_a_full_disk("a checkpoint", path):
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".step-*"):  # of a process that was killed while it wrote
            left.unlink()
        try:
            _write(tensors, scratch, about)
            scratch.rename(path)
        finally:
            scratch.unlink(missing_ok=True)
    for old in _newest_first(folder)[KEPT:]:
        old.unlink(missing_ok=True)


def load_newest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any], list[str]] | None:
    """The newest checkpoint that is whole.

    Returns:
        Tensors, facts, and a line for each damaged file that was passed over; None where there is no checkpoint.

    Raises:
        CorruptCheckpoint: there are checkpoints, but none of them is whole.
    """
    damaged = []
    for path in _newest_first(folder):
        try:
            return *_load(path), damaged
        except CorruptCheckpoint as problem:
            damaged.append(str(problem))
    if damaged:
        raise CorruptCheckpoint(folder, "; ".join(damaged))
    return None


def _write(tensors: dict[str, Tensor], path: Path, about: dict[str, str]) -> None:
    try:
        save_file(tensors, path, metadata=about)
    except SafetensorError as problem:  # it gives the system's error as text alone
        code = re.search(r"os error (\d+)", str(problem))
        raise OSError(int(code[1]), str(problem), str(path)) if code else problem from None


def _load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dictionary
    except (SafetensorError, OSError) as problem:
        raise CorruptCheckpoint(path, str(problem)) from None
    if _checksum(tensors) != about.get("sha256"):
        raise CorruptCheckpoint(path, "its checksum does not match its tensors")
    return tensors, json.loads(about["facts"])


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"), reverse=True)


def _checksum(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()
