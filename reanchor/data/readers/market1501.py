"""Market-1501's layout (Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015).

bounding_box_train (12,936 images of 751 identities), query (3,368 of 750) and bounding_box_test
(19,732: 13,115 of the 750 identities, 2,798 distractors with pid 0 and 3,819 junk images with
pid -1), named PID_cCAMsSEQ_FRAME_BOX.jpg. Other datasets in this layout are read as well.
"""

import re
from pathlib import Path

from reanchor.data.listing import Listing
from reanchor.data.readers.named import MARKET_FOLDERS, NamedLayout, read_named

NAME = re.compile(r"(-?\d{1,18})_c(\d{1,9})s\d+_\d+_\d+\.(?:jpe?g|png|tiff?)", re.ASCII | re.IGNORECASE)
LAYOUT = NamedLayout("Market-1501", MARKET_FOLDERS, NAME, "PID_cCAMsSEQ_FRAME_BOX.jpg")


def read(root: Path, seed: int) -> Listing:
    """List a dataset in Market-1501's layout (`seed` is not needed: its splits are given).

    Raises:
        ReanchorError: a folder is missing, empty or holds other names.
    """
    return read_named(root, LAYOUT)
