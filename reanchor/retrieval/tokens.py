"""Where the weight of patch tokens falls, measured against the true masks of an occluded suite.

A token's weight is spread evenly over the pixels of its patch; the share on a label is the sum
over those pixels. The same with equal weights gives the share to expect of a blind weighting.
"""

from collections.abc import Iterable

import numpy as np

LABELS = {"target": 1, "occluder": 2, "person": 3, "background": 0, "unknown": 255}


def patch_shares(masks: np.ndarray, grid: tuple[int, int], patch: int | None = None,
                 stride: int | None = None) -> np.ndarray:
    """Share of each patch's pixels that bears each of LABELS, float64 [B, T, labels]; see `mask_shares`."""
    return mask_shares(masks, LABELS.values(), grid, patch, stride)


def mask_shares(masks: np.ndarray, labels: Iterable[int], grid: tuple[int, int], patch: int | None = None,
                stride: int | None = None) -> np.ndarray:
    """Share of each patch's pixels that bears each of `labels`, float64 [B, T, labels].

    Args:
        masks: uint8 [B, H, W].
        grid: (rows, cols) of patches.
        patch, stride: pixels, for overlapping patches; None: patches tile the image.
    """
    tops, bottoms = patch_edges(masks.shape[1], grid[0], patch, stride)
    lefts, rights = patch_edges(masks.shape[2], grid[1], patch, stride)
    area = np.outer(bottoms - tops, rights - lefts).ravel()
    shares = []
    for label in labels:
        summed = np.zeros((len(masks), masks.shape[1] + 1, masks.shape[2] + 1), np.int32)
        summed[:, 1:, 1:] = (masks == label).cumsum(1, dtype=np.int32).cumsum(2, dtype=np.int32)
        inside = (summed[:, bottoms][:, :, rights] - summed[:, tops][:, :, rights]
                  - summed[:, bottoms][:, :, lefts] + summed[:, tops][:, :, lefts])
        shares.append(inside.reshape(len(masks), -1) / area)
    return np.stack(shares, axis=2)


def patch_edges(
    size: int, count: int, patch: int | None, stride: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """First pixel and one past the last pixel of each patch along one axis."""
    assert patch is not None or size % count == 0, f"{count} patches do not tile {size} pixels"
    patch = size // count if patch is None else patch
    first = np.arange(count) * (patch if stride is None else stride)
    return first, first + patch


def weight_shares(weights_BT: np.ndarray, shares_BTL: np.ndarray) -> np.ndarray:
    """Share of the token weight on each of LABELS, float64 [B, labels]; a row sums to 1."""
    total = weights_BT.sum(1, keepdims=True, dtype=np.float64)
    return np.einsum("bt,btl->bl", weights_BT / total, shares_BTL)
