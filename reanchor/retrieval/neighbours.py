"""Nearest neighbours among items, by blocks of rows; equal distances go to the lower index.

Shapes: N items, K neighbours, D feature width, b rows of a block.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from reanchor.errors import ReanchorError
from reanchor.retrieval.distance import DISTANCES

STEP = 2**21  # bytes of distances sorted out at a time: stays in a core's cache


@dataclass(frozen=True)
class Items:
    """Queries followed by gallery items as one list of N, without a copy of either's features."""

    query_QD: np.ndarray
    gallery_GD: np.ndarray
    kind: str = "cosine"
    dtype: type = np.float32

    def __len__(self) -> int:
        return len(self.query_QD) + len(self.gallery_GD)

    def features(self, rows: np.ndarray) -> np.ndarray:
        """Features of some of the N items, [b, D]."""
        taken = np.empty((len(rows), self.query_QD.shape[1]), self.dtype)
        query = rows < len(self.query_QD)
        taken[query] = self.query_QD[rows[query]]
        taken[~query] = self.gallery_GD[rows[~query] - len(self.query_QD)]
        return taken

    def distances(self, rows: np.ndarray) -> np.ndarray:
        """Distances of some items to all, [b, N]."""
        distance, taken, queries = DISTANCES[self.kind], self.features(rows), len(self.query_QD)
        distance_bN = np.empty((len(rows), len(self)), self.dtype)
        distance(taken, self.query_QD, self.dtype, out=distance_bN[:, :queries])
        distance(taken, self.gallery_GD, self.dtype, out=distance_bN[:, queries:])
        return distance_bN


@dataclass(frozen=True)
class Neighbours:
    """The nearest items of each item, and how far the farthest is."""

    index_NK: np.ndarray  # int32, nearest first
    farthest_N: np.ndarray


def nearest(items: Items, count: int, memory: int, itself: bool = True) -> Neighbours:
    """The `count` nearest of all N items for each (fewer where there are fewer).

    Args:
        memory: bytes for one block of distances; one row at least is made.
        itself: whether an item may be its own neighbour.

    Raises:
        ReanchorError: when a distance is not finite.
    """
    total = len(items)
    count = min(count, total if itself else total - 1)
    index_NK, farthest_N = np.empty((total, count), np.int32), np.empty(total, items.dtype)
    block = block_rows(memory, total, items.dtype)
    for start in range(0, total, block):
        rows = np.arange(start, min(start + block, total))
        distance_bN = items.distances(rows)
        farthest_N[rows] = distance_bN.max(1)
        if not itself:
            distance_bN[rows - start, rows] = np.inf
        index_NK[rows] = first_columns(distance_bN, count)
    if not np.isfinite(farthest_N).all():
        raise ReanchorError("features: a distance is NaN or infinite; the model's weights are broken, train it again")
    return Neighbours(index_NK, farthest_N)


def block_rows(memory: int, columns: int, dtype: type = np.float32) -> int:
    """Rows of a block of distances that takes `memory` bytes."""
    return max(1, memory // (np.dtype(dtype).itemsize * columns))


def first_columns(distance_bN: np.ndarray, count: int) -> np.ndarray:
    """Columns of the `count` smallest values of each row in ascending order, int64 [b, count].

    Equals a stable argsort cut after `count`, without the sort of whole rows.
    """
    step = max(1, STEP // (distance_bN.itemsize * distance_bN.shape[1]))
    parts = [_first_columns(distance_bN[start : start + step], count) for start in range(0, len(distance_bN), step)]
    return np.concatenate(parts)


def _first_columns(distance_bN: np.ndarray, count: int) -> np.ndarray:
    limit_b = np.partition(distance_bN, count - 1, axis=1)[:, count - 1]
    row, column = np.nonzero(distance_bN <= limit_b[:, None])  # more than `count` where values are equal
    order = np.lexsort((distance_bN[row, column], row))  # stable: columns ascend among equals
    found_b = np.bincount(row, minlength=len(distance_bN))
    start_b = np.cumsum(found_b) - found_b
    return column[order[start_b[:, None] + np.arange(count)]]


def sparse_rows(index_bK: np.ndarray, value: float, columns: int, dtype: type) -> csr_array:
    """Sparse [b, columns] with `value` at the given columns of each row."""
    rows, count = index_bK.shape
    small = np.int32 if rows * count < 2**31 else np.int64  # half the memory of every product to come
    return csr_array((np.full(rows * count, value, dtype), np.array(index_bK, small, order="C").ravel(),
                      np.arange(0, rows * count + 1, count, dtype=small)), shape=(rows, columns))


def adjacency(index_NK: np.ndarray, dtype: type = np.int32) -> csr_array:
    """Sparse [N, N]: 1 where the column is among the row's neighbours."""
    matrix = sparse_rows(index_NK, 1, len(index_NK), dtype)
    matrix.sort_indices()
    return matrix
