"""MSMT17 V1 and V2 (Wei et al., CVPR 2018): lists with lines `0000/0000_000_01_0303morning_0015_0.jpg 0`.

The lists' images lie in train and test (V1) or mask_train_v2 and mask_test_v2 (V2, faces blurred).
list_train and list_val are the training split, as in CLIP-ReID's code. The third number in a name is
the camera. The lists number training and test people from 0 each, although they are different
people; here pids are from 1 (0 marks distractors) and test pids follow the training pids.
"""

import re
from pathlib import Path

from reanchor.data.listing import Entry, Listing, Rejection, is_text, printable
from reanchor.data.readers.lists import read_pairs
from reanchor.errors import ReanchorError

VERSIONS = {"V1": ("train", "test"), "V2": ("mask_train_v2", "mask_test_v2")}
TRAIN_LISTS = ("list_train.txt", "list_val.txt")
TEST_LISTS = {"query": "list_query.txt", "gallery": "list_gallery.txt"}
CAMERA = re.compile(r"[^_]*_[^_]*_(\d{1,3})_.*", re.ASCII)  # of the path from its list


def read(root: Path, seed: int) -> Listing:
    """List MSMT17; `root` holds the four lists beside one version's two folders.

    Raises:
        ReanchorError: no version or both, a list missing, or a line of another form.
    """
    train_folder, test_folder = VERSIONS[version(root)]
    listing = Listing(root.resolve().name, root, [])
    train = [pair for name in TRAIN_LISTS for pair in read_pairs(root / name)]
    _add(listing, train, train_folder, "train", first_pid=1)
    after = 2 + max(pid for _, pid in train)
    for split, name in TEST_LISTS.items():
        _add(listing, read_pairs(root / name), test_folder, split, first_pid=after)
    return listing


def version(root: Path) -> str:
    """V1 or V2, by the folders there.

    Raises:
        ReanchorError: neither is complete, or both are there.
    """
    complete = [name for name, folders in VERSIONS.items() if all((root / part).is_dir() for part in folders)]
    if len(complete) == 1:
        return complete[0]
    if complete:
        raise ReanchorError(f"prepare.root: {str(root)!r} holds the folders of MSMT17 V1 and V2; the lists "
                            "fit one of them: move the other's two folders away")
    raise ReanchorError(f"prepare.root: {str(root)!r} has neither train and test (MSMT17 V1) nor mask_train_v2 "
                        f"and mask_test_v2 (V2); `reanchor doctor msmt17 {root}` says what is missing")


def _add(listing: Listing, pairs: list[tuple[str, int]], folder: str, split: str, first_pid: int) -> None:
    for name, pid in pairs:
        path, camera = f"{folder}/{name}", CAMERA.fullmatch(name)
        if camera and is_text(path):
            listing.entries.append(Entry(path, first_pid + pid, int(camera[1]), split))
        else:
            listing.rejections.append(Rejection(printable(path), "bad_name", "expected PID/PID_INDEX_CAM_*.jpg"))
