"""RSTPReid (Zhu et al., "DSSL: Deep Surroundings-person Separation Learning", ACM MM 2021).

imgs/PID_cCAM_INDEX.jpg and data_captions.json; five images of a person from different cameras of MSMT17,
two captions each. Identities are numbered from 0, here from 1.
"""

import re
from pathlib import Path

from reanchor.data.listing import Listing
from reanchor.data.readers.records import RecordLayout, read_records

CAMERA = re.compile(r"\d+_c(\d{1,3})_.*", re.ASCII)
LAYOUT = RecordLayout("RSTPReid", "rstpreid", ("data_captions.json",), first_id=0, camera=CAMERA)


def read(root: Path, seed: int, test_records: int = 0) -> Listing:
    """List RSTPReid; see `read_records`.

    Raises:
        ReanchorError: a folder or list is missing, or the list is not of this form.
    """
    return read_records(root, LAYOUT, test_records)
