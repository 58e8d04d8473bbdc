"""Files and folders are replaced whole or not at all."""

from __future__ import annotations

import hashlib

import pytest

from readavatar.files import replacing_file, replacing_folder, sha256_of_file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_only_once_it_is_whole(tmp_path):
    target = tmp_path / "new" / "clip.mp4"
    with replacing_file(target) as temporary:
        assert temporary.suffix == ".mp4" and temporary.parent == target.parent
        temporary.write_text("content")
        assert not target.exists()
    assert target.read_text() == "content" and names(target.parent) == ["clip.mp4"]


def test_a_failed_writer_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "clip.mp4"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old" and names(tmp_path) == ["clip.mp4"]


def test_a_folder_replaces_the_old_one_whole(tmp_path):
    target = tmp_path / "store"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with replacing_folder(target) as temporary:
        (temporary / "new.txt").write_text("new")
        assert names(target) == ["old.txt"]
    assert names(target) == ["new.txt"] and names(tmp_path) == ["store"]


def test_a_failed_folder_leaves_the_old_one_and_no_other(tmp_path):
    target = tmp_path / "store"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing_folder(target) as temporary:
        (temporary / "new.txt").write_text("half")
        raise KeyboardInterrupt
    assert names(target) == ["old.txt"] and names(tmp_path) == ["store"]


def test_writers_of_one_file_do_not_meet(tmp_path):
    target = tmp_path / "both.txt"
    with replacing_file(target) as first, replacing_file(target) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert target.read_text() == "first" and names(tmp_path) == ["both.txt"]


def test_sha256_is_of_the_bytes(tmp_path):
    (tmp_path / "bytes").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "bytes") == hashlib.sha256(b"abc").hexdigest()
