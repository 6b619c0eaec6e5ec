"""Files that `prepare` would not open: absent ones, and those that lie outside the dataset's folder."""

from reanchor.data.cards.card import Card
from reanchor.data.decode import Rejected, inside
from reanchor.data.listing import Listing
from reanchor.doctor.finding import Finding


def check_files(card: Card, listing: Listing) -> list[Finding]:
    """Findings about listed images that are not there or lead out of the folder, by the rule that `prepare` keeps."""
    home = listing.root.resolve()
    found: dict[str, list[tuple[str, str]]] = {"path_escape": [], "missing": []}
    for entry in listing.entries:
        try:
            inside(home, entry.path)
        except Rejected as rejected:
            found[rejected.reason].append((entry.path, rejected.detail))
    return _outside(card, listing, found["path_escape"]) + _absent(card, listing, found["missing"])


def _outside(card: Card, listing: Listing, found: list[tuple[str, str]]) -> list[Finding]:
    if not found:
        return []
    mend = ("copy the images there and name them relative to it" if card.reader == "csv" else
            "copy the images there; prepare follows no link out of the dataset's folder")
    return [Finding(f"{len(found):,} of {len(listing.entries):,} images lie outside {listing.root} (such as "
                    f"{found[0][0]}: {found[0][1]})", mend)]


def _absent(card: Card, listing: Listing, found: list[tuple[str, str]]) -> list[Finding]:
    if not found:
        return []
    path, detail = found[0]
    named = "that the lists name " * bool(card.lists) or "that the table names " * (card.reader == "csv")
    return [Finding(f"{len(found):,} of {len(listing.entries):,} images {named}are not there (such as {path}"
                    + ("" if card.lists else f": {detail}") + ")", _mend(card, listing, path))]


def _mend(card: Card, listing: Listing, path: str) -> str:
    if card.reader == "csv":
        return ("write / in place of \\ in the paths" if "\\" in path else
                f"correct the paths, which are relative to {listing.root}, or put the files there")
    if card.reader == "folder":
        return "put the files there, or take the broken links away"
    versions = "; lists and images must be of one version, V1 or V2" if card.name == "msmt17" else ""
    return f"unpacked in part? unpack the archive again{versions}"
