"""Choosing on held-out training identities: the one figure every method is selected by.

Test identities take no part in it.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reanchor.errors import ReanchorError
from reanchor.formats.images import ImageStore
from reanchor.formats.labels import Labels
from reanchor.formats.manifest import Manifest, validation_rows
from reanchor.formats.suites import open_set
from reanchor.retrieval.ranking import Ranking, rank_features
from reanchor.retrieval.study import Condition, Study

# Whole-body and OGor-occluded validation queries count alike.
CONDITIONS = ("whole", "ogor")
RULE = "highest validation mAP, the mean over whole-body and OGor-occluded queries of held-out training identities"

LAST_EPOCH = "none: every training identity is trained on, and the last epoch is kept"

Embed = Callable[[np.ndarray, Labels], np.ndarray]


@dataclass
class Validation:
    """Held-out pictures that search each other, by a picture's features."""

    study: Study
    conditions: list[Condition]

    @classmethod
    def open(cls, prepared: Path, occluded: Path, conditions: Sequence[str] = CONDITIONS) -> "Validation":
        """The held-out identities' images and occluded queries.

        Raises:
            ReanchorError: when nothing was held out, or a suite is not the one that was hashed.
        """
        manifest, store = held_out(prepared)
        query, gallery = validation_rows(manifest)
        labels = Labels(manifest.pid, manifest.camid, manifest.viewid)
        study = Study(store.images, labels, query, gallery, [], parts=store.masks)
        return cls(study, [study.whole if name == "whole" else _occluded_queries(occluded, name, query)
                           for name in conditions])

    @functools.cached_property
    def gallery(self) -> np.ndarray:
        """uint8 [G, H, W, 3], read once."""
        return self.study.images[self.study.gallery_rows]

    @functools.cached_property
    def queries(self) -> dict[str, np.ndarray]:
        """Condition -> uint8 [Q, H, W, 3], read once."""
        return {condition.name: condition.images[condition.index] for condition in self.conditions}

    @property
    def query_labels(self) -> Labels:
        return self.study.query

    @property
    def gallery_labels(self) -> Labels:
        return self.study.gallery

    @property
    def camera_rule(self) -> str:
        """none where there is one camera only."""
        return self.study.camera_rule("auto")

    def score(self, embed: Embed) -> dict[str, float]:
        """mAP in percent per condition, and their mean as "score"; `embed(images, labels)` -> features [B, D]."""
        gallery = embed(self.gallery, self.gallery_labels)
        return self.score_features(gallery, {name: embed(images, self.query_labels)
                                             for name, images in self.queries.items()})

    def score_features(self, gallery: np.ndarray, queries: dict[str, np.ndarray]) -> dict[str, float]:
        """As `score`, from features already made. A query never finds itself."""
        study, own = self.study, self.study.own(self.study.query_rows, self.study.gallery_rows)
        return figures_of({
            name: rank_features(features, gallery, study.query, study.gallery, rule=self.camera_rule, own_Q=own)
            for name, features in queries.items()})


def held_out(prepared: Path) -> tuple[Manifest, ImageStore]:
    """The prepared dataset; ReanchorError when nothing was held out."""
    manifest = Manifest.read(prepared / "manifest.parquet")
    if not len(manifest.rows("val")):
        raise ReanchorError("prepare.validation_share: 0 identities are held out; models are chosen on them: "
                            "give a share above 0")
    return manifest, ImageStore.open(prepared / "images.arrow")


def _occluded_queries(occluded: Path, name: str, query: np.ndarray) -> Condition:
    suite = open_set(occluded, "val", name)
    place = {int(row): number for number, row in enumerate(suite.rows)}
    return Condition(name, name, None, suite.images, suite.masks, np.array([place[int(row)] for row in query]), query)


def figures_of(rankings: dict[str, Ranking]) -> dict[str, float]:
    """mAP in percent by condition as "val_mAP_CONDITION", and their mean as "score"."""
    figures = {f"val_mAP_{name}": ranking.metrics()["mAP"] for name, ranking in rankings.items()}
    return {**figures, "score": sum(figures.values()) / len(figures)}
