"""Images of which some rows are replaced by their occluded copies: an occluded gallery."""

import numpy as np

from reanchor.errors import ReanchorError
from reanchor.formats.occluded_set import OccludedSet


class Overlay:
    """The prepared images with `copies` in the place of their rows; nothing is held beside a row's place.

    Args:
        images: uint8 [N, H, W, 3], may be a memory map.
        copies: occluded copies of some of these rows, of the same size.

    Raises:
        ReanchorError: a copy of a row that `images` lack, or copies of another size.
    """

    def __init__(self, images: np.ndarray, copies: OccludedSet):
        last = int(copies.rows.max(initial=-1))
        if copies.images.shape[1:] != images.shape[1:] or last >= len(images):
            raise ReanchorError(f"data/occluded: copies {copies.images.shape} of rows up to {last} do not "
                                f"fit data/prepared's images {images.shape}; run the occlude stage again (dvc repro "
                                "occlude)")
        self.images, self.copies = images, copies
        self.rows = copies.rows  # int64 [n], the replaced ones
        self.place = np.full(len(images), -1, np.int64)
        self.place[copies.rows] = np.arange(len(copies.rows))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.images.shape

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: np.ndarray | slice | int) -> np.ndarray:
        """uint8 [n, H, W, 3] of rows (an index array, boolean mask or slice), or [H, W, 3] of one row."""
        place = self.place[rows]
        if np.ndim(place) == 0:
            return np.array(self.images[rows] if place < 0 else self.copies.images[place])
        pixels = np.array(self.images[rows])
        replaced = np.flatnonzero(place >= 0)
        pixels[replaced] = self.copies.images[place[replaced]]
        return pixels
