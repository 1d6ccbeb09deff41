"""A checkpoint on a full disk, and what a killed process leaves beside it."""

import os
import resource
from contextlib import contextmanager

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from scaling.files import DiskFull, NotWritten
from scaling.train import checkpoint
from scaling.train.checkpoint import CorruptCheckpoint

TENSORS = {"weights": torch.arange(10_000.0)}


@contextmanager
def no_file_beyond(size):
    """The system refuses to let a file grow beyond so many bytes, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_checkpoint_names_a_full_disk_and_leaves_the_older_one(tmp_path):
    checkpoint.save(tmp_path, 1, TENSORS, {"trunks": ["a"]})
    before = [p.name for p in tmp_path.iterdir()]
    with (
        no_file_beyond(20_000),
        pytest.raises(DiskFull, match=r"a checkpoint had to be written to .* no room"),
    ):
        checkpoint.save(tmp_path, 2, {"weights": TENSORS["weights"] + 1}, {"trunks": ["a"]})
    assert [p.name for p in tmp_path.iterdir()] == before
    tensors, facts, damaged = checkpoint.load_newest(tmp_path)
    assert torch.equal(tensors["weights"], TENSORS["weights"])
    assert facts == {"trunks": ["a"], "step": 1}
    assert damaged == []
    checkpoint.save(tmp_path, 2, TENSORS, {"trunks": ["a"]})
    assert checkpoint.load_newest(tmp_path)[1]["step"] == 2


def test_checkpoint_names_a_folder_that_cannot_be(tmp_path):
    with pytest.raises(NotWritten, match=r"a checkpoint had to be written to .* \(.*Not a directory"):
        (tmp_path / "file").write_text("in the way")
        checkpoint.save(tmp_path / "file" / "folder", 1, TENSORS, {})


def test_checkpoint_clears_away_what_a_killed_process_left_and_leaves_what_another_writes(tmp_path):
    (tmp_path / f".step-1.{2**22 + 1}").write_text("half of it")  # no such process
    (tmp_path / f".step-1.{os.getppid()}").write_text("half of it so far")
    checkpoint.save(tmp_path, 2, TENSORS, {})
    left = {f".step-1.{os.getppid()}", "step-000000002.safetensors"}
    assert {p.name for p in tmp_path.iterdir()} == left


@pytest.mark.parametrize(
    "changed",
    [
        {"facts": '{"step": 3, "trunks": ["a"]}'},
        {"tensors": {"weights": TENSORS["weights"].view(100, 100)}},
        {"tensors": {"weights": TENSORS["weights"].view(torch.int32)}},
        {"tensors": {"weight": TENSORS["weights"]}},
    ],
    ids=["step", "shape", "type", "name"],
)
def test_checkpoint_names_whatever_was_changed_in_it(tmp_path, changed):
    checkpoint.save(tmp_path, 2, TENSORS, {"trunks": ["a"]})
    (path,) = tmp_path.iterdir()
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    save_file(
        changed.get("tensors", TENSORS),
        path,
        metadata=about | {"facts": changed.get("facts", about["facts"])},
    )
    with pytest.raises(CorruptCheckpoint, match="checksum does not match its tensors and facts"):
        checkpoint.load_newest(tmp_path)


def test_checkpoint_recovers_every_type_and_shape(tmp_path):
    tensors = {"a": torch.tensor(1.5), "b": torch.ones(2, 3, dtype=torch.bfloat16), "c": torch.empty(0)}
    checkpoint.save(tmp_path, 1, tensors, {})
    loaded, _, _ = checkpoint.load_newest(tmp_path)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def test_checkpoints_beyond_a_step_are_passed_over_and_removed(tmp_path):
    for step in (1, 2):
        checkpoint.save(tmp_path, step, TENSORS, {})
    assert checkpoint.load_newest(tmp_path, last=1)[1]["step"] == 1
    assert checkpoint.load_newest(tmp_path)[1]["step"] == 1
    assert checkpoint.load_newest(tmp_path, last=0) is None
