"""Decoded images in one memory-mapped Arrow IPC file.

The file holds a single record batch with fixed-size-binary columns `image` (H*W*3 bytes, RGB)
and, where the dataset has masks, `mask` (H*W bytes), so that each column is one stretch of
the file and a numpy view of all images needs no copy. Arrow's own writer would need that
whole batch at once; here it lays out the file with holes in the place of the pixels, and the
pixels are then streamed into them.
"""

import itertools
import mmap
import tempfile
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from reanchor.errors import ReanchorError
from reanchor.files import atomic_path


@dataclass(frozen=True)
class ImageStore:
    """images [N, H, W, 3] and masks [N, H, W] (or None), read-only uint8 views of the mapped file.

    `mask_kind` says what the mask's labels mean: "parts" (0 background, others body parts) or
    what the writer named.
    """

    images: np.ndarray
    masks: np.ndarray | None
    mask_kind: str

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def open(cls, path: Path, remedy: str = "run the stage that makes it again") -> "ImageStore":
        """Map a file that `write_store` made; `remedy` ends the message where it is damaged.

        Raises:
            ReanchorError: when there is none, or it is not an image store.
        """
        path = Path(path)
        if not path.is_file():
            raise ReanchorError(f"{path}: no image store there; run the stage that makes it (dvc repro)")
        try:
            batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
            metadata = batch.schema.metadata
            height, width = int(metadata[b"height"]), int(metadata[b"width"])
            masks = _view(batch, "mask", (height, width)) if "mask" in batch.schema.names else None
            return cls(_view(batch, "image", (height, width, 3)), masks, metadata[b"mask_kind"].decode())
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            raise ReanchorError(f"{path}: not an image store ({first_line(error)}); {remedy}") from error


def first_line(error: Exception) -> str:
    """Arrow's messages go on for lines."""
    return (str(error).splitlines() or [type(error).__name__])[0][:100]


def _view(batch: pa.RecordBatch, column: str, shape: tuple[int, ...]) -> np.ndarray:
    if batch.num_rows == 0:
        return np.zeros((0, *shape), np.uint8)
    return np.frombuffer(batch.column(column).buffers()[1], np.uint8).reshape(batch.num_rows, *shape)


def write_store(path: Path, images: Iterable[np.ndarray], masks: Iterable[np.ndarray] | None = None,
                mask_kind: str = "parts", count: int | None = None) -> None:
    """Write images [H, W, 3] and masks [H, W], all uint8 of one size, one pair at a time.

    `images` and `masks` may be arrays or any iterables; they are read in step and nothing is
    held. Where their number is neither `count` nor `len(images)`, the pixels pass through an
    unnamed temporary file beside `path` first.

    Raises:
        ReanchorError: no images, or disk full.
    """
    if count is None and isinstance(images, Sized):
        count = len(images)
    pairs = zip(images, itertools.repeat(None) if masks is None else masks, strict=masks is not None)
    with atomic_path(path) as temporary:
        if count is None:
            with tempfile.TemporaryFile(dir=temporary.parent) as spool:
                count, pairs = _spool(pairs, spool)
                _write(temporary, pairs, count, mask_kind)
        else:
            _write(temporary, pairs, count, mask_kind)


Pair = tuple[np.ndarray, np.ndarray | None]


def _spool(pairs: Iterable[Pair], spool: BinaryIO) -> tuple[int, Iterator[Pair]]:
    count, image, mask = 0, None, None
    for image, mask in pairs:
        spool.write(np.ascontiguousarray(image))
        if mask is not None:
            spool.write(np.ascontiguousarray(mask))
        count += 1
    spool.seek(0)

    def read(like: np.ndarray) -> np.ndarray:
        return np.frombuffer(spool.read(like.nbytes), np.uint8).reshape(like.shape)

    return count, ((read(image), None if mask is None else read(mask)) for _ in range(count))


def _write(path: Path, pairs: Iterable[Pair], count: int, mask_kind: str) -> None:
    pairs = iter(pairs)
    first = next(pairs, None)
    if first is None:
        raise ReanchorError(f"{path.parent}: an image store needs at least one image, got none")
    shapes = tuple(None if part is None else part.shape for part in first)
    offsets = _lay_out(path, count, shapes[0], first[1] is not None, mask_kind)
    with open(path, "r+b") as images, open(path, "r+b") as masks:
        images.seek(offsets["image"])
        masks.seek(offsets.get("mask", 0))
        written = 0
        for image, mask in itertools.chain([first], pairs):
            found = tuple(None if part is None else part.shape for part in (image, mask))
            assert found == shapes and image.dtype == np.uint8, (found, shapes, image.dtype)
            images.write(np.ascontiguousarray(image))
            if mask is not None:
                assert mask.dtype == np.uint8, mask.dtype
                masks.write(np.ascontiguousarray(mask))
            written += 1
            assert written <= count, f"more than the {count} images announced"
        assert written == count, f"{written} images came, {count} were announced"


def _lay_out(path: Path, count: int, shape: tuple[int, ...], with_masks: bool,
             mask_kind: str) -> dict[str, int]:
    """Write the IPC file of `count` records with holes for values; return each column's offset in it."""
    height, width, channels = shape
    assert channels == 3, shape
    sizes = {"image": height * width * 3} | ({"mask": height * width} if with_masks else {})
    schema = pa.schema([pa.field(name, pa.binary(size), nullable=False) for name, size in sizes.items()],
                       metadata={"height": str(height), "width": str(width), "mask_kind": mask_kind})
    nothing = _nothing(count * sizes["image"], path.parent)
    columns = [pa.Array.from_buffers(pa.binary(size), count, [None, nothing.slice(0, count * size)])
               for size in sizes.values()]
    with open(path, "wb") as file, pa.ipc.new_file(_HoleFile(file), schema) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))
    source = pa.memory_map(str(path))
    batch = pa.ipc.open_file(source).get_batch(0)
    start = source.read_buffer().address
    return {name: batch.column(name).buffers()[1].address - start for name in sizes}


def _nothing(size: int, folder: Path) -> pa.Buffer:
    """A buffer of `size` zero bytes that takes neither memory nor disk while nobody reads it."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(size)
        return pa.py_buffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))


class _HoleFile:
    """A file for Arrow's writer that skips long pieces, which can only be column values."""

    LONG = 65_536  # bytes; schema, batch and footer messages are a few hundred
    closed = False

    def __init__(self, file: BinaryIO):
        self.file = file

    def write(self, piece: bytes | pa.Buffer) -> int:
        size = memoryview(piece).nbytes
        if size < self.LONG:
            return self.file.write(piece)
        self.file.seek(size, 1)
        return size

    def tell(self) -> int:
        return self.file.tell()

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.closed = True
