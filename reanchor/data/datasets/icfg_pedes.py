"""ICFG-PEDES (Ding et al., "Semantically Self-Aligned Network", arXiv 2107.12666).

imgs/{train,test} and ICFG-PEDES.json (ICFG_PEDES.json in the authors' description). The images are
MSMT17's under their own names (PID_INDEX_CAM_*.jpg), and so are the folders: the list alone says who
trains and who tests. Identities are numbered from 0, here from 1. There is no validation split. Counts are
the paper's.
"""

import re

from reanchor.data.dataset import Dataset
from reanchor.data.layouts.records import RecordLayout

CAMERA = re.compile(r"[^_]*_[^_]*_(\d{1,3})_.*", re.ASCII)
LAYOUT = RecordLayout("ICFG-PEDES", "icfg_pedes", ("ICFG-PEDES.json", "ICFG_PEDES.json"), first_id=0, camera=CAMERA)

DATASET = Dataset(
    name=LAYOUT.card, title=LAYOUT.title, needs=LAYOUT.needs, records=LAYOUT.files, read=LAYOUT.read,
    takes=LAYOUT.takes, folders=("train", "test"),
    layout="imgs/{train,test}/PID/PID_INDEX_CAM_*.jpg (MSMT17's folders, not the split); ICFG-PEDES.json",
    source='Ding et al., "Semantically Self-Aligned Network for Text-to-Image Part-aware Person Re-identification", '
           "arXiv 2107.12666",
    terms="research only; on request from its authors, and those of MSMT17", splits=("train", "gallery"),
    camera_rule="none",
    counts={
        "train_images": 34_674, "train_identities": 3_102, "train_sentences": 34_674,
        "gallery_images": 19_848, "gallery_identities": 1_000, "gallery_sentences": 19_848, "cameras": 15,
    })
