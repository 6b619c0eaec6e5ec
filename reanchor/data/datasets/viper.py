"""VIPeR (Gray et al., PETS 2007): 632 people, one picture in each of two cameras; {cam_a,cam_b}/NNN_DEG.bmp.

NNN is the person, alike in both folders, and DEG the angle from which they are seen. Half of the people train and
half are tested, by a random split that is not published: figures are averages over ten. Here prepare.seed draws one,
and cam_a searches cam_b; deep-person-reid judges each split the other way round as well.
"""

import re

from reanchor.data.dataset import Dataset
from reanchor.data.layouts.halves import HalvedLayout

FOLDERS = ("cam_a", "cam_b")  # cameras 1 and 2
NAME = re.compile(r"(\d{3,9})_\d{1,3}\.(?:bmp|png|jpe?g)", re.ASCII | re.IGNORECASE)
LAYOUT = HalvedLayout("VIPeR", FOLDERS, NAME, "NNN_DEG.bmp",
                      lambda folder, match: (int(match[1]), 1 + FOLDERS.index(folder)))

DATASET = Dataset(
    name="viper", title=LAYOUT.title, needs=(FOLDERS,), read=LAYOUT.read, layout="cam_a, cam_b; NNN_DEG.bmp",
    source='Gray et al., "Evaluating Appearance Models for Recognition, Reacquisition, and Tracking", PETS 2007',
    terms="research; as on its authors' page", random_splits=10,
    protocol="half of the identities train, drawn by prepare.seed; cam_a (camera 1) searches cam_b (camera 2)",
    counts={"train_images": 632, "train_identities": 316, "query_images": 316, "query_identities": 316,
            "gallery_images": 316, "gallery_identities": 316, "cameras": 2})
