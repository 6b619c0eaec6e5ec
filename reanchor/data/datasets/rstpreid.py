"""RSTPReid (Zhu et al., "DSSL: Deep Surroundings-person Separation Learning", ACM MM 2021).

Five images of a person from different cameras of MSMT17, two captions each. Identities are numbered from 0,
here from 1. Counts are the paper's.
"""

import re

from reanchor.data.dataset import Dataset
from reanchor.data.layouts.records import RecordLayout

CAMERA = re.compile(r"\d+_c(\d{1,3})_.*", re.ASCII)
LAYOUT = RecordLayout("RSTPReid", "rstpreid", ("data_captions.json",), first_id=0, camera=CAMERA)

DATASET = Dataset(
    name=LAYOUT.card, title=LAYOUT.title, needs=LAYOUT.needs, records=LAYOUT.files, read=LAYOUT.read,
    takes=LAYOUT.takes, layout="imgs/PID_cCAM_INDEX.jpg; data_captions.json",
    source='Zhu et al., "DSSL: Deep Surroundings-person Separation Learning for Text-based Person Retrieval", ACM MM '
           "2021",
    terms="research only; as on its authors' page, and those of MSMT17", splits=("train", "val", "gallery"),
    camera_rule="none",
    counts={
        "train_images": 18_505, "train_identities": 3_701, "train_sentences": 37_010,
        "val_images": 1_000, "val_identities": 200, "val_sentences": 2_000,
        "gallery_images": 1_000, "gallery_identities": 200, "gallery_sentences": 2_000, "cameras": 15,
    })
