"""What a prepared dataset holds, and how it differs from the counts its authors publish."""

from collections import Counter, defaultdict
from collections.abc import Mapping

import numpy as np

from reanchor.config.sections.data import Prepare
from reanchor.data.beside import unread_notes
from reanchor.data.caption_statistics import caption_notes, describe_captions
from reanchor.data.dataset import Dataset
from reanchor.data.listing import DISTRACTOR_PID, Entry, Listing, Rejection
from reanchor.formats.manifest import SPLITS, Manifest


def describe(listing: Listing, manifest: Manifest, rejections: list[Rejection], card: Dataset, config: Prepare,
             has_masks: bool) -> dict:
    """The content of statistics.json."""
    found = files_found(listing)
    unmatched = queries_without_match(manifest, card.camera_rule)
    captions = describe_captions(manifest)
    return {
        "name": listing.name,
        "found": found,
        "card": compare(card.expected(variant_of(card, listing, vars(config))), found) | {
            "name": card.name, "title": card.title, "kind": card.kind, "camera_rule": card.camera_rule,
            "galleries": card.galleries, "source": card.source, "terms": card.terms, "withdrawn": card.withdrawn},
        "splits": {split: _split(manifest, split) for split in SPLITS},
        "quarantined": dict(sorted(Counter(rejection.reason for rejection in rejections).items())),
        "queries_without_match": unmatched,
        "captions": sum(map(len, manifest.captions)),
        "sentences": captions,
        "masks": has_masks,
        "image_sizes": _sizes(manifest),
        "unread": {one.path: one.holds for one in listing.unread},
        "notes": (listing.notes + unread_notes(listing.unread) + _left_out(config) + _notes(manifest, unmatched, card)
                  + caption_notes(manifest, captions)),
    }


def variant_of(card: Dataset, listing: Listing, settings: Mapping[str, object]) -> str:
    """Which of the card's variants this is: a setting's value, or the folder's name; "" where there are none."""
    chosen = [str(settings[name]) for name in card.takes if name in settings]
    return next((name for name in (*chosen, listing.name) if name in card.variants), "")


def files_found(listing: Listing) -> dict[str, int]:
    """Counts by file name, before quarantine, in the terms of a card's counts.

    Lines of a list that name an image again count as images: published figures are of lines.
    """
    by_split: dict[str, list[Entry]] = defaultdict(list)
    for entry in listing.entries:
        by_split[entry.split].append(entry)
    counts = {"junk": len(listing.junk), "cameras": len({entry.camid for entry in listing.entries}),
              "distractors": sum(entry.pid == DISTRACTOR_PID for entry in listing.entries)}
    for split in ("train", "val", "query", "gallery"):
        counts[f"{split}_images"] = len(by_split[split]) + listing.repeated.get(split, 0)
        counts[f"{split}_sentences"] = sum(len(entry.captions) for entry in by_split[split])
        counts[f"{split}_identities"] = len({entry.pid for entry in by_split[split]} - {DISTRACTOR_PID})
    return counts


def compare(expected: dict[str, int], found: dict[str, int]) -> dict:
    """Each expected count beside the one found, and the differences in words."""
    differences = [f"{name.replace('_', ' ')}: {found[name]:,} found, {count:,} expected "
                   f"({abs(found[name] - count):,} {'more' if found[name] > count else 'fewer'})"
                   for name, count in expected.items() if found[name] != count]
    return {"expected": expected, "differences": differences}


def queries_without_match(manifest: Manifest, camera_rule: str = "market") -> int:
    """Queries whose identity no other camera has in the gallery: the market rule leaves them nothing.

    Under the rule "none" those whose identity is not in the gallery at all.
    """
    cameras: dict[int, set[int]] = defaultdict(set)
    for row in manifest.rows("gallery"):
        cameras[int(manifest.pid[row])].add(int(manifest.camid[row]))
    if camera_rule == "none":
        return sum(not cameras[int(manifest.pid[row])] for row in manifest.rows("query"))
    return sum(not cameras[int(manifest.pid[row])] - {int(manifest.camid[row])}
               for row in manifest.rows("query"))


def _split(manifest: Manifest, split: str) -> dict:
    rows = manifest.rows(split)
    pids = manifest.pid[rows]
    people, images = np.unique(pids[pids != DISTRACTOR_PID], return_counts=True)
    per_identity = [int(images.min()), float(np.median(images)), int(images.max())] if len(images) else []
    return {"images": len(rows), "identities": len(people),
            "images_per_identity_min_median_max": per_identity,
            "cameras": [int(camid) for camid in np.unique(manifest.camid[rows])],
            "distractors": int((pids == DISTRACTOR_PID).sum())}


def _sizes(manifest: Manifest) -> dict[str, list[int]]:
    return {name: [int(values.min()), int(values.max())]
            for name, values in (("width_min_max", manifest.width), ("height_min_max", manifest.height))}


def _left_out(config: Prepare) -> list[str]:
    """Settings that make the data differ from what was distributed."""
    notes = []
    if config.drop_pids:
        pids = sorted(set(config.drop_pids))
        notes.append(f"prepare.drop_pids leaves out {len(pids)} identities (pids {', '.join(map(str, pids))})")
    if config.test_records:
        notes.append(f"prepare.test_records keeps the first {config.test_records:,} test records only: figures are of "
                     "a smaller gallery than the published split's")
    return notes


def _notes(manifest: Manifest, unmatched: int, card: Dataset) -> list[str]:
    """What a user should know before they train or evaluate."""
    notes = []
    if not len(manifest.rows("query")):
        notes.append("no query images: sentences search the gallery, and evaluation of image queries is skipped")
    if not (len(manifest.rows("train")) or len(manifest.rows("val"))):
        notes.append("no training split: only models trained elsewhere can be judged here")
    if repeated := len(manifest) - len(set(manifest.checksum)):
        notes.append(f"{repeated} files repeat an earlier one; kept, as published figures count them")
    if card.camera_rule != "none" and len(np.unique(manifest.camid)) == 1:
        notes.append("all images have the same camera (or none is known): "
                     "evaluate.camera_rule=none fits, the market rule would drop every match")
    elif unmatched:
        elsewhere = "" if card.camera_rule == "none" else " from another camera"
        notes.append(f"{unmatched} of {len(manifest.rows('query'))} queries have no gallery image{elsewhere}; "
                     "evaluation leaves them out")
    both = np.intersect1d(manifest.pid[manifest.rows("train")], manifest.pid[manifest.rows("val")])
    if len(both):
        notes.append(f"{len(both)} pids occur in training and in validation (such as {both[0]}): models would be "
                     "chosen on people they were trained on")
    train = np.isin(manifest.split, ("train", "val"))
    shared = np.intersect1d(manifest.pid[train], manifest.pid[~train])
    if len(shared):
        notes.append(f"{len(shared)} pids occur in training and in test (such as {shared[0]}); "
                     "harmless only where the two splits number different persons")
    return notes
