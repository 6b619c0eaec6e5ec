"""One folder per identity: root/{train,query,gallery}/PID/*.jpg, or root/PID/*.jpg without splits.

- PID: where all folder names are whole numbers they are the pids (-1 junk, 0 distractors, as in
  Market-1501); otherwise the names, sorted, are numbered from 1, alike in all three splits.
- Folders without an image, `masks`, hidden ones and those that systems make (`__MACOSX`, `@eaDir`: see
  `reanchor.data.beside`) are nobody: they get no number, and do not decide whether names are numbers.
- Camera: `_cN` in the name (`read_cameras`). Where names do not agree on it, all images have
  camid 0 (unknown); then only `evaluate.camera_rule=none` fits.
- Without splits half of the identities train and the others test (`split_by_identity`).
"""

import re
from pathlib import Path

from reanchor.data.beside import contents, sub_folders, unread_above, unread_among
from reanchor.data.dataset import Dataset, Hints
from reanchor.data.layouts.cameras import FORM, read_cameras
from reanchor.data.listing import (
    DISTRACTOR_PID,
    IMAGE_SUFFIXES,
    Entry,
    Listing,
    Rejection,
    Unread,
    image_names,
    is_text,
    printable,
    split_by_identity,
)
from reanchor.errors import ReanchorError

SPLIT_FOLDERS = ("train", "query", "gallery")
MASKS = "masks"
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
    found = [(split, folder, name) for split in _splits(root) for folder in _identity_folders(root, split)
             for name in image_names(folder)]
    pids, notes = _number({folder.name for _, folder, _ in found})
    _require_one_folder_each(root, list(dict.fromkeys((split, folder) for split, folder, _ in found)), pids)
    listing = Listing(root.resolve().name, root, [], notes=notes, unread=_unread(root, {path for _, path, _ in found}))
    _add(listing, found, pids)
    if not has_splits:
        _require_people(root, listing)
        listing.entries = split_by_identity(listing.entries, seed)
    _require_images(root, listing, has_splits)
    return listing


def _add(listing: Listing, found: list[tuple[str, Path, str]], pids: dict[str, int]) -> None:
    """Entries of (split, folder, name), or rejections where a name is of no use."""
    usable = []
    for split, folder, name in found:
        path = (folder / name).relative_to(listing.root).as_posix()
        if is_text(path):
            usable.append((split, folder, path))
        else:
            listing.rejections.append(Rejection(printable(path), "bad_name", "not UTF-8"))
    camids, notes = read_cameras([path for _, _, path in usable])
    listing.notes += notes
    for (split, folder, path), camid in zip(usable, camids, strict=True):
        if camid is None:
            listing.rejections.append(Rejection(path, "bad_name", f"without the {FORM} that other names carry"))
        else:
            listing.entries.append(Entry(path, pids[folder.name], camid, split))


def _splits(root: Path) -> tuple[str, ...]:
    return SPLIT_FOLDERS if (root / "train").is_dir() else ("",)


def _identity_folders(root: Path, split: str) -> list[Path]:
    return [path for path in sub_folders(root / split) if path.name != MASKS]


def bare_folders(root: Path) -> dict[str, str]:
    """Identity folders without an image file, relative to `root`, and what each holds instead."""
    return {folder.relative_to(root).as_posix(): contents(folder) for split in _splits(root)
            for folder in _identity_folders(root, split) if not any(image_names(folder))}


def _unread(root: Path, identities: set[Path]) -> list[Unread]:
    """Whatever lies beside the folders of identities and their images."""
    splits = {root / split for split in _splits(root)} - {root}
    found = unread_above(root, root, splits | identities | {root / MASKS})
    for split in sorted(splits):
        found += unread_above(root, split, identities)
    for folder in sorted(identities):
        found += unread_among(root, folder)
    return found


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
        name, holds = next(iter(bare.items()))
        return (f"has {len(bare):,} identity folders without an image that can be read (such as {printable(name)}, "
                f"which holds {holds}); allowed are {', '.join(IMAGE_SUFFIXES)}; convert the files or correct "
                "prepare.root")
    if not _identity_folders(root, ""):
        return (f"holds no identity folders and no images (it holds {contents(root)}); set prepare.root to the "
                "folder that holds one folder per identity")
    return ""


def _number(names: set[str]) -> tuple[dict[str, int], list[str]]:
    """The pid of each name, and a note where names that mean junk or distractors are taken for people."""
    numbers = {name: int(name) for name in names if NUMBER.fullmatch(name)}
    if len(numbers) == len(names):
        return numbers, []
    special = sorted(name for name, number in numbers.items() if number <= DISTRACTOR_PID)
    other = min(names - numbers.keys())
    notes = [f"folders {', '.join(special)} are people here, not junk or distractors: pids are numbers only where all "
             f"names are, and {printable(other)!r} is none; rename it, or move it out of prepare.root"]
    return {name: number for number, name in enumerate(sorted(names), start=1)}, notes if special else []


def _require_layout(root: Path) -> None:
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
        bare = [(name, holds) for name, holds in bare_folders(root).items() if name.split("/")[0] in empty]
        instead = f" ({printable(bare[0][0])} holds {bare[0][1]})" if bare else ""
        raise ReanchorError(f"prepare.root: {str(root)!r} gives no images for {' and '.join(empty)}{instead}; "
                            f"expected image files directly in {layout} folders")


DATASET = Dataset(
    name="folder", title="a folder per identity", read=read,
    layout="{train,query,gallery}/PID/*.jpg, or PID/*.jpg: then half of the identities train, half test",
    source="", terms="yours", camera_rule="auto", junk=True, distractors=True, published=False,
    hints=Hints(bare=bare_folders, absent=lambda root, path: "put the files there, or take the broken links away"))
