"""Occluded-REID (Zhuo et al., ICME 2018): test only, 200 people, 5 occluded and 5 whole images each.

occluded_body_images/PID/PID_INDEX.tif are queries, whole_body_images/PID/PID_INDEX.tif the gallery;
a file that lies in another person's folder is set aside.
"""

import re
from pathlib import Path

from reanchor.data.dataset import TEST_SPLITS, Dataset
from reanchor.data.layouts.pairs import GALLERY_CAMERA, QUERY_CAMERA, PairedLayout, Side
from reanchor.data.listing import Entry, Listing, Rejection

LAYOUT = PairedLayout("Occluded-REID", (Side("occluded_body_images", "query", QUERY_CAMERA),
                                        Side("whole_body_images", "gallery", GALLERY_CAMERA)), nested=True)


def read(root: Path, seed: int) -> Listing:
    """List Occluded-REID.

    Raises:
        ReanchorError: a folder is missing or has no images.
    """
    listing = LAYOUT.read(root, seed)
    astray = [entry for entry in listing.entries if not _at_home(entry)]
    listing.entries = [entry for entry in listing.entries if _at_home(entry)]
    listing.rejections += [Rejection(entry.path, "bad_name", "its name gives another pid than its folder")
                           for entry in astray]
    return listing


def _at_home(entry: Entry) -> bool:
    _, folder, name = entry.path.split("/")
    return not folder.isdecimal() or int(folder) == int(re.match(r"\d+", name)[0])


DATASET = Dataset(
    name="occluded_reid", title=LAYOUT.title, needs=LAYOUT.needs, read=read,
    layout="{occluded_body_images,whole_body_images}/PID/PID_INDEX.tif",
    source='Zhuo et al., "Occluded Person Re-identification", ICME 2018',
    terms="academic or educational use only, not commercial", splits=TEST_SPLITS,
    cameras="made", camera_rule="none",
    counts={"query_images": 1_000, "query_identities": 200, "gallery_images": 1_000,
            "gallery_identities": 200})
