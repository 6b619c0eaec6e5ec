"""Market-1501's layout (Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015).

bounding_box_train (12,936 images of 751 identities), query (3,368 of 750) and bounding_box_test
(19,732: 13,115 of the 750 identities, 2,798 distractors with pid 0 and 3,819 junk images with
pid -1), named PID_cCAMsSEQ_FRAME_BOX.jpg. Other datasets in this layout are read as well.
"""

import re
from pathlib import Path

from reanchor.data.listing import Entry, Listing, Rejection, image_names, printable
from reanchor.errors import ReanchorError

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
NAME = re.compile(r"(-?\d{1,18})_c(\d{1,9})s\d+_\d+_\d+\.(?:jpe?g|png|tiff?)", re.ASCII | re.IGNORECASE)


def read(root: Path, seed: int) -> Listing:
    """List a dataset in Market-1501's layout (`seed` is not needed: its splits are given).

    Raises:
        ReanchorError: a folder is missing, empty or holds other names.
    """
    _require_folders(root)
    listing = Listing(root.resolve().name, root, [])
    for split, folder in FOLDERS.items():
        entries, rejections = _read_folder(root, split, folder)
        listing.entries += entries
        listing.rejections += rejections
    return listing


def _read_folder(root: Path, split: str, folder: str) -> tuple[list[Entry], list[Rejection]]:
    entries, rejections = [], []
    for name in image_names(root / folder):
        if match := NAME.fullmatch(name):
            entries.append(Entry(f"{folder}/{name}", int(match[1]), int(match[2]), split))
        else:
            rejections.append(Rejection(printable(f"{folder}/{name}"), "bad_name",
                                        "expected PID_cCAMsSEQ_FRAME_BOX.jpg"))
    if not entries and rejections:
        raise ReanchorError(f"{root / folder}: none of {len(rejections)} image names is Market-1501's "
                            f"PID_cCAMsSEQ_FRAME_BOX.jpg (first: {rejections[0].path!r}); "
                            "rename them or use prepare.reader=folder or csv")
    if not entries:
        raise ReanchorError(f"{root / folder}: no images in it (split {split}); "
                            "unpack the dataset again or correct prepare.root")
    return entries, rejections


def _require_folders(root: Path) -> None:
    missing = [folder for folder in FOLDERS.values() if not (root / folder).is_dir()]
    if not missing:
        return
    if better := _find_root(root):
        raise ReanchorError(f"prepare.root: {str(root)!r} has no {missing[0]}, but found {FOLDERS['train']} "
                            f"under {better}: set prepare.root to it")
    raise ReanchorError(f"prepare.root: {str(root)!r} has no folder {' and no '.join(missing)}; Market-1501's"
                        f" layout needs {', '.join(FOLDERS.values())}; correct prepare.root or use "
                        "prepare.reader=folder or csv")


def _find_root(root: Path) -> Path | None:
    """The folder the user probably meant: up to two levels below `root`, or its parent."""
    def complete(folder: Path) -> bool:
        return all((folder / name).is_dir() for name in FOLDERS.values())

    candidates = [*sorted(root.glob("*")), *sorted(root.glob("*/*")), root.resolve().parent]
    return next((folder for folder in candidates if complete(folder)), None)
