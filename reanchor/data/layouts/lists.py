"""Text files that name a dataset's images, a line each."""

import re
from collections.abc import Iterator
from pathlib import Path

from reanchor.errors import ReanchorError


def read_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, fields) of each line that is not blank.

    Raises:
        ReanchorError: the file is missing or not text.
    """
    if not path.is_file():
        raise ReanchorError(f"{path}: this list is missing; unpack the dataset again or correct prepare.root")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReanchorError(f"{path}: not a text file ({error}); unpack the dataset again") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if fields := line.split():
            yield number, fields


def read_pairs(path: Path) -> list[tuple[str, int]]:
    """The (name, pid) of each line `NAME PID`, in order.

    Raises:
        ReanchorError: the file is missing, empty or has a line of another form, which is named.
    """
    pairs = []
    for number, fields in read_lines(path):
        if len(fields) != 2 or not re.fullmatch(r"\d{1,9}", fields[1], re.ASCII):
            raise ReanchorError(f"{path} line {number}: got {' '.join(fields)[:80]!r}; allowed is `NAME PID`, "
                                "PID a whole number from 0; unpack the dataset again")
        pairs.append((fields[0], int(fields[1])))
    if not pairs:
        raise ReanchorError(f"{path}: no line in it; unpack the dataset again")
    return pairs
