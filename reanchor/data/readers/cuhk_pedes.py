"""CUHK-PEDES (Li et al., "Person Search with Natural Language Description", CVPR 2017).

imgs/{cam_a,cam_b,CUHK01,CUHK03,Market,test_query,train_query} and reid_raw.json. The archive itself comes
with caption_all.json, a list of {"id", "file_path", "captions"} without the split; the split (by identity:
11,003 train, 1,000 val, 1,000 test) is a download of its own, linked from the authors' page. File names of
seven sources have no camera in common, so none is known here.
"""

from pathlib import Path

from reanchor.data.captions import read_json_list
from reanchor.data.listing import Listing
from reanchor.data.readers.records import RecordLayout, read_records
from reanchor.errors import ReanchorError

WITHOUT_SPLIT = "caption_all.json"
LAYOUT = RecordLayout("CUHK-PEDES", "cuhk_pedes", ("reid_raw.json", WITHOUT_SPLIT), first_id=1)


def read(root: Path, seed: int, test_records: int = 0) -> Listing:
    """List CUHK-PEDES; see `read_records`.

    Raises:
        ReanchorError: a folder or list is missing, the list is not of this form, or names no split.
    """
    only = root / WITHOUT_SPLIT
    if only.is_file() and not (root / LAYOUT.files[0]).is_file() and not names_split(only):
        raise ReanchorError(f"prepare.root: {str(only)!r} names no split, and there is no reid_raw.json, which says "
                            "who trains and who tests; get reid_raw.json (the authors' page links to it) and put it "
                            "there")
    return read_records(root, LAYOUT, test_records)


def names_split(path: Path) -> bool:
    """Whether any record of a list says its split.

    Raises:
        ReanchorError: the file is no JSON list.
    """
    records = read_json_list(path, "a list of records (CUHK-PEDES)")
    return any(isinstance(record, dict) and "split" in record for record in records)
