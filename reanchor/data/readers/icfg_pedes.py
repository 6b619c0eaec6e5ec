"""ICFG-PEDES (Ding et al., "Semantically Self-Aligned Network", arXiv 2107.12666).

imgs/{train,test} and ICFG-PEDES.json (ICFG_PEDES.json in the authors' description). The images are
MSMT17's under their own names (PID_INDEX_CAM_*.jpg), and so are the folders: the list alone says who
trains and who tests. Identities are numbered from 0, here from 1. There is no validation split.
"""

import re
from pathlib import Path

from reanchor.data.listing import Listing
from reanchor.data.readers.records import RecordLayout, read_records

CAMERA = re.compile(r"[^_]*_[^_]*_(\d{1,3})_.*", re.ASCII)
LAYOUT = RecordLayout("ICFG-PEDES", "icfg_pedes", ("ICFG-PEDES.json", "ICFG_PEDES.json"), first_id=0, camera=CAMERA)


def read(root: Path, seed: int, test_records: int = 0) -> Listing:
    """List ICFG-PEDES; see `read_records`.

    Raises:
        ReanchorError: a folder or list is missing, or the list is not of this form.
    """
    return read_records(root, LAYOUT, test_records)
