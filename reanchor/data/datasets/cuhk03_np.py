"""CUHK03 in the new protocol (Zhong et al., CVPR 2017): `detected` and `labeled` are two datasets.

Each holds bounding_box_train, query and bounding_box_test.
"""

import re
from pathlib import Path

from reanchor.data.dataset import Dataset, Hints, Trouble
from reanchor.data.layouts.named import MARKET_FOLDERS, NamedLayout
from reanchor.data.listing import Listing
from reanchor.errors import ReanchorError

BOXES = ("detected", "labeled")
NAME = re.compile(r"(\d{1,9})_c(\d{1,3})_\d+\.(?:png|jpe?g)", re.ASCII | re.IGNORECASE)
LAYOUT = NamedLayout("CUHK03-NP", MARKET_FOLDERS, NAME, "PID_cCAM_INDEX.png")


def read(root: Path, seed: int) -> Listing:
    """List the boxes, detected or labeled, that `root` holds.

    Raises:
        ReanchorError: `root` is the folder above, or a folder is missing, empty or holds other names.
    """
    present = _boxes(root)
    if present and not (root / "bounding_box_train").is_dir():
        raise ReanchorError(f"prepare.root: {str(root)!r} holds {' and '.join(present)}, which are datasets "
                            f"of their own; set prepare.root to {root / present[0]}")
    return LAYOUT.read(root, seed)


def _boxes(root: Path) -> list[str]:
    return [name for name in BOXES if (root / name).is_dir()]


def _folder_above(root: Path) -> Trouble | None:
    present = _boxes(root)
    return (f"{root} holds {' and '.join(present)}; each is a dataset of its own",
            f"use prepare.root={root / present[0]}") if present else None


DATASET = Dataset(
    name="cuhk03_np", title=LAYOUT.title, needs=LAYOUT.needs, read=read, hints=Hints(folders=_folder_above),
    layout="{detected,labeled}/{bounding_box_train,query,bounding_box_test}; PID_cCAM_INDEX.png; "
           "prepare.root is detected or labeled",
    source='Li et al., "DeepReID", CVPR 2014; split of Zhong et al., "Re-ranking Person Re-identification '
           'with k-reciprocal Encoding", CVPR 2017',
    terms="research; as on its authors' page",
    counts={"train_identities": 767, "query_images": 1_400, "query_identities": 700,
            "gallery_identities": 700, "cameras": 2},
    variants={"detected": {"train_images": 7_365, "gallery_images": 5_332},
              "labeled": {"train_images": 7_368, "gallery_images": 5_328}})
