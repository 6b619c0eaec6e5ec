"""Market-1501 (Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015).

bounding_box_train (12,936 images of 751 identities), query (3,368 of 750) and bounding_box_test
(19,732: 13,115 of the 750 identities, 2,798 distractors with pid 0 and 3,819 junk images with
pid -1). Other datasets in this layout are read as well.
"""

import re

from reanchor.data.dataset import Dataset
from reanchor.data.layouts.named import MARKET_FOLDERS, NamedLayout

NAME = re.compile(r"(-?\d{1,18})_c(\d{1,9})s\d+_\d+_\d+\.(?:jpe?g|png|tiff?)", re.ASCII | re.IGNORECASE)
LAYOUT = NamedLayout("Market-1501", MARKET_FOLDERS, NAME, "PID_cCAMsSEQ_FRAME_BOX.jpg")

DATASET = Dataset(
    name="market1501", title=LAYOUT.title, layout=LAYOUT.words, needs=LAYOUT.needs, read=LAYOUT.read,
    source='Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015',
    terms="research; as on its authors' page", junk=True, distractors=True,
    counts={
        "train_images": 12_936, "train_identities": 751, "query_images": 3_368, "query_identities": 750,
        "gallery_images": 15_913,  # 13,115 of the query identities and the distractors
        "gallery_identities": 750, "distractors": 2_798, "junk": 3_819, "cameras": 6,
    })
