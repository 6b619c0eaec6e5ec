"""Neighbour feature centralisation (NFC): each feature moves towards its mutual neighbours.

Pose2ID's test-time step (Yuan et al., "From Poses to Identity: Training-Free Person Re-Identification via
Feature Centralization", CVPR 2025), as SAGA-ReID's code applies it: to queries and to the gallery, each by itself.
It is transductive: a query's feature then depends on the other queries.
"""

import numpy as np

from reanchor.retrieval.neighbours import Items, adjacency, nearest

MEMORY = 128 * 2**20


def centralise(features_ND: np.ndarray, k1: int, k2: int, memory: int = MEMORY) -> np.ndarray:
    """Each unit feature plus those of its mutual neighbours, unit length again, float32 [N, D].

    j is added to i when j is among i's `k1` nearest and i among the first `k2` of j's `k1` nearest,
    so that a k2 above k1 changes nothing. An item is no neighbour of itself.

    Args:
        features_ND: the queries alone or the gallery alone.
        memory: bytes for one block of distances.

    Raises:
        ReanchorError: when a distance is not finite.
    """
    unit_ND = _unit(np.asarray(features_ND, np.float32))
    if len(unit_ND) < 2:
        return unit_ND
    index_NK = nearest(Items(unit_ND, unit_ND[:0]), k1, memory, itself=False).index_NK
    mutual = adjacency(index_NK, np.float32).multiply(adjacency(index_NK[:, :k2], np.float32).T).tocsr()
    return _unit(unit_ND + mutual @ unit_ND)


def _unit(features_ND: np.ndarray) -> np.ndarray:
    return features_ND / np.maximum(np.linalg.norm(features_ND, axis=1, keepdims=True), 1e-12)
