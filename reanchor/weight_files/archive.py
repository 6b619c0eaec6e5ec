"""torch's zip archives, of `torch.save` and of TorchScript alike: NAME/data.pkl, NAME/data/KEY, NAME/byteorder.

Bounded before anything is unpacked: the directory, which zipfile reads whole; entries that share bytes; and those
that are read here have to be stored as they are, which torch does so that it can map them.
"""

import io
import struct
import sys
import zipfile
from pathlib import Path
from typing import BinaryIO

from reanchor.weight_files.pickled import MOST_BYTES, interpret
from reanchor.weight_files.records import Storage

START = b"PK\x03\x04"
MOST_DIRECTORY = 8 * 2**20  # bytes; about 80 to an entry
_END, _END_64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q")
_LOCATOR_BYTES, _HEADER_BYTES, _PIECE = 20, 30, 2**24


class Archive:
    """An open archive; `content` is its pickle as records.

    Raises:
        ValueError: it is damaged, or not laid out as torch does.
    """

    def __init__(self, file: BinaryIO):
        _check_directory(file)
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, struct.error) as error:
            raise ValueError("its zip directory is damaged") from error
        self._entries = _entries(self._zip)
        self._name = next(iter(self._entries)).partition("/")[0]
        self._swap = self._byteorder() != sys.byteorder
        self.content = interpret(io.BytesIO(self._read("data.pkl", MOST_BYTES)))

    def check(self, storage: Storage) -> None:
        """Raise ValueError where the file does not hold it whole."""
        entry = self._entry(f"data/{storage.key}")
        if entry.file_size != storage.nbytes:
            raise ValueError(f"its part {entry.filename} has {entry.file_size} bytes instead of {storage.nbytes}")

    def read(self, storage: Storage) -> bytearray:
        """Its bytes as this machine orders them."""
        content = self._read(f"data/{storage.key}", storage.nbytes)
        return _swapped(content, storage) if self._swap else content

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entry = self._entries.get(f"{self._name}/{name}")
        if entry is None:
            raise ValueError(f"its part {name[:80]!r} is missing")
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise ValueError(f"its part {entry.filename[:80]!r} is compressed, which torch never does with tensors")
        return entry

    def _read(self, name: str, most: int) -> bytearray:
        """The whole of an entry, its checksum verified."""
        entry = self._entry(name)
        if entry.file_size > most:
            raise ValueError(f"its part {entry.filename[:80]!r} has {entry.file_size} bytes; at most {most} are read")
        content, done = bytearray(entry.file_size), 0
        try:
            with self._zip.open(entry) as stream:
                while piece := stream.read(_PIECE):
                    content[done:done + len(piece)] = piece
                    done += len(piece)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, struct.error, OSError) as error:
            raise ValueError(f"its part {entry.filename[:80]} is damaged") from error
        return content

    def _byteorder(self) -> str:
        """Older archives do not say; they are little-endian."""
        if f"{self._name}/byteorder" not in self._entries:
            return "little"
        order = bytes(self._read("byteorder", 16))
        if order not in (b"little", b"big"):
            raise ValueError("its byte order is neither little nor big")
        return order.decode()


def _check_directory(file: BinaryIO) -> None:
    """Bound what zipfile is going to read, by the same records that it goes by."""
    tail = _LOCATOR_BYTES + _END_64.size + _END.size
    start = max(file.seek(0, io.SEEK_END) - tail, 0)
    file.seek(start)
    last = file.read().rjust(tail, b"\0")
    mark, *_, size, _, comment = _END.unpack(last[-_END.size:])
    if mark != b"PK\5\6" or comment:
        raise ValueError("its zip directory is cut off")
    if last[_END_64.size:].startswith(b"PK\6\7") and last.startswith(b"PK\6\6"):
        size = _END_64.unpack(last[:_END_64.size])[8]
    if size > MOST_DIRECTORY:
        raise ValueError(f"its zip directory takes {size} bytes; at most {MOST_DIRECTORY} are read")


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """By name; each has bytes of its own in front of the directory."""
    entries, end = archive.infolist(), 0
    for entry in sorted(entries, key=lambda one: one.header_offset):
        if entry.header_offset < end:
            raise ValueError(f"its part {entry.filename[:80]!r} shares bytes with another")
        end = entry.header_offset + _HEADER_BYTES + entry.compress_size
    named = {entry.filename: entry for entry in entries}
    if not entries or len(named) < len(entries) or end > archive.start_dir:
        raise ValueError("its zip directory names nothing, one part twice, or more than the file holds")
    return named


def _swapped(content: bytearray, storage: Storage) -> bytearray:
    """Numbers of the other byte order; a complex number is two."""
    width = storage.dtype.itemsize // (2 if storage.dtype.is_complex else 1)
    swapped = bytearray(len(content))
    for place in range(width):
        swapped[place::width] = content[width - 1 - place::width]
    return swapped


def is_archive(path: Path) -> bool:
    """By its first bytes."""
    with path.open("rb") as file:
        return file.read(len(START)) == START
