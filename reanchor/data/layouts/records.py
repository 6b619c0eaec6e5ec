"""Datasets of described images: one JSON list, with identity, split and captions of every image.

[{"split": "train", "captions": ["A woman ...", ...], "file_path": "train_query/p11600_s14885.jpg",
"processed_tokens": [...], "id": 11003}, ...], CUHK-PEDES' form (Li et al., CVPR 2017), which ICFG-PEDES
and RSTPReid share; RSTPReid calls file_path img_path. Images lie in `imgs`. Test images are the gallery,
and their captions the queries: no image is a query.
"""

import dataclasses
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reanchor.data.captions import read_json_list
from reanchor.data.listing import Entry, Listing, Rejection, is_text, printable
from reanchor.errors import ReanchorError

SPLITS = {"train": "train", "val": "val", "test": "gallery"}  # by the list's name
PATH_KEYS = ("file_path", "img_path")
FOLDER = "imgs"
LARGEST_ID = 10**9


@dataclass(frozen=True)
class RecordLayout:
    """`files` are names of the list, the first one there is read.

    `card` is the dataset's name; `first_id` its own number of the first identity, which becomes pid 1.
    `camera` finds the camera in a file name; None: not known.
    """

    title: str
    card: str
    files: tuple[str, ...]
    first_id: int
    camera: re.Pattern | None = None

    needs = ((FOLDER,),)  # as in `Dataset`, and so `takes`
    takes = ("test_records",)

    def read(self, root: Path, seed: int, test_records: int = 0) -> Listing:
        """List the images that the records name; `test_records` above 0 keeps the first so many test records.

        Records that nothing can be made of are rejected, and so are all records of an image that are in two
        splits or have two identities. Captions of an image that is listed again are joined.

        Raises:
            ReanchorError: no imgs, no list, no JSON list, or no usable record in it.
        """
        path = list_path(root, self)
        records = read_json_list(path, f"a list of records ({self.title})")
        entries, rejections = _entries(_first_tests(records, test_records), self)
        if not entries:
            first = f" (such as {rejections[0].path}: {rejections[0].detail})" if rejections else ""
            raise ReanchorError(f"{path}: none of its {len(records)} records can be used{first}; each needs "
                                '"split" (train, val or test), "file_path" or "img_path", "id" and "captions"')
        listing = Listing(root.resolve().name, root, [], rejections)
        _join(entries, listing)
        return listing


class Unusable(Exception):
    """Why a record cannot be used: its path or position, a reason of quarantine.parquet and a detail."""


def names_split(path: Path, title: str) -> bool:
    """Whether any record of a list says its split.

    Raises:
        ReanchorError: the file is no JSON list.
    """
    records = read_json_list(path, f"a list of records ({title})")
    return any(isinstance(record, dict) and "split" in record for record in records)


def list_path(root: Path, layout: RecordLayout) -> Path:
    """The JSON list beside `imgs`.

    Raises:
        ReanchorError: imgs or the list is not there.
    """
    found = next((root / name for name in layout.files if (root / name).is_file()), None)
    if found and (root / FOLDER).is_dir():
        return found
    missing = FOLDER if found else layout.files[0]
    raise ReanchorError(f"prepare.root: {str(root)!r} has no {missing}; {layout.title}'s layout needs {FOLDER} and "
                        f"{layout.files[0]}; `reanchor doctor {layout.card} {root}` says what is missing")


def _first_tests(records: list, count: int) -> list[tuple[int, object]]:
    """(position, record) of all records, or without the test records after the first `count`."""
    kept, tests = [], 0
    for position, record in enumerate(records):
        is_test = isinstance(record, dict) and str(record.get("split", "")).lower() == "test"
        tests += is_test
        if not (count and is_test and tests > count):
            kept.append((position, record))
    return kept


def _entries(records: list[tuple[int, object]], layout: RecordLayout) -> tuple[list[Entry], list[Rejection]]:
    entries, rejections = [], []
    for position, record in records:
        try:
            entries.append(_entry(position, record, layout))
        except Unusable as unusable:
            rejections.append(Rejection(*unusable.args))
    return entries, rejections


def _entry(position: int, record: object, layout: RecordLayout) -> Entry:
    where = f"record {position}"
    if not isinstance(record, dict):
        raise Unusable(where, "bad_record", f"is {ascii(record)[:60]}, expected an object")
    name = next((record[key] for key in PATH_KEYS if key in record), None)
    if not isinstance(name, str) or not name:
        raise Unusable(where, "bad_record", f"names no image: file_path is {ascii(name)[:60]}")
    path = name if name.startswith(f"{FOLDER}/") else f"{FOLDER}/{name}"
    if not is_text(name):
        raise Unusable(printable(path), "bad_name", "not UTF-8")
    if PurePosixPath(name).is_absolute():
        raise Unusable(name, "path_escape", "absolute; a path must stay inside the dataset's root")
    split = record.get("split")
    if not isinstance(split, str) or split.lower() not in SPLITS:
        raise Unusable(path, "bad_record", f"split is {ascii(split)[:60]}; allowed are {', '.join(SPLITS)}")
    captions = record.get("captions")
    if not isinstance(captions, list):
        raise Unusable(path, "bad_record", f"captions is {ascii(captions)[:60]}, expected a list of texts")
    path = str(PurePosixPath(path))
    return Entry(path, _pid(path, record.get("id"), layout), _camid(path, layout), SPLITS[split.lower()],
                 captions=tuple(captions))


def _pid(path: str, number: object, layout: RecordLayout) -> int:
    """The manifest's pid, from 1: 0 would mark a distractor."""
    if isinstance(number, str) and re.fullmatch(r"\d{1,9}", number, re.ASCII):
        number = int(number)
    if type(number) is not int or not layout.first_id <= number <= LARGEST_ID:
        raise Unusable(path, "bad_pid", f"id is {ascii(number)[:60]}; allowed is a whole number from {layout.first_id}")
    return number + 1 - layout.first_id


def _camid(path: str, layout: RecordLayout) -> int:
    camera = layout.camera and layout.camera.fullmatch(PurePosixPath(path).name)
    return int(camera[1]) if camera else 0


def _join(entries: list[Entry], listing: Listing) -> None:
    """One entry for each image, its captions in the list's order."""
    records: dict[str, list[Entry]] = {}
    for entry in entries:
        records.setdefault(entry.path, []).append(entry)
    repeated: Counter[str] = Counter()
    for path, same in records.items():
        labels = sorted({(entry.pid, entry.split) for entry in same})
        if len(labels) > 1:
            said = " and ".join(f"pid {pid} in {split}" for pid, split in labels)
            listing.rejections.append(Rejection(path, "bad_record", f"listed as {said}; one of them is wrong"))
        else:
            captions = tuple(caption for entry in same for caption in entry.captions)
            listing.entries.append(dataclasses.replace(same[0], captions=captions))
            repeated[same[0].split] += len(same) - 1
    listing.repeated = dict(+repeated)
