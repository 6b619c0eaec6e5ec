"""The image encoder as an embedder: untouched (zero-shot) or fine-tuned."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reanchor.clip.model import (
    Clip,
    ClipSpec,
    freeze,
)
from reanchor.clip.vision import ImageTokens
from reanchor.clipreid.model import ReidModel, camera_index, retrieval_feature
from reanchor.clipreid.store import read_reid
from reanchor.data.augment import normalise
from reanchor.evaluation.embedder import Embedding


class ReidEmbedder:
    """concat([CLS] after ln_post, projection), L2-normalised as one vector (CLIP-ReID's test feature)."""

    def __init__(self, name: str, model: ReidModel, spec: ClipSpec, device: str):
        self.name, self.spec, self.device = name, spec, device
        self.model = freeze(model).to(device)
        self.grid = model.encoder.grid
        self.patch = model.encoder.visual.patch_size[0]
        self.stride = model.encoder.visual.conv1.stride[0]

    def tokens(self, images: np.ndarray, camids: np.ndarray, taps: tuple[int, ...] = ()) -> ImageTokens:
        """One pass over uint8 images [B, H, W, 3] seen by 1-based cameras [B]."""
        batch = normalise(torch.from_numpy(np.ascontiguousarray(images)), self.spec.mean, self.spec.std)
        return self.model.encode(batch.to(self.device), self._cameras(camids), taps)

    def _cameras(self, camids: np.ndarray) -> Tensor | None:
        return None if self.model.camera is None else camera_index(camids, len(self.model.camera)).to(self.device)

    @torch.inference_mode()
    def embed(self, images: np.ndarray, camids: np.ndarray) -> Embedding:
        """Unit features [B, D + E]."""
        features = F.normalize(retrieval_feature(self.tokens(images, camids)), dim=1)
        return Embedding(features.cpu().numpy())


def load_zero_shot(folder: Path, device: str) -> ReidEmbedder:
    """The backbone as it is."""
    clip = Clip.load(folder)
    return ReidEmbedder("zero_shot", ReidModel(clip.image_encoder(), identities=1), clip.spec, device)


def load_reid(folder: Path, device: str) -> ReidEmbedder:
    """A fine-tuned model as an embedder."""
    model, spec, name = read_reid(folder)
    return ReidEmbedder(name, model, spec, device)
