"""Person masks from a folder beside the photographs, for datasets prepared without any."""

import functools
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from reanchor.data.decode import Rejected, decode_mask, inside
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest

MAX_PIXELS = 20_000_000  # of one mask
KEPT = 1024  # decoded masks: a stranger is pasted more than once


class MaskFolder:
    """`masks[row]` is the mask [H, W] uint8 of a row of the prepared manifest, read when asked for.

    A mask is an 8-bit PNG, non-zero on the person, of its photograph's size, and lies where the photograph
    does: SPLIT/0001_c1.jpg has SPLIT/0001_c1.png. It is resized to the nearest.

    Args:
        height, width: of the prepared images.
    """

    def __init__(self, folder: Path, manifest: Manifest, height: int, width: int):
        self.folder, self.manifest, self.shape = Path(folder).resolve(), manifest, (height, width)
        if not self.folder.is_dir():
            raise ReanchorError(f"occlude.masks: no folder {str(folder)!r}; allowed: '' or a folder of masks; correct "
                                "the path")
        self._read = functools.lru_cache(KEPT)(self._decode)

    def __getitem__(self, row: int) -> np.ndarray:
        return self._read(int(row))

    def require(self, rows: Iterable[int]) -> None:
        """Raise ReanchorError for the first of these rows without a file."""
        missing = [row for row in rows if not (self.folder / self._name(row)).is_file()]
        if missing:
            raise ReanchorError(f"occlude.masks: {str(self.folder)!r} has no {self._name(missing[0])!r} "
                                f"({len(missing)} missing); allowed: a PNG for every image that is occluded or pasted; "
                                "add them, or set occlude.masks to ''")

    def _name(self, row: int) -> str:
        return f"{self.manifest.image_id[row]}.png"

    def _decode(self, row: int) -> np.ndarray:
        size = int(self.manifest.width[row]), int(self.manifest.height[row])
        try:
            return decode_mask(inside(self.folder, self._name(row)), size, *self.shape, MAX_PIXELS)
        except Rejected as error:
            raise ReanchorError(f"occlude.masks: {str(self.folder / self._name(row))!r}: {error.detail}; allowed: an "
                                "8-bit PNG of its photograph's size; replace it") from error
