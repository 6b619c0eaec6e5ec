"""Files are whole or absent; a full disk is one line."""

import errno
import os
import subprocess
import sys
import textwrap

import pytest
from places import ROOT

from reanchor.errors import ReanchorError
from reanchor.files import atomic_directory, atomic_path, remove_leftovers, write_json

NOBODY = 4194305  # beyond Linux's largest process number


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


def test_a_wrapped_error_is_known_by_what_it_wraps(tmp_path):
    with pytest.raises(ReanchorError, match="no space left"), atomic_path(tmp_path / "weights"):
        try:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        except OSError:
            raise RuntimeError("a writer's own words")  # noqa: B904 as torch does
    with pytest.raises(RuntimeError, match="a defect"), atomic_path(tmp_path / "weights"):
        raise RuntimeError("a defect")


@pytest.mark.parametrize("error", [OSError(errno.EFBIG, "File too large"),
                                   Exception("Error while serializing: I/O error: File too large (os error 27)")])
def test_a_limit_on_file_sizes_is_told_apart_from_a_full_disk(tmp_path, error):
    with pytest.raises(ReanchorError, match=r"weights: the limit on a file's size was reached.*ulimit -f"), \
            atomic_directory(tmp_path), atomic_path(tmp_path / "weights"):
        raise error


def _watch(monkeypatch) -> list[tuple[str, str]]:
    """Syncs and renames as they happen, by the names that the files bear then."""
    seen, sync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (seen.append(("sync", os.readlink(f"/proc/self/fd/{handle}"))),
                                                     sync(handle)))
    monkeypatch.setattr(os, "replace", lambda old, new: (seen.append(("rename", str(new))), replace(old, new)))
    return seen


def test_bytes_reach_the_disk_before_their_name_and_the_folder_after(tmp_path, monkeypatch):
    seen = _watch(monkeypatch)
    write_json(tmp_path / "a.json", 1)
    assert seen == [("sync", f"{tmp_path}/.a.json.{os.getpid()}.partial"), ("rename", f"{tmp_path}/a.json"),
                    ("sync", str(tmp_path))]
    seen.clear()
    with atomic_directory(tmp_path / "out") as folder:
        (folder / "deep").mkdir()
        (folder / "deep/one.txt").write_text("1")
        (folder / "two.txt").write_text("2")
    inside = f"{tmp_path}/.out.{os.getpid()}.partial"
    assert {name for what, name in seen[:4] if what == "sync"} == {
        inside, f"{inside}/two.txt", f"{inside}/deep", f"{inside}/deep/one.txt"}
    assert seen[4:] == [("rename", f"{tmp_path}/out"), ("sync", str(tmp_path))]


def test_a_folder_of_many_files_reaches_the_disk_at_once(tmp_path, monkeypatch):
    seen = _watch(monkeypatch)
    monkeypatch.setattr(os, "sync", lambda: seen.append(("sync", "everything")))
    with atomic_directory(tmp_path / "out") as folder:
        for number in range(150):
            (folder / str(number)).touch()
    assert seen == [("sync", "everything"), ("rename", f"{tmp_path}/out"), ("sync", str(tmp_path))]


def test_a_file_system_without_sync_is_no_failure(tmp_path, monkeypatch):
    def refuse(handle):
        raise OSError(number, "no")

    monkeypatch.setattr(os, "fsync", refuse)
    number = errno.EINVAL
    write_json(tmp_path / "a.json", 1)
    assert (tmp_path / "a.json").read_text() == "1\n"
    number = errno.ENOSPC  # a network drive tells of its full disk only now
    with pytest.raises(ReanchorError, match="no space left"):
        write_json(tmp_path / "a.json", 2)
    assert (tmp_path / "a.json").read_text() == "1\n" and len(list(tmp_path.iterdir())) == 1


