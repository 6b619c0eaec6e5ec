"""Similarities of sentences and images, block by block, in the form that `reanchor.retrieval.ranking` ranks."""

from dataclasses import dataclass

import numpy as np
import torch

from reanchor.formats.searcher import Encoded, Searcher
from reanchor.retrieval.distance import BlockDistance
from reanchor.retrieval.encode import part_of


@dataclass(frozen=True)
class Similarities:
    """Sentence numbers [b] -> negated similarities to the whole gallery, fp32 [b, G].

    The searcher is given at most `block` (sentences, images) at a time; block sizes do not change what is computed.
    """

    searcher: Searcher
    sentences: Encoded
    images: Encoded
    block: tuple[int, int]

    @property
    def gallery(self) -> int:
        """Images."""
        return len(next(iter(self.images.values())))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        distance_bG = np.empty((len(rows), self.gallery), np.float32)
        step, width = self.block
        for start in range(0, len(rows), step):
            sentences = part_of(self.sentences, rows[start:start + step])
            for left in range(0, self.gallery, width):
                part = slice(left, left + width)
                with torch.no_grad():
                    found = self.searcher.similarity(sentences, part_of(self.images, part))
                distance_bG[start:start + step, part] = found.float().cpu().numpy()
        return np.negative(distance_bG, out=distance_bG)

    def measure(self, numbers_Q: np.ndarray, numbers_G: np.ndarray) -> BlockDistance:
        """A `Measure` of items that are known by their numbers; those of the gallery are all of it, in order."""
        assert len(numbers_G) == self.gallery, f"{len(numbers_G)} of {self.gallery} images"
        return lambda rows: self(numbers_Q[rows])
