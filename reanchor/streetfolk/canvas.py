"""Drawing in colour and in labels at once, so that every mask is exact.

`FEATURES` are what is drawn (a caption may name a feature only when enough of it is seen),
`PARTS` what the stored mask distinguishes.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from reanchor.streetfolk.geometry import Point
from reanchor.streetfolk.palette import RGB, darker

PARTS = ("background", "head", "torso", "arms", "legs", "feet", "bag")
_FEATURE_PARTS = {
    "background": "background", "face": "head", "hair": "head", "headwear": "head", "glasses": "head",
    "beard": "head", "neck": "head", "scarf": "torso", "upper": "torso", "print": "torso", "outer": "torso",
    "belt": "torso", "sleeve": "arms", "outer_sleeve": "arms", "arm": "arms", "lower": "legs", "leg": "legs",
    "stripe": "legs", "socks": "legs", "shoes": "feet", "bag": "bag", "strap": "bag",
}
FEATURES = tuple(_FEATURE_PARTS)
PART_OF_FEATURE = np.array([PARTS.index(part) for part in _FEATURE_PARTS.values()], dtype=np.uint8)
# A block of at most 8 x 8 pixels counts all parts in one integer, a byte each (little-endian).
_PART_COUNTER = (np.uint64(1) << (8 * PART_OF_FEATURE.astype(np.uint64))).astype("<u8")
_LABEL = {name: index for index, name in enumerate(FEATURES)}

Paint = RGB | Image.Image  # one colour, or a canvas-sized cloth to cut from


class Canvas:
    """A supersampled picture of one person and its labels."""

    def __init__(self, background: Image.Image):
        self.image = background
        self.labels = Image.new("L", background.size, 0)
        self._draw = ImageDraw.Draw(self.image)
        self._mark = ImageDraw.Draw(self.labels)

    def polygon(self, points: list[Point], paint: Paint, feature: str, edge: RGB | None = None) -> None:
        """Fill a polygon; its outline is `edge`, by default a darker tone of a plain paint."""
        if len(points) < 3:
            return
        label = _LABEL[feature]
        if isinstance(paint, Image.Image):
            mask = Image.new("L", self.image.size, 0)
            ImageDraw.Draw(mask).polygon(points, fill=255)
            self.image.paste(paint, (0, 0), mask)
            if edge is not None:
                self._draw.polygon(points, outline=edge)
        else:
            edge = edge or darker(paint, 0.72)
            self._draw.polygon(points, fill=paint, outline=edge)
        self._mark.polygon(points, fill=label)
        if edge is not None and edge != paint:  # an outline can reach a pixel beyond the filling
            self._mark.polygon(points, outline=label)

    def ellipse(self, centre: Point, rx: float, ry: float, paint: RGB, feature: str) -> None:
        box = (centre[0] - rx, centre[1] - ry, centre[0] + rx, centre[1] + ry)
        self._draw.ellipse(box, fill=paint)
        self._mark.ellipse(box, fill=_LABEL[feature])

    def line(self, points: list[Point], paint: RGB, feature: str, width: float) -> None:
        pixels = max(1, round(width))
        self._draw.line(points, fill=paint, width=pixels, joint="curve")
        self._mark.line(points, fill=_LABEL[feature], width=pixels)

    def cloth(self, base: RGB, pattern: Callable[[ImageDraw.ImageDraw], None]) -> Image.Image:
        """A canvas-sized piece of patterned cloth."""
        piece = Image.new("RGB", self.image.size, base)
        pattern(ImageDraw.Draw(piece))
        return piece


def reduce_labels(labels: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From supersampled features to a picture's mask.

    Args:
        labels: uint8 [H*factor, W*factor], indices of `FEATURES`.

    Returns:
        mask uint8 [H, W]: the part that covers most of each pixel of which the person covers at least
        half, else 0; coverage float32 [H, W] in [0, 1]; area int64 [len(FEATURES)]: supersampled
        pixels each feature is seen on.
    """
    height, width = labels.shape[0] // factor, labels.shape[1] // factor
    area = np.bincount(labels.ravel(), minlength=len(FEATURES))
    blocks = _PART_COUNTER[labels].reshape(height, factor, width, factor)
    tally = blocks.sum(axis=3).sum(axis=1)  # one byte per part: the pixels of it in each block
    counts = np.ascontiguousarray(tally).view(np.uint8).reshape(height, width, 8)[:, :, :len(PARTS)]
    covered = factor * factor - counts[:, :, 0].astype(np.int64)
    mask = (1 + counts[:, :, 1:].argmax(axis=2)) * (2 * covered >= factor * factor)
    return mask.astype(np.uint8), (covered / (factor * factor)).astype(np.float32), area
