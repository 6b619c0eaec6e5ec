"""VehicleID (Liu et al., CVPR 2016): image/NAME.jpg, and lists of `NAME PID` in train_test_split.

The test list of 800, 1,600 or 2,400 vehicles is chosen by prepare.test_size. Of each test vehicle one
image, drawn by the seed, is gallery and the others are queries; figures are averages over such draws,
which evaluation repeats. No camera is known.
"""

from pathlib import Path

import numpy as np

from reanchor.data.dataset import Dataset, Hints
from reanchor.data.layouts.lists import read_pairs
from reanchor.data.listing import Entry, Listing
from reanchor.errors import ReanchorError

FOLDER = "train_test_split"
TRAIN_LIST = f"{FOLDER}/train_list.txt"
TEST_LISTS = {size: f"{FOLDER}/test_list_{vehicles}.txt"
              for size, vehicles in (("small", 800), ("medium", 1600), ("large", 2400))}


def read(root: Path, seed: int, test_size: str = "small") -> Listing:
    """List VehicleID with the test vehicles of `test_size` (small, medium or large).

    Raises:
        ReanchorError: no image folder, a list missing, or a line of another form.
    """
    if not (root / "image").is_dir():
        raise ReanchorError(f"prepare.root: {str(root)!r} has no folder image; VehicleID's layout needs image "
                            "and train_test_split; correct prepare.root")
    train = read_pairs(root / TRAIN_LIST)
    test = read_pairs(root / TEST_LISTS[test_size])
    shift = int(min(pid for _, pid in train + test) == 0)  # 0 would mark a distractor
    gallery = _drawn(test, seed)

    def entry(name: str, pid: int, split: str) -> Entry:
        return Entry(f"image/{name}.jpg", pid + shift, 0, split)

    entries = [entry(name, pid, "train") for name, pid in train]
    entries += [entry(name, pid, "gallery" if name in gallery else "query") for name, pid in test]
    return Listing(root.resolve().name, root, entries)


def _drawn(pairs: list[tuple[str, int]], seed: int) -> set[str]:
    """One image of each vehicle; the draw depends on the seed and the names, not on the list's order."""
    names: dict[int, list[str]] = {}
    for name, pid in pairs:
        names.setdefault(pid, []).append(name)
    rng = np.random.default_rng(seed)
    return {sorted(names[pid])[rng.integers(len(names[pid]))] for pid in sorted(names)}


DATASET = Dataset(
    name="vehicleid", title="VehicleID", kind="vehicle", needs=(("image", FOLDER),), lists=(TRAIN_LIST,), read=read,
    takes=("test_size",), hints=Hints(lists=lambda root, test_size="small": (TEST_LISTS[test_size],)),
    layout="image/NAME.jpg; train_test_split/train_list.txt, test_list_{800,1600,2400}.txt with `NAME PID` lines "
           "(prepare.test_size=small, medium, large)",
    source='Liu et al., "Deep Relative Distance Learning: Tell the Difference Between Similar Vehicles", '
           'CVPR 2016',
    terms="on request from its authors, for research", cameras="none", camera_rule="none", galleries=10,
    counts={"train_images": 113_346, "train_identities": 13_164},
    variants={  # one gallery image per vehicle, the rest are queries
        "small": {"query_images": 5_693, "gallery_images": 800, "gallery_identities": 800},
        "medium": {"query_images": 11_777, "gallery_images": 1_600, "gallery_identities": 1_600},
        "large": {"query_images": 17_377, "gallery_images": 2_400, "gallery_identities": 2_400},
    })
