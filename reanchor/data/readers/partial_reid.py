"""Partial-REID (Zheng et al., ICCV 2015): test only, 60 people, 5 partial and 5 whole images each.

partial_body_images (cut to what is visible) are queries, whole_body_images the gallery; PID_INDEX.jpg.
occluded_body_images, the uncut queries, are not read: published figures use the cut ones.
"""

from pathlib import Path

from reanchor.data.listing import Listing
from reanchor.data.readers.pairs import GALLERY_CAMERA, QUERY_CAMERA, Side, read_sides

SIDES = [Side("partial_body_images", "query", QUERY_CAMERA), Side("whole_body_images", "gallery", GALLERY_CAMERA)]


def read(root: Path, seed: int) -> Listing:
    """List Partial-REID.

    Raises:
        ReanchorError: a folder is missing or has no images.
    """
    return read_sides(root, "Partial-REID", SIDES, nested=False)
