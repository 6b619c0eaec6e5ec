"""Horizontal-flip averaging at test time, for any embedder."""

import numpy as np

from reanchor.formats.embedder import Embedder, Embedding


class _Mirrored(Embedder):
    """An embedder that is also shown the mirror image."""

    def __init__(self, embedder: Embedder, name: str):
        self.embedder, self.name, self.grid = embedder, name, embedder.grid
        self.patch, self.stride, self.preprocessing = embedder.patch, embedder.stride, embedder.preprocessing
        self.anchored, self.parts = embedder.anchored, embedder.parts

    def anchor_attention(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> np.ndarray:
        """The embedder's own, of the image as it is."""
        return self.embedder.anchor_attention(images, camids, viewids)

    def _both(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None) -> tuple[Embedding, Embedding]:
        mirrored = np.ascontiguousarray(np.asarray(images)[:, :, ::-1])
        return self.embedder.embed(images, camids, viewids), self.embedder.embed(mirrored, camids, viewids)


class FlipBeside(_Mirrored):
    """An embedder whose flip-averaged feature stands beside its plain ones, as the variant "flip"."""

    def __init__(self, embedder: Embedder):
        super().__init__(embedder, embedder.name)
        self.parts = dict(embedder.parts) | ({"flip": embedder.parts[""]} if "" in embedder.parts else {})

    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        """The embedder's own outcome and the normalised sum with the mirror image's feature, [B, D]; two passes."""
        plain, mirrored = self._both(images, camids, viewids)
        return Embedding(plain.features, plain.token_weights,
                         plain.variants | {"flip": _unit_sum(plain.features, mirrored.features)})


class FlipAveraged(_Mirrored):
    """The normalised sum of an image's and its mirror image's unit features; token weights are averaged in place.

    With overlapping patches a mirrored token lies where its twin lies up to what the stride leaves over.
    """

    def __init__(self, embedder: Embedder):
        super().__init__(embedder, f"{embedder.name}_flip")

    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        """As the embedder's, [B, D]; two passes."""
        plain, mirrored = self._both(images, camids, viewids)
        variants = {name: _unit_sum(own, mirrored.variants[name]) for name, own in plain.variants.items()}
        return Embedding(_unit_sum(plain.features, mirrored.features),
                         self._weights(plain.token_weights, mirrored.token_weights), variants)

    def _weights(self, plain: np.ndarray | None, mirrored: np.ndarray | None) -> np.ndarray | None:
        if plain is None or mirrored is None:
            return None
        back = mirrored.reshape(-1, *self.grid)[:, :, ::-1].reshape(plain.shape)
        return (plain + back) / 2


def _unit_sum(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    whole = one + other
    return whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-12)
