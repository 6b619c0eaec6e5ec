"""Bounds on the names of tensors, which messages repeat and dictionaries hold."""

from collections.abc import Collection

MOST_NAMES = 100_000
LONGEST_NAME = 300


def check_names(names: Collection[str]) -> None:
    """Raise ValueError for more names than weights have, or one that no line of text can show."""
    if len(names) > MOST_NAMES:
        raise ValueError(f"it names {len(names)} tensors; at most {MOST_NAMES} are read")
    for name in names:
        if len(name) > LONGEST_NAME or not name.isprintable():
            raise ValueError(f"it holds a tensor of {len(name)} letters' name, {name[:40]!r}; allowed: {LONGEST_NAME} "
                             "printable ones")
