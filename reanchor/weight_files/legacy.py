"""torch's files before version 1.6: five pickles (magic, version, system, content, keys), then each key's numbers."""

import io
import os
from typing import BinaryIO

from reanchor.weight_files.pickled import CODE, MOST_BYTES, interpret
from reanchor.weight_files.records import Storage

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
_COUNT_BYTES = 8  # int64, little-endian, in front of each storage's numbers


class Legacy:
    """An open file; `content` is its fourth pickle as records.

    Raises:
        ValueError: it is damaged, or no such file.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        file.seek(0)
        head = io.BytesIO(file.read(MOST_BYTES))
        if interpret(head) != MAGIC or interpret(head) != VERSION:
            raise ValueError("it is no file of torch.save")
        interpret(head)  # sizes of the system's C types, which torch does not go by either
        storages: dict[str, Storage] = {}
        self.content = interpret(head, storages)
        self._starts = self._located(interpret(head), storages, head.tell())

    def check(self, storage: Storage) -> None:
        """Raise ValueError where the file does not hold it whole."""
        if storage.key not in self._starts:
            raise ValueError(f"its storage {storage.key[:80]!r} is missing")

    def read(self, storage: Storage) -> bytearray:
        """Its bytes."""
        content = bytearray(storage.nbytes)
        self._file.seek(self._starts[storage.key])
        if self._file.readinto(content) != len(content):
            raise ValueError("it is cut off")
        return content

    def _located(self, keys: object, storages: dict[str, Storage], place: int) -> dict[str, int]:
        """Where each storage's numbers begin."""
        starts, end = {}, os.fstat(self._file.fileno()).st_size
        if not isinstance(keys, list) or not all(isinstance(key, str) and key in storages for key in keys):
            raise ValueError(CODE)
        for key in keys:
            self._file.seek(place)
            count = int.from_bytes(self._file.read(_COUNT_BYTES), "little")
            place += _COUNT_BYTES + storages[key].nbytes
            if count != storages[key].numel or place > end:
                raise ValueError(f"its storage {key[:80]!r} claims {storages[key].numel} numbers that it does not hold")
            starts[key] = place - storages[key].nbytes
        return starts
