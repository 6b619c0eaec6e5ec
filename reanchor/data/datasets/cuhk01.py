"""CUHK01 (Li et al., ACCV 2012): 971 people, two pictures in each of two cameras; campus/NNNNMMM.png.

NNNN is the person; pictures MMM 001 and 002 are from camera 1, 003 and 004 from camera 2. 485 people train and 486
are tested, by a random split that is not published: figures are averages over ten. Here prepare.seed draws one, and
both pictures of camera 1 search both of camera 2; deep-person-reid judges each split the other way round as well. The
older protocol of 871 and 100 people is not this one.
"""

import re

from reanchor.data.dataset import Dataset
from reanchor.data.layouts.halves import HalvedLayout

NAME = re.compile(r"(\d{4})00([1-4])\.(?:png|jpe?g|bmp)", re.ASCII | re.IGNORECASE)
LAYOUT = HalvedLayout("CUHK01", ("campus",), NAME, "NNNNMMM.png",
                      lambda folder, match: (int(match[1]), (int(match[2]) + 1) // 2))

DATASET = Dataset(
    name="cuhk01", title=LAYOUT.title, needs=(LAYOUT.folders,), read=LAYOUT.read, layout="campus; NNNNMMM.png",
    source='Li et al., "Human Reidentification with Transferred Metric Learning", ACCV 2012',
    terms="research; as on its authors' page", random_splits=10,
    protocol="485 identities train and 486 test, drawn by prepare.seed; camera 1 (pictures 1, 2) searches camera 2 "
             "(3, 4)",
    counts={"train_images": 1_940, "train_identities": 485, "query_images": 972, "query_identities": 486,
            "gallery_images": 972, "gallery_identities": 486, "cameras": 2})
