"""Weights of finished runs by `run_id`, one safetensors file each, whole or not at all. No torch.

    .store/<study>/weights/<run_id>.safetensors    one tensor for each matrix, float32, [fan in, fan out]

A study keeps them with `keep = "weights"`, so that a later stage or a probe can start from them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaling.errors import MissingPackage, RecordError
from scaling.files import written_whole
from scaling.flops import Shape
from scaling.records import local_folder
from scaling.study import Study, read_study


class MissingWeights(RecordError):
    """Weights that were not kept, or not on this machine."""

    run_id: str
    path: str | Path

    def __str__(self) -> str:
        return (
            f"asked for the weights of run {self.run_id}, but {self.path} is not there. Weights stay on the machine "
            'that trained them, where the study file says keep = "weights"; train the run anew with it.'
        )


class CorruptWeights(RecordError):
    """A file of weights that is cut short, changed, or another run's."""

    path: str | Path
    reason: str

    def __str__(self) -> str:
        return (
            f"the weights {self.path} cannot be used: {self.reason}. Delete the file, and train the run anew."
        )


@dataclass(frozen=True)
class Weights:
    """The weights of one run."""

    run_id: str
    shape: Shape
    matrices: Mapping[str, NDArray[np.float32]]
    """Each by its name in `train.model.layout`: "embedding", "0.qkv", …, "head"."""


def save_weights(store: Path, run_id: str, matrices: Mapping[str, NDArray[np.float32]], shape: Shape) -> Path:
    """Write the weights of a run into a study's local folder, as `Store.local` and a job name it.

    Returns:
        The file.

    Raises:
        DiskFull, NotWritten: nothing is left of the attempt.
    """
    save, _ = _safetensors()
    path = _path(store, run_id)
    whole = {name: np.ascontiguousarray(matrix, np.float32) for name, matrix in matrices.items()}
    about = {"run_id": run_id, "shape": json.dumps(asdict(shape))}
    data = save(whole, about | {"sha256": _checksum(whole, about)})
    with written_whole(path, "weights") as scratch:
        scratch.write_bytes(data)
    return path


def load_weights(where: str | Path | Study, run_id: str) -> Weights:
    """The weights of a run of a study, as they were when its cooldown ended.

    Args:
        where: the study's folder or file.
        run_id: as in `open_runs`.

    Raises:
        MissingRuns: there is no such study.
        MissingWeights: the study did not keep them, or another machine trained the run.
        CorruptWeights: the file is cut short, changed, or of another run.
    """
    study = where if isinstance(where, Study) else read_study(where)
    return read_weights(local_folder(study.folder), run_id)


def has_weights(store: Path, run_id: str) -> bool:
    """Whether a study's local folder has the weights of a run."""
    return _path(store, run_id).exists()


def read_weights(store: Path, run_id: str) -> Weights:
    """`load_weights` from a study's local folder, as a worker knows it."""
    _, safe_open = _safetensors()
    path = _path(store, run_id)
    try:
        if Path(run_id).name != run_id or not path.exists():  # a name, and no way out of the folder
            raise MissingWeights(run_id, path)
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            matrices = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dictionary
    except MissingWeights:
        raise
    except Exception as problem:  # safetensors' own, the system's, and numpy's at a type that it lacks
        raise CorruptWeights(path, str(problem)) from None
    checksum = about.pop("sha256", "")
    if checksum != _checksum(matrices, about):
        raise CorruptWeights(path, "its checksum does not match its tensors")
    if about["run_id"] != run_id:
        raise CorruptWeights(path, f"it is of the run {about['run_id']}")
    return Weights(run_id, Shape(**json.loads(about["shape"])), matrices)


def _path(store: Path, run_id: str) -> Path:
    return store / "weights" / f"{run_id}.safetensors"


def _safetensors():
    try:
        from safetensors import safe_open
        from safetensors.numpy import save
    except ImportError:
        raise MissingPackage("safetensors", "train") from None
    return save, safe_open


def _checksum(matrices: Mapping[str, NDArray[np.float32]], about: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, matrix in sorted(matrices.items()):
        digest.update(f"\n{name} {matrix.dtype} {matrix.shape}\n".encode())
        digest.update(matrix.tobytes())
    return digest.hexdigest()
