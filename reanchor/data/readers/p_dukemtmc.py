"""P-DukeMTMC-reID (Zhuo et al., ICME 2018): {train,test}/{occluded,whole}_body_images/PID/PID_*.jpg.

Both sides of train are the training split; of test the occluded images are queries and the whole ones
the gallery. Cameras are made, 1 for occluded and 2 for whole images, as the public code that reports
on it does (PVPM, CVPR 2020).
"""

from pathlib import Path

from reanchor.data.listing import Listing
from reanchor.data.readers.pairs import GALLERY_CAMERA, QUERY_CAMERA, Side, read_sides

SIDES = [
    Side("train/occluded_body_images", "train", QUERY_CAMERA),
    Side("train/whole_body_images", "train", GALLERY_CAMERA),
    Side("test/occluded_body_images", "query", QUERY_CAMERA),
    Side("test/whole_body_images", "gallery", GALLERY_CAMERA),
]


def read(root: Path, seed: int) -> Listing:
    """List P-DukeMTMC-reID.

    Raises:
        ReanchorError: a folder is missing or has no images.
    """
    return read_sides(root, "P-DukeMTMC-reID", SIDES, nested=True)
