"""The gated model as an embedder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from reanchor.clip.model import ClipSpec
from reanchor.formats.embedder import Embedding
from reanchor.methods.clip_reid.embedder import ReidEmbedder, seen_by
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.gate.feature import look
from reanchor.methods.gate.store import read_gated


class GateEmbedder(ReidEmbedder):
    """As `ReidEmbedder`, with the replayed [CLS] and the weights of the gate."""

    def __init__(self, name: str, model: ReidModel, spec: ClipSpec, device: str):
        super().__init__(name, model, spec, device)
        width = model.encoder.width + model.encoder.embed
        self.parts = {"": (width, width)} if model.encoder.plain_weight else {}

    @torch.inference_mode()
    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        """Unit features (`reanchor.methods.gate.feature`); token weights are the gate's, scaled to sum to 1."""
        encoder, labels = self.model.encoder, seen_by(camids, viewids)
        pixels, sides = self._pixels(images, labels), self._sides(labels)
        weights, features = look(encoder, pixels, None if sides is None else self.model.side(sides))
        shares = weights.clamp(min=1e-6)
        shares = shares / shares.sum(1, keepdim=True)
        return Embedding(features.cpu().numpy(), shares.cpu().numpy())


def load(folder: Path, device: str, features: Sequence[str] = (), variant: str = "") -> GateEmbedder:
    """A gated model as an embedder; it has no further features."""
    model, spec = read_gated(folder)
    return GateEmbedder("gate", model, spec, device)
