"""Similarities of sentences and images, block by block, in the form that `reanchor.evaluation.ranking` ranks."""

import numpy as np
import torch

from reanchor.evaluation.ranking import Ranking, rank_features, top_ranks
from reanchor.formats.searcher import Encoded, Searcher
from reanchor.search.encode import part_of
from reanchor.search.memory import SearchMemory
from reanchor.search.study import SearchStudy


class Similarities:
    """A `BlockDistance`: sentence numbers [b] -> negated similarities to the whole gallery, fp32 [b, G].

    The searcher is given blocks of at most `memory.tile` bytes; block sizes do not change what is computed.
    """

    def __init__(self, searcher: Searcher, sentences: Encoded, images: Encoded, memory: SearchMemory):
        self._searcher, self._sentences, self._images, self._memory = searcher, sentences, images, memory
        self.gallery = len(next(iter(images.values())))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        distance_bG = np.empty((len(rows), self.gallery), np.float32)
        step, width = self._memory.block(self.gallery)
        for start in range(0, len(rows), step):
            sentences = part_of(self._sentences, rows[start:start + step])
            for left in range(0, self.gallery, width):
                part = slice(left, left + width)
                with torch.no_grad():
                    found = self._searcher.similarity(sentences, part_of(self._images, part))
                distance_bG[start:start + step, part] = found.float().cpu().numpy()
        return np.negative(distance_bG, out=distance_bG)


def rank(similarities: Similarities, study: SearchStudy, memory: SearchMemory) -> Ranking:
    """Exact ranks of each sentence's matches: every gallery image of the described person, the image the sentence
    was written for included where it is there; no camera rule. Ties go to the earlier gallery image."""
    numbers = np.arange(len(study.sentences)), np.arange(similarities.gallery)
    return rank_features(*numbers, study.query, study.gallery, measure=lambda *sides: similarities, rule="none",
                         memory=memory.rows)


def first_ranks(similarities: Similarities, study: SearchStudy, chosen: np.ndarray, ranks: int) -> np.ndarray:
    """Places in the gallery of the first `ranks` images of some sentences, int64 [len(chosen), ranks]."""
    query = study.labels[study.sentences.rows[chosen]]
    return top_ranks(chosen, np.arange(similarities.gallery), query, study.gallery,
                     min(ranks, similarities.gallery), measure=lambda *sides: lambda rows: similarities(chosen[rows]),
                     rule="none")