def test_what_dead_processes_left_is_removed_and_nothing_else(tmp_path):
    for name in (f".a.{NOBODY}.partial", f".a.b.{NOBODY}.partial", ".a.1.partial", f".a.{os.getppid()}.partial",
                 ".a.partial", ".a.x.partial", f"a.{NOBODY}.partial"):
        (tmp_path / name).write_text("half")
    (tmp_path / f".folder.{NOBODY}.partial/deep").mkdir(parents=True)
    write_json(tmp_path / "a", 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([
        "a", f".a.b.{NOBODY}.partial", ".a.1.partial", f".a.{os.getppid()}.partial", ".a.partial", ".a.x.partial",
        f"a.{NOBODY}.partial", f".folder.{NOBODY}.partial"])
    with atomic_directory(tmp_path / "folder"):
        pass
    assert not (tmp_path / f".folder.{NOBODY}.partial").exists()
    remove_leftovers(tmp_path, "a.*")
    assert not (tmp_path / f".a.b.{NOBODY}.partial").exists() and (tmp_path / ".a.1.partial").exists()
    (tmp_path / f".[x].{NOBODY}.partial").write_text("half")
    write_json(tmp_path / "x", 1)  # a name is no pattern, nor the other way round
    assert (tmp_path / f".[x].{NOBODY}.partial").exists()
    write_json(tmp_path / "[x]", 1)
    assert not (tmp_path / f".[x].{NOBODY}.partial").exists()


def killed(tmp_path, call: int, body: str) -> None:
    """Run `body` in a process that dies within its `call`-th rename, without any clean-up."""
    script = f"""
        import os
        from pathlib import Path
        from reanchor.files import atomic_directory, atomic_path
        calls = []
        def die(real):
            def rename(old, new):
                calls.append(new)
                if len(calls) == {call}:
                    os._exit(9)
                real(old, new)
            return rename
        os.replace, os.rename = die(os.replace), die(os.rename)
        {body}
    """
    status = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, check=False,
                            env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode
    assert status == 9


def test_a_kill_between_the_renames_leaves_an_earlier_generation(tmp_path):
    target, previous = tmp_path / "a", tmp_path / "a.previous"
    for text in ("1", "2", "3"):
        with atomic_path(target, previous) as temporary:
            temporary.write_text(text)
    assert (target.read_text(), previous.read_text()) == ("3", "2")
    write = "with atomic_path(Path('a'), Path('a.previous')) as made: made.write_text('4')"
    killed(tmp_path, 1, write)
    assert (target.read_text(), previous.read_text()) == ("3", "2")
    killed(tmp_path, 2, write)
    assert previous.read_text() == "3" and not target.exists()
    with atomic_path(target, previous) as temporary:
        temporary.write_text("4")
    assert (target.read_text(), previous.read_text()) == ("4", "3") and len(list(tmp_path.iterdir())) == 2


def test_a_kill_between_the_renames_of_a_folder_loses_neither(tmp_path):
    write_json(tmp_path / "out/old.json", 1)
    killed(tmp_path, 2, "with atomic_directory(Path('out')) as made: (made / 'new').touch()")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ZeroDivisionError), atomic_directory(tmp_path / "out"):
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["old.json"] and len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_renamed_is_replaced_all_the_same(tmp_path, monkeypatch):
    def other_layer(old, new):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    write_json(tmp_path / "out/old.json", 1)
    monkeypatch.setattr(os, "rename", other_layer)
    with atomic_directory(tmp_path / "out") as folder:
        (folder / "new.txt").touch()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new.txt"]


def test_a_link_to_a_folder_is_replaced_and_its_content_left_alone(tmp_path):
    write_json(tmp_path / "elsewhere/old.json", 1)
    (tmp_path / "out").symlink_to("elsewhere")
    with atomic_directory(tmp_path / "out") as folder:
        (folder / "new.txt").touch()
    assert not (tmp_path / "out").is_symlink() and (tmp_path / "out/new.txt").exists()
    assert (tmp_path / "elsewhere/old.json").exists() and len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_a_namesake_had_put_aside_comes_back(tmp_path):
    """In a container that is started again, the process that was killed and the next one have one number."""
    write_json(tmp_path / f".out.{os.getpid()}.old/kept.json", 1)
    with pytest.raises(ZeroDivisionError), atomic_directory(tmp_path / "out"):
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["kept.json"]
