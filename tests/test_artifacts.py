"""Weights on disk: whole or not at all, and a file that is not what was saved is named."""

import resource

import numpy as np
import pytest

from scaling.artifacts import CorruptWeights, MissingWeights, load_weights, save_weights
from scaling.files import DiskFull
from scaling.flops import Shape

SHAPE = Shape(width=16)
MATRICES = {
    "embedding": np.arange(512, dtype=np.float32).reshape(32, 16),
    "head": np.ones((16, 32), np.float32),
}


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "runs" / "kept"
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text('[defaults]\nbudgets = ["4Ki"]\n[[grid]]\nwidth = 16\n')
    return folder


@pytest.fixture
def file(study, tmp_path):
    return save_weights(tmp_path / ".store" / "kept", "a1", MATRICES, SHAPE)


def test_weights_recover_every_matrix_and_their_shape(study, file):
    for where in (study, study / "study.toml"):
        weights = load_weights(where, "a1")
        assert (weights.run_id, weights.shape) == ("a1", SHAPE)
        assert weights.matrices.keys() == MATRICES.keys()
        for name, matrix in MATRICES.items():
            assert weights.matrices[name].dtype == np.float32
            assert np.array_equal(weights.matrices[name], matrix)


def test_load_names_weights_that_were_not_kept(study, file):
    with pytest.raises(MissingWeights, match=r'run b2, but .*b2\.safetensors is not there.*keep = "weights"'):
        load_weights(study, "b2")


def test_load_names_weights_that_are_cut_short_or_of_another_run(study, file):
    whole = file.read_bytes()
    file.with_name("b2.safetensors").write_bytes(whole)
    with pytest.raises(CorruptWeights, match="of the run a1"):
        load_weights(study, "b2")
    file.write_bytes(whole[:-10])
    with pytest.raises(CorruptWeights, match="cannot be used"):
        load_weights(study, "a1")


def test_no_bit_that_turns_over_changes_what_loads(study, file):
    whole, generator = file.read_bytes(), np.random.default_rng(0)
    for place in generator.integers(len(whole), size=200):
        harmed = bytearray(whole)
        harmed[place] ^= 1 << generator.integers(8)
        file.write_bytes(harmed)
        with pytest.raises(CorruptWeights):
            load_weights(study, "a1")


def test_a_full_disk_leaves_the_old_weights_whole(study, file):
    whole, limits = file.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(DiskFull, match="weights had to be written to"):
            save_weights(file.parents[1], "a1", MATRICES, SHAPE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert file.read_bytes() == whole
