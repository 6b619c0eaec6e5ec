"""What judging needs of an image-based method: pictures in, unit-length features out.

Shape legend: Q queries, G gallery items, B images of a batch or bootstrap
resamples, D feature width, T patch tokens, K anchors, P matches of a query.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from reanchor.formats.preprocessing import Preprocessing


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


class Embedder:
    """A method at test time. What a method does not set stands here."""

    name: str
    grid: tuple[int, int] | None = None  # rows and columns of patch tokens
    patch: int | None = None  # pixels of the image it is given; None: patches tile the image
    stride: int | None = None  # likewise, of overlapping patches
    preprocessing: Preprocessing | None = None  # the images it reads; None: any
    parts: Mapping[str, tuple[int, ...]] = MappingProxyType({})  # variant ("": the feature) -> widths of what is fused
    anchored: bool = False  # whether `anchor_attention` tells anything

    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        """Embed uint8 RGB images [B, H, W, 3] seen by cameras [B] (1-based) from views [B] (1-based, 0: unknown).

        None for `viewids`: the dataset tells no view. Most methods read neither.
        """
        raise NotImplementedError

    def anchor_attention(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> np.ndarray:
        """How each anchor's attention is spread over the patch tokens, float32 [B, K, T]; a row sums to 1."""
        raise NotImplementedError
