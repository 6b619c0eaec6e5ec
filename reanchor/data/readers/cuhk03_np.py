"""CUHK03 in the new protocol (Zhong et al., CVPR 2017): `detected` and `labeled` are two datasets.

Each holds bounding_box_train, query and bounding_box_test, named PID_cCAM_INDEX.png.
"""

import re
from pathlib import Path

from reanchor.data.listing import Listing
from reanchor.data.readers.named import MARKET_FOLDERS, NamedLayout, read_named
from reanchor.errors import ReanchorError

BOXES = ("detected", "labeled")
NAME = re.compile(r"(\d{1,9})_c(\d{1,3})_\d+\.(?:png|jpe?g)", re.ASCII | re.IGNORECASE)
LAYOUT = NamedLayout("CUHK03-NP", MARKET_FOLDERS, NAME, "PID_cCAM_INDEX.png")


def read(root: Path, seed: int) -> Listing:
    """List the boxes, detected or labeled, that `root` holds.

    Raises:
        ReanchorError: `root` is the folder above, or a folder is missing, empty or holds other names.
    """
    present = [name for name in BOXES if (root / name).is_dir()]
    if present and not (root / "bounding_box_train").is_dir():
        raise ReanchorError(f"prepare.root: {str(root)!r} holds {' and '.join(present)}, which are datasets "
                            f"of their own; set prepare.root to {root / present[0]}")
    return read_named(root, LAYOUT)
