"""Synthetic masking: part of the image is erased, at an area ratio that is exact to the pixel."""

import math
from collections.abc import Callable

import numpy as np

from reanchor.occlusion.draws import generator
from reanchor.occlusion.image import OBJECT, Occlusion, bounding_box, visible_mask

GREY = 128  # mid-grey: zero once images are normalised by mean 0.5
ELONGATION = 2.5  # a block's height share is at most so many times its width share, or the reverse

# A shape draws which `count` pixels of a [height, width] image are erased.
Shape = Callable[[int, int, int, np.random.Generator], np.ndarray]


def block(height: int, width: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """A rectangle of random aspect and position as bool [height, width] with `count` True pixels.

    Its aspect relative to the image's is log-uniform in [1/2.5, 2.5], narrowed to what fits. The last
    column may be shorter, which makes the area exact.

    >>> int(block(96, 48, 461, np.random.default_rng(0)).sum())
    461
    """
    ratio = count / (height * width)
    reach = math.log(min(ELONGATION, 1 / ratio))
    relative = math.exp(rng.uniform(-1.0, 1.0) * reach)
    rows = min(height, max(math.ceil(count / width), round(height * math.sqrt(ratio * relative))))
    columns = math.ceil(count / rows)
    # Positions as shares of the free space: the same draw at another ratio is the same place.
    top = round(rng.uniform() * (height - rows))
    left = round(rng.uniform() * (width - columns))
    erased = np.zeros((height, width), bool)
    erased[top:top + rows, left:left + columns] = True
    erased[top + rows - (rows * columns - count):top + rows, left + columns - 1] = False
    return erased


def erase(image: np.ndarray, person: np.ndarray | None, ratio: float, seed: int,
          shape: Shape = block) -> Occlusion:
    """Erase round(ratio * H * W) pixels of image [H, W, 3] uint8 to grey.

    person [H, W], non-zero on the person, or None when unknown.
    """
    height, width = image.shape[:2]
    erased = shape(height, width, max(1, round(ratio * height * width)), generator(seed))
    masked = np.where(erased[..., None], np.uint8(GREY), image)
    return Occlusion(masked, visible_mask(person, erased, OBJECT), "masking", "mask", shape.__name__,
                     bounding_box(erased), ratio, float(erased.mean()), seed)
