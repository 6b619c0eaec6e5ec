"""The image side of a text-based model of two features, as an embedder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reanchor.formats.embedder import Embedder, Embedding
from reanchor.formats.incoming import checked_numbers
from reanchor.text.towers import DualSearcher, read_dual


class JointEmbedder(Embedder):
    """The unit feature [B, E] in the space that sentences share."""

    def __init__(self, searcher: DualSearcher):
        tower = searcher.model.image
        self.name, self.searcher = searcher.name, searcher
        self.grid, self.patch, self.stride = tower.grid, tower.patch, tower.stride
        self.preprocessing = searcher.preprocessing

    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        """Unit features [B, E] of uint8 RGB images [B, H, W, 3]; cameras and views are not read, but counted.

        Raises:
            ReanchorError: images of another dtype, layout or size than the model reads, or not as many as cameras.
        """
        features = self.searcher.images(images)["feature"]
        checked_numbers(camids, "camids", len(features))
        return Embedding(features.cpu().numpy())


def load(folder: Path, device: str, features: Sequence[str] = (), variant: str = "") -> JointEmbedder:
    """A pair of trained towers as an embedder of images; it has no further features."""
    return JointEmbedder(load_searcher(folder, device))


def load_searcher(folder: Path, device: str) -> DualSearcher:
    """A pair of trained towers."""
    model, spec, name = read_dual(folder)
    return DualSearcher(name, model.to(device).eval(), spec)
