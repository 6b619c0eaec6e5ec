"""Partial-REID (Zheng et al., ICCV 2015): test only, 60 people, 5 partial and 5 whole images each.

partial_body_images (cut to what is visible) are queries, whole_body_images the gallery.
occluded_body_images, the uncut queries, are not read: published figures use the cut ones.
"""

from reanchor.data.dataset import TEST_SPLITS, Dataset
from reanchor.data.layouts.pairs import GALLERY_CAMERA, QUERY_CAMERA, PairedLayout, Side

LAYOUT = PairedLayout("Partial-REID", (Side("partial_body_images", "query", QUERY_CAMERA),
                                       Side("whole_body_images", "gallery", GALLERY_CAMERA)), nested=False)

DATASET = Dataset(
    name="partial_reid", title=LAYOUT.title, needs=LAYOUT.needs, read=LAYOUT.read,
    layout="partial_body_images, whole_body_images; PID_INDEX.jpg",
    source='Zheng et al., "Partial Person Re-Identification", ICCV 2015',
    terms="research; ask its authors", splits=TEST_SPLITS, cameras="made", camera_rule="none",
    counts={"query_images": 300, "query_identities": 60, "gallery_images": 300, "gallery_identities": 60})
