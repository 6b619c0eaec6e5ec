"""What a reader hands over: the images a dataset claims to have, before any is opened."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from reanchor.errors import ReanchorError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
JUNK_PID = -1  # false detections: in no split
DISTRACTOR_PID = 0  # persons nobody asks for: gallery only


@dataclass(frozen=True)
class Entry:
    """One image: `path` relative to the dataset's root, with forward slashes."""

    path: str
    pid: int
    camid: int  # as in the file, 1-based; 0: unknown
    split: str  # train, val (where the dataset has its own), query or gallery ("" until `split_by_identity`)
    viewid: int = 0
    captions: tuple[str, ...] = ()  # as listed until `check_captions`, whatever is there

    @property
    def image_id(self) -> str:
        return str(PurePosixPath(self.path).with_suffix(""))


@dataclass(frozen=True)
class Rejection:
    """A row of quarantine.parquet."""

    path: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Unread:
    """What lies among a dataset's images and was not read (`reanchor.data.beside`).

    `path` is a folder, or a folder's files of one kind as `0001/*.webp`; `files` counts these, 0 for a folder.
    """

    path: str
    holds: str  # "2 .webp", "3 folders"; of files their count
    files: int = 0


@dataclass
class Listing:
    """Everything found under `root`; `junk` holds the paths of images with pid -1.

    `repeated` counts, by split, lines of a list that name an image of the same identity again. `unread` is
    what was passed over, and `notes` are the reader's own words to the user.
    """

    name: str
    root: Path
    entries: list[Entry]
    rejections: list[Rejection] = field(default_factory=list)
    junk: list[str] = field(default_factory=list)
    repeated: dict[str, int] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def masks(self) -> Path | None:
        """The folder of label masks, where the dataset has one."""
        folder = self.root / "masks"
        return folder if folder.is_dir() else None


def image_names(folder: Path) -> Iterator[str]:
    """Names of the image files directly in `folder`, sorted; hidden files are left out."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and not path.is_dir():
            yield path.name


def require_folder(root: Path) -> None:
    """Raise ReanchorError where `root`, which exists, is a file: nobody would watch the images beside it."""
    if not root.is_dir():
        mend = (f"set dataset=csv prepare.root={root.parent} prepare.table={root.name}" if root.suffix.lower() == ".csv"
                else "unpack an archive first, or name the folder that holds the file")
        raise ReanchorError(f"prepare.root: {str(root)!r} is a file, expected the dataset's folder; {mend}")


def is_text(name: str) -> bool:
    """Whether a file name can be stored as UTF-8 (Linux allows any bytes)."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def apply_pid_rules(listing: Listing, junk: bool = True, distractors: bool = True) -> Listing:
    """Take junk out and reject images whose pid or name cannot stand where it does.

    pid -1 is junk and belongs to no split; pid 0 is a distractor and belongs to the gallery only. In a
    dataset without `junk` or `distractors` these pids are mistakes.
    """
    result = dataclasses.replace(listing, entries=[], rejections=list(listing.rejections), junk=[])
    seen: dict[str, str] = {}
    for entry in sorted(listing.entries, key=lambda entry: entry.path):
        if entry.pid == JUNK_PID and junk:
            result.junk.append(entry.path)
        elif problem := _problem(entry, seen, junk, distractors):
            result.rejections.append(Rejection(entry.path, *problem))
        else:
            seen[entry.image_id] = entry.path
            result.entries.append(entry)
    return result


def _problem(entry: Entry, seen: dict[str, str], junk: bool, distractors: bool) -> tuple[str, str] | None:
    if entry.pid < DISTRACTOR_PID or (entry.pid == DISTRACTOR_PID and not distractors):
        allowed = "-1 (junk), " * junk + "0 (distractor) and " * distractors + "positive numbers"
        return "bad_pid", f"pid {entry.pid}; allowed here are {allowed}"
    if entry.pid == DISTRACTOR_PID and entry.split != "gallery":
        return "bad_pid", f"pid 0 marks a distractor, which belongs to the gallery, not to {entry.split}"
    if entry.image_id in seen:
        return "bad_name", f"differs from {seen[entry.image_id]} only in its suffix"
    return None


def without_distractors(listing: Listing) -> Listing:
    """The same listing without its pid-0 images."""
    entries = [entry for entry in listing.entries if entry.pid != DISTRACTOR_PID]
    return dataclasses.replace(listing, entries=entries)


def without_pids(listing: Listing, pids: list[int]) -> Listing:
    """The same listing without the images of these identities.

    Raises:
        ReanchorError: one of them is not in it.
    """
    if absent := sorted(set(pids) - {entry.pid for entry in listing.entries}):
        raise ReanchorError(f"prepare.drop_pids: got {absent[0]}, but no image of {listing.name!r} has this pid; "
                            "allowed: pids of the dataset; correct it or leave it out")
    dropped = set(pids)
    entries = [entry for entry in listing.entries if entry.pid not in dropped]
    return dataclasses.replace(listing, entries=entries)


def split_by_identity(entries: list[Entry], seed: int) -> list[Entry]:
    """Divide a dataset without splits: half of its identities train, the others test.

    Identities are permuted by `seed`. Of a test identity the first image (by path) of each
    camera with at least two images is a query and all others are gallery, so that a query
    always leaves something to find; where every camera has one image, the first image is
    the query. Distractors (pid 0) are gallery.
    """
    pids = sorted({entry.pid for entry in entries if entry.pid > DISTRACTOR_PID})
    if len(pids) < 4:
        raise ReanchorError(f"prepare.root: {len(pids)} identities found, at least 4 are needed to divide "
                            "a dataset without splits in two halves; add identities or name the splits")
    order = np.random.default_rng(seed).permutation(len(pids))
    train = {pids[index] for index in order[: (len(pids) + 1) // 2]}
    test = [entry for entry in entries if entry.pid not in train and entry.pid > DISTRACTOR_PID]
    queries = _first_images(test)

    def split_of(entry: Entry) -> str:
        return "train" if entry.pid in train else "query" if entry.path in queries else "gallery"

    return [dataclasses.replace(entry, split=split_of(entry)) for entry in entries]


def _first_images(entries: list[Entry]) -> set[str]:
    by_camera: dict[int, dict[int, list[str]]] = {}
    for entry in sorted(entries, key=lambda entry: entry.path):
        by_camera.setdefault(entry.pid, {}).setdefault(entry.camid, []).append(entry.path)
    queries: set[str] = set()
    for cameras in by_camera.values():
        firsts = {paths[0] for paths in cameras.values() if len(paths) > 1}
        if not firsts and len(cameras) > 1:
            firsts = {min(paths[0] for paths in cameras.values())}
        queries |= firsts
    return queries
