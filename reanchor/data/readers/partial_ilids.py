"""Partial-iLIDS (images of Zheng et al., CVPR 2011): test only, 119 people, one image each on both sides.

Probe holds the queries and Gallery the gallery (some copies: query, gallery); PID.jpg.
"""

from pathlib import Path

from reanchor.data.listing import Listing
from reanchor.data.readers.pairs import GALLERY_CAMERA, QUERY_CAMERA, Side, read_sides

FOLDERS = (("Probe", "Gallery"), ("query", "gallery"))


def read(root: Path, seed: int) -> Listing:
    """List Partial-iLIDS.

    Raises:
        ReanchorError: a folder is missing or has no images.
    """
    present = [pair for pair in FOLDERS if all((root / folder).is_dir() for folder in pair)]
    query, gallery = (present or FOLDERS)[0]
    sides = [Side(query, "query", QUERY_CAMERA), Side(gallery, "gallery", GALLERY_CAMERA)]
    return read_sides(root, "Partial-iLIDS", sides, nested=False)
