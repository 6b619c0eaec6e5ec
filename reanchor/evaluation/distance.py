"""Distances between features, in fp32 and block by block."""

from collections.abc import Callable

import numpy as np

BlockDistance = Callable[[np.ndarray], np.ndarray]  # query rows [b] -> distances [b, G]


def cosine(query_QD: np.ndarray, gallery_GD: np.ndarray) -> np.ndarray:
    """1 - dot product, float32 [Q, G]; features are expected L2-normalised."""
    dot_QG = np.asarray(query_QD, np.float32) @ np.asarray(gallery_GD, np.float32).T
    return np.subtract(np.float32(1), dot_QG, out=dot_QG)


def squared_euclidean(query_QD: np.ndarray, gallery_GD: np.ndarray) -> np.ndarray:
    """|q|^2 + |g|^2 - 2 q.g, float32 [Q, G] (no square root: the order is the same)."""
    query_QD, gallery_GD = np.asarray(query_QD, np.float32), np.asarray(gallery_GD, np.float32)
    distance_QG = query_QD @ gallery_GD.T
    distance_QG *= np.float32(-2)
    distance_QG += np.square(query_QD).sum(1)[:, None]
    distance_QG += np.square(gallery_GD).sum(1)[None]
    return distance_QG


DISTANCES = {"cosine": cosine, "squared_euclidean": squared_euclidean}


def block_distance(query_QD: np.ndarray, gallery_GD: np.ndarray, kind: str = "cosine") -> BlockDistance:
    """A function that gives the distances of some query rows to the whole gallery."""
    measure = DISTANCES[kind]
    return lambda rows: measure(query_QD[rows], gallery_GD)
