"""Files that are either whole or absent: temporary name first, bytes on the disk, rename last."""

import errno
import fnmatch
import glob
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reanchor.errors import ReanchorError

FEW = 100  # files that are brought to the disk one by one; a data set's thousands would take a hard disk minutes
# .TARGET.PROCESS.partial is being written; .TARGET.PROCESS.old is a folder that makes way for the new one
_LEFTOVER = re.compile(r"\.(?P<target>.+)\.(?P<process>\d{1,7})\.(?P<kind>partial|old)")


@contextmanager
def atomic_path(target: Path, previous: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it onto `target` only on success.

    What killed processes left of earlier tries is removed.

    Args:
        previous: where the file that `target` names so far is kept; a kill leaves one of the two at least.

    Raises:
        ReanchorError: when the disk is full.
    """
    target = Path(target)
    temporary = _beside(target, "partial")
    try:
        with plain_disk_errors(target):
            _make_room(target)
            temporary.unlink(missing_ok=True)
            yield temporary
            _sync(temporary)
            if previous is not None and target.exists():
                os.replace(target, previous)
            os.replace(temporary, target)
            _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `target`; on success it replaces `target`.

    A kill between the two renames leaves the old folder aside; the next call puts it back.

    Raises:
        ReanchorError: when the disk is full.
    """
    target = Path(target)
    temporary, aside = _beside(target, "partial"), _beside(target, "old")
    try:
        with plain_disk_errors(target):
            _make_room(target)
            _remove(temporary)
            temporary.mkdir()
            yield temporary
            _sync_tree(temporary)
            _put_aside(target, aside)
            os.replace(temporary, target)
            _sync(target.parent)
            _remove(aside)
    finally:
        _remove(temporary)


def write_json(path: Path, value: object) -> None:
    """Write sorted, indented JSON atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Remove what processes that are no more left beside targets in `folder` whose names match the glob `pattern`.

    A folder that had made way comes back where its target is missing.
    """
    for path in sorted(folder.iterdir()):
        match = _LEFTOVER.fullmatch(path.name)
        if not match or not fnmatch.fnmatchcase(match["target"], pattern):
            continue
        process = int(match["process"])
        own_of_before = match["kind"] == "old" and process == os.getpid()  # containers number anew: a namesake's
        if _alive(process) and not own_of_before:
            continue
        target = folder / match["target"]
        if match["kind"] == "old" and not os.path.lexists(target):
            os.replace(path, target)
        else:
            _remove(path)


@contextmanager
def plain_disk_errors(target: Path) -> Iterator[None]:
    """Turn a full disk, whoever reports it, into one line about `target`.

    Raises:
        ReanchorError: no space, no quota, or the file is larger than the process may write.
    """
    try:
        yield
    except ReanchorError:
        raise
    except Exception as error:
        if remedy := _remedy(error):
            raise ReanchorError(f"{target}: {remedy}, then run again") from error
        raise


def _remedy(error: BaseException) -> str | None:
    """Torch and safetensors wrap the system's error in their own, with or without its number."""
    numbers: set[int | None] = set()
    texts = ""
    link: BaseException | None = error
    while link is not None:
        numbers.add(link.errno if isinstance(link, OSError) else None)
        texts, link = f"{texts} {link}", link.__cause__ or link.__context__
    if errno.EFBIG in numbers or "File too large" in texts:
        return "the limit on a file's size was reached while writing it; raise it (ulimit -f)"
    full = ("No space left", "quota exceeded", "file write failed", "unexpected pos")  # the last two are torch's
    if numbers & {errno.ENOSPC, errno.EDQUOT} or any(text in texts for text in full):
        return ("no space left on the disk while writing it; free some space or point the workspace at a larger "
                "disk")
    return None


def _beside(target: Path, kind: str) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.{kind}")


def _make_room(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target.parent, glob.escape(target.name))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _put_aside(target: Path, aside: Path) -> None:
    _remove(aside)
    try:
        os.rename(target, aside)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _remove(target)  # folders of a container's image cannot be renamed


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync_tree(folder: Path) -> None:
    paths = [Path(place, name) for place, _, names in os.walk(folder) for name in ["", *names]]
    if len(paths) > FEW:
        os.sync()
        return
    for path in paths:
        if not path.is_symlink():
            _sync(path)


def _sync(path: Path) -> None:
    """Have a file's bytes or a folder's names on the disk: a rename may reach it earlier than they do."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that knows no such thing
            raise
    finally:
        os.close(handle)
