"""A colour-histogram baseline: what can be had from clothes' colours without any learning."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reanchor.errors import ReanchorError
from reanchor.formats.embedder import Embedder, Embedding
from reanchor.formats.incoming import checked_images

STRIPES = 6
BINS = (8, 4, 4)  # hue, saturation, value


class ColourHistogram(Embedder):
    """HSV histograms over horizontal stripes, as unit vectors under Hellinger's kernel.

    Each stripe's histogram sums to 1; the square root turns the Euclidean dot product into the
    Bhattacharyya coefficient, whose mean over stripes is the similarity of two images.
    """

    name = "histogram"

    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        """Features [B, STRIPES * 128] of uint8 images [B, H, W, 3] of any size; cameras and views are not used.

        Raises:
            ReanchorError: images of another dtype or layout, or lower than their stripes.
        """
        images = checked_images(images, None, self.name)
        if images.shape[1] < STRIPES:
            raise ReanchorError(f"{self.name}: images: got a height of {images.shape[1]}; allowed is {STRIPES} or "
                                "more, a row for each stripe: resize them")
        colour_BHW = _colour_bin(images)
        stripe_H = np.arange(images.shape[1]) * STRIPES // images.shape[1]
        cells = int(np.prod(BINS))
        cell = (np.arange(len(images))[:, None, None] * STRIPES + stripe_H[:, None]) * cells + colour_BHW
        histogram = np.bincount(cell.ravel(), minlength=len(images) * STRIPES * cells)
        histogram = histogram.reshape(len(images), STRIPES, cells).astype(np.float64)
        histogram /= histogram.sum(2, keepdims=True) * STRIPES
        return Embedding(np.sqrt(histogram).reshape(len(images), STRIPES * cells).astype(np.float32))


def _colour_bin(images: np.ndarray) -> np.ndarray:
    """HSV cell of every pixel, int64 [B, H, W]."""
    hue, saturation, value = hsv(images)
    bins = [np.minimum((x * n).astype(np.int64), n - 1)
            for x, n in zip((hue, saturation, value), BINS, strict=True)]
    return (bins[0] * BINS[1] + bins[1]) * BINS[2] + bins[2]


def hsv(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hue, saturation and value in [0, 1] of uint8 RGB images [..., 3]; grey has hue 0."""
    rgb = images.astype(np.float32) / 255
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    value = rgb.max(-1)
    chroma = value - rgb.min(-1)
    divisor = np.where(chroma > 0, chroma, 1)
    sector = np.where(value == red, ((green - blue) / divisor) % 6,
                      np.where(value == green, (blue - red) / divisor + 2, (red - green) / divisor + 4))
    return sector / 6, chroma / np.maximum(value, 1e-12), value


def load(folder: Path | None = None, device: str = "cpu", features: Sequence[str] = (), variant: str = "") -> (
        ColourHistogram):
    """It has neither weights nor further features."""
    return ColourHistogram()
