"""What MLflow could not take, kept as JSON lines: one file per run, its head first."""

import fcntl
import io
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stages.tracking.address import home
from stages.tracking.records import UNFINISHED, Record, is_record, now

FOLDERS = ("mlruns/pending", ".checkpoints/pending")  # the second where the first cannot be written


class Pending:
    """The file of one run, made when something has to be kept; this process holds it until `close`."""

    def __init__(self, root: Path, name: str, head: Record | None = None, file: Path | None = None):
        """`head` begins a new file called after `name`; an earlier `file` is continued."""
        stem = f"{now()}-{name}-{uuid.uuid4().hex[:8]}.jsonl"
        self._places = [home(root) / folder / stem for folder in FOLDERS]
        self._head, self._file = head, file
        self._handle: io.FileIO | None = None

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
        raise problem

    def close(self) -> None:
        """Let go of the file: from now on it may be sent."""
        if self._handle is not None:
            self._handle.close()
        self._handle = None

    def _write(self, place: Path, record: Record) -> None:
        lines = _line(record)
        handle = self._handle if place == self._file else None
        if place != self._file:  # the first, or a further one: with all that was kept so far
            lines = (_whole(self._file) if self._file else _line(self._head) if self._head else b"") + lines
        if handle is None:
            place.parent.mkdir(parents=True, exist_ok=True)
            handle = place.open("ab", buffering=0)
            _lock(handle)
            handle.truncate(len(_whole(place)))  # a kill may have cut a line off
        _append(handle, lines, place)
        self._take(place, handle)

    def _take(self, place: Path, handle: io.FileIO) -> None:
        earlier = self._file
        if handle is not self._handle:
            self.close()
        self._file, self._handle = place, handle
        if earlier not in (None, place):
            with suppress(OSError):
                earlier.unlink()


def pending_files(root: Path) -> list[Path]:
    """All kept files, in the order in which they were begun."""
    files = [file for folder in FOLDERS for file in (home(root) / folder).glob("*.jsonl")]
    return sorted(files, key=lambda file: file.name)


def unfinished(root: Path, key: str) -> Path | None:
    """The newest file of a training with this key that was interrupted, and that no process writes any more."""
    with suppress(OSError):
        for file in reversed(pending_files(root)):
            with suppress(OSError, ValueError), held(file):
                records = read(file)
                ends = [record["status"] for record in records if record["kind"] == "end"]
                if records and records[0].get("key") == key and (not ends or ends[-1] in UNFINISHED):
                    return file
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
    """
    with file.open("rb") as handle:
        _lock(handle, only=True)
        yield


def _lock(handle, only: bool = False) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if only:
            raise
    except OSError:  # a file system without locks
        pass


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
