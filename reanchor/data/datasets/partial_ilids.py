"""Partial-iLIDS (images of Zheng et al., CVPR 2011): test only, 119 people, one image each on both sides.

Probe holds the queries and Gallery the gallery (some copies: query, gallery); PID.jpg.
"""

from pathlib import Path

from reanchor.data.dataset import TEST_SPLITS, Dataset
from reanchor.data.layouts.pairs import GALLERY_CAMERA, QUERY_CAMERA, PairedLayout, Side
from reanchor.data.listing import Listing

TITLE = "Partial-iLIDS"
FOLDERS = (("Probe", "Gallery"), ("query", "gallery"))


def read(root: Path, seed: int) -> Listing:
    """List Partial-iLIDS.

    Raises:
        ReanchorError: a folder is missing or has no images.
    """
    present = [pair for pair in FOLDERS if all((root / folder).is_dir() for folder in pair)]
    query, gallery = (present or FOLDERS)[0]
    sides = Side(query, "query", QUERY_CAMERA), Side(gallery, "gallery", GALLERY_CAMERA)
    return PairedLayout(TITLE, sides, nested=False).read(root, seed)


DATASET = Dataset(
    name="partial_ilids", title=TITLE, needs=FOLDERS, read=read,
    layout="Probe, Gallery (or query, gallery); PID.jpg",
    source='Zheng et al., "Person Re-identification by Probabilistic Relative Distance Comparison", CVPR '
           '2011; split of He et al., "Deep Spatial Feature Reconstruction", CVPR 2018',
    terms="research; ask its authors", splits=TEST_SPLITS, cameras="made", camera_rule="none",
    counts={"query_images": 119, "query_identities": 119, "gallery_images": 119, "gallery_identities": 119})
