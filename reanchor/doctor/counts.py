"""Counts found against counts published, and what a difference probably means."""

from reanchor.data.dataset import Dataset
from reanchor.data.listing import DISTRACTOR_PID, Listing
from reanchor.data.statistics import files_found
from reanchor.doctor.finding import Finding

IMAGES = ("train_images", "val_images", "query_images", "gallery_images", "junk", "distractors")
OTHER = ("train_identities", "val_identities", "query_identities", "gallery_identities", "cameras")
SENTENCES = ("train_sentences", "val_sentences", "gallery_sentences")
NEARER = 4  # times as near must the counts be after an exchange; a missing part moves both distances alike


def check_swapped(dataset: Dataset, raw: Listing, expected: dict[str, int]) -> list[Finding]:
    """A finding where query and gallery each hold the other's count, or are much nearer to it than to their own.

    `raw` is the listing before rules about pids were applied, which would refuse distractors among queries.
    """
    if not {"query_images", "gallery_images"} <= expected.keys():
        return []
    queries, others = expected["query_images"], expected["gallery_images"] + expected.get("junk", 0)
    found = _images(raw, "query"), _images(raw, "gallery")
    as_is, exchanged = (sum(abs(one - other) for one, other in zip(found, known, strict=True))
                        for known in ((queries, others), (others, queries)))
    if not all(found) or as_is <= NEARER * exchanged:
        return []
    query, gallery = (_place(dataset, raw, split) for split in ("query", "gallery"))
    return [Finding(f"query and gallery {'look' if exchanged else 'are'} swapped: {query} holds {found[0]:,} images, "
                    f"{gallery} {found[1]:,}; {dataset.title} has {queries:,} queries"
                    + f" and {others:,} others to search" * bool(exchanged),
                    f"exchange the names of {query} and {gallery}" + ", then ask again" * bool(exchanged))]


def check_totals(dataset: Dataset, listing: Listing) -> list[Finding]:
    """A finding where a dataset without published splits is larger or smaller than published."""
    images = len(listing.entries)
    people = len({(entry.pid, entry.split == "train") for entry in listing.entries if entry.pid != DISTRACTOR_PID})
    if not dataset.totals or (images, people) == (dataset.totals["images"], dataset.totals["identities"]):
        return []
    more = images > dataset.totals["images"] or people > dataset.totals["identities"]
    return [Finding(f"{images:,} images of {people:,} identities found in all splits together, "
                    f"{dataset.totals['images']:,} of {dataset.totals['identities']:,} published",
                    "another version, or files of yours among them: unpack the archive into an empty folder" if more
                    else "unpacked in part? unpack the archive again; prepare takes a part too, whose figures are "
                    "comparable among themselves only")]


def compared(dataset: Dataset, expected: dict[str, int]) -> list[str]:
    """A note on what was compared, where the images of some split are not known beforehand."""
    unknown = [split for split in dataset.splits if f"{split}_images" not in expected]
    names = [f"{name} in all" for name in dataset.totals] + [_words(name) for name in expected]
    if not (unknown and names):
        return []
    return [f"compared: {', '.join(names)}; how many images {dataset.title} has in {', '.join(unknown)} is not known "
            "beforehand"]


def check_counts(dataset: Dataset, listing: Listing, expected: dict[str, int]) -> list[Finding]:
    """Findings about images and, where those are as many as they should be, about identities, cameras, sentences."""
    found = files_found(listing)
    differing = [name for name in IMAGES if found[name] != expected.get(name, found[name])]
    if differing:
        return [_images_differ(dataset, name, found[name], expected[name]) for name in differing]
    although = ", although the images are as many" if any(name in expected for name in IMAGES) else ""
    return [Finding(f"{_words(name)}: {found[name]:,} found, {expected[name]:,} published{although}",
                    "files were renamed or exchanged: unpack the archive again" if name in OTHER
                    else f"captions were added or taken out: get {dataset.records[0]} again")
            for name in OTHER + SENTENCES if found[name] != expected.get(name, found[name])]


def _images_differ(dataset: Dataset, name: str, found: int, expected: int) -> Finding:
    what = f"{_words(name)}: {found:,} found, {expected:,} published"
    if dataset.records:  # images are counted by the list
        return Finding(what, f"the list is not the published one: get {dataset.records[0]} again")
    if found > expected:
        return Finding(f"{what}, {found - expected:,} too many",
                       "another version, or files of yours among them: unpack the archive into an empty folder")
    mend = "unpacked in part? unpack the archive again, and compare its size with the download page's"
    if name in ("junk", "distractors"):
        mend = "a copy that somebody cleaned? " + (
            "junk counts in no figure, so you may go on" if name == "junk" else
            "figures without distractors are too high: unpack the authors' archive")
    return Finding(f"{what}, {expected - found:,} are missing", mend)


def _images(listing: Listing, split: str) -> int:
    return sum(entry.split == split for entry in listing.entries)


def _place(dataset: Dataset, listing: Listing, split: str) -> str:
    """The folder or list that says what belongs to a split."""
    named = next((name for name in dataset.lists if split in name), None)
    return named or next(entry.path.split("/")[0] for entry in listing.entries if entry.split == split)


def _words(name: str) -> str:
    return name.replace("_", " ")
