"""One folder per identity: root/{train,query,gallery}/PID/*.jpg, or root/PID/*.jpg without splits.

- PID: where all folder names are whole numbers they are the pids (-1 junk, 0 distractors, as in
  Market-1501); otherwise the names, sorted, are numbered from 1, alike in all three splits.
- Camera: a name that carries `_cN` or starts with `cN` was taken by camera N. Where no name
  does, all images have camid 0 (unknown); then only `evaluate.camera_rule=none` fits.
- Without splits half of the identities train and the others test (`split_by_identity`).
"""

import re
from collections import Counter
from pathlib import Path

from reanchor.data.listing import (
    DISTRACTOR_PID,
    IMAGE_SUFFIXES,
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
CAMERA_FOLDER = re.compile(r"c(am(era)?)?[ _-]?\d+", re.ASCII | re.IGNORECASE)
FEWEST = 4  # identities that `split_by_identity` can divide


def read(root: Path, seed: int) -> Listing:
    """List a dataset of one folder per identity; `seed` divides one without splits.

    Raises:
        ReanchorError: no identity folders, two of one pid, or only some of the three split folders.
    """
    _require_layout(root)
    has_splits = (root / "train").is_dir()
    found = [(split, folder) for split in (SPLIT_FOLDERS if has_splits else ("",))
             for folder in _identity_folders(root, split)]
    pids = _number({folder.name for _, folder in found})
    paths = [(split, folder, name) for split, folder in found for name in image_names(folder)]
    _require_one_folder_each(root, list(dict.fromkeys((split, folder) for split, folder, _ in paths)), pids)
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
        _require_people(root, listing)
        listing.entries = split_by_identity(listing.entries, seed)
    _require_images(root, listing, has_splits)
    return listing


def _identity_folders(root: Path, split: str) -> list[Path]:
    folders = [path for path in sorted((root / split).iterdir()) if path.is_dir()]
    return [path for path in folders if not path.name.startswith(".") and (split or path.name != "masks")]


def bare_folders(root: Path) -> dict[str, str]:
    """Identity folders without an image file, relative to `root`, and what each holds instead."""
    splits = SPLIT_FOLDERS if (root / "train").is_dir() else ("",)
    return {folder.relative_to(root).as_posix(): _contents(folder) for split in splits
            for folder in _identity_folders(root, split) if not any(image_names(folder))}


def _contents(folder: Path) -> str:
    paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    kinds = Counter("folders" if path.is_dir() else path.suffix.lower() or "files without suffix" for path in paths)
    return printable(", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))) or "nothing"


def _require_one_folder_each(root: Path, folders: list[tuple[str, Path]], pids: dict[str, int]) -> None:
    first: dict[tuple[str, int], Path] = {}
    for split, folder in folders:
        pid = pids[folder.name]
        other = first.setdefault((split, pid), folder)
        if other is not folder and pid > DISTRACTOR_PID:  # junk and distractors are nobody, wherever they lie
            one, two = (path.relative_to(root).as_posix() for path in (other, folder))
            raise ReanchorError(f"prepare.root: {str(root)!r} has two folders of pid {pid}, {one!r} and {two!r}; "
                                "allowed is one folder per identity; merge them, or rename one if they are two people")


def _require_people(root: Path, listing: Listing) -> None:
    """Say where the images are, if too few lie in identity folders."""
    people = {entry.pid for entry in listing.entries if entry.pid > DISTRACTOR_PID}
    if len(people) < FEWEST and (problem := _nested(root) or _other_files(root)):
        raise ReanchorError(f"prepare.root: {str(root)!r} {problem}")


def _nested(root: Path) -> str:
    """One level deeper there may be the identity folders, or a folder per camera."""
    folders = _identity_folders(root, "")
    if whole := next((folder for folder in folders if all((folder / name).is_dir() for name in SPLIT_FOLDERS)), None):
        return f"holds no identity folders, but {whole} holds {', '.join(SPLIT_FOLDERS)}; set prepare.root to {whole}"
    inner = {folder: [path for path in _identity_folders(folder, "") if any(image_names(path))] for folder in folders}
    deeper = [folder for folder in folders if inner[folder] and not any(image_names(folder))]
    if not deeper:
        return ""
    first = inner[deeper[0]]
    if len(deeper) == 1 and not all(CAMERA_FOLDER.fullmatch(path.name) for path in first):
        return (f"holds no folders of single identities, but {deeper[0]} does ({len(first):,}, such as "
                f"{first[0].name}); set prepare.root to {deeper[0]}")
    example = printable((first[0] / next(image_names(first[0]))).relative_to(root).as_posix())
    return (f"has images one folder deeper than PID/*.jpg (such as {example}); move them up into PID with the camera "
            "as _cN in their names, or set prepare.root to the folder that holds the folders of identities")


def _other_files(root: Path) -> str:
    if loose := list(image_names(root)):
        return (f"holds {len(loose):,} images itself (such as {printable(loose[0])}), expected a folder per identity; "
                "make one for each and move the images there, or list them in dataset.csv with prepare.reader=csv")
    if bare := bare_folders(root):
        name, contents = next(iter(bare.items()))
        return (f"has {len(bare):,} identity folders without an image that can be read (such as {printable(name)}, "
                f"which holds {contents}); allowed are {', '.join(IMAGE_SUFFIXES)}; convert the files or correct "
                "prepare.root")
    if not _identity_folders(root, ""):
        return (f"holds no identity folders and no images (it holds {_contents(root)}); set prepare.root to the "
                "folder that holds one folder per identity")
    return ""


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
        bare = [(name, contents) for name, contents in bare_folders(root).items() if name.split("/")[0] in empty]
        instead = f" ({printable(bare[0][0])} holds {bare[0][1]})" if bare else ""
        raise ReanchorError(f"prepare.root: {str(root)!r} gives no images for {' and '.join(empty)}{instead}; "
                            f"expected image files directly in {layout} folders")
