"""Distances between features, block by block; fp32 unless asked for otherwise."""

from collections.abc import Callable

import numpy as np

BlockDistance = Callable[[np.ndarray], np.ndarray]  # query rows [b] -> distances [b, G]
Measure = Callable[[np.ndarray, np.ndarray], BlockDistance]  # (query_QD, gallery_GD) -> their distances


def cosine(query_QD: np.ndarray, gallery_GD: np.ndarray, dtype: type = np.float32,
           out: np.ndarray | None = None) -> np.ndarray:
    """1 - dot product, [Q, G]; features are expected L2-normalised."""
    dot_QG = np.matmul(np.asarray(query_QD, dtype), np.asarray(gallery_GD, dtype).T, out=out)
    return np.subtract(dtype(1), dot_QG, out=dot_QG)


def squared_euclidean(query_QD: np.ndarray, gallery_GD: np.ndarray, dtype: type = np.float32,
                      out: np.ndarray | None = None) -> np.ndarray:
    """|q|^2 + |g|^2 - 2 q.g, [Q, G] (no square root: the order is the same)."""
    query_QD, gallery_GD = np.asarray(query_QD, dtype), np.asarray(gallery_GD, dtype)
    distance_QG = np.matmul(query_QD, gallery_GD.T, out=out)
    distance_QG *= dtype(-2)
    distance_QG += _squares(query_QD)[:, None]
    distance_QG += _squares(gallery_GD)[None]
    return distance_QG


def _squares(features_ND: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", features_ND, features_ND)  # no squared copy of a whole gallery


# As `evaluate.distance` names them; "euclidean" is squared, as in CLIP-ReID's evaluator.
DISTANCES = {"cosine": cosine, "euclidean": squared_euclidean}


def block_distance(query_QD: np.ndarray, gallery_GD: np.ndarray, kind: str = "cosine") -> BlockDistance:
    """A function that gives the distances of some query rows to the whole gallery."""
    distance = DISTANCES[kind]
    return lambda rows: distance(query_QD[rows], gallery_GD)
