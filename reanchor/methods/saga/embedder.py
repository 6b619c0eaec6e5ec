"""SAGA as an embedder; its anchors are stored as vectors, so no text encoder is needed at test time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reanchor.clip.model import freeze
from reanchor.errors import ReanchorError
from reanchor.formats.embedder import Embedder, Embedding
from reanchor.formats.labels import Labels
from reanchor.methods.clip_reid.embedder import ReidEmbedder, seen_by
from reanchor.methods.saga.batch import token_batch
from reanchor.methods.saga.features import concat, fuse, orthogonal, side_by_side
from reanchor.methods.saga.head import Aggregated, SagaHead
from reanchor.methods.saga.store import Fusion, read_saga

# What is made of refined feature, [CLS] and projection; "fused" by the weights in model.json.
VARIANTS = ("fused", "refined", "cls", "projected", "concat", "orthogonal", "anchors", "anchors_top2")
_ALONE = {"refined": (1.0, 0.0, 0.0), "cls": (0.0, 1.0, 0.0), "projected": (0.0, 0.0, 1.0)}


class SagaEmbedder(Embedder):
    """Refined feature, [CLS] and projection in one of the `VARIANTS`, "fused" by weighted cosine similarities.

    `variants` names further ones, each another feature of the same pass.
    """

    anchored = True

    def __init__(self, name: str, reid: ReidEmbedder, head: SagaHead, blocks: tuple[int, ...], weights: Fusion,
                 variant: str = "fused", variants: Sequence[str] = ()):
        self.name, self.reid, self.blocks, self.weights = name, reid, blocks, weights
        self.variant, self.variants = variant, tuple(variants)
        self.head = freeze(head).to(reid.device)
        self.grid, self.patch, self.stride = reid.grid, reid.patch, reid.stride
        self.preprocessing = reid.preprocessing
        widths = head.feature_width, reid.model.encoder.width, reid.model.encoder.embed
        made = {"": variant} | {one: one for one in self.variants}
        self.parts = {row: widths for row, one in made.items() if one == "fused"}
        if "orthogonal" in (variant, *variants) and head.feature_width != reid.model.encoder.width:
            raise ReanchorError(f"variant: got 'orthogonal', which needs refined features as wide as [CLS]; this model "
                                f"has {head.feature_width} and {reid.model.encoder.width}; train with "
                                "saga.feature_width=0 or use another variant")

    @torch.inference_mode()
    def aggregated(self, images: np.ndarray, labels: Labels) -> tuple[Aggregated, list[Tensor]]:
        """The aggregation of [B, ...] images, and [refined, [CLS], projection], un-normalised [B, D_i]."""
        out = self.reid.tokens(images, labels, self.blocks)
        cameras = torch.as_tensor(labels.camids, device=self.reid.device)
        aggregated = self.head.aggregate(token_batch(out, self.blocks, cameras), self.head.anchors())
        return aggregated, [aggregated.feature, out.cls, out.projected]

    @torch.inference_mode()
    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        """Unit features and token weights of the aggregation; fused: dot product = weighted mean of cosines."""
        aggregated, parts = self.aggregated(images, seen_by(camids, viewids))
        feature, *others = (self._feature(name, aggregated, parts).cpu().numpy()
                            for name in (self.variant, *self.variants))
        return Embedding(feature, aggregated.token_weights.cpu().numpy(), dict(zip(self.variants, others, strict=True)))

    @torch.inference_mode()
    def anchor_attention(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> np.ndarray:
        """How each text anchor's attention is spread over the patch tokens, float32 [B, K, T]; a row sums to 1."""
        aggregated, _ = self.aggregated(images, seen_by(camids, viewids))
        attention = torch.cat(aggregated.attention, dim=2).mT.float()
        return (attention / attention.sum(2, keepdim=True).clamp(min=1e-12)).cpu().numpy()

    def _feature(self, variant: str, aggregated: Aggregated, parts: list[Tensor]) -> Tensor:
        if variant in ("fused", *_ALONE):
            return fuse(parts, list(_ALONE.get(variant, self.weights)))
        if variant == "concat":
            return concat(parts)
        if variant == "orthogonal":
            return orthogonal(parts[0], parts[1])
        return side_by_side(*self.head.anchor_features(aggregated), top=2 if variant == "anchors_top2" else 0)


def load(folder: Path, device: str, features: Sequence[str] = (), variant: str = "") -> SagaEmbedder:
    """A trained SAGA.

    Args:
        features: further variants of the same pass.
        variant: which feature: "fused" (weights chosen on validation identities, or given; with "refined" as a
            variant of the same pass), "refined" (the aggregation alone), "cls" (global pooling alone), "projected"
            (its projection), "concat" (all three, each by its norm), "orthogonal" (what [CLS] adds to the refined
            feature), "anchors" (each text anchor's own feature) or "anchors_top2" (of an image's two strongest
            anchors); empty: "fused".

    Raises:
        ReanchorError: an unknown variant.
    """
    variant = variant or "fused"
    if variant not in VARIANTS:
        raise ReanchorError(f"variant: got '{variant}', allowed are {', '.join(VARIANTS)}")
    head, model, spec, blocks, weights = read_saga(folder)
    name = "saga" if variant == "fused" else f"saga_{variant}"
    return SagaEmbedder(name, ReidEmbedder(name, model, spec, device), head, blocks, weights, variant,
                        (*(("refined",) if variant == "fused" else ()), *features))
