"""The examination, from the outside in: folders, lists, names, files, counts. It opens no image."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from reanchor.config.sections.data import Prepare
from reanchor.data.captions import check_captions
from reanchor.data.catalogue import READERS
from reanchor.data.dataset import Dataset
from reanchor.data.listing import Listing, Rejection, apply_pid_rules
from reanchor.data.statistics import files_found, variant_of
from reanchor.doctor.counts import check_counts, check_swapped, check_totals, compared
from reanchor.doctor.files import check_files
from reanchor.doctor.finding import Finding, refused
from reanchor.doctor.layout import check_layout, counts_agree, look_alikes, wrong_dataset
from reanchor.doctor.own import check_own, no_training, unread
from reanchor.doctor.records import check_records, unnamed_images
from reanchor.errors import ReanchorError
from reanchor.methods.registry import untrained

PREPARE = Prepare()


@dataclass
class Diagnosis:
    """`findings` have to be mended, `notes` are good to know; `found` are counts, where images could be listed."""

    findings: list[Finding]
    notes: list[str]
    found: dict[str, int] = field(default_factory=dict)


def diagnose(dataset: Dataset, root: Path, test_size: str = PREPARE.test_size, table: str = PREPARE.table,
             experiment: str = PREPARE.experiment) -> Diagnosis:
    """Hold the folder `root` against `dataset`; the others are settings of `prepare`, for datasets that take them.

    Raises:
        ReanchorError: there is no such folder.
    """
    _require_folder(dataset, root)
    notes = _notes(dataset, root)
    given = {"test_size": test_size, "table": table, "experiment": experiment}
    settings = {name: value for name, value in given.items() if name in dataset.takes}
    if findings := check_layout(dataset, root, settings):
        return Diagnosis(findings, notes)
    try:
        raw = READERS[dataset.name](root, 0, **settings)
    except ReanchorError as error:
        names = look_alikes(dataset, root)
        return Diagnosis([wrong_dataset(dataset, root, names) if names else refused(error)], notes)
    listing = check_captions(apply_pid_rules(raw, dataset.junk, dataset.distractors))
    notes += listing.notes + unread(dataset, listing)
    notes += unnamed_images(root, listing) if dataset.records else []
    expected = dataset.expected(variant_of(dataset, listing, settings))
    notes += no_training(dataset, listing) + compared(dataset, expected)
    return Diagnosis(_examine(dataset, raw, listing, expected), notes, files_found(listing))


def _examine(dataset: Dataset, raw: Listing, listing: Listing, expected: dict[str, int]) -> list[Finding]:
    root = listing.root
    if not counts_agree(dataset, listing) and (names := look_alikes(dataset, root, exactly=True)):
        return [wrong_dataset(dataset, root, names)]
    if swapped := check_swapped(dataset, raw, expected):
        return swapped
    if dataset.records:
        return check_records(dataset, root, listing) + check_counts(dataset, listing, expected)
    return (_names(listing) + check_files(dataset, listing) + check_own(dataset, listing)
            + check_totals(dataset, listing) + check_counts(dataset, listing, expected))


def _require_folder(dataset: Dataset, root: Path) -> None:
    if not root.exists():
        raise ReanchorError(f"ROOT: got {str(root)!r}, which does not exist; allowed: the folder of {dataset.title}")
    if not root.is_dir():
        mend = f"use {root.parent} --table {root.name}" if "table" in dataset.takes else "unpack an archive first"
        raise ReanchorError(f"ROOT: got {str(root)!r}, which is a file; allowed: a folder; {mend}")


def _notes(dataset: Dataset, root: Path) -> list[str]:
    notes = [f"terms: {dataset.terms}"]
    if dataset.withdrawn:
        notes.append(f"{dataset.title} was withdrawn ({dataset.withdrawn}); prepare reads it only with "
                     "prepare.acknowledge_withdrawn=true")
    if dataset.cameras == "made":
        notes.append("its file names know no camera, nothing is missing: the reader makes two, 1 for the occluded or "
                     "partial images and 2 for the whole ones, so that no camera rule takes a match away")
    if dataset.by_sentence:
        notes.append("its queries are sentences, which search all test images: no image is a query, no camera rule "
                     "applies, and evaluation of image queries is skipped")
    elif dataset.cameras == "none":
        notes.append(f"it knows no camera: no match is left out, and figures average {dataset.galleries} random "
                     "galleries")
    if dataset.test_only:
        notes.append(f"it has no training split: judge models trained elsewhere (method={untrained()} trains nothing)")
    notes += [f"{dataset.averaged}; here seed 0 divides it"] if dataset.averaged else []
    return notes + dataset.hints.notes(root)


def _names(listing: Listing) -> list[Finding]:
    """One finding for each kind of rejection in each folder."""
    counts = Counter((rejection.path.split("/")[0], rejection.reason) for rejection in listing.rejections)
    first: dict[tuple[str, str], Rejection] = {}
    for rejection in sorted(listing.rejections, key=lambda rejection: rejection.path):
        first.setdefault((rejection.path.split("/")[0], rejection.reason), rejection)
    return [Finding(f"{folder}: {counts[folder, reason]:,} images cannot stand there (such as {one.path}: "
                    f"{one.detail})", "rename them or take them away; prepare would set them aside")
            for (folder, reason), one in sorted(first.items())]
