"""DukeMTMC-reID's layout (Zheng et al., ICCV 2017), which Occluded-Duke shares (Miao et al., ICCV 2019).

bounding_box_train, query and bounding_box_test, named PID_cCAM_fFRAME.jpg; no junk, no distractors.
"""

import re
from pathlib import Path

from reanchor.data.listing import Listing
from reanchor.data.readers.named import MARKET_FOLDERS, NamedLayout, read_named

NAME = re.compile(r"(\d{1,9})_c(\d{1,3})_f\d+\.(?:jpe?g|png)", re.ASCII | re.IGNORECASE)
LAYOUT = NamedLayout("DukeMTMC-reID", MARKET_FOLDERS, NAME, "PID_cCAM_fFRAME.jpg")


def read(root: Path, seed: int) -> Listing:
    """List DukeMTMC-reID or Occluded-Duke.

    Raises:
        ReanchorError: a folder is missing, empty or holds other names.
    """
    return read_named(root, LAYOUT)
