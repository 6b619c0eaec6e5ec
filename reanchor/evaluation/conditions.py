"""What is evaluated: one gallery of whole people, and queries under growing occlusion."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reanchor.errors import ReanchorError
from reanchor.evaluation.preprocessing import Preprocessing
from reanchor.evaluation.ranking import CAMERA_RULES, JUNK, Labels

DISTRACTOR = 0


@dataclass(frozen=True)
class Condition:
    """A query set. `images[index]` are the pictures; `rows` their rows in the prepared manifest."""

    name: str  # "whole", "ogor", "masking-0.30", ...
    kind: str  # whole, ogor, masking, people
    ratio: float | None  # occluded share of the image, None where it varies
    images: np.ndarray  # uint8 [N, H, W, 3]
    masks: np.ndarray | None  # uint8 [N, H, W], labels of the occluded sets
    index: np.ndarray  # int64 [Q]
    rows: np.ndarray  # int64 [Q]
    sha256: str = ""


@dataclass(frozen=True)
class Study:
    """Everything evaluation reads: the prepared dataset and the occluded copies of its queries."""

    images: np.ndarray  # uint8 [N, H, W, 3], by manifest row
    labels: Labels  # by manifest row
    query_rows: np.ndarray
    gallery_rows: np.ndarray
    suites: list[Condition]
    junk_left_out: int = 0  # by `prepare`, already
    card: str = ""  # the dataset's protocol card, and what it says:
    kind: str = ""  # person or vehicle
    card_rule: str = "auto"  # camera rule
    galleries: int = 1  # random galleries that whole-body figures are means over
    interpolation: str = ""  # of the images' resize, where it is known
    parts: np.ndarray | None = None  # uint8 [N, H, W] body parts by manifest row: `reanchor.evaluation.anchors`

    @property
    def whole(self) -> Condition:
        return Condition("whole", "whole", 0.0, self.images, None, self.query_rows, self.query_rows)

    @property
    def preprocessing(self) -> Preprocessing:
        """How the images were prepared."""
        return Preprocessing(*self.images.shape[1:3], self.interpolation)

    def camera_rule(self, wanted: str) -> str:
        """What "auto" stands for here: the card's rule; else market, or none where all images have one camera."""
        if wanted != "auto":
            return wanted
        if self.card_rule != "auto":
            return self.card_rule
        rows = np.concatenate([self.query_rows, self.gallery_rows])
        return "market" if len(np.unique(self.labels.camids[rows])) > 1 else "none"

    def conditions(self) -> list[Condition]:
        return [self.whole, *self.suites]

    def gallery_counts(self, gallery_rows: np.ndarray) -> dict[str, int]:
        """Sizes of a gallery of these manifest rows."""
        pids = self.labels.pids[gallery_rows]
        return {"gallery": int((pids != JUNK).sum()), "distractors": int((pids == DISTRACTOR).sum()),
                "junk_dropped": int((pids == JUNK).sum()) + self.junk_left_out,
                "gallery_identities": len(np.unique(pids[(pids != JUNK) & (pids != DISTRACTOR)]))}


def load_study(prepared: Path, occluded: Path) -> Study:
    """Open the outputs of `prepare` and `occlude`; pictures stay memory-mapped.

    Raises:
        ReanchorError: when a file is missing or there is no query or gallery.
    """
    from reanchor.data import ImageStore, Manifest

    manifest = Manifest.read(prepared / "manifest.parquet")
    store = ImageStore.open(prepared / "images.arrow")
    labels = Labels(*(np.asarray(column, np.int64) for column in (manifest.pid, manifest.camid, manifest.viewid)))
    query, gallery = (np.asarray(manifest.rows(split), np.int64) for split in ("query", "gallery"))
    for split, rows in (("query", query), ("gallery", gallery)):
        if len(rows) == 0:
            raise ReanchorError(f"{prepared}: split {split!r} has no image; evaluation needs at least one, "
                                "check prepare.root and the folder names in it")
    statistics = json.loads((prepared / "statistics.json").read_text())
    return Study(store.images, labels, query, gallery, _suites(occluded), statistics["found"]["junk"],
                 interpolation=manifest.interpolation, parts=store.masks,
                 **_card(manifest.metadata, prepared / "manifest.parquet"))


def _card(metadata: dict[str, str], path: Path) -> dict:
    """What the manifest's metadata says of the dataset's protocol; absent keys keep the study's defaults."""
    found = {name: metadata[key] for name, key in (("card", "card"), ("kind", "kind"), ("card_rule", "camera_rule"))
             if key in metadata}
    galleries = metadata.get("galleries", "1")
    if found.get("card_rule", "auto") not in ("auto", *CAMERA_RULES):
        raise ReanchorError(f"{path}: camera_rule: got {found['card_rule']!r}; allowed: auto, "
                            f"{', '.join(CAMERA_RULES)}; run the prepare stage again")
    if not galleries.isdecimal() or int(galleries) < 1:
        raise ReanchorError(f"{path}: galleries: got {galleries!r}; allowed: a whole number of at least 1; "
                            "run the prepare stage again")
    return found | {"galleries": int(galleries)}


def _suites(occluded: Path) -> list[Condition]:
    from reanchor.occlusion import OccludedSet

    index = occluded / "suites.json"
    if not index.is_file():
        raise ReanchorError(
            f"{index}: no list of occluded suites there; run the occlude stage (dvc repro occlude)"
        )
    suites = []
    for entry in json.loads(index.read_text())["test"]:
        suite = OccludedSet.open(occluded / "test" / entry["name"])
        suites.append(Condition(entry["name"], entry["kind"], entry.get("ratio"), suite.images, suite.masks,
                                np.arange(len(suite.rows)), np.asarray(suite.rows, np.int64),
                                entry.get("sha256", "")))
    return suites

