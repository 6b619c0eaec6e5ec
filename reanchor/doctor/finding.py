"""One thing that is wrong, and how it is mended."""

from dataclasses import dataclass

from reanchor.errors import ReanchorError


@dataclass(frozen=True)
class Finding:
    """`what` is wrong, with what was found and expected; `mend` says what to do."""

    what: str
    mend: str


def refused(error: ReanchorError) -> Finding:
    """What `prepare` would refuse, in its words: after the last semicolon it says what to do."""
    what, _, mend = str(error).removeprefix("prepare.root: ").rpartition("; ")
    return Finding(what or mend, mend)


def many(names: list[str], most: int = 4) -> str:
    """The first few of `names`, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
