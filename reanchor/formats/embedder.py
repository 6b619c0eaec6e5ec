"""What judging needs of an image-based method: pictures in, unit-length features out.

Shape legend: Q queries, G gallery items, B images of a batch or bootstrap
resamples, D feature width, T patch tokens, P matches of a query.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


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
