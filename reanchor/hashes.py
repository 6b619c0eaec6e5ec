"""SHA-256 of files and of a model's weights."""

import hashlib
from pathlib import Path


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def weights_sha256(folder: Path) -> str:
    """SHA-256 of a model folder's safetensors: the file's own, or one over all files' names and hashes.

    Raises:
        FileNotFoundError: no such file in `folder`.
    """
    files = sorted(Path(folder).rglob("*.safetensors"))
    if not files:
        raise FileNotFoundError(2, "no weights", str(Path(folder) / "*.safetensors"))
    hashes = [file_sha256(file) for file in files]
    if len(files) == 1:
        return hashes[0]
    lines = [f"{digest}  {file.relative_to(folder).as_posix()}\n" for file, digest in zip(files, hashes, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
