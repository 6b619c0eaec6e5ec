"""MSMT17 V1 and V2 (Wei et al., CVPR 2018): lists with lines `0000/0000_000_01_0303morning_0015_0.jpg 0`.

The lists' images lie in train and test (V1) or mask_train_v2 and mask_test_v2 (V2, faces blurred).
list_train and list_val are the training split, as in CLIP-ReID's code. The third number in a name is
the camera. The lists number training and test people from 0 each, although they are different
people; here pids are from 1 (0 marks distractors) and test pids follow the training pids.
"""

import re
from pathlib import Path

from reanchor.data.dataset import UNPACKED_IN_PART, Dataset, Hints, Trouble
from reanchor.data.layouts.lists import read_pairs
from reanchor.data.listing import Entry, Listing, Rejection, is_text, printable
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


def _mixed_versions(root: Path) -> Trouble | None:
    there = [tuple(name for name in folders if (root / name).is_dir()) for folders in VERSIONS.values()]
    if there == list(VERSIONS.values()):
        return (f"{root} holds the folders of MSMT17 V1 (train, test) and of V2 (mask_train_v2, mask_test_v2)",
                "move those of one version away; V2 has blurred faces, and figures of the two differ")
    if all(there):
        return (f"{root} mixes MSMT17 V1 and V2 up: it holds {', '.join(name for names in there for name in names)}",
                "keep train and test (V1), or mask_train_v2 and mask_test_v2 (V2), from one archive")
    return None


DATASET = Dataset(
    name="msmt17", title="MSMT17", needs=tuple(VERSIONS.values()), lists=(*TRAIN_LISTS, *TEST_LISTS.values()),
    read=read, layout="list_{train,val,query,gallery}.txt; V1: train, test; V2: mask_train_v2, mask_test_v2",
    source='Wei et al., "Person Transfer GAN to Bridge Domain Gap for Person Re-Identification", CVPR 2018',
    terms="on request from its authors, for research",
    counts={
        "train_images": 32_621, "train_identities": 1_041, "query_images": 11_659, "query_identities": 3_060,
        "gallery_images": 82_161, "gallery_identities": 3_060, "cameras": 15,
    },
    hints=Hints(folders=_mixed_versions, absent=lambda root, path:
                f"{UNPACKED_IN_PART}; lists and images must be of one version, V1 or V2"))
