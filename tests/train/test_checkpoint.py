"""A checkpoint on a full disk, and what a killed process leaves beside it."""

import resource
from contextlib import contextmanager

import pytest
import torch

from scaling.errors import DiskFull
from scaling.train import checkpoint

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


def test_checkpoint_passes_on_what_is_no_full_disk(tmp_path):
    with pytest.raises(NotADirectoryError):
        (tmp_path / "file").write_text("in the way")
        checkpoint.save(tmp_path / "file" / "folder", 1, TENSORS, {})


def test_checkpoint_clears_away_what_a_killed_process_left(tmp_path):
    (tmp_path / ".step-1.99999").write_text("half of it")
    checkpoint.save(tmp_path, 2, TENSORS, {})
    assert [p.name for p in tmp_path.iterdir()] == ["step-000000002.safetensors"]
