"""White backgrounds of cut-outs: found from the border inward, with the half-mixed edge as alpha."""

import numpy as np
from scipy import ndimage

PALE = 200  # least channel value of a background
TOLERANCE = 15  # of each channel, below the background's darkest
DARKEST = 10  # percentile of the border's pale pixels: a background may have a pattern
RIM = 2  # pixels along the outline that may be mixed with the background
LEAST_CONTRAST = 30.0  # of object and background, for a mixture to be told


def without_background(rgba: np.ndarray, tolerance: int = TOLERANCE) -> np.ndarray | None:
    """An opaque picture [h, w, 4] uint8 with its white background made transparent; None where it has none.

    The background is what is joined to the border by pixels as pale as the border's; white inside the object
    stays. Of the outline's pixels, a mixture of object and background, alpha is the object's share and the
    colour becomes the object's. A border of which less than half is pale has no background.

    Args:
        tolerance: how much darker than the border's pale pixels a channel may be.
    """
    rgb = rgba[..., :3].astype(np.float32)
    border = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
    pale = border[(border >= PALE).all(-1)]
    if len(pale) < 0.5 * len(border):
        return None
    background = flooded((rgb >= np.percentile(pale, DARKEST, axis=0) - tolerance).all(-1))
    alpha, rgb = _unmixed(rgb, background, np.median(pale, axis=0))
    return np.dstack([rgb, alpha]).round().astype(np.uint8)


def flooded(open_: np.ndarray) -> np.ndarray:
    """The True pixels of [h, w] that are joined to the border by True pixels, side by side."""
    regions, _ = ndimage.label(open_)
    edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    return np.isin(regions, np.unique(edge[edge > 0]))


def _unmixed(rgb: np.ndarray, background: np.ndarray, colour: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Alpha [h, w] in 0 to 255 and colours [h, w, 3]: outline pixels are a mixture of the background's colour
    and the nearest pixel's within."""
    alpha = np.where(background, 0.0, 255.0)
    rim = ndimage.binary_dilation(background, np.ones((3, 3), bool), iterations=RIM) & ~background
    within = ~(background | rim)
    if not within.any():
        return alpha, rgb
    y, x = ndimage.distance_transform_edt(~within, return_distances=False, return_indices=True)[:, rim]
    own, mixed = rgb[y, x], rgb[rim]
    contrast = ((colour - own) ** 2).sum(-1)
    share = ((colour - mixed) * (colour - own)).sum(-1) / np.maximum(contrast, LEAST_CONTRAST ** 2)
    share = np.where(contrast < LEAST_CONTRAST ** 2, 1.0, np.clip(share, 0.0, 1.0))
    alpha[rim] = 255 * share
    rgb = rgb.copy()
    rgb[rim] = np.where(share[:, None] < 1, own, mixed)
    return alpha, rgb
