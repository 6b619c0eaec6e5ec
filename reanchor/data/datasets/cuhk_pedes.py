"""CUHK-PEDES (Li et al., "Person Search with Natural Language Description", CVPR 2017).

The archive itself comes with caption_all.json, a list of {"id", "file_path", "captions"} without the split; the
split (by identity: 11,003 train, 1,000 val, 1,000 test) is a download of its own, linked from the authors' page.
File names of seven sources have no camera in common, so none is known here. Counts of images and identities are
the paper's; those of sentences are by split as public code lists them, 80,440 in all, where MGCC's paper says
80,412.
"""

from pathlib import Path

from reanchor.data.dataset import Dataset
from reanchor.data.layouts.records import RecordLayout, names_split
from reanchor.data.listing import Listing
from reanchor.errors import ReanchorError

WITHOUT_SPLIT = "caption_all.json"
LAYOUT = RecordLayout("CUHK-PEDES", "cuhk_pedes", ("reid_raw.json", WITHOUT_SPLIT), first_id=1)


def read(root: Path, seed: int, test_records: int = 0) -> Listing:
    """List CUHK-PEDES; see `RecordLayout.read`.

    Raises:
        ReanchorError: a folder or list is missing, the list is not of this form, or names no split.
    """
    only = root / WITHOUT_SPLIT
    if only.is_file() and not (root / LAYOUT.files[0]).is_file() and not names_split(only, LAYOUT.title):
        raise ReanchorError(f"prepare.root: {str(only)!r} names no split, and there is no reid_raw.json, which says "
                            "who trains and who tests; get reid_raw.json (the authors' page links to it) and put it "
                            "there")
    return LAYOUT.read(root, seed, test_records)


DATASET = Dataset(
    name=LAYOUT.card, title=LAYOUT.title, needs=LAYOUT.needs, records=LAYOUT.files, read=read, takes=LAYOUT.takes,
    folders=("cam_a", "cam_b", "CUHK01", "CUHK03", "Market", "test_query", "train_query"),
    layout="imgs/{cam_a,cam_b,CUHK01,CUHK03,Market,test_query,train_query}; reid_raw.json",
    source='Li et al., "Person Search with Natural Language Description", CVPR 2017',
    terms="research only; on request from its authors", splits=("train", "val", "gallery"), cameras="none",
    camera_rule="none",
    counts={
        "train_images": 34_054, "train_identities": 11_003, "train_sentences": 68_126,
        "val_images": 3_078, "val_identities": 1_000, "val_sentences": 6_158,
        "gallery_images": 3_074, "gallery_identities": 1_000, "gallery_sentences": 6_156,
    })
