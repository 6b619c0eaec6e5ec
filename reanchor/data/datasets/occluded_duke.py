"""Occluded-Duke (Miao et al., ICCV 2019): DukeMTMC-reID split anew, so that every query is occluded."""

from reanchor.data.dataset import Dataset
from reanchor.data.datasets.dukemtmc_reid import LAYOUT, TERMS, WITHDRAWN

DATASET = Dataset(
    name="occluded_duke", title="Occluded-Duke", layout=LAYOUT.words, needs=LAYOUT.needs, read=LAYOUT.read,
    shares="dukemtmc_reid",
    source='Miao et al., "Pose-Guided Feature Alignment for Occluded Person Re-Identification", ICCV 2019',
    terms=TERMS, withdrawn=WITHDRAWN,
    counts={"train_images": 15_618, "query_images": 2_210, "query_identities": 519,
            "gallery_images": 17_661, "gallery_identities": 1_110, "cameras": 8})
