"""Checkpoints that make a killed run end with the very weights of an unbroken one.

A file is what torch writes, followed by the SHA-256 of those bytes. Two generations are kept: NAME and NAME.previous.
"""

import errno
import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import torch
from tqdm import tqdm

from reanchor.errors import ReanchorError
from reanchor.files import atomic_path
from reanchor.imports import shaping
from reanchor.training.ranks import rank

DIGEST_BYTES = hashlib.sha256().digest_size


def fingerprint(module: str, *parts: object) -> str:
    """Sixteen hex digits of everything a run's result depends on.

    Args:
        module: the one that trains: the code is what it imports.
        parts: settings, hashes of inputs.
    """
    text = json.dumps([*parts, code_sha256(module)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def code_sha256(module: str) -> str:
    """SHA-256 over the sources that can shape what a module trains: a checkpoint of other code is not continued."""
    root, digest = Path(__file__).resolve().parents[2], hashlib.sha256()
    for file in shaping(root, module):
        digest.update(file.encode() + (root / file).read_bytes())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def inputs(*paths: Path) -> list[str]:
    """The hashes of a run's input files, for `fingerprint`."""
    return [file_sha256(path) for path in paths]


def save(path: Path, mark: str, state: dict) -> None:
    """Write `state`; the file of before is kept as the earlier generation. A kill at any moment leaves one whole.

    Raises:
        ReanchorError: when the disk is full; the generations stay as they are.
    """
    with atomic_path(path, earlier(path)) as temporary, open(temporary, "wb") as stream:
        hashing = _Hashing(stream)
        torch.save({"mark": mark, "state": state}, hashing)
        stream.write(hashing.sha256.digest())


def load(path: Path, mark: str, fits: Callable[[dict], bool] = lambda state: True) -> dict | None:
    """The newest whole state that was saved under `mark` and that `fits`; None where there is none.

    A generation that is damaged or does not fit is named on stderr and set aside as NAME.damaged.

    Raises:
        ReanchorError: one is there, and the system does not let it be read.
    """
    faults, found = [], None
    for file in (path, earlier(path)):
        try:
            saved = _read(file)
            if saved["mark"] == mark and not fits(saved["state"]):
                raise _Damaged("holds something else than this training")
        except FileNotFoundError:
            continue
        except _Damaged as damaged:
            faults.append(f"{file}: {damaged}; set aside as {_set_aside(file).name}")
            continue
        if saved["mark"] == mark:
            found = saved["state"]
            break
    instead = "this training starts from its beginning" if found is None else "the checkpoint before it is used"
    for fault in faults if not rank() else ():
        tqdm.write(f"{fault}, {instead}", file=sys.stderr)
    return found


def earlier(path: Path) -> Path:
    """Where the generation before the newest is kept."""
    return path.with_name(f"{path.name}.previous")


class _Damaged(Exception):
    """A file that is not as it was written; the message says how."""


class _Hashing:
    """A stream for torch to write to, which hashes what passes."""

    def __init__(self, stream: BinaryIO):
        self.stream, self.sha256 = stream, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self.stream.write(data)

    def flush(self) -> None:
        self.stream.flush()


def _read(file: Path) -> dict:
    """{"mark", "state"} of one generation.

    Raises:
        FileNotFoundError: there is none.
        ReanchorError: the system does not let it be read, which tells nothing of what it holds.
        _Damaged: it cannot be read, or its bytes are not those that were written.
    """
    try:
        with open(file, "rb") as stream:
            _verify(stream, os.fstat(stream.fileno()).st_size)
            stream.seek(0)
            saved = torch.load(stream, weights_only=True, map_location="cpu")  # passes over the digest
    except (FileNotFoundError, MemoryError, _Damaged):
        raise
    except OSError as error:
        if error.errno != errno.EIO:  # a bad sector; all else may pass, and the file be whole
            raise ReanchorError(f"{file}: cannot be read now ({error.strerror}), so a training cannot go on from it; "
                                "mend that and run again, or remove the file to start from the beginning") from error
        raise _Damaged(f"cannot be read ({error.strerror})") from error
    except Exception as error:  # torch has many for what it does not understand
        if "not enough memory" in str(error):
            raise
        raise _Damaged(f"cannot be read ({(str(error).splitlines() or [type(error).__name__])[0]})") from error
    if not isinstance(saved, dict) or saved.keys() != {"mark", "state"}:
        raise _Damaged("holds no checkpoint")
    return saved


def _verify(stream: BinaryIO, size: int) -> None:
    if size <= DIGEST_BYTES:
        raise _Damaged(f"has {size} bytes, which is no checkpoint")
    sha256, left = hashlib.sha256(), size - DIGEST_BYTES
    while left > 0:
        part = stream.read(min(left, 1 << 20))
        sha256.update(part)
        left -= len(part) or left  # cut while it is read: the digest will tell
    if stream.read() != sha256.digest():
        raise _Damaged("its checksum is wrong: damaged or cut short")


def _set_aside(file: Path) -> Path:
    """Several ranks read the same file; the first one moves it."""
    aside = file.with_name(f"{file.name}.damaged")
    if not rank():
        os.replace(file, aside)
    return aside
