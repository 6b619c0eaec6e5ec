"""A method as the judge sees it: what it makes of queries and pictures, and how it compares them.

`PictureEncoder` and `SentenceEncoder` answer the same questions of an embedder and of a searcher.
"""

import functools
from collections.abc import Callable

import numpy as np
import torch

from reanchor.config.sections.judging import Evaluate, Search
from reanchor.formats.embedder import Embedder
from reanchor.formats.searcher import Encoded, Searcher, cut_sentences
from reanchor.retrieval.distance import block_distance
from reanchor.retrieval.encode import (
    FEATURE,
    encode_images,
    encode_pictures,
    encode_sentences,
    part_of,
)
from reanchor.retrieval.memory import MemoryPlan, plan_memory, plan_search
from reanchor.retrieval.ranker import Side, Sides
from reanchor.retrieval.similarities import Similarities
from reanchor.retrieval.study import DISTRACTOR, Condition, Study
from reanchor.retrieval.words import kept_spans

SAMPLE_QUERIES = 64  # queries whose top ranks and token weights are kept for the report


class PictureEncoder:
    """An embedder on one study: unit features, compared by their distance."""

    def __init__(self, name: str, embedder: Embedder, study: Study, config: Evaluate):
        self.name, self.embedder, self.study, self.config = name, embedder, study, config
        self._sampled = sample_rows(study.query_rows, study.labels.pids, config.seed)

    def plan(self, conditions: list[Condition]) -> MemoryPlan:
        """The budget's parts, told by one picture; ReanchorError where it is too small."""
        study, rows = self.study, self.study.gallery_rows
        one = self.pictures(study.images, rows[:1], rows[:1], "one picture")
        replaced = max((len(c.gallery.rows) for c in conditions if c.gallery is not None), default=0)
        left_out = len(rows) if (study.labels.pids[rows] <= DISTRACTOR).any() else 0
        return plan_memory(self.config, max(len(c.rows) for c in conditions), len(rows),
                           [features.shape[1] for features in one.values()], copied=left_out + replaced,
                           kept=replaced + len(study.query_rows) if replaced else 0, pooled=study.galleries > 1)

    def queries(self, condition: Condition) -> Encoded:
        """All queries of a condition: features by row and, where the method has them, token weights, [Q, ...]."""
        return encode_pictures(self.embedder, condition.images, condition.index, self.study.labels[condition.rows],
                               self.config.batch, f"{self.name} {condition.query_set}")

    def pictures(self, images: np.ndarray, index: np.ndarray, rows: np.ndarray, label: str) -> Encoded:
        """Pictures `images[index]` of these manifest rows as a part of the gallery: features by row, [N, D]."""
        return encode_pictures(self.embedder, images, index, self.study.labels[rows], self.config.batch,
                               f"{self.name} {label}", weights=False)

    def sides(self, queries: Encoded, rows: np.ndarray, gallery: Encoded, plan: MemoryPlan) -> dict[str, Sides]:
        """What is ranked, by the name of its row in the tables: the method's own feature and each of its variants."""
        measure, found = functools.partial(block_distance, kind=self.config.distance), {}
        for key, features in gallery.items():
            parts = self.embedder.parts.get(key.removeprefix(FEATURE).removeprefix("_"), ())
            found[self.name + key.removeprefix(FEATURE)] = Sides(
                Side(queries[key].numpy(), rows), Side(features.numpy(), self.study.gallery_rows), measure, parts)
        return found

    def chosen(self, condition: Condition) -> np.ndarray:
        """Numbers of the condition's queries whose first ranks are kept: one per identity as far as they reach."""
        return np.flatnonzero(np.isin(condition.rows, self._sampled))

    def told(self, condition: Condition, number: int, places: np.ndarray, queries: Encoded, gallery: Encoded) -> dict:
        """What a sample ranking says of a query beside the images at `places`: where its picture is."""
        return {"query_index": int(condition.index[number])}


