"""Two occluders at once: a mask or an object, and another person in front of both."""

from collections.abc import Sequence

import numpy as np

from reanchor.occlusion import masking, ogor, people
from reanchor.occlusion.draws import image_seed
from reanchor.occlusion.image import OBJECT, STRANGER, Box, Occlusion
from reanchor.occlusion.library import Cutout

FIRST = 0.5  # of the ratio, for the mask or the object


def cover(image: np.ndarray, person: np.ndarray | None, pid: int, camid: int, crowd: people.Crowd,
          library: Sequence[Cutout], beside: str, ratio: float, seed: int) -> Occlusion:
    """Cover `ratio` of image [H, W, 3] uint8: half of it by a block or an OGor object, the rest by a stranger.

    Args:
        person: [H, W], non-zero on the target, or None when unknown.
        beside: "mask" or "object". An object's box has half the area; the stranger makes up for what the
            object leaves free in it.
    """
    first = _first(image, person, library, beside, FIRST * ratio, image_seed(seed, beside, "mixed/first"))
    taken = first.mask == OBJECT
    second = people.paste_over(first.image, person, pid, camid, crowd, ratio, image_seed(seed, beside, "mixed/second"),
                               taken=taken)
    mask = np.where(second.mask == STRANGER, np.uint8(STRANGER), first.mask)
    return Occlusion(second.image, mask, "mixed", f"{first.occluder_class}+{second.occluder_class}",
                     f"{first.occluder}+{second.occluder}", _around(first, second), ratio, second.area_ratio, seed)


def _around(*parts: Occlusion) -> Box:
    """The smallest box around those of all parts that cover something."""
    boxes = np.array([part.box for part in parts if part.area_ratio] or [(0, 0, 0, 0)])
    return (*boxes[:, :2].min(0).tolist(), *boxes[:, 2:].max(0).tolist())


def _first(image: np.ndarray, person: np.ndarray | None, library: Sequence[Cutout], beside: str, ratio: float,
           seed: int) -> Occlusion:
    if beside == "mask" or ratio == 0:
        return masking.erase(image, person, ratio, seed)
    return ogor.occlude(image, person, library, seed, ratios=(ratio, ratio))
