"""What a prepared dataset holds, and how it differs from the counts its authors publish."""

from collections import Counter, defaultdict

import numpy as np

from reanchor.data.listing import DISTRACTOR_PID, Entry, Listing, Rejection
from reanchor.data.manifest import SPLITS, Manifest

# Counts of files as distributed, junk apart. Streetfolk's depend on its settings, except the cameras.
CARDS: dict[str, dict[str, int]] = {
    "none": {},
    "market1501": {
        "train_images": 12_936, "train_identities": 751, "query_images": 3_368, "query_identities": 750,
        "gallery_images": 15_913,  # 13,115 of the query identities and the distractors
        "gallery_identities": 750, "distractors": 2_798, "junk": 3_819, "cameras": 6,
    },
    "streetfolk": {"cameras": 6},
}


def describe(listing: Listing, manifest: Manifest, rejections: list[Rejection], card: str,
             has_masks: bool) -> dict:
    """The content of statistics.json."""
    found = files_found(listing)
    unmatched = queries_without_match(manifest)
    return {
        "name": listing.name,
        "found": found,
        "card": compare(CARDS[card], found) | {"name": card},
        "splits": {split: _split(manifest, split) for split in SPLITS},
        "quarantined": dict(sorted(Counter(rejection.reason for rejection in rejections).items())),
        "queries_without_match": unmatched,
        "captions": sum(map(len, manifest.captions)),
        "masks": has_masks,
        "image_sizes": _sizes(manifest),
        "notes": _notes(manifest, unmatched),
    }


def files_found(listing: Listing) -> dict[str, int]:
    """Counts by file name, before quarantine, in the terms of `CARDS`."""
    by_split: dict[str, list[Entry]] = defaultdict(list)
    for entry in listing.entries:
        by_split[entry.split].append(entry)
    counts = {"junk": len(listing.junk), "cameras": len({entry.camid for entry in listing.entries}),
              "distractors": sum(entry.pid == DISTRACTOR_PID for entry in listing.entries)}
    for split in ("train", "query", "gallery"):
        counts[f"{split}_images"] = len(by_split[split])
        counts[f"{split}_identities"] = len({entry.pid for entry in by_split[split]} - {DISTRACTOR_PID})
    return counts


def compare(expected: dict[str, int], found: dict[str, int]) -> dict:
    """Each expected count beside the one found, and the differences in words."""
    differences = [f"{name.replace('_', ' ')}: {found[name]:,} found, {count:,} expected "
                   f"({abs(found[name] - count):,} {'more' if found[name] > count else 'fewer'})"
                   for name, count in expected.items() if found[name] != count]
    return {"expected": expected, "differences": differences}


def queries_without_match(manifest: Manifest) -> int:
    """Queries whose identity no other camera has in the gallery: the camera rule leaves them nothing."""
    cameras: dict[int, set[int]] = defaultdict(set)
    for row in manifest.rows("gallery"):
        cameras[int(manifest.pid[row])].add(int(manifest.camid[row]))
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


def _notes(manifest: Manifest, unmatched: int) -> list[str]:
    """What a user should know before they train or evaluate."""
    notes = []
    queries = len(manifest.rows("query"))
    if len(np.unique(manifest.camid)) == 1:
        notes.append("all images have the same camera (or none is known): "
                     "evaluate.camera_rule=none fits, the market rule would drop every match")
    elif unmatched:
        notes.append(f"{unmatched} of {queries} queries have no gallery image from another camera; "
                     "the market camera rule leaves them out")
    train = np.isin(manifest.split, ("train", "val"))
    shared = np.intersect1d(manifest.pid[train], manifest.pid[~train])
    if len(shared):
        notes.append(f"{len(shared)} pids occur in training and in test (such as {shared[0]}); "
                     "harmless only where the two splits number different persons")
    return notes
