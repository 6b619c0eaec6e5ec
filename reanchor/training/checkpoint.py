"""Checkpoints that make a killed run end with the very weights of an unbroken one."""

import functools
import hashlib
import json
from pathlib import Path

import torch

from reanchor.files import atomic_path


def fingerprint(*parts: object) -> str:
    """Sixteen hex digits of everything a run's result depends on: settings, parents' hashes, this code."""
    text = json.dumps([*parts, code_sha256()], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def code_sha256() -> str:
    """SHA-256 over the library's sources: a checkpoint of other code is not continued."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def inputs(*paths: Path) -> list[str]:
    """The hashes of a run's input files, for `fingerprint`."""
    return [file_sha256(path) for path in paths]


def save(path: Path, state: dict) -> None:
    """Write `state` so that a kill at any moment leaves the old file or the new one."""
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def load(path: Path) -> dict | None:
    """Read a checkpoint; None when there is none."""
    return torch.load(path, weights_only=True, map_location="cpu") if path.is_file() else None
