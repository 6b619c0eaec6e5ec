"""PKU-Reid (Ma et al., 2016): 114 people, two cameras, eight orientations; PID_CAM_*.png in one folder.

It comes without splits: half of the identities train and half test, by the seed. A copy in
Market-1501's folders is read as such, with its splits.
"""

import re
from pathlib import Path

from reanchor.data.beside import unread_among
from reanchor.data.dataset import Dataset
from reanchor.data.datasets import market1501
from reanchor.data.layouts.named import named_images
from reanchor.data.listing import Entry, Listing, split_by_identity
from reanchor.errors import ReanchorError

NAME = re.compile(r"(\d{1,9})_(\d{1,3})_.*\.(?:png|jpe?g)", re.ASCII | re.IGNORECASE)
FOLDER = "PKUv1a_128x48"


def read(root: Path, seed: int) -> Listing:
    """List PKU-Reid, from `root` itself or the folder PKUv1a_128x48 in it.

    Raises:
        ReanchorError: no image with such a name, or fewer than 4 identities.
    """
    if (root / "bounding_box_train").is_dir():
        return market1501.LAYOUT.read(root, seed)
    folder = FOLDER if (root / FOLDER).is_dir() else ""
    listing = Listing(root.resolve().name, root, [], unread=unread_among(root, root / folder))
    listing.entries = [Entry(path, int(match[1]), int(match[2]), "")
                       for path, match in named_images(root, folder, NAME, "PID_CAM_*.png", listing)]
    if not listing.entries:
        raise ReanchorError(f"prepare.root: {str(root)!r} has no image named PID_CAM_*.png, nor the folder "
                            "bounding_box_train; correct prepare.root")
    listing.entries = split_by_identity(listing.entries, seed)
    return listing


DATASET = Dataset(
    name="pku_reid", title="PKU-Reid", read=read,
    layout="PID_CAM_*.png in one folder (identities are divided by prepare.seed), or Market-1501's folders",
    source='Ma et al., "Orientation Driven Bag of Appearances for Person Re-identification", 2016',
    terms="CC BY-NC-SA 4.0", published=False, junk=True, distractors=True, counts={"cameras": 2},
    totals={"images": 1_824, "identities": 114})  # eight orientations in each camera; no split is published
