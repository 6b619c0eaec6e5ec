"""Two occluders at once: another person, and a mask or an object in front of both."""

from collections.abc import Sequence

import numpy as np

from reanchor.formats.occlusion import OBJECT, Box, Occlusion
from reanchor.occlusion import masking, ogor, people
from reanchor.occlusion.draws import image_seed
from reanchor.occlusion.library import Cutout

FACING = people.Pasting()
FIRST = 0.5  # of the ratio, for the mask or the object in front


def cover(image: np.ndarray, person: np.ndarray | None, pid: int, camid: int, crowd: people.Crowd,
          library: Sequence[Cutout], beside: str, ratio: float, seed: int,
          how: people.Pasting = FACING, variant: str = "ogor-paper") -> Occlusion:
    """Cover `ratio` of image [H, W, 3] uint8: half of it by a block or an OGor object, the rest by a stranger.

    The stranger stands between, so that both are seen; it makes up for what an object leaves free in its box,
    which has half the area.

    Args:
        person: [H, W], non-zero on the target, or None when unknown.
        beside: "mask" or "object".
        how: how the stranger is pasted.
        variant: of OGor's places for the object; not "ogor-released", whose fixed areas cover no given share.
    """
    def in_front(behind: np.ndarray) -> Occlusion:
        own = image_seed(seed, beside, "mixed/front")
        return _in_front(behind, person, library, beside, FIRST * ratio, own, variant)

    taken = in_front(image).mask == OBJECT
    stranger = people.paste_over(image, person, pid, camid, crowd, ratio, image_seed(seed, "person", "mixed/behind"),
                                 how, taken=taken)
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
              seed: int, variant: str) -> Occlusion:
    if beside == "mask" or ratio == 0:
        return masking.erase(image, person, ratio, seed)
    return ogor.occlude(image, person, library, seed, variant=variant, ratios=(ratio, ratio))
