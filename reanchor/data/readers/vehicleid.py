"""VehicleID (Liu et al., CVPR 2016): image/NAME.jpg, and lists of `NAME PID` in train_test_split.

The test list of 800, 1,600 or 2,400 vehicles is chosen by prepare.test_size. Of each test vehicle one
image, drawn by the seed, is gallery and the others are queries; figures are averages over such draws,
which evaluation repeats. No camera is known.
"""

from pathlib import Path

import numpy as np

from reanchor.data.listing import Entry, Listing
from reanchor.data.readers.lists import read_pairs
from reanchor.errors import ReanchorError

TEST_LISTS = {"small": "test_list_800.txt", "medium": "test_list_1600.txt", "large": "test_list_2400.txt"}


def read(root: Path, seed: int, test_size: str = "small") -> Listing:
    """List VehicleID with the test vehicles of `test_size` (small, medium or large).

    Raises:
        ReanchorError: no image folder, a list missing, or a line of another form.
    """
    if not (root / "image").is_dir():
        raise ReanchorError(f"prepare.root: {str(root)!r} has no folder image; VehicleID's layout needs image "
                            "and train_test_split; correct prepare.root")
    train = read_pairs(root / "train_test_split/train_list.txt")
    test = read_pairs(root / "train_test_split" / TEST_LISTS[test_size])
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
