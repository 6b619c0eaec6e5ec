"""Choosing text-based methods: held-out training identities, described by their sentences.

Test identities take no part in it.
"""

import functools
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reanchor.errors import ReanchorError
from reanchor.formats.labels import Labels
from reanchor.formats.overlay import Overlay
from reanchor.formats.searcher import Encoded, Searcher, cut_sentences
from reanchor.formats.sentences import sentence_queries
from reanchor.formats.suites import open_set
from reanchor.retrieval.encode import encode_images, encode_sentences, exchange
from reanchor.retrieval.ranking import Ranking, rank_distances
from reanchor.retrieval.similarities import Similarities
from reanchor.retrieval.study import Condition, Study
from reanchor.retrieval.validation import figures_of, held_out

OCCLUDED = "gallery-ogor"  # the gallery with OGor copies in the place of some images
RULE = "highest validation mAP of sentences, the mean over the galleries at hand, of held-out training identities"
BATCH = 256  # images or sentences per pass
BLOCK = (128, 512)  # sentences x images per call of a method's similarity


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
        manifest, store = held_out(prepared)
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
        return figures_of(found)

    def _rank(self, searcher: Searcher, sentences: Encoded, gallery: Encoded) -> Ranking:
        distance = Similarities(searcher, sentences, gallery, BLOCK)(np.arange(len(self.study.sentences)))
        return rank_distances(distance, self.study.query, self.study.gallery, rule="none")
