"""VeRi-776 (Liu et al., ICME 2016): image_train, image_query, image_test; PID_cCAM_FRAME_INDEX.jpg.

keypoint_train.txt and keypoint_test.txt, where they lie in the root, give views: in each line the
first field is an image's path and the last its view from 0, as the code of TransReID and CLIP-ReID
reads them. Here viewid is that number plus 1, as 0 means unknown; images without a view stay
(their code leaves them out).
"""

import dataclasses
import re
from pathlib import Path, PurePosixPath

from reanchor.data.listing import Listing
from reanchor.data.readers.lists import read_lines
from reanchor.data.readers.named import NamedLayout, read_named
from reanchor.errors import ReanchorError

FOLDERS = {"train": "image_train", "query": "image_query", "gallery": "image_test"}
VIEW_LISTS = ("keypoint_test.txt", "keypoint_train.txt")  # the later wins, as in the authors' code
NAME = re.compile(r"(\d{1,9})_c(\d{1,6})_\d+_\d+\.(?:jpe?g|png)", re.ASCII | re.IGNORECASE)
LAYOUT = NamedLayout("VeRi-776", FOLDERS, NAME, "PID_cCAM_FRAME_INDEX.jpg")


def read(root: Path, seed: int) -> Listing:
    """List VeRi-776, with views where the lists give them.

    Raises:
        ReanchorError: a folder is missing, empty or holds other names, or a view is no number.
    """
    listing = read_named(root, LAYOUT)
    views: dict[str, int] = {}
    for name in VIEW_LISTS:
        views |= _views(root / name) if (root / name).is_file() else {}
    listing.entries = [dataclasses.replace(entry, viewid=views.get(PurePosixPath(entry.path).name, 0))
                       for entry in listing.entries]
    return listing


def _views(path: Path) -> dict[str, int]:
    views: dict[str, int] = {}
    for number, fields in read_lines(path):
        if len(fields) < 2 or not re.fullmatch(r"\d{1,4}", fields[-1], re.ASCII):
            raise ReanchorError(f"{path} line {number}: view {fields[-1]!r}; allowed is an image's path first "
                                "and a whole number from 0 last; repair the line or take the file away")
        views[PurePosixPath(fields[0]).name] = int(fields[-1]) + 1
    return views
