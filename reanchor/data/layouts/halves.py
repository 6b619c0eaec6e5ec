"""Datasets of two cameras without a fixed split: half of the identities, drawn anew by each seed, train."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reanchor.data.beside import unread_among
from reanchor.data.layouts.named import named_images, require_folders
from reanchor.data.listing import Entry, Listing
from reanchor.errors import ReanchorError


@dataclass(frozen=True)
class HalvedLayout:
    """`name` matches whole file names, `form` says it; `label` makes (number, camid) of a folder and a match."""

    title: str
    folders: tuple[str, ...]
    name: re.Pattern
    form: str
    label: Callable[[str, re.Match], tuple[int, int]]

    def read(self, root: Path, seed: int) -> Listing:
        """List the images as `seed` splits them; pids are their numbers, one more where these count from 0.

        Raises:
            ReanchorError: a folder is missing, or has no image with such a name.
        """
        require_folders(root, self.title, list(self.folders))
        listing = Listing(root.resolve().name, root, [])
        entries = [entry for folder in self.folders for entry in self._entries(listing, folder)]
        shift = int(any(entry.pid == 0 for entry in entries))
        entries = [dataclasses.replace(entry, pid=entry.pid + shift) for entry in entries]
        listing.entries = split_in_halves(entries, seed)
        return listing

    def _entries(self, listing: Listing, folder: str) -> list[Entry]:
        listing.unread += unread_among(listing.root, listing.root / folder)
        found = named_images(listing.root, folder, self.name, self.form, listing)
        if not found:
            raise ReanchorError(f"{listing.root / folder}: no image is named {self.form}; unpack the dataset again or "
                                "correct prepare.root")
        return [Entry(path, *self.label(folder, match), "") for path, match in found]


def split_in_halves(entries: list[Entry], seed: int) -> list[Entry]:
    """Give entries their split: of the N identities N // 2 train; of the others camera 1 searches camera 2.

    deep-person-reid draws its splits so (and judges each of them the other way round as well). The draw depends on
    the pids and the seed alone.
    """
    pids = sorted({entry.pid for entry in entries})
    order = np.random.default_rng(seed).permutation(len(pids))
    train = {pids[index] for index in order[:len(pids) // 2]}

    def split_of(entry: Entry) -> str:
        return "train" if entry.pid in train else "query" if entry.camid == 1 else "gallery"

    return [dataclasses.replace(entry, split=split_of(entry)) for entry in entries]
