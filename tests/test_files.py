"""Files are written whole or not at all, whoever writes them."""

import errno
import os
from pathlib import Path

import pytest

from scaling.files import DiskFull, NotWritten, cache_folder, written_whole


def test_a_file_is_old_or_new_and_never_half(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with written_whole(path, "a word") as scratch:
        scratch.write_text("old")
        assert not path.exists()
    with written_whole(path, "a word") as scratch:
        scratch.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    with pytest.raises(ZeroDivisionError), written_whole(path, "a word") as scratch:
        scratch.write_text("half")
        _ = 1 / 0
    assert path.read_text() == "new"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_a_folder_is_whole_and_the_faster_of_two_stays(tmp_path):
    folder = tmp_path / "made"
    with written_whole(folder, "a folder") as slow:
        slow.mkdir()
        (slow / "a").write_text("slow")
        with written_whole(folder, "a folder") as fast:
            fast.mkdir()
            (fast / "a").write_text("fast")
    assert (folder / "a").read_text() == "fast"
    assert [p.name for p in tmp_path.iterdir()] == ["made"]


def test_writing_names_a_disk_that_refuses_at_the_last_moment(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    words = r"a word had to be written to .*a\.txt, but there was no room"
    with pytest.raises(DiskFull, match=words), written_whole(tmp_path / "a.txt", "a word") as scratch:
        scratch.write_text("new")
    assert list(tmp_path.iterdir()) == []


def test_writing_names_a_full_disk_that_a_library_has_put_into_words(tmp_path):
    with pytest.raises(DiskFull, match="file too large"), written_whole(tmp_path / "a.txt", "a word"):
        raise ValueError("IoError: File too large (os error 27)")
    with pytest.raises(ValueError, match="os error 2"), written_whole(tmp_path / "a.txt", "a word"):
        raise ValueError("no such thing (os error 2)")


def test_writing_names_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    words = r"a word had to be written to .*Name another place"
    with pytest.raises(NotWritten, match=words), written_whole(tmp_path / "file" / "a.txt", "a word"):
        pass
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(NotWritten, match="a word"), written_whole(tmp_path / "folder", "a word") as scratch:
        scratch.write_text("new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_the_cache_is_the_named_folder_else_the_users_own(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_CACHE", str(tmp_path))
    assert cache_folder("corpora", "a") == tmp_path / "corpora" / "a"
    monkeypatch.delenv("SCALING_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder("corpora") in (
        Path("/somewhere/scaling/corpora"),
        Path.home() / "Library/Caches/scaling/corpora",
    )
