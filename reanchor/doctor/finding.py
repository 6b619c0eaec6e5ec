"""One thing that is wrong, and how it is mended."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """`what` is wrong, with what was found and expected; `mend` says what to do."""

    what: str
    mend: str


def many(names: list[str], most: int = 4) -> str:
    """The first few of `names`, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