class SentenceEncoder:
    """A searcher on one study: it compares sentences and images itself."""

    def __init__(self, name: str, searcher: Searcher, study: Study, config: Search):
        self.name, self.searcher, self.study, self.config = name, searcher, study, config
        self._sampled = sample_sentences(study, config)

    def warn(self, say: Callable[[str], None]) -> int:
        """Sentences that lose their end; a line tells of them."""
        cut = cut_sentences(self.searcher, self.study.sentences.texts)
        if cut:
            say(f"warning: {self.name}: {cut} of {len(self.study.sentences)} sentences are longer than the context of "
                "its text tower and lose their end")
        return cut

    def plan(self, conditions: list[Condition]) -> MemoryPlan:
        """The budget's parts, told by one sentence and one image; ReanchorError where it is too small."""
        study, rows = self.study, self.study.gallery_rows
        one = encode_sentences(self.searcher, study.sentences.texts[:1], 1, "one sentence")
        image = self.pictures(study.images, rows[:1], rows[:1], "one image")
        return plan_search(self.config, one, image, len(study.sentences), len(rows),
                           max(len(study.places(condition)) for condition in conditions))

    def queries(self, condition: Condition) -> Encoded:
        """Every sentence, [S, ...]."""
        return encode_sentences(self.searcher, self.study.sentences.texts, self.config.batch, f"{self.name} sentences")

    def pictures(self, images: np.ndarray, index: np.ndarray, rows: np.ndarray, label: str) -> Encoded:
        """What the searcher makes of images, [N, ...]."""
        return encode_images(self.searcher, images, index, self.config.batch, f"{self.name} {label}")

    def sides(self, queries: Encoded, rows: np.ndarray, gallery: Encoded, plan: MemoryPlan) -> dict[str, Sides]:
        """Numbers of sentences and images, compared by the searcher."""
        numbers, rows_G = np.arange(len(rows)), self.study.gallery_rows
        similarities = Similarities(self.searcher, queries, gallery, plan.block(len(rows_G)))
        return {self.name: Sides(Side(numbers, rows), Side(np.arange(len(rows_G)), rows_G), similarities.measure)}

    def chosen(self, condition: Condition) -> np.ndarray:
        """The same in every condition."""
        return self._sampled

    def told(self, condition: Condition, number: int, places: np.ndarray, queries: Encoded, gallery: Encoded) -> dict:
        """The text, which images are occluded, how many match, and what the method kept of sentence and images."""
        text, pid = self.study.sentences.texts[number], self.study.query.pids[number]
        words, grid = _kept(queries, "word_index", np.array([number])), self.searcher.grid or (0, 0)
        return {"sentence": int(number), "text": text, "places": places.tolist(),
                "occluded": np.isin(places, self.study.places(condition)).tolist(),
                "matches": int((self.study.gallery.pids == pid).sum()),
                "kept_spans": [list(span) for span in kept_spans(self.searcher, text, words[0])] if words else [],
                "kept_patches": _kept(gallery, "patch_index", places), "grid_rows": grid[0], "grid_cols": grid[1]}


Encoder = PictureEncoder | SentenceEncoder


def _kept(encoded: Encoded, name: str, items: np.ndarray) -> list[list[int]]:
    """Which tokens of some items were kept; nothing for a method that keeps all."""
    if name not in encoded:
        return []
    return torch.sort(part_of({name: encoded[name]}, items)[name], dim=1).values.tolist()


def sample_rows(query_rows: np.ndarray, pids: np.ndarray, seed: int) -> np.ndarray:
    """Up to SAMPLE_QUERIES manifest rows, one per identity as far as identities reach, drawn by `seed`."""
    shuffled = np.random.default_rng(seed).permutation(query_rows)
    _, first = np.unique(pids[shuffled], return_index=True)
    return np.sort(shuffled[np.sort(first)[:SAMPLE_QUERIES]])


def sample_sentences(study: Study, config: Search) -> np.ndarray:
    """Numbers of up to `config.sample_queries` sentences with a match, one per identity as far as identities
    reach, drawn by `config.seed`; the first sentence of each drawn image."""
    found = np.isin(study.query.pids, study.gallery.pids)
    rows = sample_rows(study.query_rows[found], study.labels.pids, config.seed)[: config.sample_queries]
    return np.flatnonzero(found)[np.searchsorted(study.query_rows[found], rows)]
