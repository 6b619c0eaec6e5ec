"""A small file system in memory, to be filled."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults.case import NotTried


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[None]:
    """Within this context the folder `place` is a disk of `size` bytes, empty at first.

    Raises:
        NotTried: this process may not mount.
    """
    if not mounted(place, "mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs"):
        raise NotTried("mounting is not allowed here, so no full disk was tried")
    with unmounted_after(place):
        yield


def resize(place: Path, size: int) -> None:
    """Give the disk at `place` another size."""
    subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True, capture_output=True)


def mounted(place: Path, *command: str) -> bool:
    """Whether a mount command, without its last word `place`, was allowed."""
    return subprocess.run([*command, place], capture_output=True, check=False).returncode == 0


@contextmanager
def unmounted_after(place: Path) -> Iterator[None]:
    """Unmount `place` when this context is left, though a process may still be at work there."""
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
