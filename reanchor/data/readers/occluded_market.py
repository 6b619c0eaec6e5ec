"""Occluded-Market: occluded images of Market-1501 and MARS, searched for in Market-1501's gallery.

occluded_train, occluded_query and bounding_box_test. Images from Market-1501 keep their names,
those from MARS have no box number: PID_cCAMsSEQ_FRAME.jpg.
"""

import re
from pathlib import Path

from reanchor.data.listing import Listing
from reanchor.data.readers.named import NamedLayout, read_named

FOLDERS = {"train": "occluded_train", "query": "occluded_query", "gallery": "bounding_box_test"}
NAME = re.compile(r"(-?\d{1,9})_c(\d{1,3})s\d+_\d+(?:_\d+)?\.(?:jpe?g|png)", re.ASCII | re.IGNORECASE)
LAYOUT = NamedLayout("Occluded-Market", FOLDERS, NAME, "PID_cCAMsSEQ_FRAME[_BOX].jpg")


def read(root: Path, seed: int) -> Listing:
    """List Occluded-Market.

    Raises:
        ReanchorError: a folder is missing, empty or holds other names.
    """
    return read_named(root, LAYOUT)
