"""One occluded image, what covers it, and which of its pixels still show the person."""

from dataclasses import dataclass

import numpy as np

from reanchor.errors import ReanchorError

BACKGROUND, TARGET, OBJECT, STRANGER, UNKNOWN = 0, 1, 2, 3, 255

LARGEST_RATIO = 0.9  # of the image: somebody is to be recognised by the rest
RATIO_TOLERANCE = 0.02  # of the image's area, between the ratio asked for and the share that is covered

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels; x1 and y1 exclusive


@dataclass(frozen=True)
class Occlusion:
    """An occluded copy of one image.

    image [H, W, 3] uint8; mask [H, W] uint8 of the labels above; `box` clipped to the image;
    `area_ratio` the share of the image's pixels that are covered; `seed` repeats the draw.
    """

    image: np.ndarray
    mask: np.ndarray
    kind: str  # ogor, masking or people
    occluder_class: str
    occluder: str  # file name of a cut-out, image_id of a pasted person, shape of a mask
    box: Box
    requested_ratio: float
    area_ratio: float
    seed: int


def visible_mask(person: np.ndarray | None, covered: np.ndarray, label: int) -> np.ndarray:
    """Labels [H, W] uint8 after `covered` [H, W] bool got `label`.

    `person` [H, W]: non-zero where the target is; None when the dataset has no person masks,
    which makes every uncovered pixel UNKNOWN.
    """
    if person is None:
        mask = np.full(covered.shape, UNKNOWN, np.uint8)
    else:
        mask = (person > 0).view(np.uint8)  # TARGET, elsewhere BACKGROUND
    mask[covered] = label
    return mask


def bounding_box(covered: np.ndarray) -> Box:
    """The smallest box around the True pixels of [H, W]; all zeros when there are none."""
    rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    if not rows.size:
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def check_ratio(name: str, ratio: float, zero: bool = True) -> None:
    """Refuse a share of the image that cannot be covered; `zero`: none of it may be.

    Raises:
        ReanchorError: below 0, above LARGEST_RATIO, not a number, or 0 where something must be covered.
    """
    if not 0 <= ratio <= LARGEST_RATIO or (ratio == 0 and not zero):
        raise ReanchorError(f"{name}: got {ratio:g}; allowed: {'0' if zero else 'above 0'} to {LARGEST_RATIO}, the "
                            "covered share of the image; give a ratio in that range")
