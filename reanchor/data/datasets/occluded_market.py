"""Occluded-Market: occluded images of Market-1501 and MARS, searched for in Market-1501's gallery.

Images from Market-1501 keep their names, those from MARS have no box number: PID_cCAMsSEQ_FRAME.jpg.
"""

import re

from reanchor.data.dataset import Dataset
from reanchor.data.layouts.named import NamedLayout

FOLDERS = {"train": "occluded_train", "query": "occluded_query", "gallery": "bounding_box_test"}
NAME = re.compile(r"(-?\d{1,9})_c(\d{1,3})s\d+_\d+(?:_\d+)?\.(?:jpe?g|png)", re.ASCII | re.IGNORECASE)
LAYOUT = NamedLayout("Occluded-Market", FOLDERS, NAME, "PID_cCAMsSEQ_FRAME[_BOX].jpg")

DATASET = Dataset(
    name="occluded_market", title=LAYOUT.title, layout=LAYOUT.words, needs=LAYOUT.needs, read=LAYOUT.read,
    source="a re-split of Market-1501 (ICCV 2015) and MARS (ECCV 2016), as SAGA-ReID's code reads it",
    terms="those of Market-1501 and MARS: research", junk=True, distractors=True,
    counts={"train_images": 9_287, "query_images": 2_343, "cameras": 6})
