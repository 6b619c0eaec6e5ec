"""Choosing on held-out training identities: the one figure every method is selected by.

Test identities take no part in it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reanchor.errors import ReanchorError
from reanchor.evaluation.ranking import rank_features
from reanchor.formats.images import ImageStore
from reanchor.formats.labels import Labels
from reanchor.formats.manifest import Manifest, validation_rows
from reanchor.formats.suites import open_set

# Whole-body and OGor-occluded validation queries count alike.
CONDITIONS = ("whole", "ogor")
RULE = "highest validation mAP, the mean over whole-body and OGor-occluded queries of held-out training identities"

LAST_EPOCH = "none: every training identity is trained on, and the last epoch is kept"

Embed = Callable[[np.ndarray, Labels], np.ndarray]


@dataclass
class Validation:
    """Validation queries under each condition, and their gallery."""

    gallery: np.ndarray  # uint8 [G, H, W, 3]
    gallery_labels: Labels
    queries: dict[str, np.ndarray]  # condition -> uint8 [Q, H, W, 3]
    query_labels: Labels
    own: np.ndarray  # gallery index of each query itself, [Q]
    camera_rule: str  # "none" where there is one camera only

    @classmethod
    def open(cls, prepared: Path, occluded: Path, conditions: tuple[str, ...] = CONDITIONS) -> "Validation":
        """Read the held-out identities' images and occluded queries.

        Raises:
            ReanchorError: when nothing was held out, or a suite is not the one that was hashed.
        """
        manifest, store = Manifest.read(prepared / "manifest.parquet"), ImageStore.open(prepared / "images.arrow")
        query, gallery = validation_rows(manifest)
        if not len(query):
            raise ReanchorError("prepare.validation_share: 0 identities are held out; models are chosen on them: "
                                "give a share above 0")
        labels = Labels(manifest.pid, manifest.camid, manifest.viewid)
        order = {int(row): place for place, row in enumerate(gallery)}
        queries = {}
        for condition in conditions:
            if condition == "whole":
                queries[condition] = store.images[query]
                continue
            suite = open_set(occluded, "val", condition)
            place = {int(row): number for number, row in enumerate(suite.rows)}
            queries[condition] = suite.images[[place[int(row)] for row in query]]
        return cls(store.images[gallery], labels[gallery], queries,
                   labels[query], np.array([order[int(r)] for r in query]),
                   "market" if len(np.unique(manifest.camid[gallery])) > 1 else "none")

    def score(self, embed: Embed) -> dict[str, float]:
        """mAP per condition, and their mean as "score"; `embed(images, labels)` -> features [B, D]."""
        gallery = embed(self.gallery, self.gallery_labels)
        return self.score_features(gallery, {name: embed(images, self.query_labels)
                                             for name, images in self.queries.items()})

    def score_features(self, gallery: np.ndarray, queries: dict[str, np.ndarray]) -> dict[str, float]:
        """As `score`, from features already made."""
        figures = {}
        for name, features in queries.items():
            ranking = rank_features(features, gallery, self.query_labels, self.gallery_labels,
                                    rule=self.camera_rule, own_Q=self.own)
            figures[f"val_mAP_{name}"] = ranking.metrics()["mAP"]
        return {**figures, "score": sum(figures.values()) / len(figures)}
