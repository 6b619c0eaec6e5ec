"""Opens every listed image once, and says which cannot be used and why.

Reasons: unreadable, truncated, oversized, missing, bad_mask, path_escape, duplicate,
duplicate_across_identities, one_camera; from the readers bad_name, bad_pid, bad_row, bad_record,
caption_without_image; of captions (whose images stay) caption_not_text, caption_blank,
caption_no_letter, caption_too_long.
"""

import os
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tqdm import tqdm

from reanchor.config.sections.data import Prepare
from reanchor.data.captions import REASONS
from reanchor.data.decode import Rejected, decode_image, decode_mask, inside
from reanchor.data.listing import DISTRACTOR_PID, Entry, Listing, Rejection, printable
from reanchor.errors import ReanchorError
from reanchor.workers import ending

ORDER = {"train": 0, "val": 1, "query": 2, "gallery": 3}
CHUNK = 32  # images per job


@dataclass(frozen=True)
class Checked:
    """An image that opened: its entry, its place in the scratch file, facts about its file."""

    entry: Entry
    index: int
    width: int
    height: int
    checksum: str


class Scratch:
    """Decoded pixels on disk, in the order of the listing, until their final order is known.

    Plain writes, not a memory map: on a full disk a map would end the process with a signal.
    """

    def __init__(self, path: Path, height: int, width: int, masks: bool):
        self.shape, self.masks = (height, width), masks
        self.size = height * width * (4 if masks else 3)
        self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def __enter__(self) -> "Scratch":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.file)

    def write(self, index: int, pixels: np.ndarray, mask: np.ndarray | None) -> None:
        data = pixels.tobytes() + (b"" if mask is None else mask.tobytes())
        written = os.pwrite(self.file, data, index * self.size)
        while written < len(data):  # a disk that fills up takes a part, and then says so
            written += os.pwrite(self.file, data[written:], index * self.size + written)

    def pixels(self, index: int) -> np.ndarray:
        """[H, W, 3] of one image."""
        return self._read(index, 0, (*self.shape, 3))

    def mask(self, index: int) -> np.ndarray:
        """[H, W] of one image's mask."""
        return self._read(index, 3 * self.shape[0] * self.shape[1], self.shape)

    def _read(self, index: int, offset: int, shape: tuple[int, ...]) -> np.ndarray:
        data = os.pread(self.file, int(np.prod(shape)), index * self.size + offset)
        return np.frombuffer(data, np.uint8).reshape(shape)


def check_files(listing: Listing, scratch: Scratch, config: Prepare, workers: int
                ) -> tuple[list[Checked], list[Rejection]]:
    """Decode every entry into `scratch`, `workers` files at a time; results in (split, path) order."""
    entries = sorted(listing.entries, key=lambda entry: (ORDER[entry.split], entry.path))
    by_split = {"train": config.interpolation_train}
    decode = _decoder(listing, scratch, config.max_pixels)

    def check(index: int, entry: Entry) -> Checked | Rejection:
        return decode(index, entry, by_split.get(entry.split, config.interpolation_test))

    return _run(check, list(enumerate(entries)), workers)


def decode_again(images: list[Checked], listing: Listing, scratch: Scratch, config: Prepare, workers: int) -> None:
    """Resize held-out training images as test images are.

    They are chosen only after every file was checked, when they lie in `scratch` as training images.

    Raises:
        ReanchorError: a file changed since it was checked.
    """
    decode = _decoder(listing, scratch, config.max_pixels)
    _, rejections = _run(lambda index, entry: decode(index, entry, config.interpolation_test),
                         [(image.index, image.entry) for image in images], workers)
    if rejections:
        raise ReanchorError(f"prepare.root: {_flat(rejections[0])}, although it was readable a moment ago; "
                            "run again once nothing else writes there")


def _run(check: Callable[[int, Entry], Checked | Rejection], work: list[tuple[int, Entry]], workers: int
         ) -> tuple[list[Checked], list[Rejection]]:
    """Threads do: reading, hashing, decoding and resizing all release Python's lock."""
    jobs = [work[start:start + CHUNK] for start in range(0, len(work), CHUNK)]
    checked, rejections = [], []
    with warnings.catch_warnings(), ending(ThreadPoolExecutor(workers)) as pool:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # max_pixels decides
        done = pool.map(lambda job: [check(index, entry) for index, entry in job], jobs)
        with tqdm(total=len(work), desc="prepare", unit="image", disable=None) as bar:
            for results in done:
                checked += [result for result in results if isinstance(result, Checked)]
                rejections += [result for result in results if isinstance(result, Rejection)]
                bar.update(len(results))
    return checked, rejections


def _decoder(listing: Listing, scratch: Scratch, max_pixels: int
             ) -> Callable[[int, Entry, str], Checked | Rejection]:
    root = listing.root.resolve()
    height, width = scratch.shape

    def decode(index: int, entry: Entry, interpolation: str) -> Checked | Rejection:
        try:
            image = decode_image(inside(root, entry.path), height, width, max_pixels, interpolation)
            mask = mask_of(entry, (image.width, image.height)) if scratch.masks else None
        except Rejected as rejected:
            return Rejection(entry.path, rejected.reason, rejected.detail)
        scratch.write(index, image.pixels, mask)
        return Checked(entry, index, image.width, image.height, image.checksum)

    def mask_of(entry: Entry, size: tuple[int, int]) -> np.ndarray:
        path = f"masks/{entry.image_id}.png"
        try:
            return decode_mask(inside(root, path), size, height, width, max_pixels)
        except Rejected as rejected:
            reason = "path_escape" if rejected.reason == "path_escape" else "bad_mask"
            raise Rejected(reason, f"{path}: {rejected.detail}") from rejected

    return decode


