"""What evaluation needs of a method: pictures in, unit-length features out.

Shape legend of this package: Q queries, G gallery items, B images of a batch or bootstrap
resamples, D feature width, T patch tokens, P matches of a query.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from tqdm import tqdm


@dataclass(frozen=True)
class Embedding:
    """Features of B images, L2-normalised, and the weight each patch token got, where there is one."""

    features: np.ndarray  # float32 [B, D]
    token_weights: np.ndarray | None = None  # float32 [B, T], each row sums to 1


class Embedder(Protocol):
    """A method at test time. `grid` is (rows, cols) of patch tokens, None where there are none.

    An embedder with overlapping patches also has the attributes `patch` and `stride`
    (pixels of the image it is given); without them patches tile the image. One that reads images of
    one kind only has the attribute `preprocessing`.
    """

    name: str
    grid: tuple[int, int] | None

    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        """Embed uint8 RGB images [B, H, W, 3] seen by cameras [B] (1-based) from views [B] (0-based).

        None for `viewids`: the dataset tells no view. Most methods read neither.
        """
        ...


def embed_rows(embedder: Embedder, images: np.ndarray, rows: np.ndarray, camids: np.ndarray,
               batch: int, label: str = "", viewids: np.ndarray | None = None) -> Embedding:
    """Embed `images[rows]` batch by batch; `camids` and `viewids` [len(rows)] belong to the chosen rows.

    `images` may be a memory map: no more than `batch` pictures are read at a time.
    """
    features, weights = [], []
    for start in tqdm(range(0, len(rows), batch), desc=label or embedder.name, leave=False, disable=None):
        part = slice(start, start + batch)
        views = None if viewids is None else viewids[part]
        embedding = embedder.embed(np.ascontiguousarray(images[rows[part]]), camids[part], views)
        features.append(np.asarray(embedding.features, dtype=np.float32))
        weights.append(embedding.token_weights)
    token_weights = None if weights[0] is None else np.concatenate(weights).astype(np.float32)
    return Embedding(np.concatenate(features), token_weights)
