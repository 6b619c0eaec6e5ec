"""What evaluation needs of a method: pictures in, unit-length features out.

Shape legend of this package: Q queries, G gallery items, B images of a batch or bootstrap
resamples, D feature width, T patch tokens, P matches of a query.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from tqdm import tqdm


@dataclass(frozen=True)
class Embedding:
    """Features of B images, L2-normalised, and the weight each patch token got, where there is one.

    A method that yields several features in one pass gives the others as `variants`; each is a row of its
    own in the tables, named METHOD_VARIANT.
    """

    features: np.ndarray  # float32 [B, D]
    token_weights: np.ndarray | None = None  # float32 [B, T], each row sums to 1
    variants: dict[str, np.ndarray] = field(default_factory=dict)  # variant -> float32 [B, D_variant]

    def rows(self, method: str) -> dict[str, np.ndarray]:
        """Features by the name of their row in the tables, the method's own first."""
        return {method: self.features} | {f"{method}_{name}": own for name, own in self.variants.items()}


class Embedder(Protocol):
    """A method at test time. `grid` is (rows, cols) of patch tokens, None where there are none.

    An embedder with overlapping patches also has the attributes `patch` and `stride`
    (pixels of the image it is given); without them patches tile the image. One that reads images of
    one kind only has the attribute `preprocessing`. One whose features are fused has `parts`: variant ("": the feature
    itself) -> the widths of what is fused.
    """

    name: str
    grid: tuple[int, int] | None

    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        """Embed uint8 RGB images [B, H, W, 3] seen by cameras [B] (1-based) from views [B] (1-based, 0: unknown).

        None for `viewids`: the dataset tells no view. Most methods read neither.
        """
        ...


def embed_rows(embedder: Embedder, images: np.ndarray, rows: np.ndarray, camids: np.ndarray,
               batch: int, label: str = "", viewids: np.ndarray | None = None) -> Embedding:
    """Embed `images[rows]` batch by batch; `camids` and `viewids` [len(rows)] belong to the chosen rows.

    `images` may be a memory map: no more than `batch` pictures are read at a time.
    """
    features, weights, variants = None, None, {}
    for start in tqdm(range(0, len(rows), batch), desc=label or embedder.name, leave=False, disable=None):
        part = slice(start, start + batch)
        views = None if viewids is None else viewids[part]
        embedding = embedder.embed(np.ascontiguousarray(images[rows[part]]), camids[part], views)
        features = _put(embedding.features, part, features, len(rows))
        if embedding.token_weights is not None:
            weights = _put(embedding.token_weights, part, weights, len(rows))
        for name, own in embedding.variants.items():
            variants[name] = _put(own, part, variants.get(name), len(rows))
    return Embedding(features, weights, variants)


def _put(values: np.ndarray, part: slice, whole: np.ndarray | None, count: int) -> np.ndarray:
    """Write a batch into its place: a gallery's features are never held twice."""
    whole = np.empty((count, values.shape[1]), np.float32) if whole is None else whole
    whole[part] = values
    return whole
