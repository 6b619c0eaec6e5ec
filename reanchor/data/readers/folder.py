"""One folder per identity: root/{train,query,gallery}/PID/*.jpg, or root/PID/*.jpg without splits.

- PID: where all folder names are whole numbers they are the pids (-1 junk, 0 distractors, as in
  Market-1501); otherwise the names, sorted, are numbered from 1, alike in all three splits.
- Camera: a name that carries `_cN` or starts with `cN` was taken by camera N. Where no name
  does, all images have camid 0 (unknown); then only `evaluate.camera_rule=none` fits.
- Without splits half of the identities train and the others test (`split_by_identity`).
"""

import re
from pathlib import Path

from reanchor.data.listing import (
    Entry,
    Listing,
    Rejection,
    image_names,
    is_text,
    printable,
    split_by_identity,
)
from reanchor.errors import ReanchorError

SPLIT_FOLDERS = ("train", "query", "gallery")
CAMERA = re.compile(r"(?:^|_)c(\d{1,9})(?!\d)", re.ASCII)
NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)


def read(root: Path, seed: int) -> Listing:
    """List a dataset of one folder per identity; `seed` divides one without splits.

    Raises:
        ReanchorError: no identity folders, or only some of the three split folders.
    """
    _require_layout(root)
    has_splits = (root / "train").is_dir()
    found = [(split, folder) for split in (SPLIT_FOLDERS if has_splits else ("",))
             for folder in _identity_folders(root, split)]
    pids = _number({folder.name for _, folder in found})
    paths = [(split, folder, name) for split, folder in found for name in image_names(folder)]
    some_camera = any(CAMERA.search(name) for _, _, name in paths)
    listing = Listing(root.resolve().name, root, [])
    for split, folder, name in paths:
        path = (folder / name).relative_to(root).as_posix()
        camera = CAMERA.search(name)
        if not is_text(path) or (some_camera and camera is None):
            listing.rejections.append(Rejection(printable(path), "bad_name",
                                                "not UTF-8, or without the _cN that other names carry"))
        else:
            listing.entries.append(Entry(path, pids[folder.name], int(camera[1]) if camera else 0, split))
    if not has_splits:
        listing.entries = split_by_identity(listing.entries, seed)
    _require_images(root, listing, has_splits)
    return listing


def _identity_folders(root: Path, split: str) -> list[Path]:
    folders = [path for path in sorted((root / split).iterdir()) if path.is_dir()]
    return [path for path in folders if not path.name.startswith(".") and (split or path.name != "masks")]


def _number(names: set[str]) -> dict[str, int]:
    if all(NUMBER.fullmatch(name) for name in names):
        return {name: int(name) for name in names}
    return {name: number for number, name in enumerate(sorted(names), start=1)}


def _require_layout(root: Path) -> None:
    if not root.is_dir():
        raise ReanchorError(f"prepare.root: {str(root)!r} is a file, expected a folder of identity folders")
    if (root / "bounding_box_train").is_dir():
        raise ReanchorError(f"prepare.root: {str(root)!r} is in Market-1501's layout; "
                            "set prepare.reader=market1501")
    present = [name for name in SPLIT_FOLDERS if (root / name).is_dir()]
    missing = [name for name in SPLIT_FOLDERS if name not in present]
    if present and missing:
        raise ReanchorError(f"prepare.root: {str(root)!r} has {' and '.join(present)} but no "
                            f"{' and no '.join(missing)}; give all of {', '.join(SPLIT_FOLDERS)}, "
                            "or one folder per identity without splits")


def _require_images(root: Path, listing: Listing, has_splits: bool) -> None:
    layout = "train/PID, query/PID and gallery/PID" if has_splits else "PID"
    empty = [split for split in SPLIT_FOLDERS if all(entry.split != split for entry in listing.entries)]
    if empty:
        raise ReanchorError(f"prepare.root: {str(root)!r} gives no images for {' and '.join(empty)}; "
                            f"expected image files directly in {layout} folders")
