"""What sentences are judged on: who is described, one gallery, and the same with some images occluded."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reanchor.errors import ReanchorError
from reanchor.evaluation.conditions import DISTRACTOR
from reanchor.evaluation.ranking import JUNK
from reanchor.formats.images import ImageStore
from reanchor.formats.labels import Labels
from reanchor.formats.manifest import Manifest
from reanchor.formats.preprocessing import Preprocessing
from reanchor.formats.sentences import SentenceQueries, sentence_queries, untrainable
from reanchor.formats.suites import open_sets, read_suites


@dataclass(frozen=True)
class GalleryCondition:
    """A state of the gallery: `images[r]` stands in the place `places[r]` of the whole one, for r < R."""

    name: str  # "whole", "gallery-ogor", ...
    kind: str  # whole, ogor, masking, people
    ratio: float | None  # occluded share of a replaced image, None where it varies
    images: np.ndarray  # uint8 [R, H, W, 3]
    places: np.ndarray  # int64 [R], positions in SearchStudy.gallery_rows
    sha256: str = ""


@dataclass(frozen=True)
class SearchStudy:
    """Sentences, the whole gallery without junk, and its occluded states."""

    images: np.ndarray  # uint8 [N, H, W, 3], by manifest row
    labels: Labels  # by manifest row
    sentences: SentenceQueries
    gallery_rows: np.ndarray  # int64 [G]
    suites: list[GalleryCondition]
    junk_dropped: int = 0
    card: str = ""  # the dataset's protocol card
    interpolation: str = ""
    untrainable: str = ""  # why no method can be trained on this dataset's captions; "": they can

    @property
    def conditions(self) -> list[GalleryCondition]:
        """The whole gallery first."""
        none = np.empty(0, np.int64)
        return [GalleryCondition("whole", "whole", 0.0, self.images[:0], none), *self.suites]

    @property
    def preprocessing(self) -> Preprocessing:
        """How the images were prepared."""
        return Preprocessing(*self.images.shape[1:3], self.interpolation)

    @property
    def query(self) -> Labels:
        """Labels of the sentences: those of the images they were written for, [S]."""
        return self.labels[self.sentences.rows]

    @property
    def gallery(self) -> Labels:
        """Labels of the gallery, [G]."""
        return self.labels[self.gallery_rows]

    @property
    def lost(self) -> int:
        """Sentences about people who are not in the gallery."""
        return int((~np.isin(self.query.pids, self.gallery.pids)).sum())

    def picture(self, condition: GalleryCondition, place: int) -> np.ndarray:
        """The gallery's image at `place` under a condition, uint8 [H, W, 3]."""
        found = np.flatnonzero(condition.places == place)
        return condition.images[found[0]] if len(found) else self.images[self.gallery_rows[place]]

    def counts(self) -> dict[str, int]:
        """Sizes, for the protocol."""
        pids, people = self.gallery.pids, self.query.pids
        return {"sentences": len(self.sentences), "described_images": len(np.unique(self.sentences.rows)),
                "query_identities": len(np.unique(people)), "lost_sentences": self.lost,
                "gallery": len(pids), "gallery_identities": len(np.unique(pids[pids != DISTRACTOR])),
                "distractors": int((pids == DISTRACTOR).sum()), "junk_dropped": self.junk_dropped,
                "own_images_in_gallery": int(np.isin(np.unique(self.sentences.rows), self.gallery_rows).sum())}


def load_search_study(prepared: Path, occluded: Path) -> SearchStudy:
    """Open the outputs of `prepare` and `occlude`; pictures stay memory-mapped.

    A dataset without captions gives a study of no sentences.

    Raises:
        ReanchorError: a file is missing, the gallery is empty, no sentence describes anybody in it, or an
            occluded set is of another gallery or has changed since it was hashed.
    """
    manifest = Manifest.read(prepared / "manifest.parquet")
    store = ImageStore.open(prepared / "images.arrow")
    labels = Labels(*(np.asarray(column, np.int64) for column in (manifest.pid, manifest.camid, manifest.viewid)))
    rows = np.asarray(manifest.rows("gallery"), np.int64)
    gallery = rows[labels.pids[rows] != JUNK]
    if not len(gallery):
        raise ReanchorError(f"{prepared}: split 'gallery' has no image; sentences need at least one to search, check "
                            "prepare.root and the folder names in it")
    left_out = json.loads((prepared / "statistics.json").read_text())["found"]["junk"]
    study = SearchStudy(store.images, labels, sentence_queries(manifest, "test"), gallery,
                        _suites(occluded, gallery), left_out + len(rows) - len(gallery),
                        manifest.metadata.get("card", ""), manifest.interpolation, untrainable(manifest))
    if len(study.sentences) and study.lost == len(study.sentences):
        raise ReanchorError(f"{prepared}: none of the {len(study.sentences)} sentences describes a person of the "
                            f"gallery of {len(gallery)}; check which images captions.json names")
    return study


def _suites(occluded: Path, gallery_rows: np.ndarray) -> list[GalleryCondition]:
    entries = [entry for entry in read_suites(occluded)["test"] if entry.get("side") == "gallery"]
    opened, suites = open_sets(occluded, "test", [entry["name"] for entry in entries]), []
    for entry in entries:
        one = opened[entry["name"]]
        places = np.searchsorted(gallery_rows, one.rows)
        if not np.array_equal(gallery_rows[np.minimum(places, len(gallery_rows) - 1)], one.rows):
            raise ReanchorError(f"{occluded / 'test' / entry['name']}: holds images that are not in the gallery "
                                "of data/prepared; run the occlude stage again (dvc repro -f occlude)")
        suites.append(GalleryCondition(entry["name"], entry["kind"], entry.get("ratio"), one.images,
                                       places.astype(np.int64), entry.get("sha256", "")))
    return suites
