"""State of a stack on disk: safetensors with a checksum, written aside and renamed. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from scaling.errors import TrainError
from scaling.files import written_whole
from scaling.leases import is_alive


class CorruptCheckpoint(TrainError):
    """A checkpoint that is cut short or changed."""

    path: str | Path
    reason: str

    def __str__(self) -> str:
        return (
            f"the checkpoint {self.path} cannot be used: {self.reason}. "
            "Delete it to train that stack from its start."
        )


KEPT = 2
"""Checkpoints kept of each stack: the newest, and one before it in case the newest is damaged."""


def save(folder: Path, step: int, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write `step-<step>.safetensors` and remove all but the newest `KEPT`.

    Raises:
        DiskFull: there was no room; the older checkpoints are still there.
    """
    path = folder / f"step-{step:09d}.safetensors"
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    said = json.dumps(facts | {"step": step})
    about = {"facts": said, "sha256": _checksum(tensors, said)}
    for left in folder.glob(".step-*"):
        if not is_alive(int(left.suffix[1:])):  # it was killed while it wrote
            left.unlink(missing_ok=True)
    with written_whole(path, "a checkpoint") as scratch:
        save_file(tensors, scratch, metadata=about)
    for old in _newest_first(folder)[KEPT:]:
        old.unlink(missing_ok=True)


def load_newest(
    folder: Path, last: float = math.inf
) -> tuple[dict[str, Tensor], dict[str, Any], list[str]] | None:
    """The newest checkpoint that is whole.

    Args:
        folder: where they lie.
        last: the step that it may not be beyond; those that are beyond it are removed.

    Returns:
        Tensors, facts, and a line for each damaged file that was passed over; None where there is no checkpoint.

    Raises:
        CorruptCheckpoint: there are checkpoints, but none of them is whole.
    """
    damaged = []
    for path in _newest_first(folder):
        if int(path.stem.removeprefix("step-")) > last:
            path.unlink(missing_ok=True)
            continue
        try:
            return *_load(path), damaged
        except CorruptCheckpoint as problem:
            damaged.append(str(problem))
    if damaged:
        raise CorruptCheckpoint(folder, "; ".join(damaged))
    return None


def _load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dictionary
    except (SafetensorError, OSError) as problem:
        raise CorruptCheckpoint(path, str(problem)) from None
    said = about.get("facts", "")
    if _checksum(tensors, said) != about.get("sha256"):
        raise CorruptCheckpoint(path, "its checksum does not match its tensors and facts")
    return tensors, json.loads(said)


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"), reverse=True)


def _checksum(tensors: dict[str, Tensor], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {[*tensor.shape]}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)  # of types, too, that numpy lacks
    return digest.hexdigest()
