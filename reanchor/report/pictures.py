"""Pictures as data addresses: photographs as JPEG, masks and heat maps as PNG."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

# Label of an occluded set's mask -> colour; the legend of the page uses the same.
MASK_COLOURS = {
    0: (52, 58, 70),
    1: (46, 160, 103),
    2: (150, 156, 168),
    3: (225, 130, 44),
    255: (110, 90, 130),
}
# Anchor colours of the heat scale, dark to bright, equally spaced.
HEAT = np.array([(13, 8, 50), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float64)
HEAT_TOP = 3.0  # times an even share; brighter is cut
SCALE, PALE, FRAME = 2, 190.0, (255.0, 196.0, 0.0)  # of pictures of kept patches
SHEET_WIDTH = 1400  # pixels; wider contact sheets are shrunk


def jpeg(image: np.ndarray) -> str:
    """data: address of a uint8 RGB image [H, W, 3]."""
    return _address(Image.fromarray(np.ascontiguousarray(image)), "JPEG", quality=88)


def mask_picture(mask: np.ndarray) -> str:
    """data: address of a label mask uint8 [H, W] in MASK_COLOURS."""
    colours = np.zeros((256, 3), np.uint8)
    for label, colour in MASK_COLOURS.items():
        colours[label] = colour
    return _address(Image.fromarray(colours[mask]), "PNG")


def heat_picture(density: np.ndarray) -> str:
    """data: address of a map [H, W] where 1 is an even share, on a scale from 0 to HEAT_TOP."""
    position = np.clip(density / HEAT_TOP, 0, 1) * (len(HEAT) - 1)
    lower = np.minimum(position.astype(int), len(HEAT) - 2)
    share = (position - lower)[..., None]
    colours = HEAT[lower] * (1 - share) + HEAT[lower + 1] * share
    return _address(Image.fromarray(colours.round().astype(np.uint8)), "PNG")


def weight_density(weights: np.ndarray, grid: tuple[int, int], size: tuple[int, int],
                   patch: int | None = None, stride: int | None = None) -> np.ndarray:
    """Token weights [T] spread over the pixels of their patches, [H, W] with mean 1 where patches tile."""
    from reanchor.retrieval.tokens import patch_edges

    tops, bottoms = patch_edges(size[0], grid[0], patch, stride)
    lefts, rights = patch_edges(size[1], grid[1], patch, stride)
    density = np.zeros(size)
    for weight, (row, col) in zip(weights, np.ndindex(*grid), strict=True):
        area = (bottoms[row] - tops[row]) * (rights[col] - lefts[col])
        density[tops[row] : bottoms[row], lefts[col] : rights[col]] += weight / area
    return density * size[0] * size[1] / np.sum(weights)


def selection_picture(image: np.ndarray, kept: list[int], grid: tuple[int, int]) -> str:
    """data: address of an image [H, W, 3], twice its size: dropped patches pale and grey, kept ones framed.

    Args:
        kept: patches of the grid, counted row by row.
    """
    rows, cols = (np.arange(SCALE * size) * count // (SCALE * size)
                  for size, count in zip(image.shape[:2], grid, strict=True))
    chosen = np.zeros(grid, bool)
    chosen.flat[kept] = True
    chosen = chosen[rows][:, cols]
    large = image.repeat(SCALE, 0).repeat(SCALE, 1).astype(np.float64)
    pale = 0.3 * large.mean(2, keepdims=True) + 0.7 * PALE
    shown = np.where(chosen[..., None], large, pale)
    shown[_edges(chosen)] = FRAME
    return jpeg(shown.round().astype(np.uint8))


def _edges(chosen: np.ndarray) -> np.ndarray:
    """The pixels of a mask [H, W] beside which it ends."""
    inside = np.pad(chosen, 1)
    return chosen & ~(inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:])


def sheet(path: Path) -> str | None:
    """data: address of a contact sheet, None where there is none."""
    if not path.is_file():
        return None
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    if image.width > SHEET_WIDTH:
        image = image.resize(
            (SHEET_WIDTH, round(image.height * SHEET_WIDTH / image.width)), Image.Resampling.LANCZOS
        )
    return _address(image, "JPEG", quality=85)


def _address(image: Image.Image, form: str, **options: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
