"""What is evaluated: queries under growing occlusion, and a gallery of whole or partly occluded people."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reanchor.errors import ReanchorError
from reanchor.evaluation.ranking import CAMERA_RULES, JUNK
from reanchor.formats.labels import Labels
from reanchor.formats.preprocessing import Preprocessing

if TYPE_CHECKING:
    from reanchor.formats.occluded_set import OccludedSet
    from reanchor.formats.overlay import Overlay

DISTRACTOR = 0
GALLERY, BOTH = "gallery", "both"  # what names of conditions begin with
SIDES = {"query": ("query",), GALLERY: (GALLERY,), BOTH: ("query", GALLERY, BOTH)}  # judged, by occlude.sides


@dataclass(frozen=True)
class Condition:
    """A query set and a gallery. `images[index]` are the queries' pictures; `rows` their manifest rows."""

    name: str  # "whole", "ogor", "masking-0.30", "gallery-masking-0.30", "both-masking-0.30", ...
    kind: str  # the name without its ratio: whole, ogor, masking, people, gallery-masking ...
    ratio: float | None  # occluded share of the image, None where it varies
    images: np.ndarray  # uint8 [N, H, W, 3]
    masks: np.ndarray | None  # uint8 [N, H, W], labels of the occluded sets
    index: np.ndarray  # int64 [Q]
    rows: np.ndarray  # int64 [Q]
    sha256: str = ""
    gallery: "Overlay | None" = None  # where some of its rows are occluded
    covered: float | None = None  # mean share of its occluded images that is covered, where it is known

    @property
    def on_ratio(self) -> bool:
        """Whether `covered` is `ratio`, within the generator's tolerance: people behind may find no room for it."""
        from reanchor.occlusion.people import TOLERANCE

        return self.ratio is None or self.covered is None or abs(self.covered - self.ratio) <= TOLERANCE

    @property
    def query_set(self) -> str:
        """Conditions of one query set have the same query features."""
        return "whole" if self.name.startswith(f"{GALLERY}-") else self.name.removeprefix(f"{BOTH}-")


@dataclass(frozen=True)
class Study:
    """Everything evaluation reads: the prepared dataset and the occluded copies of its queries and gallery."""

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
    held_out: bool = True  # False: every training identity is trained on, so nothing can be chosen

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

    Where sentences are the queries (the gallery has captions) the study may have no query image.

    Raises:
        ReanchorError: when a file is missing, or there is no gallery, or neither a query image nor a caption.
    """
    from reanchor.formats.images import ImageStore
    from reanchor.formats.manifest import Manifest

    manifest = Manifest.read(prepared / "manifest.parquet")
    store = ImageStore.open(prepared / "images.arrow")
    labels = Labels(*(np.asarray(column, np.int64) for column in (manifest.pid, manifest.camid, manifest.viewid)))
    query, gallery = (np.asarray(manifest.rows(split), np.int64) for split in ("query", "gallery"))
    for split, rows in (("query", query), ("gallery", gallery)):
        by_sentence = split == "query" and any(manifest.captions[row] for row in gallery)
        if len(rows) == 0 and not by_sentence:
            raise ReanchorError(f"{prepared}: split {split!r} has no image; evaluation needs at least one, "
                                "check prepare.root and the folder names in it")
    statistics = json.loads((prepared / "statistics.json").read_text())
    suites = _suites(occluded, store.images, query)
    return Study(store.images, labels, query, gallery, suites, statistics["found"]["junk"],
                 interpolation=manifest.interpolation, parts=store.masks,
                 held_out=bool(len(manifest.rows("val"))) or not len(manifest.rows("train")),
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


def _suites(occluded: Path, images: np.ndarray, query_rows: np.ndarray) -> list[Condition]:
    """The conditions of the sides that `suites.json` names; what stands on one query set follows it at once.

    Raises:
        ReanchorError: no suites, or some that have changed since they were hashed, all in one line.
    """
    from reanchor.formats.suites import open_sets, read_suites

    summary = read_suites(occluded)
    entries = {entry["name"]: entry for entry in summary["test"]}
    sides = SIDES[summary.get("sides", "query")]
    judged = [name for name in entries if (GALLERY if name.startswith(f"{GALLERY}-") else "query") in sides]
    copies, suites = open_sets(occluded, "test", judged), []
    whole = Condition("whole", "whole", 0.0, images, None, query_rows, query_rows)
    for base in dict.fromkeys(name.removeprefix(f"{GALLERY}-") for name in entries):
        opened = {side: (entries[name], copies[name])
                  for side, name in (("query", base), (GALLERY, f"{GALLERY}-{base}")) if name in copies}
        suites += _on_sides(whole, opened, images, sides)
    return suites


def _on_sides(whole: Condition, opened: dict[str, tuple[dict, "OccludedSet"]], images: np.ndarray,
              sides: tuple[str, ...]) -> list[Condition]:
    """A suite's condition with occluded queries, with an occluded gallery and with both, as far as opened."""
    from reanchor.formats.overlay import Overlay

    found: dict[str, Condition] = {}
    if "query" in opened:
        entry, copies = opened["query"]
        found["query"] = dataclasses.replace(
            whole, **_facts(entry), images=copies.images, masks=copies.masks, index=np.arange(len(copies.rows)),
            rows=np.asarray(copies.rows, np.int64))
    if GALLERY in opened:
        entry, copies = opened[GALLERY]
        found[GALLERY] = dataclasses.replace(whole, **_facts(entry), gallery=Overlay(images, copies))
    if len(found) == 2 and BOTH in sides:
        query, gallery = found["query"], found[GALLERY]
        farther = gallery if query.on_ratio else query
        found[BOTH] = dataclasses.replace(query, name=f"{BOTH}-{query.name}", kind=f"{BOTH}-{query.kind}",
                                          sha256=f"{query.sha256}+{gallery.sha256}", gallery=gallery.gallery,
                                          covered=farther.covered)
    return list(found.values())


def _facts(entry: dict) -> dict:
    """What `suites.json` says of a suite, by the names of `Condition`."""
    return {"name": entry["name"], "kind": entry["series"], "ratio": entry.get("ratio"),
            "sha256": entry.get("sha256", ""), "covered": entry.get("area_ratio")}
