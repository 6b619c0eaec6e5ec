"""Data without an authors' split: whether `prepare` could use what is listed, and who is where."""

from reanchor.data.beside import unread_notes
from reanchor.data.captions import attach_captions
from reanchor.data.dataset import Dataset
from reanchor.data.listing import DISTRACTOR_PID, Listing
from reanchor.data.quarantine import Checked, require_usable
from reanchor.doctor.finding import Finding, refused
from reanchor.errors import ReanchorError
from reanchor.methods.registry import untrained


def check_own(dataset: Dataset, listing: Listing) -> list[Finding]:
    """Findings about splits that cannot be used, people in two of them, and identity folders without images."""
    if dataset.published:
        return []
    return _unusable(listing) + _overlap(listing) + _bare(dataset.hints.bare(listing.root))


def no_training(dataset: Dataset, listing: Listing) -> list[str]:
    """A note where own data is a test-only set."""
    if dataset.published or any(entry.split == "train" for entry in listing.entries):
        return []
    return [f"it has no training images: judge models trained elsewhere (method={untrained()} trains nothing)"]


def unread(dataset: Dataset, listing: Listing) -> list[str]:
    """Notes on what lies among the images and is not read, but for identity folders, about which there is a finding."""
    bare = dataset.hints.bare(listing.root)
    return unread_notes([one for one in listing.unread if one.path not in bare])


def _unusable(listing: Listing) -> list[Finding]:
    splits = {entry.split for entry in listing.entries}
    try:
        images = [Checked(entry, 0, 0, 0, "") for entry in attach_captions(listing).entries]  # as if all would open
        require_usable(images, [], "train" in splits, "val" in splits, "query" in splits)
    except ReanchorError as error:
        return [refused(error)]
    return []


def _overlap(listing: Listing) -> list[Finding]:
    train, test = ({entry.pid for entry in listing.entries if entry.split in splits} - {DISTRACTOR_PID}
                   for splits in (("train", "val"), ("query", "gallery")))
    if not (shared := sorted(train & test)):
        return []
    return [Finding(f"{len(shared):,} identities are both trained on and tested (such as pid {shared[0]}): figures "
                    "would be too good", "keep each identity in training or in test; if the two splits number "
                    "different people, number the test's anew")]


def _bare(bare: dict[str, str]) -> list[Finding]:
    if not bare:
        return []
    name, contents = next(iter(bare.items()))
    return [Finding(f"{len(bare):,} identity folders hold no image that can be read (such as {name}, which holds "
                    f"{contents}); these people would be left out", "convert the files to .jpg or .png, or take the "
                    "folders away")]
