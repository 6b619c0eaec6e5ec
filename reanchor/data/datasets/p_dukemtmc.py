"""P-DukeMTMC-reID (Zhuo et al., ICME 2018): {train,test}/{occluded,whole}_body_images/PID/PID_*.jpg.

Both sides of train are the training split; of test the occluded images are queries and the whole ones
the gallery. Cameras are made, 1 for occluded and 2 for whole images, as the public code that reports
on it does (PVPM, CVPR 2020).
"""

from reanchor.data.dataset import Dataset
from reanchor.data.datasets.dukemtmc_reid import TERMS, WITHDRAWN
from reanchor.data.layouts.pairs import GALLERY_CAMERA, QUERY_CAMERA, PairedLayout, Side

LAYOUT = PairedLayout("P-DukeMTMC-reID", (
    Side("train/occluded_body_images", "train", QUERY_CAMERA),
    Side("train/whole_body_images", "train", GALLERY_CAMERA),
    Side("test/occluded_body_images", "query", QUERY_CAMERA),
    Side("test/whole_body_images", "gallery", GALLERY_CAMERA),
), nested=True)

DATASET = Dataset(
    name="p_dukemtmc", title=LAYOUT.title, needs=LAYOUT.needs, read=LAYOUT.read,
    layout="{train,test}/{occluded_body_images,whole_body_images}/PID/PID_*.jpg",
    source='Zhuo et al., "Occluded Person Re-identification", ICME 2018', terms=TERMS, withdrawn=WITHDRAWN,
    cameras="made", camera_rule="none", totals={"images": 24_143, "identities": 1_299})  # its authors' README
