"""What MLflow could not take, kept as JSON lines: one file per run, its head first."""

import errno
import fcntl
import io
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from stages.tracking.address import home
from stages.tracking.records import UNFINISHED, Record, is_record, now

FOLDERS = ("mlruns/pending", ".checkpoints/pending")  # the second where the first cannot be written
ATTEMPTS = 5  # to make a file that others remove


class Pending:
    """The file of one run, made when something has to be kept; this process holds it until `close`."""

    def __init__(self, root: Path, name: str, head: Record | None = None):
        """`head` begins a new file called after `name`."""
        stem = f"{now()}-{name}-{uuid.uuid4().hex[:8]}.jsonl"
        self.head = head
        self._root, self._places = root, [home(root) / folder / stem for folder in FOLDERS]
        self._file: Path | None = None
        self._handle: io.FileIO | None = None

    def resume(self) -> None:
        """Hold the newest file of an interrupted training with the head's key, and go on in it with its own head."""
        with suppress(OSError):
            for file in reversed(pending_files(self._root)):
                if key_of(file) == self.head["key"] and self._go_on(file):
                    return

    def keep(self, record: Record) -> Path:
        """Append a record, in the next place where the present one cannot be written; return the file.

        Raises:
            OSError: it can be kept nowhere.
        """
        problem: OSError | None = None
        for place in dict.fromkeys([*filter(None, [self._file]), *self._places]):
            try:
                self._write(place, record)
                return place
            except OSError as error:
                problem = error
        assert problem is not None  # there is one place at least
        raise problem

    def close(self) -> None:
        """Let go of the file: from now on it may be sent."""
        if self._handle is not None:
            self._handle.close()
        self._file = self._handle = None

    def _go_on(self, file: Path) -> bool:
        with suppress(OSError, ValueError), ExitStack() as opened:
            handle = opened.enter_context(file.open("r+b", buffering=0))
            _lock(handle)
            records = read(file)
            ends = [record["status"] for record in records if record["kind"] == "end"]
            if not ends or ends[-1] in UNFINISHED:
                handle.truncate(len(_whole(file)))  # a kill may have cut a line off
                self.head, self._file, self._handle = records[0], file, handle
                opened.pop_all()
                return True
        return False

    def _write(self, place: Path, record: Record) -> None:
        lines = _line(record)
        if place == self._file:
            _append(self._handle, lines, place)
            return
        handle = _opened(place)
        if self._file or not _whole(place):  # the first, or a further one: with all that was kept so far
            lines = (_whole(self._file) if self._file else _line(self.head) if self.head else b"") + lines
        _append(handle, lines, place)
        self._take(place, handle)

    def _take(self, place: Path, handle: io.FileIO) -> None:
        earlier = self._file
        self.close()
        self._file, self._handle = place, handle
        if earlier is not None:
            with suppress(OSError):
                earlier.unlink()


def pending_files(root: Path) -> list[Path]:
    """All kept files, in the order in which they were begun."""
    files = [file for folder in FOLDERS for file in (home(root) / folder).glob("*.jsonl")]
    return sorted(files, key=lambda file: file.name)


def key_of(file: Path) -> str | None:
    """The key of the training that a file belongs to; None where it is none's, or cannot be read."""
    with suppress(ValueError):
        return next((record.get("key") for record in read(file)), None)
    return None


def read(file: Path) -> list[Record]:
    """The records of a file; a kill may have cut the last one off.

    Raises:
        ValueError: the file holds something else.
    """
    records = [json.loads(line) for line in _whole(file).splitlines()]
    if not all(is_record(record) for record in records):
        raise ValueError("not a file of kept records")
    return records


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Keep other processes from writing or sending a file.

    Raises:
        BlockingIOError: another process does.
        FileNotFoundError: another process has sent it.
    """
    with file.open("rb") as handle:
        _lock(handle)
        yield


def _opened(place: Path) -> io.FileIO:
    """A held file to append to. Whoever sends files may take an empty one and remove it before it is held."""
    place.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(ATTEMPTS):
        handle = place.open("ab", buffering=0)
        try:
            _lock(handle, wait=True)
            return handle
        except FileNotFoundError:
            handle.close()
    raise OSError(errno.EAGAIN, "removed again and again", str(place))


def _lock(handle: Any, wait: bool = False) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        pass
    if not os.fstat(handle.fileno()).st_nlink:
        raise FileNotFoundError(errno.ENOENT, "removed meanwhile", str(handle.name))


def _append(handle: io.FileIO, lines: bytes, file: Path) -> None:
    """All of it or nothing: a full disk takes a part."""
    size = handle.seek(0, io.SEEK_END)
    try:
        while lines:
            lines = lines[handle.write(lines):]
    except OSError:
        handle.truncate(size)
        if not size:
            file.unlink()
        raise


def _line(record: Record) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _whole(file: Path) -> bytes:
    """What the file holds up to its last whole line."""
    with suppress(OSError):
        text = file.read_bytes()
        return text[:text.rfind(b"\n") + 1]
    return b""
