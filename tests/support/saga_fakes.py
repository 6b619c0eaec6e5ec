"""A tiny fine-tuned model and its images, for SAGA's tests."""

import numpy as np
import torch
from golden_files import tiny_clip
from torch import Generator

from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.settings import FinetuneRecipe
from reanchor.methods.clip_reid.side import SideSettings
from reanchor.training.images import TrainingImages

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 64, 32, 3), dtype=np.uint8)
PLAIN = FinetuneRecipe(flip=0.0, pad=0, erase=0.0)
AUGMENTED = FinetuneRecipe(flip=0.5, pad=2, erase=0.5)


def reid_model(side: bool = True) -> ReidModel:
    """Three identities, two cameras, the golden CLIP's image tower; frozen."""
    settings = SideSettings("camera", 2, 1, 3.0) if side else None
    model = ReidModel(tiny_clip().image_encoder(), identities=3, side=settings, token_block=1)
    model.initialise(Generator().manual_seed(0))
    return model.eval().requires_grad_(False)


def training_images() -> TrainingImages:
    """Two images of each identity, one per camera."""
    return TrainingImages(IMAGES, np.arange(6), np.array([0, 0, 1, 1, 2, 2]), np.array([1, 2, 1, 2, 1, 2]),
                          np.zeros(6, np.int64))


def pixels(images: np.ndarray = IMAGES) -> torch.Tensor:
    """As the encoder reads them, [B, 3, H, W]."""
    return (torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
