"""Files that `prepare` would not open: absent ones, and those that lie outside the dataset's folder."""

from reanchor.data.dataset import Dataset
from reanchor.data.decode import Rejected, inside
from reanchor.data.listing import Listing
from reanchor.doctor.finding import Finding


def check_files(dataset: Dataset, listing: Listing) -> list[Finding]:
    """Findings about listed images that are not there or lead out of the folder, by the rule that `prepare` keeps."""
    home = listing.root.resolve()
    found: dict[str, list[tuple[str, str]]] = {"path_escape": [], "missing": []}
    for entry in listing.entries:
        try:
            inside(home, entry.path)
        except Rejected as rejected:
            found[rejected.reason].append((entry.path, rejected.detail))
    return _outside(dataset, listing, found["path_escape"]) + _absent(dataset, listing, found["missing"])


def _outside(dataset: Dataset, listing: Listing, found: list[tuple[str, str]]) -> list[Finding]:
    if not found:
        return []
    return [Finding(f"{len(found):,} of {len(listing.entries):,} images lie outside {listing.root} (such as "
                    f"{found[0][0]}: {found[0][1]})", dataset.hints.outside)]


def _absent(dataset: Dataset, listing: Listing, found: list[tuple[str, str]]) -> list[Finding]:
    if not found:
        return []
    path, detail = found[0]
    named = "that the lists name " if dataset.lists else (
        f"that {dataset.hints.named_by} names " if dataset.hints.named_by else "")
    return [Finding(f"{len(found):,} of {len(listing.entries):,} images {named}are not there (such as {path}"
                    + ("" if dataset.lists else f": {detail}") + ")", dataset.hints.absent(listing.root, path))]
