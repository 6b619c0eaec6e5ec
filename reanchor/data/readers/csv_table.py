"""A table of images: `dataset.csv` in prepare.root, or prepare.root is the CSV file itself.

Columns path, pid, camid and, if wanted, split (train, query, gallery), viewid and caption.
Paths are relative to the table's folder and stay inside it. An image with several captions
has a row for each. An empty camid is 0 (unknown). Without a split column half of the
identities train and the others test (`split_by_identity`).
"""

import csv
import dataclasses
from pathlib import Path, PurePosixPath

from reanchor.data.listing import Entry, Listing, Rejection, split_by_identity
from reanchor.errors import ReanchorError

REQUIRED = ("path", "pid", "camid")
OPTIONAL = ("split", "viewid", "caption")
SPLITS = ("train", "query", "gallery")


def read(root: Path, seed: int) -> Listing:
    """List the images a CSV file names; `seed` divides one without a split column.

    Raises:
        ReanchorError: no such table, missing columns, or a value of the wrong kind (with its line).
    """
    table = root if root.is_file() else root / "dataset.csv"
    if not table.is_file():
        raise ReanchorError(f"prepare.root: {str(root)!r} has no dataset.csv; "
                            "put one there or set prepare.root to the CSV file")
    name = table.stem if root.is_file() else root.resolve().name
    listing = Listing(name, table.parent, [])
    rows, has_splits = _rows(table)
    merged: dict[str, Entry] = {}
    for entry in rows:
        first = merged.setdefault(entry.path, entry)
        if dataclasses.replace(first, captions=()) != dataclasses.replace(entry, captions=()):
            listing.rejections.append(Rejection(entry.path, "bad_row", "disagrees with an earlier row, kept"))
        elif first is not entry:
            merged[entry.path] = dataclasses.replace(first, captions=first.captions + entry.captions)
    listing.entries = list(merged.values()) if has_splits else split_by_identity(list(merged.values()), seed)
    return listing


def _rows(table: Path) -> tuple[list[Entry], bool]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            _require_columns(table, columns)
            rows = [_entry(table, reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ReanchorError(f"{table}: not a UTF-8 CSV file ({error}); save it as one") from error
    if not rows:
        raise ReanchorError(f"{table}: no rows below the header; list the images in it")
    return rows, "split" in columns


def _require_columns(table: Path, columns: list[str]) -> None:
    missing = [column for column in REQUIRED if column not in columns]
    unknown = [column for column in columns if column not in REQUIRED + OPTIONAL]
    if missing or unknown:
        problem = f"no column {missing[0]!r}" if missing else f"unknown column {unknown[0]!r}"
        raise ReanchorError(f"{table}: {problem}; needed are {', '.join(REQUIRED)}, "
                            f"allowed also {', '.join(OPTIONAL)}")


def _entry(table: Path, line: int, row: dict[str, str]) -> Entry:
    where = f"{table} line {line}"
    if None in row or None in row.values():
        raise ReanchorError(f"{where}: has more or fewer fields than the header; "
                            "put texts with commas in quotes")
    split = row.get("split", "")
    if "split" in row and split not in SPLITS:
        raise ReanchorError(f"{where}: split {split!r}; allowed are {', '.join(SPLITS)}")
    if not row["path"]:
        raise ReanchorError(f"{where}: path is empty; name an image relative to the table's folder")
    caption = row.get("caption", "").strip()
    return Entry(str(PurePosixPath(row["path"])), _integer(where, "pid", row["pid"], 2**63),
                 _integer(where, "camid", row["camid"] or "0", 2**31), split,
                 _integer(where, "viewid", row.get("viewid") or "0", 2**31), (caption,) if caption else ())


def _integer(where: str, column: str, text: str, limit: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = limit
    if not -1 <= value < limit or (value < 0 and column != "pid"):
        lowest = -1 if column == "pid" else 0
        raise ReanchorError(f"{where}: {column} {text!r}; allowed is a whole number from {lowest}")
    return value
