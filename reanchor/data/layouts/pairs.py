"""Sets whose occluded or partial images are queries and whose whole bodies are the gallery.

Their files know no camera. As in the public code that reports on them, the reader makes two, 1 for
queries and 2 for the gallery, so that no rule about cameras takes a match away.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reanchor.data.beside import sub_folders, unread_above, unread_among
from reanchor.data.listing import Entry, Listing, Rejection, Unread, image_names, printable
from reanchor.errors import ReanchorError

QUERY_CAMERA, GALLERY_CAMERA = 1, 2
NAME = re.compile(r"(\d{1,9})(?:_.*)?\.[A-Za-z]+", re.ASCII)  # pid first


@dataclass(frozen=True)
class Side:
    """One folder of images, all of one split and one made camera."""

    folder: str
    split: str
    camid: int


@dataclass(frozen=True)
class PairedLayout:
    """`sides`, with a sub-folder per identity where `nested`."""

    title: str
    sides: tuple[Side, ...]
    nested: bool

    @property
    def needs(self) -> tuple[tuple[str, ...], ...]:
        """As in `Dataset`."""
        return (tuple(side.folder for side in self.sides),)

    def read(self, root: Path, seed: int) -> Listing:
        """List the images of all sides.

        pids are the numbers that names begin with, one more where they count from 0.

        Raises:
            ReanchorError: a folder is missing, or has no image with such a name.
        """
        self._require_folders(root)
        listing = Listing(root.resolve().name, root, [])
        for side in self.sides:
            listing.unread += _unread(root, root / side.folder, self.nested)
        found = [(side, path, NAME.fullmatch(Path(path).name)) for side in self.sides
                 for path in _paths(root, side.folder, self.nested)]
        shift = int(any(match and int(match[1]) == 0 for _, _, match in found))
        for side, path, match in found:
            if match:
                listing.entries.append(Entry(path, int(match[1]) + shift, side.camid, side.split))
            else:
                listing.rejections.append(Rejection(printable(path), "bad_name", "expected a name that begins with "
                                                    "the pid, as 001_01"))
        self._require_images(root, listing)
        return listing

    def _require_folders(self, root: Path) -> None:
        folders = [side.folder for side in self.sides]
        if missing := [folder for folder in folders if not (root / folder).is_dir()]:
            raise ReanchorError(f"prepare.root: {str(root)!r} has no folder {' and no '.join(missing)}; {self.title}'s "
                                f"layout needs {', '.join(folders)}; correct prepare.root")

    def _require_images(self, root: Path, listing: Listing) -> None:
        for side in self.sides:
            if not any(entry.path.startswith(f"{side.folder}/") for entry in listing.entries):
                where = "one folder per identity below it" if self.nested else "image files directly in it"
                raise ReanchorError(f"{root / side.folder}: no images whose names begin with a pid; expected {where}; "
                                    "unpack the dataset again or correct prepare.root")


def _paths(root: Path, folder: str, nested: bool) -> Iterator[str]:
    if not nested:
        yield from (f"{folder}/{name}" for name in image_names(root / folder))
        return
    for person in sub_folders(root / folder):
        yield from (f"{folder}/{person.name}/{name}" for name in image_names(person))


def _unread(root: Path, folder: Path, nested: bool) -> list[Unread]:
    if not nested:
        return unread_among(root, folder)
    people = [path for path in sub_folders(folder) if any(image_names(path))]
    return unread_above(root, folder, people) + [one for path in people for one in unread_among(root, path)]