def drop_duplicates(checked: list[Checked]) -> tuple[list[Checked], list[Rejection]]:
    """Of equal files keep the first, by (split, path); of those under several pids none, a label is wrong."""
    groups: dict[str, list[Checked]] = {}
    for image in checked:
        groups.setdefault(image.checksum, []).append(image)
    return _split_off(checked, {image.index: _duplicate(image, groups[image.checksum]) for image in checked})


def _duplicate(image: Checked, group: list[Checked]) -> tuple[str, str] | None:
    if len({other.entry.pid for other in group}) > 1:
        other = next(other.entry for other in group if other.entry.pid != image.entry.pid)
        return "duplicate_across_identities", f"the same file as {other.path}, which has pid {other.pid}"
    return ("duplicate", f"the same file as {group[0].entry.path}") if image is not group[0] else None


def drop_one_camera(checked: list[Checked]) -> tuple[list[Checked], list[Rejection]]:
    """Training identities that only one camera saw cannot teach matching across cameras.

    Where the whole training split has one camera (or none is known) nothing is dropped.
    """
    cameras: dict[int, set[int]] = {}
    for image in checked:
        if image.entry.split == "train":
            cameras.setdefault(image.entry.pid, set()).add(image.entry.camid)
    if len(set().union(*cameras.values())) < 2:
        return checked, []

    def problem(image: Checked) -> tuple[str, str] | None:
        pid, camid = image.entry.pid, image.entry.camid
        if image.entry.split != "train" or len(cameras[pid]) > 1:
            return None
        return "one_camera", f"identity {pid} was seen by camera {camid} only"

    return _split_off(checked, {image.index: problem(image) for image in checked})


def _split_off(checked: list[Checked], problems: dict[int, tuple[str, str] | None]
               ) -> tuple[list[Checked], list[Rejection]]:
    kept = [image for image in checked if problems[image.index] is None]
    bad = [Rejection(image.entry.path, *problems[image.index]) for image in checked if problems[image.index]]
    return kept, bad


def require_few(rejections: list[Rejection], checked: list[Checked], config: Prepare) -> None:
    """Stop where the rejected are more than `max_bad_share` of all files, or of all captions.

    Raises:
        ReanchorError: with the count and the first example of each reason.
    """
    captions = [rejection for rejection in rejections if rejection.reason in REASONS]
    files = [rejection for rejection in rejections if rejection.reason not in REASONS]
    _require_few("files", files, len(checked), config)
    if captions:
        _require_few("captions", captions, sum(len(image.entry.captions) for image in checked), config)


def _require_few(what: str, rejections: list[Rejection], kept: int, config: Prepare) -> None:
    total = len(rejections) + kept
    if total and len(rejections) / total <= config.max_bad_share:
        return
    examples = {rejection.reason: rejection for rejection in reversed(rejections)}
    counts = Counter(rejection.reason for rejection in rejections)
    words = ", ".join(f"{number} {reason} (such as {_flat(examples[reason])})"
                      for reason, number in counts.most_common())
    raise ReanchorError(f"prepare.root: {len(rejections)} of {total} {what} in {config.root!r} are bad, more "
                        f"than prepare.max_bad_share = {config.max_bad_share}: {words}; put them right, or "
                        "raise prepare.max_bad_share and read quarantine.parquet")


def _flat(rejection: Rejection) -> str:
    return " ".join(f"{rejection.path}: {rejection.detail}".split())


def require_usable(checked: list[Checked], rejections: list[Rejection], train: bool = True, val: bool = False,
                   query: bool = True) -> None:
    """Every split needs images, training and queries two identities, and a query something to find.

    `train`, `val` and `query` say whether the dataset has these splits; without query images the captions
    of gallery images are the queries.

    Raises:
        ReanchorError: naming the split, and what quarantine took from the dataset.
    """
    counts = Counter(rejection.reason for rejection in rejections)
    taken = f"; quarantine took {dict(counts)}" if counts else ""
    pids = {split: {image.entry.pid for image in checked if image.entry.split == split} for split in ORDER}
    for split, minimum in (("train", 2 * train), ("val", 2 * val), ("query", 2 * query), ("gallery", 2 - query)):
        people = pids[split] - {DISTRACTOR_PID}
        if len(people) < minimum:
            raise ReanchorError(f"prepare.root: split {split} has {len(people)} usable identities, at least "
                                f"{minimum} are needed{taken}; add images or correct prepare.root")
    if not query and not any(image.entry.captions for image in checked if image.entry.split == "gallery"):
        raise ReanchorError("prepare.root: there is no query image, and no gallery image has a caption to search by; "
                            f"add queries or captions{taken}")
    if query and not pids["query"] & pids["gallery"]:
        raise ReanchorError("prepare.root: no query identity is in the gallery, so there is nothing to find; "
                            f"check that both name persons alike{taken}")


def write_quarantine(path: Path, rejections: list[Rejection]) -> None:
    """Columns path, reason, detail; sorted by path."""
    columns = ("path", "reason", "detail")
    rows = [{column: printable(getattr(rejection, column)) for column in columns} for rejection in rejections]
    rows.sort(key=lambda row: [row[column] for column in columns])
    schema = pa.schema([(column, pa.string()) for column in columns])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
