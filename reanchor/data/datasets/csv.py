"""A table of images: the file `prepare.table` (dataset.csv) in the folder prepare.root.

Columns path, pid, camid and, if wanted, split (train, query, gallery), viewid and caption, each once, in any
order. Paths are relative to the folder and stay inside it. An image with several captions has a row for each.
An empty camid is 0 (unknown). Without a split column half of the identities train and the others test
(`split_by_identity`).

The table is UTF-8, with or without a byte order mark; fields are parted by commas, semicolons (as Excel writes
them where the comma is the decimal sign) or tabs. Blanks around a field, and capitals in a column's name, count
for nothing.
"""

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from reanchor.data.dataset import Dataset, Hints
from reanchor.data.decode import Rejected, inside
from reanchor.data.listing import Entry, Listing, Rejection, split_by_identity
from reanchor.errors import ReanchorError

TABLE = "dataset.csv"
REQUIRED = ("path", "pid", "camid")
OPTIONAL = ("split", "viewid", "caption")
SPLITS = ("train", "query", "gallery")
DELIMITERS = ",;\t"
ONCE = {"caption": "an image with several captions has a row for each"}


def read(root: Path, seed: int, table: str = TABLE) -> Listing:
    """List the images that the CSV file `table` in `root` names; `seed` divides one without a split column.

    Raises:
        ReanchorError: no such table, a column that is missing, unknown or repeated, or a value of the wrong kind.
    """
    path = _path(root, table)
    listing = Listing(root.resolve().name, root, [])
    rows, has_splits, listing.notes = _rows(path)
    merged: dict[str, Entry] = {}
    for entry in rows:
        first = merged.setdefault(entry.path, entry)
        if dataclasses.replace(first, captions=()) != dataclasses.replace(entry, captions=()):
            listing.rejections.append(Rejection(entry.path, "bad_row", "disagrees with an earlier row, kept"))
        elif first is not entry:
            merged[entry.path] = dataclasses.replace(first, captions=first.captions + entry.captions)
    listing.entries = list(merged.values()) if has_splits else split_by_identity(list(merged.values()), seed)
    return listing


def _path(root: Path, table: str) -> Path:
    try:
        inside(root.resolve(), table)
    except Rejected as rejected:
        if rejected.reason != "missing":
            raise ReanchorError(f"prepare.table: got {table!r}; allowed: a CSV file in prepare.root, which is "
                                f"{str(root)!r} ({rejected.detail}); put it there") from rejected
        others = sorted(path.name for path in root.glob("*.csv"))
        remedy = f"set prepare.table to {others[0]}, which is there" if others else "put one there or set prepare.table"
        raise ReanchorError(f"prepare.root: {str(root)!r} has no {table}; {remedy}") from rejected
    return root / table


def _rows(table: Path) -> tuple[list[Entry], bool, list[str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=_delimiter(file.readline()), skipinitialspace=True)
            file.seek(0)
            columns = _columns(table, next(reader, []))
            rows = [(reader.line_num, _fields(table, reader.line_num, columns, row)) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ReanchorError(f"{table}: not a UTF-8 CSV file ({error}); save it as one") from error
    if not rows:
        raise ReanchorError(f"{table}: no rows below the header; list the images in it")
    entries = [_entry(f"{table} line {line}", row) for line, row in rows]
    return entries, "split" in columns, list(_from_zero(table, rows))


def _delimiter(header: str) -> str:
    """The one that parts the header into the needed columns; a comma where none does."""
    def parts(delimiter: str) -> set[str]:
        return set(map(_plain, next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])))

    return next((delimiter for delimiter in DELIMITERS if parts(delimiter) >= set(REQUIRED)), DELIMITERS[0])


def _plain(column: str) -> str:
    return column.strip().lower()


def _columns(table: Path, header: list[str]) -> list[str]:
    """The columns' plain names, each known and there once."""
    columns = [_plain(column) for column in header]
    needs = f"needed are {', '.join(REQUIRED)}, allowed also {', '.join(OPTIONAL)}"
    if "" in columns:
        raise ReanchorError(f"{table}: column {columns.index('') + 1} of {len(columns)} has no name; {needs}; name it, "
                            "or take it out of every row")
    if twice := next((column for column in columns if columns.count(column) > 1), None):
        said = ", ".join(repr(written) for written in header if _plain(written) == twice)
        raise ReanchorError(f"{table}: column {twice!r} is there {columns.count(twice)} times ({said}); allowed is "
                            f"each column once{'; ' + ONCE[twice] if twice in ONCE else ', leave one'}")
    missing = [column for column in REQUIRED if column not in columns]
    unknown = [written.strip() for written in header if _plain(written) not in REQUIRED + OPTIONAL]
    if missing or unknown:
        problem = f"no column {missing[0]!r}" if missing else f"unknown column {unknown[0]!r}"
        raise ReanchorError(f"{table}: {problem} (the first line is {', '.join(header)[:80]!r}); {needs}")
    return columns


def _fields(table: Path, line: int, columns: list[str], row: list[str]) -> dict[str, str]:
    if len(row) != len(columns):
        raise ReanchorError(f"{table} line {line}: has {len(row)} fields, the header {len(columns)}; "
                            "put texts with commas in quotes")
    return dict(zip(columns, map(str.strip, row), strict=True))


def _entry(where: str, row: dict[str, str]) -> Entry:
    split = row.get("split", "")
    if "split" in row and split not in SPLITS:
        raise ReanchorError(f"{where}: split {split!r}; allowed are {', '.join(SPLITS)}")
    if not row["path"]:
        raise ReanchorError(f"{where}: path is empty; name an image relative to prepare.root")
    caption = row.get("caption", "")
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


def _from_zero(table: Path, rows: list[tuple[int, dict[str, str]]]) -> Iterator[str]:
    """A note where numbers are written that have a meaning of their own, as of a table that counts from 0."""
    for column, meaning in (("pid", "a distractor, which no query asks for"), ("camid", "that the camera is unknown")):
        lines = [line for line, row in rows if row[column] == "0"]
        if lines:
            yield (f"{table.name}: {column} 0 in {len(lines):,} rows (first in line {lines[0]}) means {meaning}; if "
                   f"the table counts from 0, add 1 to every {column}")


def _absent(root: Path, path: str) -> str:
    return ("write / in place of \\ in the paths" if "\\" in path else
            f"correct the paths, which are relative to {root}, or put the files there")


DATASET = Dataset(
    name="csv", title="a table of images", read=read, takes=("table",),
    layout=f"prepare.table ({TABLE}) in prepare.root: path,pid,camid[,split,viewid,caption]",
    source="", terms="yours", camera_rule="auto", junk=True, distractors=True, published=False,
    hints=Hints(named_by="the table", outside="copy the images there and name them relative to it", absent=_absent))
