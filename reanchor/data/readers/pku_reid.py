"""PKU-Reid (Ma et al., 2016): 114 people, two cameras, eight orientations; PID_CAM_*.png in one folder.

It comes without splits: half of the identities train and half test, by the seed. A copy in
Market-1501's folders is read as such, with its splits.
"""

import re
from pathlib import Path

from reanchor.data.beside import unread_among
from reanchor.data.listing import Entry, Listing, Rejection, image_names, printable, split_by_identity
from reanchor.data.readers import market1501
from reanchor.errors import ReanchorError

NAME = re.compile(r"(\d{1,9})_(\d{1,3})_.*\.(?:png|jpe?g)", re.ASCII | re.IGNORECASE)
FOLDER = "PKUv1a_128x48"


def read(root: Path, seed: int) -> Listing:
    """List PKU-Reid, from `root` itself or the folder PKUv1a_128x48 in it.

    Raises:
        ReanchorError: no image with such a name, or fewer than 4 identities.
    """
    if (root / "bounding_box_train").is_dir():
        return market1501.read(root, seed)
    inside = f"{FOLDER}/" if (root / FOLDER).is_dir() else ""
    listing = Listing(root.resolve().name, root, [], unread=unread_among(root, root / inside))
    for name in image_names(root / inside):
        if match := NAME.fullmatch(name):
            listing.entries.append(Entry(inside + name, int(match[1]), int(match[2]), ""))
        else:
            listing.rejections.append(Rejection(printable(inside + name), "bad_name", "expected PID_CAM_*.png"))
    if not listing.entries:
        raise ReanchorError(f"prepare.root: {str(root)!r} has no image named PID_CAM_*.png, nor the folder "
                            "bounding_box_train; correct prepare.root")
    listing.entries = split_by_identity(listing.entries, seed)
    return listing
