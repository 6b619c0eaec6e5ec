"""Horizontal-flip averaging at test time, for any embedder."""

import numpy as np

from reanchor.formats.embedder import Embedder, Embedding


class FlipAveraged:
    """The normalised sum of an image's and its mirror image's unit features; token weights are averaged in place.

    With overlapping patches a mirrored token lies where its twin lies up to what the stride leaves over.
    """

    def __init__(self, embedder: Embedder):
        self.embedder, self.name, self.grid = embedder, f"{embedder.name}_flip", embedder.grid
        _take_over(embedder, self)

    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        """As the embedder's, [B, D]; two passes."""
        plain = self.embedder.embed(images, camids, viewids)
        mirrored = self.embedder.embed(np.ascontiguousarray(np.asarray(images)[:, :, ::-1]), camids, viewids)
        variants = {name: _unit_sum(own, mirrored.variants[name]) for name, own in plain.variants.items()}
        return Embedding(_unit_sum(plain.features, mirrored.features),
                         self._weights(plain.token_weights, mirrored.token_weights), variants)

    def _weights(self, plain: np.ndarray | None, mirrored: np.ndarray | None) -> np.ndarray | None:
        if plain is None or mirrored is None:
            return None
        back = mirrored.reshape(-1, *self.grid)[:, :, ::-1].reshape(plain.shape)
        return (plain + back) / 2


class FlipBeside:
    """An embedder whose flip-averaged feature stands beside its plain ones, as the variant "flip"."""

    def __init__(self, embedder: Embedder):
        self.embedder, self.name, self.grid = embedder, embedder.name, embedder.grid
        _take_over(embedder, self)
        parts = getattr(embedder, "parts", {})
        self.parts = parts | ({"flip": parts[""]} if "" in parts else {})

    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        """The embedder's own outcome and the normalised sum with the mirror image's feature, [B, D]; two passes."""
        plain = self.embedder.embed(images, camids, viewids)
        mirrored = self.embedder.embed(np.ascontiguousarray(np.asarray(images)[:, :, ::-1]), camids, viewids)
        return Embedding(plain.features, plain.token_weights,
                         plain.variants | {"flip": _unit_sum(plain.features, mirrored.features)})


def _take_over(source: Embedder, wrapper: object) -> None:
    """What some embedders have beyond the protocol's minimum."""
    for known in ("patch", "stride", "preprocessing", "anchor_attention", "parts"):
        if hasattr(source, known):
            setattr(wrapper, known, getattr(source, known))


def _unit_sum(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    whole = one + other
    return whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-12)
