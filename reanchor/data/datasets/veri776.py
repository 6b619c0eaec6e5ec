"""VeRi-776 (Liu et al., ICME 2016): image_train, image_query, image_test; PID_cCAM_FRAME_INDEX.jpg.

keypoint_train.txt and keypoint_test.txt, where they lie in the root, give views: in each line the
first field is an image's path and the last its view from 0, as the code of TransReID and CLIP-ReID
reads them. Here viewid is that number plus 1, as 0 means unknown; images without a view stay
(their code leaves them out).
"""

import dataclasses
import re
from pathlib import Path, PurePosixPath

from reanchor.data.dataset import Dataset, Hints
from reanchor.data.layouts.lists import read_lines
from reanchor.data.layouts.named import NamedLayout
from reanchor.data.listing import Listing
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
    listing = LAYOUT.read(root, seed)
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


def _no_views(root: Path) -> list[str]:
    absent = [name for name in VIEW_LISTS if not (root / name).is_file()]
    return [f"no {' and no '.join(absent)}: viewid is 0 (unknown) for the images they would name; the lists come with "
            "the code of TransReID and CLIP-ReID and are needed for view embeddings only"] if absent else []


DATASET = Dataset(
    name="veri776", title=LAYOUT.title, kind="vehicle", needs=LAYOUT.needs, read=read, hints=Hints(notes=_no_views),
    layout=f"{LAYOUT.words}; if wanted keypoint_train.txt and keypoint_test.txt (views)",
    source='Liu et al., "Large-scale Vehicle Re-identification in Urban Surveillance Videos", ICME 2016',
    terms="on request from its authors, for research",
    counts={"train_images": 37_778, "query_images": 1_678, "query_identities": 200,
            "gallery_images": 11_579, "gallery_identities": 200, "cameras": 20})
