"""Choosing on held-out training identities: the one figure every method is selected by.

Test identities take no part in it.
"""

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reanchor.errors import ReanchorError
from reanchor.formats.images import ImageStore
from reanchor.formats.labels import Labels
from reanchor.formats.manifest import Manifest, validation_rows
from reanchor.formats.overlay import Overlay
from reanchor.formats.searcher import Encoded, Searcher, cut_sentences
from reanchor.formats.sentences import sentence_queries
from reanchor.formats.suites import open_set
from reanchor.retrieval.encode import encode_images, encode_sentences, exchange
from reanchor.retrieval.ranking import Ranking, rank_distances, rank_features
from reanchor.retrieval.similarities import Similarities
from reanchor.retrieval.study import Condition, Study

# Whole-body and OGor-occluded validation queries count alike.
CONDITIONS = ("whole", "ogor")
RULE = "highest validation mAP, the mean over whole-body and OGor-occluded queries of held-out training identities"

OCCLUDED = "gallery-ogor"  # the gallery with OGor copies in the place of some images
SENTENCE_RULE = ("highest validation mAP of sentences, the mean over the galleries at hand, of held-out training "
                 "identities")
BATCH = 256  # images or sentences per pass
BLOCK = (128, 512)  # sentences x images per call of a method's similarity

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
        manifest, store = _held_out(prepared)
        query, gallery = validation_rows(manifest)
        labels = Labels(manifest.pid, manifest.camid, manifest.viewid)
        study = Study(store.images, labels, query, gallery, [])
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

    def score(self, embed: Embed) -> dict[str, float]:
        """mAP in percent per condition, and their mean as "score"; `embed(images, labels)` -> features [B, D]."""
        gallery = embed(self.gallery, self.gallery_labels)
        return self.score_features(gallery, {name: embed(images, self.query_labels)
                                             for name, images in self.queries.items()})

    def score_features(self, gallery: np.ndarray, queries: dict[str, np.ndarray]) -> dict[str, float]:
        """As `score`, from features already made. A query never finds itself."""
        study = self.study
        rule, own = study.camera_rule("auto"), study.own(study.query_rows, study.gallery_rows)
        return _figures({name: rank_features(features, gallery, study.query, study.gallery, rule=rule, own_Q=own)
                         for name, features in queries.items()})


@dataclass
class SentenceValidation:
    """Held-out images, all of them described: sentences search them, whole and with copies in the place of some."""

    study: Study

    @classmethod
    def open(cls, prepared: Path, occluded: Path) -> "SentenceValidation":
        """The held-out images, their captions, and the occluded gallery where one was made.

        Raises:
            ReanchorError: when nothing was held out, no held-out image has a caption, or a copy is not as hashed.
        """
        manifest, store = _held_out(prepared)
        rows, sentences = manifest.rows("val"), sentence_queries(manifest, "val")
        if not len(sentences):
            raise ReanchorError(f"{prepared}: none of {len(rows)} held-out images has a caption; text-based methods "
                                "are chosen by them: add captions.json to prepare.root, or choose a dataset with text")
        study = Study(store.images, Labels(manifest.pid, manifest.camid), sentences.rows, rows, [], sentences)
        if (occluded / "val" / OCCLUDED).is_dir():
            overlay = Overlay(store.images, open_set(occluded, "val", OCCLUDED))
            study.suites.append(Condition(OCCLUDED, OCCLUDED, None, store.images, None, sentences.rows, sentences.rows,
                                          gallery=overlay))
        return cls(study)

    @functools.cached_property
    def images(self) -> np.ndarray:
        """uint8 [G, H, W, 3], read once."""
        return self.study.images[self.study.gallery_rows]

    def count_cut(self, searcher: Searcher) -> int:
        """How many sentences this method cannot read to their end; one warning says so."""
        if cut := cut_sentences(searcher, self.study.sentences.texts):
            warnings.warn(f"{searcher.name}: {cut} of {len(self.study.sentences)} validation sentences are longer than "
                          "the context of its text tower and lose their end", stacklevel=2)
        return cut

    def score(self, searcher: Searcher) -> dict[str, float]:
        """mAP in percent of each gallery, "val_mAP_whole" first, and their mean as "score"."""
        gallery = encode_images(searcher, self.images, np.arange(len(self.images)), BATCH, "validation images")
        sentences = encode_sentences(searcher, self.study.sentences.texts, BATCH, "validation sentences")
        found = {}
        for condition in self.study.conditions():
            if condition.gallery is not None:  # only the copies are new: encoding is per image
                copies, places = condition.gallery.copies.images, self.study.places(condition)
                replaced = encode_images(searcher, copies, np.arange(len(copies)), BATCH, condition.name)
                exchange(gallery, places, replaced)
            found[condition.name] = self._rank(searcher, sentences, gallery)
            if condition.gallery is not None:
                exchange(gallery, places, replaced)
        return _figures(found)

    def _rank(self, searcher: Searcher, sentences: Encoded, gallery: Encoded) -> Ranking:
        distance = Similarities(searcher, sentences, gallery, BLOCK)(np.arange(len(self.study.sentences)))
        return rank_distances(distance, self.study.query, self.study.gallery, rule="none")


def _held_out(prepared: Path) -> tuple[Manifest, ImageStore]:
    manifest = Manifest.read(prepared / "manifest.parquet")
    if not len(manifest.rows("val")):
        raise ReanchorError("prepare.validation_share: 0 identities are held out; models are chosen on them: "
                            "give a share above 0")
    return manifest, ImageStore.open(prepared / "images.arrow")


def _occluded_queries(occluded: Path, name: str, query: np.ndarray) -> Condition:
    suite = open_set(occluded, "val", name)
    place = {int(row): number for number, row in enumerate(suite.rows)}
    return Condition(name, name, None, suite.images, suite.masks, np.array([place[int(row)] for row in query]), query)


def _figures(rankings: dict[str, Ranking]) -> dict[str, float]:
    figures = {f"val_mAP_{name}": ranking.metrics()["mAP"] for name, ranking in rankings.items()}
    return {**figures, "score": sum(figures.values()) / len(figures)}
