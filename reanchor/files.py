"""Files that are either whole or absent: temporary name first, rename last."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reanchor.errors import ReanchorError


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it onto `target` only on success.

    Raises:
        ReanchorError: when the disk is full.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with _plain_disk_errors(target):
            yield temporary
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def resumable_path(target: Path) -> Iterator[Path]:
    """As `atomic_path`, but what an interruption leaves stays, under a name that the next call yields again.

    Raises:
        ReanchorError: when the disk is full; nothing stays then.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    try:
        with _plain_disk_errors(target):
            yield partial
            os.replace(partial, target)
    except ReanchorError:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `target`; on success it replaces `target`.

    Raises:
        ReanchorError: when the disk is full.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with _plain_disk_errors(target):
            temporary.mkdir()
            yield temporary
            shutil.rmtree(target, ignore_errors=True)
            os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, value: object) -> None:
    """Write sorted, indented JSON atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


@contextmanager
def _plain_disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # torch and safetensors wrap the system's error in their own
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left" in str(error) or "file write failed" in str(error):
            raise ReanchorError(
                f"{target}: no space left on the disk while writing it; "
                "free some space or point the workspace at a larger disk, then run again"
            ) from error
        raise
