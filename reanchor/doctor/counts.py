"""Counts found against counts published, and what a difference probably means."""

from reanchor.data.cards import Card
from reanchor.data.listing import Listing
from reanchor.data.statistics import files_found
from reanchor.doctor.finding import Finding

IMAGES = ("train_images", "val_images", "query_images", "gallery_images", "junk", "distractors")
OTHER = ("train_identities", "val_identities", "query_identities", "gallery_identities", "cameras")
SENTENCES = ("train_sentences", "val_sentences", "gallery_sentences")


def check_swapped(card: Card, raw: Listing, expected: dict[str, int]) -> list[Finding]:
    """A finding where query and gallery each hold the other's count.

    `raw` is the listing before rules about pids were applied, which would refuse distractors among queries.
    """
    if not {"query_images", "gallery_images"} <= expected.keys():
        return []
    queries, others = expected["query_images"], expected["gallery_images"] + expected.get("junk", 0)
    if queries == others or (_images(raw, "query"), _images(raw, "gallery")) != (others, queries):
        return []
    query, gallery = (_place(card, raw, split) for split in ("query", "gallery"))
    return [Finding(f"query and gallery are swapped: {query} holds {others:,} images, {gallery} {queries:,}; "
                    f"{card.title} has {queries:,} queries", f"exchange the names of {query} and {gallery}")]


def check_counts(card: Card, listing: Listing, expected: dict[str, int]) -> list[Finding]:
    """Findings about images and, where those are as many as they should be, about identities, cameras, sentences."""
    found = files_found(listing)
    differing = [name for name in IMAGES if found[name] != expected.get(name, found[name])]
    if differing:
        return [_images_differ(card, name, found[name], expected[name]) for name in differing]
    return [Finding(f"{_words(name)}: {found[name]:,} found, {expected[name]:,} published, although the images are as "
                    "many", "files were renamed or exchanged: unpack the archive again" if name in OTHER
                    else f"captions were added or taken out: get {card.records[0]} again")
            for name in OTHER + SENTENCES if found[name] != expected.get(name, found[name])]


def _images_differ(card: Card, name: str, found: int, expected: int) -> Finding:
    what = f"{_words(name)}: {found:,} found, {expected:,} published"
    if card.records:  # images are counted by the list
        return Finding(what, f"the list is not the published one: get {card.records[0]} again")
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


def _place(card: Card, listing: Listing, split: str) -> str:
    """The folder or list that says what belongs to a split."""
    named = next((name for name in card.lists if split in name), None)
    return named or next(entry.path.split("/")[0] for entry in listing.entries if entry.split == split)


def _words(name: str) -> str:
    return name.replace("_", " ")
