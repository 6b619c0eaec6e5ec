"""Layouts with a folder per split and pid and camera in each file name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reanchor.data.beside import sub_folders, unread_among
from reanchor.data.listing import Entry, Listing, Rejection, image_names, printable
from reanchor.errors import ReanchorError

MARKET_FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
OR_YOUR_OWN = "prepare.reader=folder or csv"


@dataclass(frozen=True)
class NamedLayout:
    """`folders` by split; `name` matches whole file names, its groups are pid and camid; `form` says it."""

    title: str
    folders: Mapping[str, str]
    name: re.Pattern
    form: str

    @property
    def needs(self) -> tuple[tuple[str, ...], ...]:
        """As in `Dataset`."""
        return (tuple(self.folders.values()),)

    @property
    def words(self) -> str:
        """What lies where, in a line."""
        return f"{', '.join(self.folders.values())}; {self.form}"

    def read(self, root: Path, seed: int) -> Listing:
        """List the images (`seed` is not needed: the splits are given).

        Raises:
            ReanchorError: a folder is missing, empty or holds other names.
        """
        require_folders(root, self.title, list(self.folders.values()))
        listing = Listing(root.resolve().name, root, [])
        for split, folder in self.folders.items():
            before = len(listing.rejections)
            found = named_images(root, folder, self.name, self.form, listing)
            if not found:
                raise self._without_images(root / folder, split, listing.rejections[before:])
            listing.entries += [Entry(path, int(match[1]), int(match[2]), split) for path, match in found]
            listing.unread += unread_among(root, root / folder)
        return listing

    def _without_images(self, folder: Path, split: str, others: list[Rejection]) -> ReanchorError:
        if others:
            return ReanchorError(f"{folder}: none of {len(others)} image names is {self.title}'s {self.form} (first: "
                                 f"{others[0].path!r}); rename them or use {OR_YOUR_OWN}")
        return ReanchorError(f"{folder}: no images in it (split {split}); "
                             "unpack the dataset again or correct prepare.root")


def named_images(root: Path, folder: str, name: re.Pattern, form: str, listing: Listing) -> list[tuple[str, re.Match]]:
    """(path, match) of the images in `folder` whose names are of the form; the others are rejected in `listing`."""
    found = []
    for file in image_names(root / folder):
        path = f"{folder}/{file}" if folder else file
        if match := name.fullmatch(file):
            found.append((path, match))
        else:
            listing.rejections.append(Rejection(printable(path), "bad_name", f"expected {form}"))
    return found


def require_folders(root: Path, title: str, folders: list[str]) -> None:
    """Raise ReanchorError where one of a layout's folders is missing; it says where they are, if that is near."""
    missing = [folder for folder in folders if not (root / folder).is_dir()]
    if not missing:
        return
    if better := find_root(root, folders):
        raise ReanchorError(f"prepare.root: {str(root)!r} has no {missing[0]}, but found {folders[0]} "
                            f"under {better}: set prepare.root to it")
    raise ReanchorError(f"prepare.root: {str(root)!r} has no folder {' and no '.join(missing)}; {title}'s"
                        f" layout needs {', '.join(folders)}; correct prepare.root or use {OR_YOUR_OWN}")


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
