"""The examination, from the outside in: folders, lists, names, files, counts. It opens no image."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from reanchor.data.captions import check_captions
from reanchor.data.cards.card import Card
from reanchor.data.listing import Listing, Rejection, apply_pid_rules
from reanchor.data.readers.catalogue import READERS
from reanchor.data.readers.csv_table import TABLE
from reanchor.data.readers.veri776 import VIEW_LISTS
from reanchor.data.statistics import files_found, variant_of
from reanchor.doctor.counts import check_counts, check_swapped, check_totals, compared
from reanchor.doctor.files import check_files
from reanchor.doctor.finding import Finding, refused
from reanchor.doctor.layout import check_layout, counts_agree, look_alikes, wrong_dataset
from reanchor.doctor.own import check_own, no_training, unread
from reanchor.doctor.records import check_records, unnamed_images
from reanchor.errors import ReanchorError


@dataclass
class Diagnosis:
    """`findings` have to be mended, `notes` are good to know; `found` are counts, where images could be listed."""

    findings: list[Finding]
    notes: list[str]
    found: dict[str, int] = field(default_factory=dict)


def diagnose(card: Card, root: Path, test_size: str = "small", table: str = TABLE) -> Diagnosis:
    """Hold the folder `root` against `card`; `test_size` chooses VehicleID's test list, `table` the reader csv's.

    Raises:
        ReanchorError: there is no such folder.
    """
    _require_folder(card, root)
    notes = _notes(card, root)
    if findings := check_layout(card, root, test_size):
        return Diagnosis(findings, notes)
    more = {"vehicleid": {"test_size": test_size}, "csv": {"table": table}}.get(card.reader, {})
    try:
        raw = READERS[card.reader](root, 0, **more)
    except ReanchorError as error:
        names = look_alikes(card, root)
        return Diagnosis([wrong_dataset(card, root, names) if names else refused(error)], notes)
    listing = check_captions(apply_pid_rules(raw, card.junk, card.distractors))
    notes += listing.notes + unread(card, listing)
    notes += unnamed_images(root, listing) if card.records else []
    notes += no_training(card, listing) + compared(card, card.expected(variant_of(card, listing, test_size)))
    return Diagnosis(_examine(card, root, raw, listing, test_size), notes, files_found(listing))


def _examine(card: Card, root: Path, raw: Listing, listing: Listing, test_size: str) -> list[Finding]:
    if not counts_agree(card, listing) and (names := look_alikes(card, root, exactly=True)):
        return [wrong_dataset(card, root, names)]
    expected = card.expected(variant_of(card, listing, test_size))
    if swapped := check_swapped(card, raw, expected):
        return swapped
    if card.records:
        return check_records(card, root, listing) + check_counts(card, listing, expected)
    return (_names(listing) + check_files(card, listing) + check_own(card, listing) + check_totals(card, listing)
            + check_counts(card, listing, expected))


def _require_folder(card: Card, root: Path) -> None:
    if not root.exists():
        raise ReanchorError(f"ROOT: got {str(root)!r}, which does not exist; allowed: the folder of {card.title}")
    if not root.is_dir():
        mend = f"use {root.parent} --table {root.name}" if card.name == "csv" else "unpack an archive first"
        raise ReanchorError(f"ROOT: got {str(root)!r}, which is a file; allowed: a folder; {mend}")


def _notes(card: Card, root: Path) -> list[str]:
    notes = [f"terms: {card.terms}"]
    if card.withdrawn:
        notes.append(f"{card.title} was withdrawn ({card.withdrawn}); prepare reads it only with "
                     "prepare.acknowledge_withdrawn=true")
    if card.cameras == "made":
        notes.append("its file names know no camera, nothing is missing: the reader makes two, 1 for the occluded or "
                     "partial images and 2 for the whole ones, so that no camera rule takes a match away")
    if card.by_sentence:
        notes.append("its queries are sentences, which search all test images: no image is a query, no camera rule "
                     "applies, and evaluation of image queries is skipped")
    elif card.cameras == "none":
        notes.append(f"it knows no camera: no match is left out, and figures average {card.galleries} random galleries")
    if card.test_only:
        notes.append("it has no training split: judge models trained elsewhere (method=zero_shot trains nothing)")
    absent = [name for name in sorted(VIEW_LISTS) if not (root / name).is_file()]
    if card.name == "veri776" and absent:
        notes.append(f"no {' and no '.join(absent)}: viewid is 0 (unknown) for the images they would name; the lists "
                     "come with the code of TransReID and CLIP-ReID and are needed for view embeddings only")
    return notes


def _names(listing: Listing) -> list[Finding]:
    """One finding for each kind of rejection in each folder."""
    counts = Counter((rejection.path.split("/")[0], rejection.reason) for rejection in listing.rejections)
    first: dict[tuple[str, str], Rejection] = {}
    for rejection in sorted(listing.rejections, key=lambda rejection: rejection.path):
        first.setdefault((rejection.path.split("/")[0], rejection.reason), rejection)
    return [Finding(f"{folder}: {counts[folder, reason]:,} images cannot stand there (such as {one.path}: "
                    f"{one.detail})", "rename them or take them away; prepare would set them aside")
            for (folder, reason), one in sorted(first.items())]
