"""Synthetic masking: part of the image is erased, at an area ratio that is exact to the pixel."""

import math
from collections.abc import Callable

import numpy as np

from reanchor.formats.occlusion import OBJECT, Occlusion, bounding_box, check_ratio, visible_mask
from reanchor.occlusion.draws import generator

GREY = 128  # mid-grey: zero once images are normalised by mean 0.5
ELONGATION = 2.5  # a block's height share is at most so many times its width share, or the reverse
CELLS = 8  # patches across the image's width
SLACK = 1.5  # a band that holds patches has so many times their area at least
POSITIONS = {"top": 0.0, "middle": 0.5, "bottom": 1.0}  # shares of the free height above

# A shape draws which `count` pixels of a [height, width] image are erased, at a position.
Shape = Callable[[int, int, int, np.random.Generator, str], np.ndarray]


def block(height: int, width: int, count: int, rng: np.random.Generator, position: str = "random") -> np.ndarray:
    """A rectangle of random aspect and position as bool [height, width] with `count` True pixels.

    Its aspect relative to the image's is log-uniform in [1/2.5, 2.5], narrowed to what fits. The last
    column may be shorter, which makes the area exact. A fixed `position` is that of a block which is, beside
    the image, wider than tall.

    >>> int(block(96, 48, 461, np.random.default_rng(0)).sum())
    461
    """
    ratio = count / (height * width)
    reach = math.log(min(ELONGATION, 1 / ratio))
    relative = math.exp(rng.uniform(-1.0, 1.0) * reach)
    if position != "random":  # a tall block would reach into the other positions
        relative = min(relative, 1 / relative)
    rows = min(height, max(math.ceil(count / width), round(height * math.sqrt(ratio * relative))))
    columns = math.ceil(count / rows)
    # Positions as shares of the free space: the same draw at another ratio is the same place.
    top = round(_share(position, rng) * (height - rows))
    left = round(rng.uniform() * (width - columns))
    erased = np.zeros((height, width), bool)
    erased[top:top + rows, left:left + columns] = True
    erased[top + rows - (rows * columns - count):top + rows, left + columns - 1] = False
    return erased


def stripe(height: int, width: int, count: int, rng: np.random.Generator, position: str = "random") -> np.ndarray:
    """A horizontal band over the full width; its last row may be shorter."""
    rows = math.ceil(count / width)
    top = round(_share(position, rng) * (height - rows))
    erased = np.zeros((height, width), bool)
    erased[top:top + rows] = True
    erased[top + rows - 1, count - (rows - 1) * width:] = False
    return erased


def patches(height: int, width: int, count: int, rng: np.random.Generator, position: str = "random") -> np.ndarray:
    """Squares of an eighth of the width, scattered; the last one may be cut.

    Away from "random" they lie in a band: a third of the height, or as much as 1.5 times their area takes.
    The order of squares is drawn, not their set, so that those of a smaller ratio stay.
    """
    side = max(1, width // CELLS)
    across = math.ceil(width / side)
    chance = rng.random((math.ceil(height / side), across))
    if position != "random":
        rows = min(height, max(math.ceil(height / 3), math.ceil(SLACK * count / width)))
        top = round(POSITIONS[position] * (height - rows))
        middle = (np.arange(len(chance)) + 0.5) * side
        chance[(middle < top) | (middle > top + rows)] += 1.0
    y, x = np.mgrid[:height, :width]
    rank = np.argsort(np.argsort(chance, axis=None)).reshape(chance.shape)
    order = np.argsort(rank[y // side, x // side], axis=None, kind="stable")
    erased = np.zeros(height * width, bool)
    erased[order[:count]] = True
    return erased.reshape(height, width)


SHAPES: dict[str, Shape] = {"block": block, "stripe": stripe, "patches": patches}


def _share(position: str, rng: np.random.Generator) -> float:
    drawn = rng.uniform()  # in any case: what is drawn after it stays the same
    return POSITIONS.get(position, drawn)


def erase(image: np.ndarray, person: np.ndarray | None, ratio: float, seed: int, shape: str = "block",
          position: str = "random") -> Occlusion:
    """Erase round(ratio * H * W) pixels, one at least, of image [H, W, 3] uint8 to grey; none at ratio 0.

    person [H, W], non-zero on the person, or None when unknown. `shape` is one of SHAPES, `position`
    random, top, middle or bottom.

    Raises:
        ReanchorError: a ratio outside 0 to 0.9.
    """
    check_ratio("masking ratio", ratio)
    height, width = image.shape[:2]
    erased = np.zeros((height, width), bool)
    if ratio:
        erased = SHAPES[shape](height, width, max(1, round(ratio * height * width)), generator(seed), position)
    masked = image.copy()
    masked[erased] = GREY
    return Occlusion(masked, visible_mask(person, erased, OBJECT), "masking", "mask", shape,
                     bounding_box(erased), ratio, float(erased.mean()), seed)
