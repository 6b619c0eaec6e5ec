"""Files are whole or absent; a full disk is one line."""

import errno

import pytest

from reanchor.errors import ReanchorError
from reanchor.files import atomic_directory, atomic_path, resumable_path, write_json


def test_a_failed_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_replaces_the_old_one_whole(tmp_path):
    write_json(tmp_path / "out/old.json", 1)
    with atomic_directory(tmp_path / "out") as folder:
        (folder / "new.txt").write_text("new")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["new.txt"]
    with pytest.raises(ZeroDivisionError), atomic_directory(tmp_path / "out") as folder:
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["out"] and (tmp_path / "out/new.txt").exists()


@pytest.mark.parametrize("error", [
    OSError(errno.ENOSPC, "No space left on device"),
    RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
    Exception("Error while serializing: I/O error: No space left on device (os error 28)"),
])
def test_a_full_disk_is_one_line_whoever_reports_it(tmp_path, error):
    with pytest.raises(ReanchorError, match=r"weights: no space left on the disk.*free some space"), \
            atomic_path(tmp_path / "weights") as temporary:
        temporary.write_text("half")
        raise error
    assert not list(tmp_path.iterdir())


def test_an_interrupted_file_is_continued_and_a_full_disk_leaves_none(tmp_path):
    target = tmp_path / "cache.npy"
    with pytest.raises(KeyboardInterrupt), resumable_path(target) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert not target.exists()
    with resumable_path(target) as partial:
        assert partial.read_text() == "half"
        partial.write_text("whole")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["whole"]
    target.unlink()
    with pytest.raises(ReanchorError, match="no space left"), resumable_path(target) as partial:
        partial.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())
