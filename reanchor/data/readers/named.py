"""Layouts with a folder per split and pid and camera in each file name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reanchor.data.beside import sub_folders, unread_among
from reanchor.data.listing import Entry, Listing, Rejection, image_names, printable
from reanchor.errors import ReanchorError


@dataclass(frozen=True)
class NamedLayout:
    """`folders` by split; `name` matches whole file names, its groups are pid and camid; `form` says it."""

    title: str
    folders: Mapping[str, str]
    name: re.Pattern
    form: str


MARKET_FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


def read_named(root: Path, layout: NamedLayout) -> Listing:
    """List the images of a layout.

    Raises:
        ReanchorError: a folder is missing, empty or holds other names.
    """
    _require_folders(root, layout)
    listing = Listing(root.resolve().name, root, [])
    for split, folder in layout.folders.items():
        entries, rejections = _read_folder(root, split, folder, layout)
        listing.entries += entries
        listing.rejections += rejections
        listing.unread += unread_among(root, root / folder)
    return listing


def _read_folder(root: Path, split: str, folder: str, layout: NamedLayout
                 ) -> tuple[list[Entry], list[Rejection]]:
    entries, rejections = [], []
    for name in image_names(root / folder):
        if match := layout.name.fullmatch(name):
            entries.append(Entry(f"{folder}/{name}", int(match[1]), int(match[2]), split))
        else:
            rejections.append(Rejection(printable(f"{folder}/{name}"), "bad_name", f"expected {layout.form}"))
    if not entries and rejections:
        raise ReanchorError(f"{root / folder}: none of {len(rejections)} image names is {layout.title}'s "
                            f"{layout.form} (first: {rejections[0].path!r}); "
                            "rename them or use prepare.reader=folder or csv")
    if not entries:
        raise ReanchorError(f"{root / folder}: no images in it (split {split}); "
                            "unpack the dataset again or correct prepare.root")
    return entries, rejections


def _require_folders(root: Path, layout: NamedLayout) -> None:
    folders = list(layout.folders.values())
    missing = [folder for folder in folders if not (root / folder).is_dir()]
    if not missing:
        return
    if better := find_root(root, folders):
        raise ReanchorError(f"prepare.root: {str(root)!r} has no {missing[0]}, but found {folders[0]} "
                            f"under {better}: set prepare.root to it")
    raise ReanchorError(f"prepare.root: {str(root)!r} has no folder {' and no '.join(missing)}; {layout.title}'s"
                        f" layout needs {', '.join(folders)}; correct prepare.root or use "
                        "prepare.reader=folder or csv")


def find_root(root: Path, folders: list[str], files: Sequence[str] = ()) -> Path | None:
    """The folder the user probably meant, with all of `folders` and, where given, one of `files`.

    It is looked for up to two levels below `root` or above it.
    """
    def complete(folder: Path) -> bool:
        return all((folder / name).is_dir() for name in folders) and (
            not files or any((folder / name).is_file() for name in files))

    if not root.is_dir():
        return None
    above = root.resolve().parents
    children = sub_folders(root)
    candidates = [*children, *(inner for folder in children for inner in sub_folders(folder)), *above[:2]]
    return next((folder for folder in candidates if complete(folder)), None)
