"""k-reciprocal re-ranking without a matrix of all pairs.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017: an item is encoded by
its k-reciprocal neighbours (eq. 3 and 4), weighted by exp(-distance) (eq. 7) and averaged over its k2 nearest
(section 3.4); the Jaccard distance of two encodings (eq. 10) is mixed with the plain one (eq. 12). As in the
authors' code distances are divided by the largest of their row, and sets use k + 1 neighbours, the item included.

The paper's figures are k1 20, k2 6, weight 0.3; CLIP-ReID's evaluator has 50, 15, 0.3.

An encoding has some hundred entries, so all of it is sparse: neighbours come from blocks of distances, sets
from products of sparse matrices, overlaps from an index of the gallery's encodings by item (column).

Shapes: Q queries, G gallery items, N = Q + G items, queries first, K neighbours, b rows of a block.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from scipy.sparse import csc_array, csr_array, vstack

from reanchor.config.sections.judging import Rerank
from reanchor.retrieval.distance import DISTANCES, BlockDistance
from reanchor.retrieval.neighbours import Items, Neighbours, adjacency, nearest, sparse_rows

MEMORY = 256 * 2**20  # bytes for blocks of distances and of encodings
SETS = 2**23  # bytes of the product that one block of sets comes from


def reranked_distance(query_QD: np.ndarray, gallery_GD: np.ndarray, settings: Rerank, *, kind: str = "cosine",
                      memory: int = MEMORY, dtype: type = np.float32) -> BlockDistance:
    """Re-ranked distances of some query rows to the whole gallery, [b, G], as a function of these rows.

    Args:
        settings: k1 and k2 neighbours, and the weight of the plain distance, from 0 (Jaccard alone) to 1.
        kind: the plain distance, "cosine" or "euclidean"; on unit features both give the same result.
        memory: bytes for blocks; the features, N lists of neighbours and N sparse encodings come on top.
        dtype: float64 for comparisons.

    Raises:
        ReanchorError: when a distance is not finite.
    """
    items = Items(query_QD, gallery_GD, kind, dtype)
    found = nearest(items, max(settings.k1 + 1, settings.k2), memory // 2)
    encoding = encode(items, found, settings.k1)
    return Reranked(items, found, encoding, settings, memory // 2)


def encode(items: Items, found: Neighbours, k1: int) -> csr_array:
    """Each item's weights over its expanded k-reciprocal set, sparse [N, N]; rows sum to 1 (eq. 7)."""
    mutual = reciprocal(found.index_NK, k1 + 1)
    half = reciprocal(found.index_NK, round(k1 / 2) + 1)
    step = max(1, SETS // (16 * found.index_NK.shape[1] * (k1 // 2 + 2)))
    blocks = []
    for start in range(0, len(items), step):
        sets = expand(mutual[start : start + step], half)
        blocks.append(_weigh(items, sets, start, found.farthest_N))
    return vstack(blocks, format="csr")


def reciprocal(index_NK: np.ndarray, count: int) -> csr_array:
    """1 where two items are among each other's first `count` neighbours, sparse symmetric [N, N] (eq. 3)."""
    near = adjacency(index_NK[:, :count])
    return near.multiply(near.T.tocsr()).tocsr()


def expand(mutual_bN: csr_array, half_NN: csr_array) -> csr_array:
    """Sets joined with the half-size sets of their members that lie in them by more than two thirds (eq. 4)."""
    overlap = (mutual_bN @ half_NN).multiply(mutual_bN).tocsr()  # half_NN is symmetric
    size_N = np.diff(half_NN.indptr)
    overlap.data = (3 * overlap.data > 2 * size_N[overlap.indices]).astype(overlap.dtype)
    overlap.eliminate_zeros()
    return (mutual_bN + overlap @ half_NN).tocsr()


def _weigh(items: Items, sets: csr_array, start: int, farthest_N: np.ndarray) -> csr_array:
    """exp(-distance / largest distance) on the members of each set, rows scaled to sum 1."""
    distance = np.empty(sets.nnz, items.dtype)
    for i, feature in enumerate(items.features(start + np.arange(sets.shape[0]))):
        members = slice(sets.indptr[i], sets.indptr[i + 1])
        distance[members] = DISTANCES[items.kind](feature[None], items.features(sets.indices[members]), items.dtype)[0]
    row = np.repeat(np.arange(sets.shape[0]), np.diff(sets.indptr))
    weight = np.exp(-distance / _scale(farthest_N[start + row]))
    total = np.bincount(row, weights=weight, minlength=sets.shape[0])
    return csr_array(((weight / total[row]).astype(items.dtype), sets.indices, sets.indptr), shape=sets.shape)


def _scale(farthest: np.ndarray) -> np.ndarray:
    return np.maximum(farthest, np.finfo(farthest.dtype).tiny)  # all features equal: no distance to scale


class Reranked:
    """A `BlockDistance`: (1 - weight) * Jaccard + weight * plain distance (eq. 12)."""

    def __init__(self, items: Items, found: Neighbours, encoding: csr_array, settings: Rerank, memory: int):
        self._items, self._weight, self._encoding = items, settings.weight, encoding
        self._nearest_NK = found.index_NK[:, : settings.k2] if settings.k2 > 1 else None
        self._farthest_N = found.farthest_N
        self._chunks = self._cut(memory // 2)
        self._whole = self._keep(memory)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        items, queries = self._items, self._expanded(rows)
        overlap_bG = np.empty((len(rows), len(items.gallery_GD)), items.dtype)
        for start, stop, inverted in self._gallery():
            minimum_sums(queries, inverted, overlap_bG[:, start:stop])
        jaccard_bG = np.subtract(1, overlap_bG / (2 - overlap_bG), out=overlap_bG)
        jaccard_bG *= items.dtype(1 - self._weight)
        plain_bG = DISTANCES[items.kind](items.query_QD[rows], items.gallery_GD, items.dtype)
        plain_bG *= (self._weight / _scale(self._farthest_N[rows]))[:, None].astype(items.dtype)
        return np.add(jaccard_bG, plain_bG, out=jaccard_bG)

    def _expanded(self, rows: np.ndarray) -> csr_array:
        """Encodings averaged over the k2 nearest items, sparse [b, N] (section 3.4)."""
        if self._nearest_NK is None:
            return self._encoding[rows]
        near = self._nearest_NK[rows]
        mean = sparse_rows(near, 1 / near.shape[1], self._encoding.shape[0], self._items.dtype)
        return mean @ self._encoding

    def _cut(self, memory: int) -> list[tuple[int, int]]:
        """Gallery ranges whose averaged encodings take at most `memory` bytes each, at the most."""
        size_N = np.diff(self._encoding.indptr)
        gallery = np.arange(len(self._items.query_QD), len(self._items))
        entries_G = size_N[gallery] if self._nearest_NK is None else size_N[self._nearest_NK[gallery]].sum(1)
        each = 2 * (4 + np.dtype(self._items.dtype).itemsize)  # by row, and turned into columns
        chunk_G = (np.cumsum(entries_G) - entries_G) * each // max(1, memory)
        edges = [0, *(np.flatnonzero(np.diff(chunk_G)) + 1).tolist(), len(gallery)]
        return list(itertools.pairwise(edges))

    def _keep(self, memory: int) -> csc_array | None:
        """All averaged encodings of the gallery where they fit; most often they do, far below the bound of `_cut`."""
        blocks, size = [], 0
        for start, stop in self._chunks:
            blocks.append(self._averaged(start, stop))
            size += blocks[-1].data.nbytes + blocks[-1].indices.nbytes + blocks[-1].indptr.nbytes
            if 3 * size > memory:  # the blocks, joined, and turned into columns
                return None
        return vstack(blocks, format="csr").tocsc()

    def _averaged(self, start: int, stop: int) -> csr_array:
        return self._expanded(len(self._items.query_QD) + np.arange(start, stop))

    def _gallery(self) -> Iterator[tuple[int, int, csc_array]]:
        """Ranges of the gallery with their averaged encodings by column."""
        if self._whole is not None:
            yield 0, len(self._items.gallery_GD), self._whole
            return
        for start, stop in self._chunks:
            yield start, stop, self._averaged(start, stop).tocsc()


def minimum_sums(query_bN: csr_array, gallery_gN: csc_array, into_bg: np.ndarray) -> None:
    """Sum over columns of the smaller of two entries, for each query and gallery row, into [b, g]."""
    edge = gallery_gN.indptr.tolist()
    for q in range(query_bN.shape[0]):
        own = slice(query_bN.indptr[q], query_bN.indptr[q + 1])
        columns = [slice(edge[j], edge[j + 1]) for j in query_bN.indices[own].tolist()]
        count = [column.stop - column.start for column in columns]
        smaller = np.concatenate([gallery_gN.data[column] for column in columns])
        np.minimum(smaller, np.repeat(query_bN.data[own], count), out=smaller)
        item = np.concatenate([gallery_gN.indices[column] for column in columns])
        overlap = csr_array((smaller, item, [0, len(item)]), shape=(1, into_bg.shape[1]))
        into_bg[q] = overlap.toarray()[0]  # equal columns are added up
