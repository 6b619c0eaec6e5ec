"""Choosing text-based methods: held-out training identities, described by their sentences.

Test identities take no part in it.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reanchor.errors import ReanchorError
from reanchor.evaluation.ranking import rank_distances
from reanchor.formats.images import ImageStore
from reanchor.formats.labels import Labels
from reanchor.formats.manifest import Manifest
from reanchor.formats.searcher import Encoded, Searcher, cut_sentences
from reanchor.formats.sentences import sentence_queries
from reanchor.formats.suites import open_set

OCCLUDED = "gallery-ogor"  # the gallery with OGor copies in the place of some images
RULE = "highest validation mAP of sentences, the mean over the galleries at hand, of held-out training identities"
BATCH = 256  # images or sentences per pass
BLOCK = (128, 512)  # sentences x images per call of a method's similarity


@dataclass
class TextValidation:
    """The held-out images, the sentences that search them, and copies that stand in for some images."""

    images: np.ndarray  # uint8 [G, H, W, 3]
    pids: np.ndarray  # int64 [G]
    texts: list[str]  # [S]
    text_pids: np.ndarray  # int64 [S]
    copies: dict[str, tuple[np.ndarray, np.ndarray]]  # condition -> (places in the gallery [M], images [M, H, W, 3])

    @classmethod
    def open(cls, prepared: Path, occluded: Path) -> "TextValidation":
        """Read the held-out images, their captions, and the occluded gallery where one was made.

        Raises:
            ReanchorError: when nothing was held out, no held-out image has a caption, or a copy is not as hashed.
        """
        manifest, store = Manifest.read(prepared / "manifest.parquet"), ImageStore.open(prepared / "images.arrow")
        rows, queries = manifest.rows("val"), sentence_queries(manifest, "val")
        if not len(rows):
            raise ReanchorError("prepare.validation_share: 0 identities are held out; models are chosen on them: "
                                "give a share above 0")
        if not len(queries):
            raise ReanchorError(f"{prepared}: none of {len(rows)} held-out images has a caption; text-based methods "
                                "are chosen by them: add captions.json to prepare.root, or choose a dataset with text")
        copies = {}
        if (occluded / "val" / OCCLUDED).is_dir():
            suite = open_set(occluded, "val", OCCLUDED)
            copies[OCCLUDED] = np.searchsorted(rows, suite.rows), suite.images
        return cls(store.images[rows], manifest.pid[rows], queries.texts, manifest.pid[queries.rows], copies)

    def count_cut(self, searcher: Searcher) -> int:
        """How many sentences this method cannot read to their end; one warning says so."""
        if cut := cut_sentences(searcher, self.texts):
            warnings.warn(f"{searcher.name}: {cut} of {len(self.texts)} validation sentences are longer than the "
                          "context of its text tower and lose their end", stacklevel=2)
        return cut

    def score(self, searcher: Searcher) -> dict[str, float]:
        """mAP in percent of each gallery, "val_mAP_whole" first, and their mean as "score"."""
        gallery, sentences = encode_images(searcher, self.images), encode_sentences(searcher, self.texts)
        figures = {"val_mAP_whole": self._mean_precision(searcher, sentences, gallery)}
        for name, (places, images) in self.copies.items():
            # only the copies are new: encoding is per image
            mixed = {key: value.clone() for key, value in gallery.items()}
            for key, value in encode_images(searcher, images).items():
                mixed[key][torch.from_numpy(places).to(value.device)] = value
            figures[f"val_mAP_{name}"] = self._mean_precision(searcher, sentences, mixed)
        return {**figures, "score": sum(figures.values()) / len(figures)}

    def _mean_precision(self, searcher: Searcher, sentences: Encoded, images: Encoded) -> float:
        nowhere_S, nowhere_G = np.zeros_like(self.text_pids), np.zeros_like(self.pids)
        distance = -similarities(searcher, sentences, images).numpy()
        ranking = rank_distances(distance, Labels(self.text_pids, nowhere_S), Labels(self.pids, nowhere_G), rule="none")
        return ranking.metrics()["mAP"]


def encode_images(searcher: Searcher, images: np.ndarray) -> Encoded:
    """All of uint8 [N, H, W, 3], batch by batch."""
    return _join([searcher.images(images[start:start + BATCH]) for start in range(0, len(images), BATCH)])


def encode_sentences(searcher: Searcher, texts: list[str]) -> Encoded:
    """All sentences, batch by batch."""
    return _join([searcher.sentences(texts[start:start + BATCH]) for start in range(0, len(texts), BATCH)])


def similarities(searcher: Searcher, sentences: Encoded, images: Encoded) -> Tensor:
    """fp32 [S, G] on the CPU, block by block."""
    rows, columns = (len(next(iter(encoded.values()))) for encoded in (sentences, images))
    result = torch.empty(rows, columns)
    for top in range(0, rows, BLOCK[0]):
        for left in range(0, columns, BLOCK[1]):
            part = searcher.similarity(_slice(sentences, top, BLOCK[0]), _slice(images, left, BLOCK[1]))
            result[top:top + BLOCK[0], left:left + BLOCK[1]] = part
    return result


def _join(parts: list[Encoded]) -> Encoded:
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}


def _slice(encoded: Encoded, start: int, count: int) -> Encoded:
    return {key: value[start:start + count] for key, value in encoded.items()}
