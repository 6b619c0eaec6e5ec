"""Two occluders at once: another person, and a mask or an object in front of both."""

from collections.abc import Sequence

import numpy as np

from reanchor.occlusion import masking, ogor, people
from reanchor.occlusion.draws import image_seed
from reanchor.occlusion.image import OBJECT, Box, Occlusion
from reanchor.occlusion.library import Cutout

FIRST = 0.5  # of the ratio, for the mask or the object in front


def cover(image: np.ndarray, person: np.ndarray | None, pid: int, camid: int, crowd: people.Crowd,
          library: Sequence[Cutout], beside: str, ratio: float, seed: int) -> Occlusion:
    """Cover `ratio` of image [H, W, 3] uint8: half of it by a block or an OGor object, the rest by a stranger.

    The stranger stands between, so that both are seen; it makes up for what an object leaves free in its box,
    which has half the area.

    Args:
        person: [H, W], non-zero on the target, or None when unknown.
        beside: "mask" or "object".
    """
    def in_front(behind: np.ndarray) -> Occlusion:
        return _in_front(behind, person, library, beside, FIRST * ratio, image_seed(seed, beside, "mixed/front"))

    taken = in_front(image).mask == OBJECT
    stranger = people.paste_over(image, person, pid, camid, crowd, ratio, image_seed(seed, "person", "mixed/behind"),
                                 taken=taken)
    front = in_front(stranger.image)
    mask = np.where(taken, np.uint8(OBJECT), stranger.mask)
    return Occlusion(front.image, mask, "mixed", f"{front.occluder_class}+{stranger.occluder_class}",
                     f"{front.occluder}+{stranger.occluder}", _around(front, stranger), ratio, stranger.area_ratio,
                     seed)


def _around(*parts: Occlusion) -> Box:
    """The smallest box around those of all parts that cover something."""
    boxes = np.array([part.box for part in parts if part.area_ratio] or [(0, 0, 0, 0)])
    return (*boxes[:, :2].min(0).tolist(), *boxes[:, 2:].max(0).tolist())


def _in_front(image: np.ndarray, person: np.ndarray | None, library: Sequence[Cutout], beside: str, ratio: float,
              seed: int) -> Occlusion:
    if beside == "mask" or ratio == 0:
        return masking.erase(image, person, ratio, seed)
    return ogor.occlude(image, person, library, seed, ratios=(ratio, ratio))
